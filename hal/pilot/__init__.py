"""Pilot boards: control pilot, contactors and their heartbeat."""
