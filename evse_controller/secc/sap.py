"""supportedAppProtocol: which protocol this connection speaks.

Filter, then rank: of the EV's entries only those that this SECC can serve on this very connection count, and of those
the one with the best priority wins; its SchemaID is echoed [V2G20-169]. -20 needs TLS 1.3 with both sides
authenticated [V2G20-2356] unless the `lab-tcp` switch allows plain TCP.
"""

from __future__ import annotations

from dataclasses import dataclass

from evse_controller.messages.generated.app_protocol import (
    AppProtocol,
    ResponseCode,
    SupportedAppProtocolReq,
    SupportedAppProtocolRes,
)
from evse_controller.secc.config import SeccConfig
from evse_controller.secc.reply import Transport


@dataclass(frozen=True, slots=True)
class ProtocolKind:
    """A protocol that this SECC implements. `ac`: for which kind of outlet; megawatt charging speaks DC."""

    name: str
    namespace: str
    major: int
    minor: int
    mutual_tls_only: bool
    ac: bool


PROTOCOLS = (
    ProtocolKind("ISO 15118-20 AC", "urn:iso:std:iso:15118:-20:AC", 1, 0, True, True),
    ProtocolKind("ISO 15118-20 DC", "urn:iso:std:iso:15118:-20:DC", 1, 0, True, False),
)


def served(config: SeccConfig, transport: Transport) -> tuple[ProtocolKind, ...]:
    """The protocols that may be selected on a connection of this transport, to an outlet of this kind."""
    mutual = transport is Transport.TLS_1_3_MUTUAL or (config.lab_tcp and transport is Transport.TCP)
    return tuple(
        protocol
        for protocol in PROTOCOLS
        if protocol.ac is config.ac and (mutual or not protocol.mutual_tls_only)
    )


def select(
    request: SupportedAppProtocolReq, protocols: tuple[ProtocolKind, ...]
) -> tuple[SupportedAppProtocolRes, ProtocolKind | None]:
    """The answer and the protocol it selects; None goes with Failed_NoNegotiation, which carries no SchemaID.

    Equal priorities are decided by document order.
    """
    candidates = [(entry, kind) for entry in request.app_protocol if (kind := _match(entry, protocols)) is not None]
    if not candidates:
        return SupportedAppProtocolRes(ResponseCode.Failed_NoNegotiation), None
    entry, kind = min(candidates, key=lambda candidate: candidate[0].priority)
    code = (
        ResponseCode.OK_SuccessfulNegotiation
        if entry.version_number_minor == kind.minor
        else ResponseCode.OK_SuccessfulNegotiationWithMinorDeviation
    )
    return SupportedAppProtocolRes(code, schema_id=entry.schema_id), kind


def _match(entry: AppProtocol, protocols: tuple[ProtocolKind, ...]) -> ProtocolKind | None:
    """Namespace and major version must be equal; the minor version may differ."""
    for kind in protocols:
        if entry.protocol_namespace == kind.namespace and entry.version_number_major == kind.major:
            return kind
    return None
