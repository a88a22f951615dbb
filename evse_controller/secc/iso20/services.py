"""Which state table serves which service."""

from __future__ import annotations

from functools import cache

from evse_controller.secc.iso20.states import Rows, Table
from evse_controller.secc.iso20.table_common import TABLE as COMMON_TABLE
from evse_controller.secc.iso20.table_dc import TABLE as DC_TABLE

TABLES: dict[int, Table] = {
    2: DC_TABLE,
    6: DC_TABLE,
}


@cache
def rows_of(service_id: int) -> Rows:
    """The state table of a session that selected this service."""
    return Rows(COMMON_TABLE, TABLES[service_id])
