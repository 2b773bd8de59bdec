"""What a replica calls its source, in the names of the configuration."""

from __future__ import annotations

import pytest

from prefect_mha.replication.model import source_names
from prefect_mha.replication.model.source_names import SourceNames
from tests.unit.replication.build import channel, server
from tests.unit.replication.checks.building import block

ADDRESSES = {"db1.lan": "10.0.0.1", "far": "10.9.9.9"}


@pytest.mark.parametrize(
    ("host", "port", "ours"),
    [
        ("db1", 3306, "db1"),
        ("10.0.0.1", 3306, "10.0.0.1"),
        ("DB1", 3306, "db1"),
        ("db1.lan", 3306, "db1"),
        ("db1.lan", 3307, "db1.lan"),
        ("far", 3306, "far"),
        ("nobody", 3306, "nobody"),
        ("", 3306, ""),
    ],
)
def test_another_name_for_the_same_address(host: str, port: int, ours: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def resolve(name: str, seconds: float) -> str:
        asked.append(name)
        if name not in ADDRESSES:
            raise OSError("unknown")
        return ADDRESSES[name]

    monkeypatch.setattr(source_names, "resolve_host", resolve)
    names = SourceNames([block(1), block(2)])
    for _ in range(2):
        state = names.in_ours(server(2, channel(source_host=host, source_port=port)))
        assert state.channels[0].source_host == ours
    assert len(asked) <= 1, "what is known, and what failed a moment ago, is not asked for again"


@pytest.mark.parametrize(
    ("changes", "like", "called"),
    [
        ({}, "10.0.0.1", "10.0.0.2"),
        ({}, "db1", "db2"),
        # Replicas on a network of their own, which the manager's is not.
        ({"hostname": "10.1.0.2", "ip": "192.168.0.2"}, "10.1.0.1", "10.1.0.2"),
        ({"replication_host": "10.1.0.2"}, "10.1.0.1", "10.1.0.2"),
        ({"replication_host": "db2.repl"}, "db1.repl", "db2.repl"),
    ],
)
def test_what_a_replica_calls_its_next_source(changes: dict[str, str], like: str, called: str) -> None:
    assert block(2, **changes).as_source(like) == called


def test_a_source_by_its_replication_host() -> None:
    names = SourceNames([block(1, replication_host="10.1.0.1"), block(2)])
    assert names.in_ours(server(2, channel(source_host="10.1.0.1"))).channels[0].source_host == "db1"
