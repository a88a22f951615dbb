"""`evsectl`: the technician's tool. Talks to the daemon's local socket; `decode` and `config check` work offline."""

from evse_controller.cli.main import main

__all__ = ["main"]
