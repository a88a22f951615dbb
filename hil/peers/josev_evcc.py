# mypy: ignore-errors
# (runs in the peer's own environment, whose packages ours does not have)
"""The independent vehicle: `iso15118`'s EVCC with numbers of our plant. Run as `python -m hil.peers.josev_evcc JSON`.

Nothing here decides on states or builds messages: the subclass fills figures into the parameter objects that the
simulator of `iso15118` has made, and connects the hardware hooks (charging on and off, pre-charge reached) to the
plant's inlet. The one choice is a number: which offered parameter set (its control mode).
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys

from hil.peers.channel import InletClient
from hil.peers.options import DYNAMIC, PeerOptions, loads

MATCH_V = 20.0


def environment(options: PeerOptions) -> dict[str, str]:
    """What `iso15118` reads from the process environment when it is imported."""
    return {
        "NETWORK_INTERFACE": options.interface,
        "ENABLE_TLS_1_3": "true" if options.tls else "false",
        "PKI_PATH": options.pki_path or "",
        "MESSAGE_LOG_JSON": "true",
        "LOG_LEVEL": "INFO",
    }


def evcc_settings(options: PeerOptions) -> dict[str, object]:
    """Its configuration file's content."""
    return {
        "supportedEnergyServices": [options.service],
        "supportedProtocols": ["ISO_15118_20_AC" if options.by_ac else "ISO_15118_20_DC"],
        "useTls": options.tls,
        "enforceTls": options.tls,
        "chargeLoopCycle": sum(count for count, _ in options.legs),
        "chargeLoopDelay": 0,
        "maxSupportingPoints": 1024,
    }


class Heard:
    """A codec that keeps what its hardware must obey: in Dynamic mode the on-board charger follows the station, in
    Scheduled mode it gives nothing that the schedule does not allow at the station's time."""

    def __init__(self, codec) -> None:
        self._codec = codec
        self.target_w = 0.0
        self._utc_s = 0
        self._discharging = None

    def may_give_w(self) -> float:
        """What the first tuple's discharging schedule allows now, >= 0."""
        if self._discharging is None:
            return 0.0
        start = self._discharging["TimeAnchor"]
        for entry in self._discharging["PowerScheduleEntries"]["PowerScheduleEntry"]:
            if start <= self._utc_s < start + entry["Duration"]:
                return abs(entry["Power"]["Value"] * 10 ** entry["Power"]["Exponent"])
            start += entry["Duration"]
        return 0.0

    def encode(self, message, namespace):
        return self._codec.encode(message, namespace)

    def decode(self, stream, namespace):
        text = self._codec.decode(stream, namespace)
        (message, response), *_ = json.loads(text).items()
        self._utc_s = response.get("Header", {}).get("TimeStamp", self._utc_s)
        if message == "ScheduleExchangeRes" and "Scheduled_SEResControlMode" in response:
            offered = response["Scheduled_SEResControlMode"]["ScheduleTuple"][0]
            self._discharging = offered.get("DischargingSchedule", {}).get("PowerSchedule")
        for name, mode in response.items() if message == "AC_ChargeLoopRes" else ():
            if name.endswith("CLResControlMode") and "EVSETargetActivePower" in mode:
                told = (mode.get("EVSETargetActivePower" + phase) for phase in ("", "_L2", "_L3"))
                self.target_w = sum(number["Value"] * 10 ** number["Exponent"] for number in told if number)
        return text

    def get_version(self):
        return self._codec.get_version()


def build_controller(options: PeerOptions, evcc_config, heard: Heard):
    from iso15118.evcc.controller.simulator import SimEVController
    from iso15118.shared.messages.enums import ParameterName
    from iso15118.shared.messages.iso15118_20.common_types import DisplayParameters, RationalNumber

    def number(value: float) -> RationalNumber:
        exponent = -1 if abs(value) < 3000 else 0 if abs(value) < 32000 else 1
        return RationalNumber(exponent=exponent, value=round(value / 10**exponent))

    def by_phase(name: str, power_w: float) -> dict[str, RationalNumber]:
        """A car of three phases says so: one that names phase 1 only gets what one phase carries."""
        return {name + phase: number(power_w / 3) for phase in ("", "_l2", "_l3")}

    class PlantEVController(SimEVController):
        def __init__(self) -> None:
            super().__init__(evcc_config)
            self.increment = 0.0  # the simulator's invented state of charge would end the loop early
            self.inlet = InletClient(options.channel)
            self.arrival_soc = self.inlet.ask(plug=True).soc_percent
            self.requests = 0

        # -- numbers

        async def select_energy_service_v20(self, services):
            selected = await super().select_energy_service_v20(services)
            for offered in services[0].parameter_sets:
                for parameter in offered.parameters:
                    if parameter.name == ParameterName.CONTROL_MODE and parameter.int_value == options.control_mode:
                        selected.parameter_set = offered
                        return selected
            raise ValueError(f"control mode {options.control_mode} is not offered: {services}")

        async def get_charge_params_v20(self, selected_service):
            made = await super().get_charge_params_v20(selected_service)
            if options.by_ac:
                update = by_phase("ev_max_charge_power", options.ac_max_power_w)
                if options.both_ways:
                    update |= by_phase("ev_max_discharge_power", options.ac_max_power_w)
                    update |= {"ev_min_discharge_power": number(0)}
                return made.copy(update=update)
            update = {
                "ev_max_charge_power": number(options.max_charge_power_w),
                "ev_max_charge_current": number(options.max_charge_current_a),
                "ev_min_charge_power": number(0), "ev_min_charge_current": number(0),
                "ev_max_voltage": number(options.max_voltage_v), "ev_min_voltage": number(options.min_voltage_v),
                "target_soc": 80,
            }
            if hasattr(made, "ev_max_discharge_power"):
                update |= self.discharge() | {"ev_min_discharge_current": number(0)}
            return made.copy(update=update)

        @staticmethod
        def discharge():
            return {
                "ev_max_discharge_power": number(options.max_discharge_power_w),
                "ev_min_discharge_power": number(0),
                "ev_max_discharge_current": number(options.max_discharge_current_a),
            }

        def left(self, wanted_wh: float) -> RationalNumber:
            """What is left of an energy that was wanted when the car arrived."""
            now = self.inlet.ask()
            return number(wanted_wh - (now.soc_percent - self.arrival_soc) / 100 * now.capacity_wh)

        def energies(self):
            return {
                "ev_target_energy_request": self.left(options.target_wh),
                "ev_max_energy_request": self.left(options.maximum_wh),
                "ev_min_energy_request": self.left(options.minimum_wh),
            }

        def window(self):
            return {
                "ev_max_v2x_energy_request": self.left(options.v2x_maximum_wh),
                "ev_min_v2x_energy_request": self.left(options.v2x_minimum_wh),
            }

        async def get_scheduled_se_params(self, selected_energy_service):
            made = await super().get_scheduled_se_params(selected_energy_service)
            offer = made.ev_energy_offer
            stacks = offer.ev_absolute_price_schedule.ev_price_rule_stacks.ev_price_rule_stacks
            for entry in (*offer.ev_power_schedule.ev_power_schedule_entries.entries, *stacks):
                entry.duration = options.departure_s  # its simulator sells for an hour, at a price for no time at all
            return made.copy(update={
                "departure_time": options.departure_s, **self.energies(),
                "ev_energy_offer": offer if options.both_ways else None,
            })

        async def get_dynamic_se_params(self, selected_energy_service):
            made = await super().get_dynamic_se_params(selected_energy_service)
            window = self.window() if options.both_ways else dict.fromkeys(self.window())
            return made.copy(update={"departure_time": options.departure_s, **self.energies(), **window})

        async def get_ac_charge_loop_params_v20(self, control_mode, selected_service):
            """The on-board charger is set, and the request says what it takes."""
            self.requests += 1
            made = await super().get_ac_charge_loop_params_v20(control_mode, selected_service)
            dynamic = options.control_mode == DYNAMIC
            power = heard.target_w if dynamic else max(self.target(), -heard.may_give_w())
            present = self.inlet.ask(power=power).charger_w
            update = {"ev_present_active_power": number(present)}
            if dynamic:
                update |= {
                    **self.energies(), "departure_time": options.departure_s, "ev_present_reactive_power": number(0),
                    **by_phase("ev_max_charge_power", options.ac_max_power_w),
                }
                if options.both_ways:
                    update |= {"ev_min_discharge_power": number(0), **self.window()}
                    update |= by_phase("ev_max_discharge_power", options.ac_max_power_w)
            return made.copy(update=update)

        def target(self) -> float:
            done = 0
            for count, current in options.legs:
                done += count
                if self.requests <= done:
                    return current
            return 0.0

        async def get_scheduled_dc_charge_loop_params(self):
            self.requests += 1
            made = await super().get_scheduled_dc_charge_loop_params()
            return made.copy(update={
                "ev_target_current": number(self.target()), "ev_target_voltage": number(options.max_voltage_v),
            })

        async def get_dynamic_dc_charge_loop_params(self):
            self.requests += 1
            made = await super().get_dynamic_dc_charge_loop_params()
            return made.copy(update={
                **self.energies(), "departure_time": options.departure_s,
                "ev_max_charge_power": number(options.max_charge_power_w), "ev_min_charge_power": number(0),
                "ev_max_charge_current": number(options.max_charge_current_a),
                "ev_max_voltage": number(options.max_voltage_v), "ev_min_voltage": number(options.min_voltage_v),
            })

        async def get_bpt_scheduled_dc_charge_loop_params(self):
            made = await super().get_bpt_scheduled_dc_charge_loop_params()
            return made.copy(update=self.discharge())

        async def get_bpt_dynamic_dc_charge_loop_params(self):
            made = await super().get_bpt_dynamic_dc_charge_loop_params()
            return made.copy(update={**self.discharge(), **self.window()})

        async def get_present_voltage(self):
            return number(self.inlet.ask().inlet_voltage_v)

        async def get_target_voltage(self):
            return number(self.inlet.ask().battery_voltage_v)

        async def get_display_params(self):
            return DisplayParameters(present_soc=min(100, int(self.inlet.ask().soc_percent)), charging_complete=False)

        async def charge_loop_delay(self):
            return options.loop_delay_s

        # -- hardware

        async def enable_charging(self, enabled: bool) -> None:
            if enabled:
                self.inlet.ask(pilot="C")
                return
            # AC: the pilot must be in state B soon after PowerDelivery(Stop), whatever the charger's ramp still takes
            for _ in range(20 if options.by_ac else 100):
                now = self.inlet.ask(power=0.0)
                if abs(now.charger_w if options.by_ac else now.current_a) < 1.0:
                    break
                await asyncio.sleep(0.02)
            self.inlet.ask(contactor=False, pilot="B")

        async def is_precharged(self, present_voltage_evse) -> bool:
            now = self.inlet.ask()
            if abs(now.inlet_voltage_v - now.battery_voltage_v) < MATCH_V:
                self.inlet.ask(contactor=True)
            await asyncio.sleep(0.05)
            return self.inlet.ask().contactor_closed

        async def welding_detection_has_finished(self) -> bool:
            await asyncio.sleep(0.1)
            return await super().welding_detection_has_finished()

    return PlantEVController()


async def drive(options: PeerOptions) -> None:
    from iso15118.evcc import EVCCHandler
    from iso15118.evcc.evcc_config import EVCCConfig
    from iso15118.shared.settings import load_shared_settings

    load_shared_settings()
    config = EVCCConfig(**evcc_settings(options))
    config.load_raw_values()
    if options.codec == "native":
        from hil.peers.josev import NativeExiCodec

        codec = NativeExiCodec()
    else:
        from iso15118.shared.exificient_exi_codec import ExificientEXICodec

        class Spelled(ExificientEXICodec):
            """Its own codec gives the schema's element names; its own models misspell two and refuse the right ones."""

            def decode(self, stream, namespace):
                text = super().decode(stream, namespace)
                for name in ("DischargedEnergyReadingWh", "InductiveEnergyReadingVARh"):
                    text = text.replace(f'"BPT_{name}"', f'"BPT{name}"')
                return text

        codec = Spelled()
    heard = Heard(codec)
    controller = build_controller(options, config, heard)
    await EVCCHandler(evcc_config=config, iface=options.interface, exi_codec=heard, ev_controller=controller).start()


def main() -> None:
    options = loads(sys.argv[1])
    os.environ.update(environment(options))
    random.seed(options.seed)  # its "is my profile ready" is a coin toss
    asyncio.run(drive(options))


if __name__ == "__main__":
    main()
