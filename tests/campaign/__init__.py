"""The long campaigns. Each module offers `run(scale: float, seed: int) -> int`: the number of cases it executed."""


class Skipped(Exception):
    """What a campaign needs is not there, by nobody's fault; the reason is said in the summary."""
