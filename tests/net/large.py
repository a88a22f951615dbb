"""The largest messages that the schemas allow, and a car that asks for them."""

from __future__ import annotations

from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.generated.common_types import MessageHeader, Processing, RationalNumber, ResponseCode


def largest_schedule(session_id: bytes = bytes(8), stacks: int = 1024, rules: int = 8) -> cm.ScheduleExchangeRes:
    """Three tuples, charging and discharging, every list full and every option set: 1.48 MB."""

    def number(spread: int) -> RationalNumber:
        return RationalNumber(3, -32768 + spread % 7)

    def prices() -> cm.AbsolutePriceSchedule:
        rule = [
            cm.PriceRule(number(k), number(k + 1), number(k + 2), 2**32 - 1, 65535, 255) for k in range(rules)
        ]
        return cm.AbsolutePriceSchedule(
            2**64 - 1,
            2**32 - 1,
            "EUR",
            "eng",
            "x" * 255,
            cm.PriceRuleStackList([cm.PriceRuleStack(2**32 - 1, list(rule)) for _ in range(stacks)]),
            id="i" * 255,
            price_schedule_description="d" * 160,
            minimum_cost=number(1),
            maximum_cost=number(2),
        )

    def schedule() -> cm.ChargingSchedule:
        entries = [cm.PowerScheduleEntry(2**32 - 1, number(1), number(2), number(3)) for _ in range(stacks)]
        power = cm.PowerSchedule(2**64 - 1, cm.PowerScheduleEntryList(entries), number(1), number(2))
        return cm.ChargingSchedule(power, prices())

    return cm.ScheduleExchangeRes(
        MessageHeader(session_id, 2**64 - 1),
        ResponseCode.OK,
        Processing.Finished,
        True,
        scheduled_se_res_control_mode=cm.Scheduled_SEResControlMode(
            [cm.ScheduleTuple(2**32 - 1 - index, schedule(), schedule()) for index in range(3)]
        ),
    )
