"""Timers of ISO 15118-20 as data (seconds of control time).

Sequence timers start when a response is sent and end with the next request; the state that it leads to decides which
one runs. Performance times are what the SECC promises: each `MessageEvent` carries the one of its response, so that the
shell, which alone knows when a response really left, can compare and warn. They never fail a session by themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

# How long a value that stood in the snapshot before we asked is not taken for the answer. The station rebuilds the
# snapshot every 50 ms; half a second later what it says has been said knowing our request.
SNAPSHOT_SETTLE_S = 0.5

PERFORMANCE_S: dict[str, float] = {
    "ServiceDetailRes": 4.5,
    "CertificateInstallationRes": 4.5,
    "DC_ChargeLoopRes": 0.25,
    "AC_ChargeLoopRes": 0.25,
}
PERFORMANCE_DEFAULT_S = 1.5


@dataclass(frozen=True, slots=True)
class Timers:
    """Limits in seconds; the defaults are the standard's.

    `loop_sequence_s` is the only one a lab switch (`lab-slow-loop`) may lengthen. [V2G20-1502], Table 217
    """

    sequence_s: float = 60.0  # V2G_SECC_Sequence_Timeout [V2G20-443]
    loop_sequence_s: float = 0.5  # the same inside the charge loop [V2G20-1500], [V2G20-1502]
    ongoing_s: float = 55.0  # V2G_SECC_Ongoing_Performance_Time: Authorization, ScheduleExchange
    authorization_s: float = 300.0  # own choice: after this time no try to be authorized follows another
    local_schedule_s: float = 50.0  # own choice: a local schedule answers before the Ongoing time is over
    ev_ongoing_s: float = 60.0  # V2G_EVCC_Ongoing_Timeout: as long may the EV poll PowerDelivery, WeldingDetection
    loop_again_s: float = 10.0  # own choice: once energy has flowed, from a Start that ends a hold to the next loop
    renegotiation_s: float = 120.0  # own choice: V2G_EVCC_Ongoing_Timeout for the schedule, and again for the profile
    cable_check_total_s: float = 34.0  # own choice: a refusal is out by 35 s even to an EV that polls once a second
    pre_charge_total_s: float = 10.0  # V2G_EVCC_PreCharge_Timeout
    pause_grace_s: float = 10.0  # own choice: after a notice to pause was withdrawn an EV on its way may still pause
    contactor_s: float = 1.4  # own choice: an AC outlet's contactor, so that PowerDeliveryRes is out by 1.5 s
    pilot_s: float = 1.5  # time in which the pilot must follow the message
    close_after_stop_s: float = 5.0  # the EV closes TCP; we do it after this time
    close_after_failed_s: float = 4.5  # "within 5 s", with a margin for the closing itself

    def __post_init__(self) -> None:
        if self.loop_sequence_s < 0.5:
            raise ValueError(f"loop_sequence_s may only be lengthened, never below 0.5 s, got {self.loop_sequence_s}")

    def sequence_after(self, looping: bool) -> float:
        """The sequence timer after any response; `looping`: the first loop request has come and the loop goes on.

        Standby and renegotiation refused with a WARNING do not leave the loop, and so do not buy time.
        """
        return self.loop_sequence_s if looping else self.sequence_s

    def to_loop_s(self, flowed: bool) -> float:
        """From a Start that lets energy flow until the loop request that must follow; `flowed`: energy did before."""
        return max(self.loop_again_s, self.loop_sequence_s) if flowed else self.sequence_s


def performance_s(response: str) -> float:
    """Within which time the SECC must have answered with this response (V2G_SECC_Msg_Performance_Time)."""
    return PERFORMANCE_S.get(response, PERFORMANCE_DEFAULT_S)
