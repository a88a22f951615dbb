"""Power modules: bidirectional DC sources behind `hal.api.PowerSupply`."""
