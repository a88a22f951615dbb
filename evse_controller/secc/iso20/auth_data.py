"""What a session remembers about its authorisation."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class AuthData:
    """`challenge`: set while Plug & Charge is offered, the secret of this session. `installs`: certificates can be got.

    `eim_asked_s`, `contract_asked_s`, `install_asked_s`: since when each is being decided. `retry`: an EIM refusal was
    told, what is asked now is another try. `begun_s`: first request that was to authorise the session.
    """

    challenge: bytes | None = field(default=None, repr=False)
    installs: bool = False
    eim_asked_s: float | None = None
    retry: bool = False
    contract_asked_s: float | None = None
    install_asked_s: float | None = None
    begun_s: float | None = None
