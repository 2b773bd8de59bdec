"""The deployments of a cluster, and what `mha deploy` says."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from prefect_mha.commands.verbs.in_prefect import told
from prefect_mha.config import ConfigError
from prefect_mha.flows.deployments.deploying import Deployed, LeftOver, Made, removable
from prefect_mha.flows.deployments.of_cluster import Clone, Pool, at_night, deployments_of, those_configured

CONF = "[server default]\nmanager_workdir={0}\n[server1]\nhostname=127.0.0.1\n[server2]\nhostname=127.0.0.2\n"
CONF += "[binlog1]\nhostname=192.0.2.9\nmaster_binlog_dir={0}\n"


@pytest.fixture
def _two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("app1", "orders"):
        (tmp_path / f"{name}.cnf").write_text(CONF.format(tmp_path))
    monkeypatch.setenv("MHA_CONF_DIR", str(tmp_path))


@pytest.mark.usefixtures("_two")
def test_each_is_named_for_its_cluster_and_takes_no_other() -> None:
    made = {str(each.name): each for each in deployments_of("orders", pool=Pool("mha"), copies=True)}
    assert made.keys() == {
        "monitor-orders",
        "failover-orders",
        "switchover-orders",
        "rejoin-orders",
        "drill-orders",
        "health-check-orders",
        "purge-relay-logs-orders",
        "binlog-server-binlog1-orders",
    }
    for each in made.values():
        assert each.parameters["cluster"] == "orders"
        assert each.tags == ["cluster:orders"]
        assert each._parameter_openapi_schema.properties["cluster"]["enum"] == ["orders"]
    assert [each.active for each in made["drill-orders"].schedules] == [False]
    copies = made["binlog-server-binlog1-orders"]
    assert (copies.work_queue_name, copies.parameters["name"]) == ("binlog-server-192.0.2.9", "binlog1")
    assert made["monitor-orders"].work_queue_name == "default"


@pytest.mark.usefixtures("_two")
def test_a_served_one_has_no_pool_and_copies_only_on_its_host() -> None:
    names = [each.name for each in deployments_of("app1", watch=False)]
    what = ["failover", "switchover", "rejoin", "drill", "health-check", "purge-relay-logs"]
    assert names == [f"{each}-app1" for each in what]
    assert all(each.work_pool_name is None for each in deployments_of("app1"))


@pytest.mark.usefixtures("_two")
def test_a_clone_is_entered_where_the_package_has_its_name() -> None:
    clone = Clone("https://git.example/mha.git", "v1", "mha-token")
    (failover,) = [
        each for each in deployments_of("app1", pool=Pool("mha", clone=clone)) if each.flow_name == "failover"
    ]
    assert failover.entrypoint == "prefect_mha/flows/failover.py:failover"
    assert failover.storage is clone
    cloned, entered = clone.to_pull_step()
    assert cloned["prefect.deployments.steps.git_clone"] == {
        "id": "clone",
        "repository": "https://git.example/mha.git",
        "branch": "v1",
        "access_token": "{{ prefect.blocks.secret.mha-token }}",
    }
    where = entered["prefect.deployments.steps.set_working_directory"]["directory"]
    assert where == "{{ clone.directory }}/src"


def test_nothing_is_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MHA_CONF_DIR", str(tmp_path))
    with pytest.raises(ConfigError, match="no cluster is configured"):
        those_configured()


def test_clusters_purge_one_after_the_other_and_each_at_its_own_time() -> None:
    times = [at_night(f"app{n}") for n in range(50)]
    assert times == [at_night(f"app{n}") for n in range(50)]
    assert len(set(times)) > 35
    assert {time.split()[1] for time in times} == {"2", "3", "4"}


def test_what_was_made_is_told_in_lines() -> None:
    made = (
        Made("app1", "monitor", "monitor-app1", "default", new=True),
        Made("app1", "failover", "failover-app1", "default", new=False),
    )
    left = (LeftOver("old", "monitor-old", uuid.uuid4(), 0),)
    assert told(Deployed(Pool("mha"), True, made, left, removed=False)).splitlines() == [
        "Work pool mha: new, of type process.",
        "app1: new: monitor-app1",
        "app1: up to date: failover-app1",
        "Left as it is: monitor-old of old, which is configured no more (--remove-gone).",
        "Runs are begun by: prefect worker start --pool mha --work-queue default",
        "It begins within ten minutes, or now: prefect deployment run monitor/monitor-app1",
    ]
    gone = told(Deployed(Pool("mha"), False, (), left, removed=True)).splitlines()
    assert gone == ["Removed: monitor-old of old, which is configured no more."]


def test_what_another_host_may_watch_is_not_removed() -> None:
    left = (LeftOver("old", "monitor-old", uuid.uuid4(), 1), LeftOver("old", "failover-old", uuid.uuid4(), 0))
    assert removable(left) == ()
    assert told(Deployed(Pool("mha"), False, (), left, removed=True)).splitlines() == [
        f"Left as it is: {each.name} of old, which is configured no more here; runs of old go on, end them first."
        for each in left
    ]
