"""Which relay logs may be purged, and how their files are handled."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from prefect_mha.config import load_cluster
from prefect_mha.replication.errors import CommandFailed
from prefect_mha.replication.maintenance.relay_logs.files import RelayFiles, local_shell
from prefect_mha.replication.maintenance.relay_logs.purge import why_not
from prefect_mha.replication.maintenance.relay_logs.purge_cluster import PurgePlan, lacking, plan_purge
from prefect_mha.replication.model.refusal import Refusal
from prefect_mha.replication.mysql.dialects import channel_index
from tests.unit.replication.build import at, channel, cluster, server

CONFIG = load_cluster(
    "app1.cnf", None, text="".join(f"[server{n}]\nhostname=db{n}\nip=10.0.0.{n}\n" for n in (1, 2, 3)), resolve=str
)
PRIMARY = server(1, read_only=False)


def replica(number: int, *channels, **changes):
    return server(number, *(channels or (channel(),)), **{"relay_log_purge": False, **changes})


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (replica(2), None),
        (replica(2, channel(delay=3600, has_read_all=False)), None),
        (PRIMARY, "not-a-replica"),
        (replica(2, relay_log_purge=True), "purges-itself"),
        (replica(2, channel(applier_running=False)), "applier-stopped"),
        (replica(2, channel(applier_running=False, applier_errno=1062)), "applier-broken"),
        (replica(2, channel(receiver="Connecting")), "source-away"),
        (replica(2, channel(receiver="No")), "source-away"),
        (replica(2, channel(), channel(name="b", applier_running=False)), "applier-stopped"),
    ],
)
def test_a_server_whose_state_forbids_it(state, code):
    refusal = why_not(state)
    assert (refusal.code if refusal else None) == code


def test_the_plan_has_the_replicas_in_order_and_says_who_is_left_out():
    plan = plan_purge(CONFIG, cluster(PRIMARY, replica(2, channel(applier_running=False)), replica(3)))
    assert isinstance(plan, PurgePlan)
    assert plan.primary.hostname == "db1"
    assert [s.hostname for s in plan.replicas] == ["db3"]
    assert [name for name, _ in plan.left_out] == ["db2(10.0.0.2:3306)"]
    plan = plan_purge(CONFIG, cluster(PRIMARY, replica(3), down=(2,)))
    assert plan.left_out == (("db2(10.0.0.2:3306)", "connection refused"),)


def test_nothing_is_purged_while_the_primary_is_away():
    refused = plan_purge(CONFIG, cluster(replica(2), replica(3), down=(1,)))
    assert isinstance(refused, Refusal)
    assert refused.code == "primary-away"
    assert plan_purge(CONFIG, cluster(server(2), server(3), down=(1,))).code == "no-replica"


def test_one_that_has_not_received_what_this_one_executed_may_need_it():
    mine, behind = replica(2), replica(3, channel(received=at(999), executed=at(500)))
    level, ahead = replica(3, channel(received=at(1000), executed=at(4))), replica(3, channel(received=at(4, file=2)))
    primary = CONFIG.servers[0]
    assert lacking(primary, mine, cluster(PRIMARY, mine, level)) == ()
    assert lacking(primary, mine, cluster(PRIMARY, mine, ahead)) == ()
    assert lacking(primary, mine, cluster(PRIMARY, mine, behind)) == (
        "db3(10.0.0.3:3306) has received up to mysql-bin.000001:999",
    )
    assert lacking(primary, mine, cluster(PRIMARY, mine, replica(3, channel(received=None)))) != ()
    elsewhere = replica(3, channel(source_host="10.0.0.2", received=at(4)))
    assert lacking(primary, mine, cluster(PRIMARY, mine, elsewhere)) == ()


def test_files_are_linked_beside_themselves_and_only_links_are_removed(tmp_path: Path):
    logs = [tmp_path / f"relay bin.{n:06d}" for n in (1, 2, 3)]
    for size, log in enumerate(logs, 10):
        log.write_bytes(b"x" * size)
    other = tmp_path / "other bin.000001.purge"
    other.touch()
    index = tmp_path / "relay bin.index"
    index.write_text(f"./{logs[0].name}\n{logs[1]}\n./{logs[2].name}\n")
    files = RelayFiles(local_shell, str(index), str(tmp_path))
    assert files.names() == [log.name for log in logs]
    assert files.sizes() == {log.name: size for size, log in enumerate(logs, 10)}
    assert not files.linked()
    files.link([logs[0].name, logs[1].name])
    files.link([logs[0].name])
    assert files.linked()
    assert sorted(p.name for p in tmp_path.glob("relay*.purge")) == [f"{log.name}.purge" for log in logs[:2]]
    logs[0].unlink()
    files.drop_links()
    assert not files.linked()
    assert sorted(tmp_path.iterdir()) == sorted([*logs[1:], other, index])


def test_what_is_wrong_on_the_host_is_one_sentence(tmp_path: Path):
    with pytest.raises(CommandFailed, match="is this the server's own host"):
        RelayFiles(local_shell, str(tmp_path / "none.index"), str(tmp_path)).names()


@pytest.mark.parametrize("what", ["link", "pipe", "directory"])
def test_what_stands_in_place_of_the_list_is_not_read(tmp_path: Path, what: str):
    """Who runs the server may put it there, and root would show a line of another file in an error."""
    (tmp_path / "secret").write_text("words of root alone\n")
    index = tmp_path / "relay-bin.index"
    {"link": lambda: index.symlink_to("secret"), "pipe": lambda: os.mkfifo(index), "directory": index.mkdir}[what]()
    with pytest.raises(CommandFailed, match="it is a link or no file") as told:
        RelayFiles(local_shell, str(index), str(tmp_path)).sizes()
    assert "words of root" not in str(told.value)


def test_the_list_of_a_channels_relay_logs():
    assert channel_index("/d/relay-bin", "") == "/d/relay-bin.index"
    assert channel_index("/d/relay-bin", "Ch1") == "/d/relay-bin-ch1.index"
