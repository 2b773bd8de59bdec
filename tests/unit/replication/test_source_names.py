"""What a replica calls its source, in the names of the configuration."""

from __future__ import annotations

import pytest

from replication import source_names
from replication.source_names import SourceNames
from tests.unit.replication.build import channel, server
from tests.unit.replication.test_checks import block

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
