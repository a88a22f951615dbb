"""Vehicles that others wrote, each in a Python environment of its own, run as separate processes."""
