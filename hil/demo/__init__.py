"""`make demo`: the daemon, a simulated outlet and a vehicle live through one day at the plug in about a minute."""
