"""What a watch tells its supervisor: no round that is lawful looks like one that stands still."""

from __future__ import annotations

import time
from pathlib import Path
from unittest.mock import MagicMock

from prefect_mha.flows.manager.listening import StatusListener
from tests.unit.replication.build import configured


def test_a_round_may_wait_for_a_script_as_long_as_that_may_run(tmp_path: Path) -> None:
    """MHA's way of detection waits for secondary_check_script before it says that the primary is dead."""
    config = configured({}, {}, {}).model_copy(update={"manager_workdir": tmp_path, "hook_timeout": 600.0})
    listener = StatusListener(config, MagicMock(), config.servers[0], MagicMock(), MagicMock())
    listener.displaced()
    assert listener._pulse.due > time.monotonic() + 600
