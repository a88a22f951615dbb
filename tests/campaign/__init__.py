"""The long campaigns. Each module offers `run(scale: float, seed: int) -> int`: the number of cases it executed."""
