"""Our own vehicle: an EVCC for ISO 15118-20 DC and DC_BPT, sans-IO like the station's side."""

from hil.evcc.config import DC_NAMESPACE, SERVICE_DC, SERVICE_DC_BPT, Deviation, EvccConfig, VehicleRatings
from hil.evcc.dialogue import Close, Exchange, Output, Send
from hil.evcc.evcc import Evcc
from hil.evcc.wire import SdpResponse, parse_sdp_response, sdp_request

__all__ = [
    "DC_NAMESPACE", "SERVICE_DC", "SERVICE_DC_BPT", "Close", "Deviation", "Evcc", "EvccConfig", "Exchange", "Output",
    "SdpResponse", "Send", "VehicleRatings", "parse_sdp_response", "sdp_request",
]
