"""Meters: DC meters at the outlet and AC meters at the grid connection."""
