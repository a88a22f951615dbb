"""Simulated devices that speak the real buses, on one physical world, judged by an independent referee."""
