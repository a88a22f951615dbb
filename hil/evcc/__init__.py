"""Our own vehicle: an EVCC for ISO 15118-20 AC, DC and MCS, one way and both, sans-IO like the station's side."""

from hil.evcc.config import (
    AC_NAMESPACE,
    AC_PROTOCOLS,
    DC_NAMESPACE,
    SERVICE_AC,
    SERVICE_AC_BPT,
    SERVICE_DC,
    SERVICE_DC_BPT,
    SERVICE_INTERNET,
    SERVICE_MCS,
    SERVICE_MCS_BPT,
    SERVICE_PARKING_STATUS,
    AcRatings,
    Act,
    Deviation,
    EvccConfig,
    Memory,
    Step,
    VehicleRatings,
)
from hil.evcc.contract import Contract, Forgery
from hil.evcc.dialogue import Close, Exchange, Output, Send
from hil.evcc.evcc import Evcc
from hil.evcc.wire import SdpResponse, parse_sdp_response, sdp_request

__all__ = [
    "AC_NAMESPACE", "AC_PROTOCOLS", "DC_NAMESPACE", "SERVICE_AC", "SERVICE_AC_BPT", "SERVICE_DC", "SERVICE_DC_BPT",
    "SERVICE_INTERNET", "SERVICE_MCS", "SERVICE_MCS_BPT", "SERVICE_PARKING_STATUS", "AcRatings", "Act", "Close",
    "Contract", "Deviation", "Evcc", "EvccConfig", "Exchange", "Forgery", "Memory",
    "Output", "SdpResponse", "Send", "Step", "VehicleRatings",
    "parse_sdp_response", "sdp_request",
]
