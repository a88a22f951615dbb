"""Modules written by `python -m evse_controller.exi generate`."""
