"""What a watch tells its supervisor: no round that is lawful looks like one that stands still."""

from __future__ import annotations

import time
from pathlib import Path
from unittest.mock import MagicMock

import pytest

from prefect_mha.flows.manager import listening
from prefect_mha.flows.manager.listening import StatusListener
from tests.unit.replication.build import configured


def test_it_is_not_ready_while_the_checks_at_the_start_may_refuse_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`systemctl start` of a manager that is refused fails, though the primary answers."""
    told = MagicMock()
    monkeypatch.setattr(listening, "SUPERVISOR", told)
    config = configured({}, {}, {}).model_copy(update={"manager_workdir": tmp_path})
    listener = StatusListener(config, MagicMock(), config.servers[0], MagicMock(), MagicMock())
    listener.answered()
    assert not told.ready.called
    listener.begins()
    listener.answered()
    assert told.ready.called


def test_a_round_may_wait_for_a_script_as_long_as_that_may_run(tmp_path: Path) -> None:
    """MHA's way of detection waits for secondary_check_script before it says that the primary is dead."""
    config = configured({}, {}, {}).model_copy(update={"manager_workdir": tmp_path, "hook_timeout": 600.0})
    listener = StatusListener(config, MagicMock(), config.servers[0], MagicMock(), MagicMock())
    listener.displaced()
    assert listener._pulse.due > time.monotonic() + 600
