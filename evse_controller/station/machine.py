"""One outlet seen from outside: commands and control steps in; snapshot, status and events out.

One control step: read devices -> upkeep -> next phase -> safety verdict -> faults -> demand -> actuator -> snapshot
and status -> heartbeat. A step that raises does not reach the heartbeat, and the pilot board then opens the
contactors by itself.
"""

from __future__ import annotations

from evse_controller.model.commands import ControlMode
from evse_controller.model.fault import Fault
from evse_controller.model.limits import SiteAllowance
from evse_controller.model.pilot import PilotState
from evse_controller.model.snapshot import Authorization, DriverWishes, EvseSnapshot
from evse_controller.model.wish import EnergyWish
from evse_controller.safety import Inputs, Phase, Verdict, evaluate
from evse_controller.safety import thresholds as t
from evse_controller.station import report
from evse_controller.station.config import OutletDevices, StationConfig
from evse_controller.station.phases import PhaseMachine
from evse_controller.station.report import StationStatus
from evse_controller.station.upkeep import Upkeep
from evse_controller.station.view import View
from hal.api import Contact, PowerMode


class Station(PhaseMachine):
    """One outlet. Call `step` every 50 ms and `guard` every 10 ms; `command` whenever the session says so."""

    def __init__(self, config: StationConfig, devices: OutletDevices, latched: tuple[Fault, ...] = ()) -> None:
        super().__init__(config, devices, latched)
        self._upkeep = Upkeep(config, lambda kind, text: self._event(kind, text))

    # -- what others call ------------------------------------------------------------------------------------

    def step(
        self,
        now_s: float,
        utc_s: float,
        utc_trusted: bool,
        allowance: SiteAllowance,
        wish: EnergyWish,
        authorization: Authorization,
        driver: DriverWishes | None = None,
    ) -> EvseSnapshot:
        """One control step. `utc_s` only stamps the snapshot; nothing here depends on it being trusted. `driver`: what
        the driver told us, handed through to the session."""
        if self._started_s is None:
            self._started_s = self._phase_since_s = now_s
        self._now_s, self._driver = now_s, driver
        devices = self._devices
        view = View(
            now_s=now_s,
            mcu=devices.mcu.reading(),
            power=devices.supply.reading(),
            capability=devices.supply.capability(),
            meter=devices.meter.reading(),
            isolation=devices.isolation.reading(),
        )
        self._newest.account(view.meter)
        self._cleared(self._book.expire(now_s, view.mcu is not None and view.mcu.pilot is PilotState.A))
        self._escalate()
        self._upkeep.step(self._phase, self._check, view, self._actuator)
        self._next_phase(view)
        self._monitor_isolation(now_s)
        verdict = self._judge(lambda: evaluate(self._inputs(view, allowance, wish), now_s))
        demand = self._demand(view, verdict, wish)
        self._actuator.apply(demand, verdict.permit, now_s, view.mcu, view.power, view.meter)
        self._note_refusal(self._actuator.refusal)
        self._set_pilot(view)
        self._publish(view, verdict, wish, authorization, utc_s)
        self._actuator.beat(now_s)
        assert self.snapshot is not None
        return self.snapshot

    def _from_connected(self, view: View) -> Phase | None:
        phase = super()._from_connected(view)
        return None if phase is Phase.CABLE_CHECK and not self._upkeep.settled(view.now_s) else phase

    def _inputs(self, view: View, allowance: SiteAllowance, wish: EnergyWish) -> Inputs:
        session, actuator, service = self._session, self._actuator, self._session.service
        charged_wh, discharged_wh = session.moved_wh(view.meter)
        scheduled = service is None or service.control_mode is ControlMode.SCHEDULED
        return Inputs(
            phase=self._phase,
            started_s=self._started_s or 0.0,
            mcu=view.mcu,
            power=view.power,
            capability=view.capability,
            meter=view.meter,
            isolation=view.isolation,
            ratings=report.hardware_ratings(self.config, view.capability),
            allowance=allowance,
            efficiency_import=self.config.efficiency_import,
            efficiency_export=self.config.efficiency_export,
            negotiated=session.negotiated,
            ev=session.ev,
            charge_cap=wish.charge_cap if scheduled else None,
            discharge_cap=wish.discharge_cap if scheduled else None,
            service_bidirectional=service is not None and service.bidirectional,
            export_configured=self.config.bidirectional,
            grid_profile=self.config.grid_profile,
            needs=session.needs,
            soc=session.soc,
            soc_age_s=view.now_s - session.soc_s,
            driver_minimum_soc=None if self._driver is None else self._driver.minimum_soc,
            charged_wh=charged_wh,
            discharged_wh=discharged_wh,
            mode=actuator.mode,
            changing_direction=self._change is not None,
            cable_test_unfinished=self._check is not None and not self._check.done,
            contactors_commanded=actuator.contactors,
            contactors_since_s=max(actuator.contactors_since_s, self._started_s or 0.0),
            isolation_since_s=actuator.measuring_since_s,
            stopping=self._stopping is not None,
            mcs=self.config.mcs,
            latched=self._book.active,
            watch=self._watch,
        )

    def _set_pilot(self, view: View) -> None:
        pilot = PilotState.INVALID if view.mcu is None else view.mcu.pilot
        self._actuator.set_duty(self._duty(pilot, self._actuator.energised, self.config.pwm_allowed))

    # -- what others read ------------------------------------------------------------------------------------

    def _publish(
        self, view: View, verdict: Verdict, wish: EnergyWish, authorization: Authorization, utc_s: float
    ) -> None:
        session, actuator, mcu, meter = self._newest, self._actuator, view.mcu, view.meter
        ratings = report.hardware_ratings(self.config, view.capability)
        volts = max(1.0, ratings.min_voltage_v, 0.0 if meter is None else meter.voltage_v)
        fresh = meter is not None and view.now_s - meter.at_s <= t.METER_DEADLINE_S
        stopping = self._stopping is not None or self._book.emergency is not None
        notification, delay_s = self._notices.told(stopping, view.now_s)
        contact = Contact.UNDEFINED if mcu is None else mcu.contactor
        closed = actuator.contactors and contact is Contact.CLOSED
        sign = -1.0 if actuator.mode is PowerMode.DISCHARGE else 1.0
        capability = view.capability
        self.snapshot = EvseSnapshot(
            utc_s=utc_s,
            evseid=self.config.evseid,
            # modules that have not answered yet do not take the service away: the permit decides about energy
            bidirectional=(capability is None or capability.bidirectional)
            and self.config.bidirectional
            and self.config.grid_profile is not None,
            ratings=ratings,
            present=report.present_limits(ratings, verdict, volts, self._wanted_a, session.voltage_v, stopping),
            pilot=PilotState.INVALID if mcu is None else mcu.pilot,
            authorization=authorization,
            cable_check=session.cable_check,
            precharge=session.precharge,
            energy_ready=self._phase is Phase.ENERGY and closed and view.power is not None and view.power.on,
            stop_done=session.stop_wanted is not None and not actuator.contactors and contact is Contact.OPEN,
            present_voltage_v=meter.voltage_v if fresh and meter is not None else None,
            present_current_a=meter.current_a if fresh and meter is not None else None,
            meter=report.meter_totals(self._devices.meter.meter_id, session, meter, utc_s),
            offer=wish.offer,
            notification=notification,
            notification_max_delay_s=delay_s,
            emergency=self._power_gone(),
            driver=self._driver,
            pause_allowed=self.config.pause_allowed and not stopping and self._book.worst() is None,
        )
        self._status = StationStatus(
            at_s=view.now_s,
            phase=self._phase.value,
            sub_step=self._sub_step(),
            charge_limits=verdict.charge,
            discharge_limits=verdict.discharge,
            charge_rules=verdict.charge_rules,
            discharge_rules=verdict.discharge_rules,
            export_denied=verdict.export_denied,
            faults=self._book.active,
            setpoint_a=sign * actuator.output_current_a,
            setpoint_w=sign * actuator.output_current_a * volts,
            voltage_v=self.snapshot.present_voltage_v,
            current_a=self.snapshot.present_current_a,
            link_v=None if view.power is None else view.power.voltage_v,
            isolation_ohm=view.isolation.resistance_ohm if view.isolation is not None else None,
            contactors=contact.value,
            pilot=self.snapshot.pilot.value,
            mode=actuator.mode.value,
            stopping=self._stopping,
            refusal=self._refusal,
            ready=self._book.worst() is None and mcu is not None and capability is not None,
            permit=verdict.permit,
            power_w=meter.power_w if fresh and meter is not None else None,
            asleep=self.asleep,
            notification=None if notification is None else notification.value,
        )
