"""The long campaigns. Each module here offers `run(scale: float, seed: int) -> int`: the number of cases it executed."""
