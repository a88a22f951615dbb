"""MeteringConfirmation: the EV acknowledges a meter reading that it was told, signed where a contract pays for it."""

from __future__ import annotations

from evse_controller.messages.generated.common_messages import (
    MeteringConfirmationReq,
    MeteringConfirmationRes,
    SignedMeteringData,
)
from evse_controller.messages.generated.common_types import ResponseCode
from evse_controller.model.commands import ControlMode, MeterConfirmed
from evse_controller.model.snapshot import Notification
from evse_controller.secc.iso20.states import Accepted, Answer, Refused, Turn


def metering_confirmation(turn: Turn, request: MeteringConfirmationReq) -> Answer:
    """Only a reading that was told, and only when its confirmation was asked for [V2G20-1083]."""
    if Notification.METERING_CONFIRMATION not in turn.data.told_ever:
        return Refused(ResponseCode.FAILED_SequenceError, "no confirmation of a meter reading was asked for")
    return confirmation_overtaken(turn, request)


def confirmation_overtaken(turn: Turn, request: MeteringConfirmationReq) -> Answer:
    """The service was left meanwhile, and with it what was asked for; the reading is that of the session."""
    data, signed = turn.data, request.signed_metering_data
    if signed.session_id != data.session_id:
        return Refused(ResponseCode.FAILED, "the confirmed reading names another session")
    if signed.meter_info not in data.meter_told:
        return Refused(ResponseCode.FAILED, "the confirmed reading is none that was told")
    if (wrong := _mode_fault(turn, signed)) is not None:
        return Refused(ResponseCode.FAILED, wrong)
    why = _signature_fault(turn, request, signed)
    if why is not None:
        return Refused(ResponseCode.FAILED_MeteringSignatureNotValid, why)
    info, response = signed.meter_info, MeteringConfirmationRes(turn.header(), ResponseCode.OK)
    if info in data.meter_confirmed:
        return Accepted(response, turn.state, "confirmed again; it counts once")
    data.meter_confirmed.append(info)
    turn.do(
        MeterConfirmed(
            meter_id=info.meter_id,
            charged_wh=info.charged_energy_reading_wh,
            discharged_wh=info.bpt_discharged_energy_reading_wh or 0,
            at_utc_s=info.meter_timestamp,
            signed=request.header.signature is not None and data.contract_der is not None,
        )
    )
    return Accepted(response, turn.state)


def _mode_fault(turn: Turn, signed: SignedMeteringData) -> str | None:
    """The control mode block must be that of the session; a service that was left has none any more."""
    selected = turn.data.selected
    if selected is None:
        return None
    scheduled = selected.control_mode is ControlMode.SCHEDULED
    if scheduled is (signed.scheduled_smdt_control_mode is not None):
        return None
    return f"the confirmation is not of {selected.control_mode.name.lower()} control mode, which is selected"


def _signature_fault(turn: Turn, request: MeteringConfirmationReq, signed: SignedMeteringData) -> str | None:
    """Verified with the contract's key. Without a contract there is no key to trust, and a signature proves nothing:
    it need not be there, but one that does not even cover the reading is none, where somebody can see that."""
    contract, signature = turn.data.contract_der, request.header.signature
    signatures = turn.around.signatures
    if signature is None:
        required = contract is not None or turn.config.metering_confirmation_signed
        return "the confirmation is not signed" if required else None
    if contract is None:
        if turn.config.metering_confirmation_signed:
            return "signed, but no contract is known here"
        return None if signatures is None else signatures.covers(request, signed)
    if signatures is None:
        return "signed, but nobody here can check it"
    return signatures.verify(request, signed, contract).fault
