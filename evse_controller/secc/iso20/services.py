"""Which state table serves which service."""

from __future__ import annotations

from functools import cache

from evse_controller.secc.iso20.catalogue import SERVICES
from evse_controller.secc.iso20.states import Rows
from evse_controller.secc.iso20.table_common import TABLE as COMMON_TABLE


@cache
def rows_of(service_id: int) -> Rows:
    """The state table of a session that selected this service; AC or DC messages are loaded when they are needed."""
    if SERVICES[service_id].ac:
        from evse_controller.secc.iso20.table_ac import TABLE as AC_TABLE

        return Rows(COMMON_TABLE, AC_TABLE)
    from evse_controller.secc.iso20.table_dc import TABLE as DC_TABLE

    return Rows(COMMON_TABLE, DC_TABLE)
