"""Shared leaf types: quantities, limits, faults, snapshot, commands, permit, clocks. Imports nothing of the house.

Sign convention everywhere inside: positive = towards the EV (charge, import), negative = from the EV (discharge,
export). Maxima of both directions are two numbers >= 0, never one signed number.
"""
