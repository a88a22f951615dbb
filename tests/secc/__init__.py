"""Rules of the SECC: transport, services, energy, refusals, timers."""
