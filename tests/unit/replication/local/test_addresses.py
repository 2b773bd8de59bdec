"""Which of the addresses that a name has now is the server's."""

from __future__ import annotations

from pathlib import Path

import pytest

from prefect_mha.config import load_cluster
from prefect_mha.replication.local.addresses import address_of, choose

OTHERS = frozenset({"10.0.0.2"})


@pytest.mark.parametrize(
    ("now", "used"),
    [
        ((), "10.0.0.1"),
        (("10.0.0.1",), "10.0.0.1"),
        (("10.0.0.9", "10.0.0.1"), "10.0.0.1"),
        (("10.0.0.9",), "10.0.0.9"),
        (("10.0.0.2",), "10.0.0.1"),  # an alias that follows the primary's role names another server by now
        (("10.0.0.2", "10.0.0.9"), "10.0.0.9"),
    ],
)
def test_the_address_to_use(now: tuple[str, ...], used: str) -> None:
    assert choose("10.0.0.1", now, OTHERS) == used


def test_what_was_written_as_an_address_is_never_resolved(tmp_path: Path) -> None:
    conf = tmp_path / "app1.cnf"
    conf.write_text(
        f"[server default]\nmanager_workdir={tmp_path}\n[server1]\nhostname=localhost\n"
        "[server2]\nhostname=localhost\nip=127.0.0.2\n[server3]\nhostname=127.0.0.3\n"
    )
    one, two, three = load_cluster(conf, None).servers
    assert [s.name_of_ip for s in (one, two, three)] == ["localhost", "", ""]
    assert [s.name_of_ssh_ip for s in (one, two, three)] == ["localhost", "", ""]
    assert one.of_others == {"127.0.0.2", "127.0.0.3"}
    assert address_of(two) == "127.0.0.2"
    assert address_of(one) in ("127.0.0.1", "::1")
