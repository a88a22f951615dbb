"""Hardware abstraction: device contracts (`hal.api`), drivers, and simulated devices (`hal.sim`)."""
