"""One AC outlet seen from outside: commands and control steps in; snapshot, status and events out.

One control step: read devices -> next phase -> safety verdict -> faults -> actuator -> what the EV is told -> snapshot
and status -> heartbeat. A step that raises does not reach the heartbeat, and the pilot board then opens the contactor
by itself.
"""

from __future__ import annotations

from evse_controller.model.commands import ControlMode
from evse_controller.model.fault import Fault
from evse_controller.model.limits import SiteAllowance
from evse_controller.model.pilot import PilotState
from evse_controller.model.snapshot import Authorization, DriverWishes, EvseSnapshot, Step
from evse_controller.model.wish import EnergyWish
from evse_controller.safety import AcInputs, AcPhase, Verdict, evaluate_ac
from evse_controller.station.ac import report
from evse_controller.station.ac.config import AcOutletDevices, AcStationConfig
from evse_controller.station.ac.phases import AcPhaseMachine
from evse_controller.station.ac.view import AcView
from evse_controller.station.report import StationStatus, meter_totals
from hal.api import Contact


class AcStation(AcPhaseMachine):
    """One AC outlet. Call `step` every 50 ms and `guard` every 10 ms; `command` whenever the session says so."""

    def __init__(self, config: AcStationConfig, devices: AcOutletDevices, latched: tuple[Fault, ...] = ()) -> None:
        super().__init__(config, devices, latched)
        self._plate = config.plate()

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
        the driver told us, handed through to the session. Limits and set-points are W of all phases at the outlet."""
        if self._started_s is None:
            self._started_s = self._phase_since_s = now_s
        self._now_s, self._driver = now_s, driver
        view = AcView(now_s, self._devices.mcu.reading(), self._devices.meter.reading())
        self._cable_a = None if view.mcu is None else view.mcu.cable_a
        self._newest.account(view.meter)
        self._cleared(self._book.expire(now_s, view.pilot is PilotState.A))
        self._escalate()
        self._next_phase(view)
        if view.meter is not None:
            self._told.watch(view.meter.power_w, now_s)
            self._session.load([phase.power_w for phase in view.meter.phases])
        verdict = self._judge(lambda: evaluate_ac(self._inputs(view, allowance, wish), now_s))
        close = self._closed_wanted(view)
        self._actuator.apply(close, verdict.permit, now_s, view.mcu, view.meter)
        self._note_refusal(self._actuator.refusal)
        self._actuator.set_duty(self._duty(view.pilot, self._actuator.energised, self.config.pwm_allowed))
        self._publish(view, verdict, wish, authorization, utc_s)
        self._actuator.beat(now_s)
        assert self.snapshot is not None
        return self.snapshot

    # -- safety ----------------------------------------------------------------------------------------------

    def _inputs(self, view: AcView, allowance: SiteAllowance, wish: EnergyWish) -> AcInputs:
        session, actuator, service = self._session, self._actuator, self._session.service
        charged_wh, discharged_wh = session.moved_wh(view.meter)
        scheduled = service is None or service.control_mode is ControlMode.SCHEDULED
        return AcInputs(
            phase=self._phase,
            started_s=self._started_s or 0.0,
            plate=self._plate,
            mcu=view.mcu,
            meter=view.meter,
            allowance=allowance,
            told=self._told.loosest(view.now_s),
            ev=session.ev,
            charge_cap=wish.charge_cap if scheduled else None,
            discharge_cap=wish.discharge_cap if scheduled else None,
            service_bidirectional=service is not None and service.bidirectional,
            needs=session.needs,
            soc=session.soc,
            soc_age_s=view.now_s - session.soc_s,
            driver_minimum_soc=None if self._driver is None else self._driver.minimum_soc,
            charged_wh=charged_wh,
            discharged_wh=discharged_wh,
            contactor_commanded=actuator.contactors,
            contactor_since_s=max(actuator.contactors_since_s, self._started_s or 0.0),
            stopping=self._stopping is not None,
            latched=self._book.active,
            watch=self._watch,
        )

    # -- what others read ------------------------------------------------------------------------------------

    def _publish(
        self, view: AcView, verdict: Verdict, wish: EnergyWish, authorization: Authorization, utc_s: float
    ) -> None:
        session, meter = self._newest, view.fresh
        stopping = self._stopping is not None or self._book.emergency is not None
        closed = self._actuator.contactors and view.contact is Contact.CLOSED
        ratings = self._ratings
        present = report.present(self.config, ratings, session, verdict, wish, stopping, meter)
        target_w = present.target_w.total_w
        self._telling = report.told_w(session, verdict, target_w) if self._serving else (0.0, 0.0)
        self._unscheduled = report.unscheduled_w(verdict) if self._serving else (0.0, 0.0)
        notification, delay_s = self._notices.told(stopping, view.now_s)
        phases = () if meter is None else tuple((p.voltage_v, p.current_a, p.power_w) for p in meter.phases)
        volts = None if not phases else sum(phase[0] for phase in phases) / len(phases)
        amps = None if not phases else max((phase[1] for phase in phases), key=abs)
        self.snapshot = EvseSnapshot(
            utc_s=utc_s,
            evseid=self.config.evseid,
            bidirectional=self.config.discharges,
            ratings=report.NO_DC_RATINGS,
            present=report.NO_DC,
            pilot=view.pilot,
            authorization=authorization,
            cable_check=Step.IDLE,
            precharge=Step.IDLE,
            energy_ready=self._phase is AcPhase.ENERGY and closed,
            stop_done=session.stop_wanted is not None
            and not self._actuator.contactors
            and view.contact is Contact.OPEN,
            present_voltage_v=volts,
            present_current_a=amps,
            meter=meter_totals(self._devices.meter.meter_id, session, view.meter, utc_s),
            offer=wish.offer,
            notification=notification,
            notification_max_delay_s=delay_s,
            emergency=self._power_gone(),
            ac_ratings=ratings,
            ac_present=present,
            contactor=session.contactor,
            driver=self._driver,
            pause_allowed=self.config.pause_allowed and not stopping and self._book.worst() is None,
        )
        per_a = self.config.phases * self.config.nominal_voltage_v
        self._status = StationStatus(
            at_s=view.now_s,
            phase=self._phase.value,
            sub_step="",
            charge_limits=verdict.charge,
            discharge_limits=verdict.discharge,
            charge_rules=verdict.charge_rules,
            discharge_rules=verdict.discharge_rules,
            export_denied=verdict.export_denied,
            faults=self._book.active,
            setpoint_a=target_w / per_a,
            setpoint_w=target_w,
            voltage_v=volts,
            current_a=amps,
            link_v=None,
            isolation_ohm=None,
            contactors=view.contact.value,
            pilot=view.pilot.value,
            mode="ac",
            stopping=self._stopping,
            refusal=self._refusal,
            ready=self._book.worst() is None and view.mcu is not None and view.meter is not None,
            permit=verdict.permit,
            power_w=None if meter is None else meter.power_w,
            phases=phases,
            asleep=self.asleep,
            notification=None if notification is None else notification.value,
        )
