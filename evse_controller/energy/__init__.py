"""Tariffs, the optimal plan for one car, the offer to the EV and the set-point of the present moment."""
