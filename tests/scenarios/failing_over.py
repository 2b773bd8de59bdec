"""What scenarios of a failover share: the modes, the end of a manager, and what must be true afterwards."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.lab.checker import account, writers_overlap
from tests.lab.cluster import Cluster, Manager
from tests.lab.writer import Ack, Writer

MODES = [
    pytest.param("mysql56", False, id="5.6-position"),
    pytest.param("mysql56", True, id="5.6-gtid"),
    pytest.param("mysql97", False, id="9.7-position"),
    pytest.param("mysql97", True, id="9.7-gtid"),
    pytest.param("mariadb", False, id="mariadb-position"),
    pytest.param("mariadb", True, id="mariadb-gtid"),
]
#: All six, of which three are enough for every change; `make test-all` has the others too.
LONG_MODES = [
    mode
    if mode.id in ("5.6-position", "9.7-gtid", "mariadb-gtid")
    else pytest.param(*mode.values, id=mode.id, marks=pytest.mark.slow)
    for mode in MODES
]

_VERSIONS = {
    "10.5-gtid": ("mariadb105", True),
    "10.5-position": ("mariadb105", False),
    "11.8-gtid": ("mariadb118", True),
    "11.8-position": ("mariadb118", False),
}


def versions(*quick: str, gtid: bool = False) -> list[Any]:
    """MariaDB's other versions, or only their modes with GTIDs; those that are no ``quick`` ones in `make test-all`."""
    marks = {name: () if name in quick else (pytest.mark.slow,) for name in _VERSIONS}
    return [pytest.param(*how, id=name, marks=marks[name]) for name, how in _VERSIONS.items() if how[1] or not gtid]


def kinds(*quick: str, slow: Sequence[str] = ()) -> list[Any]:
    """Kinds and modes by their names in `MODES` and `versions`; those that are ``slow`` in `make test-all`."""
    known = {mode.id: mode for mode in (*MODES, *versions())}
    late = [pytest.param(*known[name].values, id=name, marks=pytest.mark.slow) for name in slow]
    return [pytest.param(*known[name].values, id=name) for name in quick] + late


#: Where recordings of the scenarios go: KEEP_INCIDENTS=tests/unit/replication/detection/incidents keeps them for tests.
KEEP = os.environ.get("KEEP_INCIDENTS", "")
#: Rounds and earlier observations that are worth keeping of one.
ROUNDS, BEFORE = 15, 8


def keep_incident(manager: Manager) -> None:
    """Keep the recording that ends with a verdict, or else the longest, shortened, for the unit tests of replay.

    It is named for the test that runs.
    """
    name = re.sub(r"[^a-z0-9.]+", "-", os.environ["PYTEST_CURRENT_TEST"].split("::test_")[1].split(" (")[0]).strip("-")
    found = [path.read_text().splitlines() for path in sorted(manager.workdir.glob("*.incident-*.jsonl"))]
    if not KEEP or not found:
        return
    lines = max(found, key=lambda lines: ('"line": "verdict"' in lines[-1], len(lines)))
    seen = [line for line in lines if line.startswith('{"line": "seen"')][-BEFORE:]
    rounds = [line for line in lines if line.startswith('{"line": "round"')][:ROUNDS]
    (Path(KEEP) / f"{name}.jsonl").write_text("\n".join([lines[0], *seen, *rounds, lines[-1]]) + "\n")


def finish(manager: Manager, writer: Writer, *, seconds: float = 40.0) -> tuple[int, list[Ack]]:
    """Wait for the manager's end, let the application write on for a moment, and stop it."""
    code = manager.wait(seconds)
    time.sleep(1.0)
    return code, writer.stop()


def promoted(cluster: Cluster) -> int:
    """Who took db1's place: db2, or db3 when the primary had sent that one more before it died."""
    return 2 if cluster[2].replica_status() == {} else 3


def assert_survivors_agree(cluster: Cluster, acks: list[Ack], primary: int, replicas: tuple[int, ...]) -> None:
    """0 acknowledged rows lost, equal data, one writable primary, and every replica follows it."""
    result = account(acks, [cluster[n] for n in (primary, *replicas)])
    assert result.rows_lost == 0, result
    assert result.equal, result
    assert not writers_overlap(acks)
    new = cluster[primary]
    assert new.replica_status() == {}
    assert int(new.sql("SELECT @@global.read_only AS r")[0]["r"]) == 0
    for number in replicas:
        status = cluster[number].replica_status()
        assert status["Source_Host"] == new.ip
        assert (status["Replica_IO_Running"], status["Replica_SQL_Running"]) == ("Yes", "Yes"), status
        assert int(cluster[number].sql("SELECT @@global.read_only AS r")[0]["r"]) == 1
