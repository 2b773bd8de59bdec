"""What an older manager left in its directory is read as it was meant: journals, status, checks, holds, incidents."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from prefect_mha.replication.detection.observation import read_incident
from prefect_mha.replication.detection.replay import replay, terms_in
from prefect_mha.replication.memory.health_file import HealthFile, ManagerStatus
from prefect_mha.replication.memory.held_servers import HeldServers
from prefect_mha.replication.memory.journal import (
    Opened,
    begun_before,
    opened_before,
    saved_before,
    unfinished,
    unrestored_settings,
)
from prefect_mha.replication.memory.last_check import LastCheck
from prefect_mha.replication.memory.open_business import stopped_receivers
from prefect_mha.replication.planning.plan import FailoverOptions
from prefect_mha.replication.rescue.pointing import turned
from tests.unit.replication.build import configured

FILES = Path(__file__).parent / "files"
APP, DEAD, NEW, OTHER = "app1", "10.77.3.11:3306", "10.77.3.12:3306", "10.77.3.13:3306"
KILLED = ["turned", "applied", "opening", "verifying"]


@pytest.fixture
def left(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A directory as it was left, which today's code may write to."""
    return Path(shutil.copytree(FILES / request.param, tmp_path / "workdir"))


@pytest.mark.parametrize("left", KILLED, indirect=True)
def test_a_failover_that_was_killed_is_unfinished_and_goes_on_with_its_own_options(left: Path) -> None:
    begun = begun_before(unfinished(left, APP))
    assert begun is not None
    assert begun.dead == DEAD
    assert begun.options(FailoverOptions) == FailoverOptions()


@pytest.mark.parametrize(
    ("left", "opened"),
    [("turned", None), ("applied", None), ("opening", NEW), ("verifying", NEW)],
    indirect=["left"],
)
def test_whom_it_was_about_to_open_is_known(left: Path, opened: str | None) -> None:
    found = opened_before(unfinished(left, APP))
    if opened is None:
        assert found is None
        return
    assert isinstance(found, Opened)
    assert (found.dead, found.key, found.kind) == (DEAD, opened, "MariaDB GTID")
    assert found.end_of_log.startswith("mysql-bin.")


@pytest.mark.parametrize("left", KILLED, indirect=True)
def test_what_it_saved_and_whose_receiver_it_stopped_is_known(left: Path) -> None:
    past = unfinished(left, APP)
    saved = saved_before(past)
    assert saved is not None
    assert saved.file == "mysql-bin.000001"
    assert {each.key for each in stopped_receivers(left, APP)} >= {OTHER}


@pytest.mark.parametrize(("left", "kept"), [("turned", {NEW}), ("applied", set())], indirect=["left"])
def test_settings_that_it_did_not_give_back_are_known(left: Path, kept: set[str]) -> None:
    found = unrestored_settings(unfinished(left, APP))
    assert {each.key for each in found} == kept
    assert all(each.former == {"sync_binlog": 1, "innodb_flush_log_at_trx_commit": 1} for each in found)


@pytest.mark.parametrize("left", ["turned", "applied"], indirect=True)
def test_how_a_replica_replicated_before_it_was_turned_is_known(left: Path) -> None:
    former = turned(unfinished(left, APP))[NEW]
    assert (former.host, former.port, former.user) == ("10.77.3.11", 3306, "repl")


@pytest.mark.parametrize(
    ("left", "status"),
    [("watching", ManagerStatus.PING_OK), ("applied", ManagerStatus.FAILOVER_RUNNING)],
    indirect=["left"],
)
def test_the_status_file_says_what_it_said(left: Path, status: ManagerStatus) -> None:
    health = HealthFile(left, APP).read()
    assert health is not None
    assert (health.status, health.primary) == (status, "10.77.3.11")


@pytest.mark.parametrize("left", ["watching", "applied"], indirect=True)
def test_the_last_check_says_what_it_said(left: Path) -> None:
    found = LastCheck(configured(manager_workdir=left)).read()
    assert found is not None
    assert found.failed == ()
    assert found.readiness["ready"]


@pytest.mark.parametrize("left", ["done"], indirect=True)
def test_a_server_that_was_replaced_is_still_held(left: Path) -> None:
    assert unfinished(left, APP) == ()
    (hold,) = HeldServers(left, APP).current()
    assert (hold.key, hold.instead) == (DEAD, NEW)


@pytest.mark.parametrize("left", ["applied", "done"], indirect=True)
def test_an_incident_is_replayed_to_the_same_end(left: Path) -> None:
    incident = read_incident(next(left.glob("*.incident-*.jsonl")))
    done = replay(incident, terms_in(incident))
    assert done.verdict is not None
    assert done.verdict.judgement.row.name == incident.end["row"]
