"""Which schema set an EXI payload is encoded with, told by its V2GTP payload type, never by trial.

Payload type 0x8001 is shared by supportedAppProtocol, DIN 70121 and ISO 15118-2. A session knows from the handshake
what comes; a reader of single frames tells them by the second byte, because each set has exactly the documents it
has: the code of V2G_Message is 77 of 7 bits in DIN 70121 and 76 in ISO 15118-2, those of supportedAppProtocol are
0 and 1 of 2 bits.
"""

from __future__ import annotations

from evse_controller.exi.errors import ExiError
from evse_controller.messages.base import Schema

SHARED = 0x8001
NAMESPACES = {
    0x8002: "urn:iso:std:iso:15118:-20:CommonMessages",
    0x8003: "urn:iso:std:iso:15118:-20:AC",
    0x8004: "urn:iso:std:iso:15118:-20:DC",
    0x8005: "urn:iso:std:iso:15118:-20:ACDP",
    0x8006: "urn:iso:std:iso:15118:-20:WPT",
    # Amendment 1: its schemas are not part of this package; a user who has them generates them
    0x8010: "urn:iso:std:iso:15118:-20:AC-DER-IEC",
    0x8011: "urn:iso:std:iso:15118:-20:AC-DER-SAE",
    # side streams: schedule renegotiation, metering confirmation, ACDP system status, parking status
    0x8101: "urn:iso:std:iso:15118:-20:CommonMessages",
    0x8102: "urn:iso:std:iso:15118:-20:CommonMessages",
    0x8103: "urn:iso:std:iso:15118:-20:ACDP",
    0x8104: "urn:iso:std:iso:15118:-20:CommonMessages",
}


def schema_of_payload(payload_type: int, payload: bytes) -> Schema:
    """The schema set of an EXI payload. ExiError if the payload type carries none, or none that is known here."""
    if payload_type == SHARED:
        return _shared(payload)
    namespace = NAMESPACES.get(payload_type)
    if namespace is None:
        raise ExiError(f"payload type 0x{payload_type:04X} carries no EXI message")
    try:
        return Schema.of(namespace)
    except LookupError:
        raise ExiError(
            f"payload type 0x{payload_type:04X} needs the schema {namespace}, which has not been generated here"
        ) from None


def _shared(payload: bytes) -> Schema:
    second = payload[1] if len(payload) > 1 else None
    if second is not None and second < 0x80:
        return Schema.APP_PROTOCOL
    if second in (0x98, 0x99):
        return Schema.ISO2
    if second in (0x9A, 0x9B):
        return Schema.DIN70121
    shown = "no second byte" if second is None else f"second byte 0x{second:02X}"
    raise ExiError(f"payload type 0x8001 with {shown}: neither supportedAppProtocol, DIN 70121 nor ISO 15118-2")


def payload_type_of(schema: Schema) -> int:
    """The payload type that messages of a schema set have outside side streams. ExiError for sets without one."""
    if schema in (Schema.APP_PROTOCOL, Schema.DIN70121, Schema.ISO2):
        return SHARED
    found = next((number for number, namespace in NAMESPACES.items() if namespace == schema.namespace), None)
    if found is None:
        raise ExiError(f"messages of {schema.name} have no payload type")
    return found
