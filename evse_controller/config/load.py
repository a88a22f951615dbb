"""Sections of the configuration file and their rules."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evse_controller.config.outlet import DEVICE_ROLES, OUTLET_NAME, OutletSection, read_outlet
from evse_controller.config.protocol import SERVICE_IDS, SessionSection, read_protocol
from evse_controller.config.reader import ConfigError, Document, Table
from evse_controller.energy.config import LONGEST_WAIT_S
from evse_controller.secc.config import SeccConfig

LAB_SWITCHES = {
    "lab-p256": "TLS also accepts P-256 certificates, groups and signatures (outside the -20 profile)",
    "lab-tcp": "ISO 15118-20 is served over plain TCP, without any authentication of the car",
    "lab-keylog": "TLS secrets are written into captures",
    "lab-slow-loop": "the charge loop tolerates a silent EV longer than 0.5 s [V2G20-1502]",
    "lab-refuse-deviations": "a car whose message breaks its schema is refused, not served: for conformance tests only",
}
_EVSEID = re.compile(r"^[A-Z]{2}\*?[A-Z0-9]{3}\*?E[A-Z0-9*]{1,30}$")


@dataclass(frozen=True, slots=True)
class DeviceConfig:
    """A device by role: which driver, and the options it checks itself. `key` names it in messages, `lines` says where
    it ("") and each of its keys stand in the file."""

    key: str
    driver: str
    options: Mapping[str, Any]
    lines: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ControllerSection:
    evseid: str
    state_dir: Path
    socket: Path
    lab: tuple[str, ...]
    slow_loop_timeout_s: float
    capture: bool
    capture_limit_mb: int


@dataclass(frozen=True, slots=True)
class WorldSection:
    """Simulated world time; None in the configuration of a real charger.

    World time is `start_utc_s` when the monotonic clock shows `anchor_s` (None: when the daemon starts), so that a
    simulated plant in another process can share it.
    """

    start_utc_s: float
    speed: float
    anchor_s: float | None


@dataclass(frozen=True, slots=True)
class NetSection:
    interface: str | None
    host: str | None
    sdp_port: int
    tcp_port: int
    tls_chain: Path
    tls_key: Path
    tls_trust: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class SiteSection:
    import_limit_w: float
    export_limit_w: float
    failsafe_import_w: float
    meter_scope: str
    margin_w: float


@dataclass(frozen=True, slots=True)
class EnergySection:
    prices: Path | None
    currency: str
    buy_surcharge: float
    sell_surcharge: float
    wear_cost_per_kwh: float
    slot_s: int
    default_stay_s: int
    renegotiation_gap_s: float
    wait_for_back_office_s: float
    building_profile_w: tuple[float, ...] | None


@dataclass(frozen=True, slots=True)
class AuthorizationSection:
    """`bound_tokens`: (token, names of the outlets at which alone it is good). Times in seconds, see `EimTimes`."""

    mode: str
    tokens: tuple[str, ...]
    bound_tokens: tuple[tuple[str, tuple[str, ...]], ...]
    tap_s: float
    remote_s: float
    bounce_s: float
    broken_s: float


@dataclass(frozen=True, slots=True)
class Config:
    path: Path
    controller: ControllerSection
    world: WorldSection | None
    net: NetSection
    outlet: OutletSection
    site: SiteSection
    energy: EnergySection
    authorization: AuthorizationSection
    secc: SeccConfig
    session: SessionSection
    devices: Mapping[str, DeviceConfig]

    def notes(self) -> list[str]:
        """What a technician should know about this file although it is valid."""
        notes = [f"lab switch {name}: {LAB_SWITCHES[name]}" for name in self.controller.lab]
        kib = self.secc.max_message_bytes // 1024
        notes.append(f"a car's message may have {kib} KiB (protocol.max_message_kib)")
        if self.world is not None:
            notes.append(f"simulated world clock, {self.world.speed:g} times as fast: refused with real devices")
        notes += self._of_services()
        notes += self._of_discharge()
        if "building" not in self.devices:
            notes.append(f"no building meter: the failsafe share of {self.site.failsafe_import_w:g} W rules for ever")
        return notes

    def _of_services(self) -> list[str]:
        secc = self.secc
        names = {number: name for name, number in SERVICE_IDS.items()}
        notes = [f"cars are offered {', '.join(names[number] for number in secc.services)}"]
        if 2 in secc.mobility_needs_modes:
            notes.append("drivers may say departure and charge themselves: evsectl driver (MobilityNeedsMode 2)")
        switched_off = [name for name in ("pause", "standby", "service_renegotiation") if not getattr(secc, name)]
        notes += [f"session.{name} is false: cars are refused it" for name in switched_off]
        if secc.pause and self.controller.lab and "lab-tcp" in self.controller.lab and not self.net.tls_trust:
            notes.append("no pause without TLS: a paused session is bound to the vehicle certificate")
        for quirk in secc.quirks:
            who = [quirk.evccid_prefix and f"EVCCID {quirk.evccid_prefix}...", quirk.common_name]
            notes.append(f"other answers for {' '.join(filter(None, who))}: {', '.join(quirk.overrides)} ({quirk.why})")
        return notes

    def _of_discharge(self) -> list[str]:
        outlet, notes = self.outlet, []
        if not outlet.bidirectional:
            return ["charging only: outlet.bidirectional is false"]
        if self.site.export_limit_w == 0:
            notes.append("no discharge into the grid: site.export_limit_w is 0 (the building's own load may be served)")
        if outlet.ac is not None and not outlet.ac.ac_export_authorised:
            notes.append("no discharge at all: outlet.ac.ac_export_authorised is false (the cars' inverters feed)")
        if outlet.ac is None and outlet.grid_profile is None:
            notes.append("no discharge at all: outlet.grid_profile is not commissioned")
        return notes


def load(path: str | Path) -> Config:
    """Read and check a file. Raises ConfigError with every problem found, OSError when it cannot be read."""
    document = Document(Path(path))
    root = document.root()
    controller = _controller(root.table("controller", required=True))
    world = _world(root.table("world")) if "world" in root else None
    net = _net(root.table("net", required=True), "lab-tcp" in controller.lab)
    outlet_table = root.table("outlet", required=True)
    outlet = read_outlet(outlet_table)
    site_table = root.table("site", required=True)
    site = _site(site_table)
    devices = {role: _device(outlet_table.table(role, required=True)) for role in DEVICE_ROLES[outlet.kind]}
    if "meter" in site_table:
        devices["building"] = _device(site_table.table("meter"))
    energy = _energy(root.table("energy"))
    secc, session = read_protocol(root, outlet, controller.lab, controller.slow_loop_timeout_s, energy.currency)
    config = Config(
        path=Path(path),
        controller=controller,
        world=world,
        net=net,
        outlet=outlet,
        site=site,
        energy=energy,
        authorization=_authorization(root.table("authorization")),
        secc=secc,
        session=session,
        devices=devices,
    )
    for table in (outlet_table, site_table, root):
        table.done()
    if document.problems:
        raise ConfigError(document.problems)
    return config


def _controller(table: Table) -> ControllerSection:
    evseid = table.text("evseid")
    if "evseid" in table and not _EVSEID.match(evseid):
        table.complain("evseid", f"must look like DE*ABC*E1234, is {evseid!r}")
    lab = table.texts("lab")
    for name in lab:
        if name not in LAB_SWITCHES:
            table.complain("lab", f"unknown switch {name!r}; there are {', '.join(LAB_SWITCHES)}")
    state_dir = table.path("state_dir", "/var/lib/evse")
    section = ControllerSection(
        evseid=evseid,
        state_dir=state_dir,
        socket=table.path("socket", "/run/evse/control.sock"),
        lab=lab,
        slow_loop_timeout_s=table.number("slow_loop_timeout_s", 0.5, 60, 5.0),
        capture=table.flag("capture", False),
        capture_limit_mb=table.integer("capture_limit_mb", 1, 10_000, 50),
    )
    table.done()
    return section


def _world(table: Table) -> WorldSection:
    anchor_s = table.number("anchor_s", 0, 1e12) if "anchor_s" in table else None
    section = WorldSection(table.utc("start", 0.0), table.number("speed", 0.001, 100_000, 1.0), anchor_s)
    table.done()
    return section


def _net(table: Table, plain: bool) -> NetSection:
    tls = table.table("tls", required=not plain)
    interface, host = table.optional_text("interface"), table.optional_text("host")
    if (interface is None) == (host is None):
        table.complain(
            "interface", "name the PLC network interface here (or, for a bench without one, an address as host)"
        )
    section = NetSection(
        interface=interface,
        host=host,
        sdp_port=table.integer("sdp_port", 0, 65535, 15118),
        tcp_port=table.integer("tcp_port", 0, 65535, 0),
        tls_chain=tls.path("chain", "" if plain else None),
        tls_key=tls.path("key", "" if plain else None),
        tls_trust=tuple(tls.resolve(name) for name in tls.texts("trust")),
    )
    if not plain and not section.tls_trust:
        tls.complain("trust", "at least one root certificate for vehicles is needed")
    tls.done()
    table.done()
    return section


def _site(table: Table) -> SiteSection:
    section = SiteSection(
        import_limit_w=table.number("import_limit_w", 0, 1e8),
        export_limit_w=table.number("export_limit_w", 0, 1e8, 0.0),
        failsafe_import_w=table.number("failsafe_import_w", 0, 1e8, 0.0),
        meter_scope=table.choice("meter_scope", ("grid", "building"), "grid"),
        margin_w=table.number("margin_w", 0, 1e6, 0.0),
    )
    if "import_limit_w" in table and section.failsafe_import_w > section.import_limit_w:
        table.complain("failsafe_import_w", "must not be above import_limit_w")
    return section


def _energy(table: Table) -> EnergySection:
    section = EnergySection(
        prices=table.path("prices") if "prices" in table else None,
        currency=table.text("currency", "EUR"),
        buy_surcharge=table.number("buy_surcharge_per_kwh", -10, 10, 0.0),
        sell_surcharge=table.number("sell_surcharge_per_kwh", -10, 10, 0.0),
        wear_cost_per_kwh=table.number("wear_cost_per_kwh", 0, 10, 0.04),
        slot_s=table.integer("slot_s", 60, 3600, 900),
        default_stay_s=table.integer("default_stay_s", 900, 7 * 86400, 12 * 3600),
        renegotiation_gap_s=table.number("renegotiation_gap_s", 0, 86_400, 900.0),
        wait_for_back_office_s=table.number("wait_for_back_office_s", 0, LONGEST_WAIT_S, 0.0),
        building_profile_w=table.numbers("building_profile_w", 24) if "building_profile_w" in table else None,
    )
    if len(section.currency) != 3 or not section.currency.isupper():
        table.complain("currency", f"must be an ISO 4217 code like EUR, is {section.currency!r}")
    table.done()
    return section


def _authorization(table: Table) -> AuthorizationSection:
    section = AuthorizationSection(
        mode=table.choice("mode", ("free-vend", "tokens"), "tokens"),
        tokens=table.texts("tokens"),
        bound_tokens=tuple(_bound_token(each) for each in table.tables("token")),
        tap_s=table.number("tap_s", 0, 3600, 60.0),
        remote_s=table.number("remote_s", 0, 86_400, 120.0),
        bounce_s=table.number("bounce_s", 0, 60, 3.0),
        broken_s=table.number("broken_s", 0, 3600, 0.0),
    )
    table.done()
    return section


def _bound_token(table: Table) -> tuple[str, tuple[str, ...]]:
    token, outlets = table.text("value"), table.texts("outlets")
    if not outlets:
        table.complain("outlets", "is missing (names of the outlets at which this token is good)")
    unknown = [name for name in outlets if name != OUTLET_NAME]
    if unknown:
        table.complain("outlets", f"no outlet {', '.join(map(repr, unknown))}; there is {OUTLET_NAME!r}")
    table.done()
    return token, outlets


def _device(table: Table) -> DeviceConfig:
    driver = table.text("driver")
    options = table.rest("driver")
    return DeviceConfig(table.name, driver, options, {key: table.line(key) for key in ("", "driver", *options)})
