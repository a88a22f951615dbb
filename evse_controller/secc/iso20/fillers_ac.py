"""Paired negative responses of the AC message set; loaded when an AC message is to be refused."""

from __future__ import annotations

from evse_controller.messages.base import Message
from evse_controller.messages.generated import ac
from evse_controller.messages.generated.common_types import MessageHeader, ResponseCode
from evse_controller.secc.iso20.filling import Filler, zero


def _parameters(request: ac.AC_ChargeParameterDiscoveryReq, header: MessageHeader, code: ResponseCode) -> Message:
    mode: ac.BPT_AC_CPDResEnergyTransferMode | ac.AC_CPDResEnergyTransferMode
    if isinstance(request.ac_cpd_req_energy_transfer_mode, ac.BPT_AC_CPDReqEnergyTransferMode):
        mode = ac.BPT_AC_CPDResEnergyTransferMode(*(zero() for _ in range(5)))
    else:
        mode = ac.AC_CPDResEnergyTransferMode(*(zero() for _ in range(3)))
    return ac.AC_ChargeParameterDiscoveryRes(header, code, mode)


def _loop(request: ac.AC_ChargeLoopReq, header: MessageHeader, code: ResponseCode) -> Message:
    asked = request.cl_req_control_mode
    mode: (
        ac.BPT_Dynamic_AC_CLResControlMode
        | ac.BPT_Scheduled_AC_CLResControlMode
        | ac.Dynamic_AC_CLResControlMode
        | ac.Scheduled_AC_CLResControlMode
    )
    if isinstance(asked, ac.BPT_Dynamic_AC_CLReqControlMode):
        mode = ac.BPT_Dynamic_AC_CLResControlMode(zero())
    elif isinstance(asked, ac.Dynamic_AC_CLReqControlMode):
        mode = ac.Dynamic_AC_CLResControlMode(zero())
    elif isinstance(asked, ac.BPT_Scheduled_AC_CLReqControlMode):
        mode = ac.BPT_Scheduled_AC_CLResControlMode()
    else:
        mode = ac.Scheduled_AC_CLResControlMode()
    return ac.AC_ChargeLoopRes(header, code, mode)


AC_FILLERS: dict[str, Filler] = {
    "AC_ChargeParameterDiscoveryReq": _parameters,
    "AC_ChargeLoopReq": _loop,
}
