"""Compiled EXI coders; `evse_controller.messages.backend` finds them when this distribution is installed."""

from evse_controller_compiled.coders import Coders

__all__ = ["Coders"]
