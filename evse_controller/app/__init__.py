"""The composition root: `evsed --config FILE` reads the configuration, builds the rooms and joins them."""

from evse_controller.app.main import main

__all__ = ["main"]
