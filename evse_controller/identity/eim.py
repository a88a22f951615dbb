"""EIM in its real-life orders: a card before or after the plug, a start from afar, the card that stops again.

What happens is a table: a phase of this outlet and what was seen there, to the next phase and what the driver is told.
Time, tokens and who asked are classified before the table is looked up, so that the table says all there is to know.
"""

from __future__ import annotations

import enum
import hmac
from collections.abc import Sequence
from dataclasses import dataclass

from evse_controller.model.commands import EndKind
from evse_controller.model.snapshot import Authorization


@dataclass(frozen=True, slots=True)
class EimTimes:
    """How long things count, in seconds, each >= 0; own choices, no standard rules them.

    `tap_s`: a card shown before the plug. `remote_s`: a start from afar before the plug; for a car that is plugged in
    and has to be called, a card counts so long as well. `bounce_s`: a card that lies
    on the reader is seen again and again; only after so long without it the same card is a second tap. `broken_s`:
    after a session that broke, with the cable still in, a new one needs no new card (0: it always does).
    """

    tap_s: float = 60.0
    remote_s: float = 120.0
    bounce_s: float = 3.0
    broken_s: float = 0.0

    def __post_init__(self) -> None:
        for name in ("tap_s", "remote_s", "bounce_s", "broken_s"):
            if not 0.0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be 0 or more, got {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class KnownToken:
    """A token that may charge. `outlets`: only at these, None: everywhere. Never shown in a representation."""

    token: str
    outlets: frozenset[str] | None = None

    def __repr__(self) -> str:
        return f"KnownToken(outlets={self.outlets!r})"


class Shown(enum.Enum):
    """What a token did, as a text for reader, event and caller. True when it was taken."""

    OPENS = "the waiting car may charge"
    KEPT = "kept for the car that is plugged in next"
    EXPECTED = "the car that is plugged in may charge"
    REPEATED = "the same card still, nothing changes"
    STOPS = "stops the session that it opened"
    UNKNOWN = "not known here"
    NOT_YOURS = "the outlet is in use by somebody else"
    ELSEWHERE = "shown for another outlet"
    NOT_NEEDED = "no token is needed here"

    def __bool__(self) -> bool:
        return self in (Shown.OPENS, Shown.KEPT, Shown.EXPECTED, Shown.REPEATED, Shown.STOPS)


class Phase(enum.Enum):
    """Where this outlet stands. The value is the name in status."""

    IDLE = "idle"
    KEPT = "token kept"  # somebody may charge, the car has not asked
    WAITING = "waiting for a token"
    REJECTED = "token refused"  # the car has not been told
    ACCEPTED = "accepted"
    CONTRACT = "accepted by contract"
    USED_UP = "used up"  # accepted, and over with this session
    PAUSED = "paused"
    BROKEN = "broken"


class _Seen(enum.Enum):
    GOOD = enum.auto()  # a token that may charge here, or a start from afar
    OWN = enum.auto()  # the token that opened what stands
    BAD = enum.auto()
    ASKED = enum.auto()  # the car asks, or asks anew after it was told of a refusal
    CONTRACT = enum.auto()
    OPENED = enum.auto()
    RESUMED = enum.auto()
    ENDED = enum.auto()
    SLEEPS = enum.auto()
    BROKE = enum.auto()
    EXPIRED = enum.auto()
    REVOKED = enum.auto()
    UNPLUGGED = enum.auto()


_Next = tuple[Phase, Shown | None]

# What is not here changes nothing. A new session inherits nothing but a token kept for it and a broken session's right.
_TABLE: dict[Phase, dict[_Seen, _Next]] = {
    Phase.IDLE: {
        _Seen.GOOD: (Phase.KEPT, Shown.KEPT),
        _Seen.BAD: (Phase.IDLE, Shown.UNKNOWN),
        _Seen.ASKED: (Phase.WAITING, None),
        _Seen.CONTRACT: (Phase.CONTRACT, None),
        _Seen.RESUMED: (Phase.ACCEPTED, None),  # after a restart: nobody remembers the token
    },
    Phase.KEPT: {
        _Seen.GOOD: (Phase.KEPT, Shown.KEPT),  # the last one counts
        _Seen.OWN: (Phase.KEPT, Shown.KEPT),
        _Seen.BAD: (Phase.KEPT, Shown.UNKNOWN),
        _Seen.ASKED: (Phase.ACCEPTED, None),
        _Seen.CONTRACT: (Phase.CONTRACT, None),
        _Seen.RESUMED: (Phase.ACCEPTED, None),
        _Seen.EXPIRED: (Phase.IDLE, None),
        _Seen.REVOKED: (Phase.IDLE, None),
    },
    Phase.WAITING: {
        _Seen.GOOD: (Phase.ACCEPTED, Shown.OPENS),
        _Seen.BAD: (Phase.REJECTED, Shown.UNKNOWN),
        _Seen.CONTRACT: (Phase.CONTRACT, None),
        _Seen.OPENED: (Phase.IDLE, None),
        _Seen.RESUMED: (Phase.ACCEPTED, None),
        _Seen.ENDED: (Phase.IDLE, None),
        _Seen.SLEEPS: (Phase.IDLE, None),
        _Seen.BROKE: (Phase.IDLE, None),
        _Seen.UNPLUGGED: (Phase.IDLE, None),
    },
    Phase.REJECTED: {
        _Seen.GOOD: (Phase.ACCEPTED, Shown.OPENS),
        _Seen.BAD: (Phase.REJECTED, Shown.UNKNOWN),
        _Seen.ASKED: (Phase.WAITING, None),
        _Seen.CONTRACT: (Phase.CONTRACT, None),
        _Seen.OPENED: (Phase.IDLE, None),
        _Seen.RESUMED: (Phase.ACCEPTED, None),
        _Seen.ENDED: (Phase.IDLE, None),
        _Seen.SLEEPS: (Phase.IDLE, None),
        _Seen.BROKE: (Phase.IDLE, None),
        _Seen.UNPLUGGED: (Phase.IDLE, None),
    },
    Phase.ACCEPTED: {
        _Seen.OWN: (Phase.USED_UP, Shown.STOPS),
        _Seen.GOOD: (Phase.ACCEPTED, Shown.NOT_YOURS),
        _Seen.BAD: (Phase.ACCEPTED, Shown.UNKNOWN),
        _Seen.CONTRACT: (Phase.CONTRACT, None),
        _Seen.OPENED: (Phase.IDLE, None),
        _Seen.ENDED: (Phase.IDLE, None),
        _Seen.SLEEPS: (Phase.PAUSED, None),
        _Seen.BROKE: (Phase.BROKEN, None),
        _Seen.REVOKED: (Phase.USED_UP, None),
        _Seen.UNPLUGGED: (Phase.USED_UP, None),
    },
    Phase.CONTRACT: {
        _Seen.GOOD: (Phase.CONTRACT, Shown.NOT_YOURS),
        _Seen.BAD: (Phase.CONTRACT, Shown.UNKNOWN),
        _Seen.OPENED: (Phase.IDLE, None),
        _Seen.ENDED: (Phase.IDLE, None),
        _Seen.SLEEPS: (Phase.PAUSED, None),
        _Seen.BROKE: (Phase.IDLE, None),  # its contract opens the next one
        _Seen.UNPLUGGED: (Phase.USED_UP, None),
    },
    Phase.USED_UP: {
        _Seen.OWN: (Phase.USED_UP, Shown.STOPS),
        _Seen.GOOD: (Phase.USED_UP, Shown.NOT_YOURS),
        _Seen.BAD: (Phase.USED_UP, Shown.UNKNOWN),
        _Seen.OPENED: (Phase.IDLE, None),
        _Seen.ENDED: (Phase.IDLE, None),
        _Seen.SLEEPS: (Phase.IDLE, None),
        _Seen.BROKE: (Phase.IDLE, None),
    },
    Phase.PAUSED: {
        _Seen.OWN: (Phase.IDLE, Shown.STOPS),
        _Seen.GOOD: (Phase.PAUSED, Shown.NOT_YOURS),
        _Seen.BAD: (Phase.PAUSED, Shown.UNKNOWN),
        _Seen.OPENED: (Phase.IDLE, None),
        _Seen.RESUMED: (Phase.ACCEPTED, None),
        _Seen.REVOKED: (Phase.IDLE, None),
        _Seen.UNPLUGGED: (Phase.IDLE, None),
    },
    Phase.BROKEN: {
        _Seen.OWN: (Phase.KEPT, Shown.KEPT),  # it does not charge: its driver wants it to
        _Seen.GOOD: (Phase.KEPT, Shown.KEPT),
        _Seen.BAD: (Phase.BROKEN, Shown.UNKNOWN),
        _Seen.ASKED: (Phase.ACCEPTED, None),
        _Seen.CONTRACT: (Phase.CONTRACT, None),
        _Seen.RESUMED: (Phase.ACCEPTED, None),
        _Seen.EXPIRED: (Phase.IDLE, None),
        _Seen.REVOKED: (Phase.IDLE, None),
        _Seen.UNPLUGGED: (Phase.IDLE, None),
    },
}
_ENDS = {EndKind.TERMINATED: _Seen.ENDED, EndKind.PAUSED: _Seen.SLEEPS}
_DECISIONS = {
    Phase.ACCEPTED: Authorization.ACCEPTED,
    Phase.CONTRACT: Authorization.ACCEPTED,
    Phase.USED_UP: Authorization.ACCEPTED,
    Phase.REJECTED: Authorization.REJECTED,
}


class EimAuthorizer:
    """Answers one outlet's authorisation. Tokens are secrets: never logged, compared in constant time.

    `outlet`: the name that `KnownToken.outlets` and the reader know it by. All times are control time in seconds.
    """

    def __init__(
        self,
        free_vend: bool,
        tokens: Sequence[str | KnownToken],
        outlet: str = "",
        times: EimTimes = EimTimes(),
    ) -> None:
        self._free_vend = free_vend
        known = (KnownToken(token) if isinstance(token, str) else token for token in tokens)
        self._tokens = tuple(
            each.token.encode() for each in known if each.outlets is None or outlet in each.outlets
        )
        self._outlet = outlet
        self._times = times
        self._phase = Phase.IDLE
        self._owner: bytes | None = None
        self._until_s: float | None = None
        self._last: tuple[bytes, float, Shown] | None = None
        self._plugged = False

    @property
    def phase(self) -> Phase:
        """As of the last call; a kept token's time is looked at by `state`."""
        return self._phase

    def present(self, token: str, now_s: float, outlet: str | None = None) -> Shown:
        """A card is at the reader; `outlet` is the one that the driver chose at a shared reader, None: this one."""
        if outlet is not None and outlet != self._outlet:
            return Shown.ELSEWHERE
        if self._free_vend:
            return Shown.NOT_NEEDED
        self._expire(now_s)
        shown = token.encode()
        known = False
        for each in self._tokens:  # all of them, so that the time tells nothing
            known |= hmac.compare_digest(shown, each)
        answer = self._bounced(shown, now_s)
        if answer is None:
            seen = _Seen.OWN if self._is_owner(shown) else _Seen.GOOD if known else _Seen.BAD
            answer = self._token(seen, shown, now_s, self._times.tap_s)
        self._last = (shown, now_s, answer)
        return answer

    def _bounced(self, token: bytes, now_s: float) -> Shown | None:
        """The answer to a card that has not left the reader; None for one that has."""
        if self._last is None:
            return None
        before, at_s, answer = self._last
        if not hmac.compare_digest(before, token) or now_s - at_s >= self._times.bounce_s:
            return None
        return Shown.REPEATED if answer else answer

    def remote_start(self, now_s: float, token: str | None = None) -> Shown:
        """Somebody who may do so starts from afar; `token` (it need not be known here) then stops it at the reader."""
        if self._free_vend:
            return Shown.NOT_NEEDED
        self._expire(now_s)
        return self._token(_Seen.GOOD, None if token is None else token.encode(), now_s, self._times.remote_s)

    def opened(self, resumed: bool = False) -> None:
        """SessionOpened. A resumed session keeps its authorisation; any other inherits none of a paused one."""
        if resumed and self._phase is not Phase.PAUSED:
            self._owner = None  # it was opened before our time, with a token that we do not remember
        self._see(_Seen.RESUMED if resumed else _Seen.OPENED)

    def asked(self, now_s: float) -> None:
        """AuthorizationRequested: the EV waits; asked again, it was told of a refusal and a new try begins."""
        self._expire(now_s)
        self._see(_Seen.ASKED)

    def by_contract(self) -> None:
        """ContractAccepted: tokens neither open nor stop this session."""
        self._see(_Seen.CONTRACT)
        self._owner = None

    def session_ended(self, kind: EndKind = EndKind.TERMINATED, now_s: float = 0.0) -> None:
        self._see(_ENDS.get(kind, _Seen.BROKE))
        if self._phase is Phase.BROKEN:
            self._until_s = now_s + self._times.broken_s

    def revoke(self) -> None:
        """The operator ends it: nothing that stands may open a further session."""
        self._see(_Seen.REVOKED)

    def plugged_in(self) -> None:
        """A car is there: a token that it has not asked for is kept for this one."""
        self._plugged = True

    def unplugged(self) -> None:
        """The cable is out: what belonged to that car is over. A token shown before the plug still counts."""
        self._plugged = False
        self._see(_Seen.UNPLUGGED)

    def state(self, now_s: float) -> Authorization:
        if self._free_vend:
            return Authorization.ACCEPTED
        self._expire(now_s)
        return _DECISIONS.get(self._phase, Authorization.PENDING)

    def _token(self, seen: _Seen, token: bytes | None, now_s: float, keep_s: float) -> Shown:
        shown = self._see(seen)
        if shown is Shown.KEPT and self._plugged:
            shown, keep_s = Shown.EXPECTED, max(keep_s, self._times.remote_s)
        if shown in (Shown.OPENS, Shown.KEPT, Shown.EXPECTED):
            self._owner, self._until_s = token, now_s + keep_s
        assert shown is not None  # every phase has a row for every kind of token
        return shown

    def _see(self, seen: _Seen) -> Shown | None:
        self._phase, shown = _TABLE[self._phase].get(seen, (self._phase, None))
        if self._phase in (Phase.IDLE, Phase.WAITING):
            self._owner = self._until_s = None
        return shown

    def _expire(self, now_s: float) -> None:
        if self._phase in (Phase.KEPT, Phase.BROKEN) and self._until_s is not None and now_s > self._until_s:
            self._see(_Seen.EXPIRED)

    def _is_owner(self, token: bytes) -> bool:
        return self._owner is not None and hmac.compare_digest(self._owner, token)
