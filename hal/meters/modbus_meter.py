"""What every meter on a Modbus line has in common: its place on the bus, its identity and its newest reading."""

from __future__ import annotations

from typing import Generic, TypeVar

from hal.modbus import ModbusBus

Reading = TypeVar("Reading")


class ModbusMeter(Generic[Reading]):
    """Subclasses add `poll`, which leaves a reading or a note why there is none. `reversed_`: mounted the other way."""

    def __init__(
        self, name: str, bus: ModbusBus, unit: int, *, reversed_: bool, meter_id: str | None, timeout_s: float
    ) -> None:
        self._name = name
        self._bus = bus
        self._client = bus.client(unit, timeout_s)
        self._reversed = reversed_
        self._meter_id = meter_id or name
        self._reading: Reading | None = None
        self._note: str | None = None

    @property
    def name(self) -> str:
        return self._name

    @property
    def meter_id(self) -> str:
        return self._meter_id

    def open(self) -> None:
        self._bus.open(self._name)

    def close(self) -> None:
        self._bus.close(self._name)

    def reading(self) -> Reading | None:
        return self._reading

    def problem(self) -> str | None:
        return self._bus.problem() or self._client.problem() or self._note
