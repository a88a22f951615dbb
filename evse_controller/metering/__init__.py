"""Energy of a session from the meter's own registers, and what it cost against charging at once."""

from evse_controller.metering.session import MeterRegisterError, MeterSample, SessionEnergy, SessionMeter
from evse_controller.metering.settlement import PriceSource, Settlement, SettlementTerms, settle

__all__ = [
    "MeterRegisterError",
    "MeterSample",
    "PriceSource",
    "SessionEnergy",
    "SessionMeter",
    "Settlement",
    "SettlementTerms",
    "settle",
]
