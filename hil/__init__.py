"""The bench: a vehicle of our own, peers written by others, networks and the virtual-time house. Never shipped."""
