"""Paired negative responses of the DC message set; loaded when a DC message is to be refused."""

from __future__ import annotations

from evse_controller.messages.base import Message
from evse_controller.messages.generated import dc
from evse_controller.messages.generated.common_types import MessageHeader, Processing, ResponseCode
from evse_controller.secc.iso20.filling import Filler, zero


def _parameters(request: dc.DC_ChargeParameterDiscoveryReq, header: MessageHeader, code: ResponseCode) -> Message:
    mode: dc.BPT_DC_CPDResEnergyTransferMode | dc.DC_CPDResEnergyTransferMode
    if isinstance(request.dc_cpd_req_energy_transfer_mode, dc.BPT_DC_CPDReqEnergyTransferMode):
        mode = dc.BPT_DC_CPDResEnergyTransferMode(*(zero() for _ in range(10)))
    else:
        mode = dc.DC_CPDResEnergyTransferMode(*(zero() for _ in range(6)))
    return dc.DC_ChargeParameterDiscoveryRes(header, code, mode)


def _loop(request: dc.DC_ChargeLoopReq, header: MessageHeader, code: ResponseCode) -> Message:
    asked = request.cl_req_control_mode
    mode: (
        dc.BPT_Dynamic_DC_CLResControlMode
        | dc.BPT_Scheduled_DC_CLResControlMode
        | dc.Dynamic_DC_CLResControlMode
        | dc.Scheduled_DC_CLResControlMode
    )
    if isinstance(asked, dc.BPT_Dynamic_DC_CLReqControlMode):
        mode = dc.BPT_Dynamic_DC_CLResControlMode(
            zero(), zero(), zero(), zero(), zero(), zero(), zero(), zero()
        )
    elif isinstance(asked, dc.Dynamic_DC_CLReqControlMode):
        mode = dc.Dynamic_DC_CLResControlMode(zero(), zero(), zero(), zero())
    elif isinstance(asked, dc.BPT_Scheduled_DC_CLReqControlMode):
        mode = dc.BPT_Scheduled_DC_CLResControlMode()
    else:
        mode = dc.Scheduled_DC_CLResControlMode()
    return dc.DC_ChargeLoopRes(header, code, zero(), zero(), False, False, False, mode)


DC_FILLERS: dict[str, Filler] = {
    "DC_ChargeParameterDiscoveryReq": _parameters,
    "DC_CableCheckReq": lambda _, header, code: dc.DC_CableCheckRes(header, code, Processing.Finished),
    "DC_PreChargeReq": lambda _, header, code: dc.DC_PreChargeRes(header, code, zero()),
    "DC_ChargeLoopReq": _loop,
    "DC_WeldingDetectionReq": lambda _, header, code: dc.DC_WeldingDetectionRes(header, code, zero()),
}
