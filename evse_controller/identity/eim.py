"""EIM in its real-life orders: the token may be presented before or after the plug."""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from evse_controller.model.snapshot import Authorization

TAP_VALID_S = 60.0  # a tap before the plug-in counts this long


class EimAuthorizer:
    """Answers one outlet's authorisation. Tokens are secrets: never logged, compared in constant time."""

    def __init__(self, free_vend: bool, tokens: Sequence[str]) -> None:
        self._free_vend = free_vend
        self._tokens = tuple(token.encode() for token in tokens)
        self._tapped_at_s: float | None = None
        self._asked = False
        self._rejected = False
        self._accepted = False

    def present(self, token: str, now_s: float) -> bool:
        """A token was shown. True when it is known; unknown ones reject a waiting session (it may try again)."""
        known = False
        for each in self._tokens:  # all of them, so that the time tells nothing
            known |= hmac.compare_digest(token.encode(), each)
        if known:
            self._tapped_at_s, self._rejected = now_s, False
        elif self._asked and not self._accepted:
            self._rejected = True
        return known

    def asked(self) -> None:
        """The EV asks (AuthorizationReq): a rejection that it was told about is over, a new try begins."""
        self._asked = True

    def told(self) -> None:
        """The EV heard the rejection; the next token counts afresh."""
        self._rejected = False

    def state(self, now_s: float) -> Authorization:
        if self._free_vend or self._accepted:
            return Authorization.ACCEPTED
        if self._asked and self._tapped_at_s is not None and now_s - self._tapped_at_s <= TAP_VALID_S:
            # bound to this session from here on: the tap is used up
            self._accepted, self._tapped_at_s = True, None
            return Authorization.ACCEPTED
        return Authorization.REJECTED if self._rejected else Authorization.PENDING

    def session_ended(self) -> None:
        self._asked = self._accepted = self._rejected = False
