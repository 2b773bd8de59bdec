"""Whether a receiver ended by itself is read from its own count of attempts; one that was stopped has made fewer."""

from __future__ import annotations

import pytest

from prefect_mha.replication.model.state import Vendor
from prefect_mha.replication.mysql.dialects.channel_status import read_channel

OLD = "error reconnecting to master 'repl@10.0.0.1:3306' - retry-time: 1  retries: {}"
NEW = (
    "Error reconnecting to source 'repl@10.0.0.1:3306'. This was attempt {}/3, with a delay of 1 seconds between "
    "attempts. Message: Can't connect to MySQL server on '10.0.0.1:3306' (111)"
)
MARIADB = "error reconnecting to master 'repl@10.0.0.1:3306' - retry-time: 1  maximum-retries: 3  message: nobody"


@pytest.mark.parametrize(
    ("said", "running", "errno", "expected"),
    [
        (OLD.format(3), "No", 2003, True),
        (OLD.format(2), "No", 2003, False),
        (OLD.format(3), "Connecting", 2003, False),
        (NEW.format(3), "No", 2003, True),
        (NEW.format(1), "No", 2003, False),
        (NEW.format(3), "No", 1045, False),
        (MARIADB, "No", 2003, False),
        ("", "No", 0, False),
    ],
)
def test_a_receiver_gave_up(said: str, running: str, errno: int, expected: bool) -> None:
    row = {"Slave_IO_Running": running, "Last_IO_Errno": errno, "Last_IO_Error": said, "Master_Retry_Count": 3}
    vendor = Vendor.MARIADB if said is MARIADB else Vendor.MYSQL
    assert read_channel(vendor, row).receiver_gave_up is expected
