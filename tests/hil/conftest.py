"""Fixtures of the bench's tests: houses that the referee judges."""

from tests.hil.house import bench

__all__ = ["bench"]
