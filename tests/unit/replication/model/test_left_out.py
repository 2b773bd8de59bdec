"""Replication filters, by the rules of the manual."""

import pytest

from prefect_mha.replication.binlog.filtered import leaves_out
from prefect_mha.replication.model.state import Filters


@pytest.mark.parametrize(
    ("filters", "table", "out"),
    [
        (Filters(), "app.t", False),
        (Filters(ignore_db="audit,logs"), "audit.t", True),
        (Filters(ignore_db="audit,logs"), "app.t", False),
        (Filters(do_db="app"), "audit.t", True),
        (Filters(do_db="app"), "app.t", False),
        (Filters(do_db="app", ignore_db="app"), "app.t", False),
        (Filters(ignore_table="app.t"), "app.t", True),
        (Filters(ignore_table="app.t"), "app.u", False),
        (Filters(do_table="app.t"), "app.u", True),
        (Filters(do_table="app.t", ignore_table="app.t"), "app.t", False),
        (Filters(wild_ignore_table="app.tmp\\_%"), "app.tmp_1", True),
        (Filters(wild_ignore_table="app.tmp\\_%"), "app.tmpx1", False),
        (Filters(wild_do_table="app%.%"), "app2.t", False),
        (Filters(wild_do_table="app%.%"), "audit.t", True),
        (Filters(ignore_db="audit", do_table="audit.t"), "audit.t", True),
    ],
)
def test_what_rows_of_a_table_come_to(filters: Filters, table: str, out: bool) -> None:
    assert leaves_out(filters, table) is out
