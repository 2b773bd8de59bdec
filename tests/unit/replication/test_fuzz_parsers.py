"""Whatever stands in a file, a variable or a request: it means something, or is refused in words of ours."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prefect_mha.config import ConfigError, load_cluster
from prefect_mha.replication.health.http import answer
from prefect_mha.replication.health.roles import Standings
from prefect_mha.replication.maintenance.binlog_server.health import parse_health as parse_copy_health
from prefect_mha.replication.memory.health_file import parse_health
from prefect_mha.replication.memory.held_servers import HeldServers
from prefect_mha.replication.memory.journal import read_journal
from prefect_mha.replication.model.gtid import GtidSet, MariadbGtid, MariadbGtidPosition
from prefect_mha.replication.model.position import BinlogPosition, log_index, unbroken_row

#: Of each; make test-all runs 10,000.
FUZZ = int(os.environ.get("MHA_FUZZ", "200"))
fuzz = settings(max_examples=FUZZ, deadline=None, suppress_health_check=list(HealthCheck))

UUID = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
PIECES = st.sampled_from(
    [UUID, UUID.upper(), ":", "-", ",", "1", "0", "99", "9" * 30, "²", "a", "tag_2", " ", "\n", "0-1-5"]
)
NOTATION = st.one_of(st.text(max_size=80), st.lists(PIECES, max_size=14).map("".join))


@fuzz
@given(NOTATION)
def test_sets_of_transactions(text: str) -> None:
    for kind in (GtidSet, MariadbGtid, MariadbGtidPosition):
        try:
            made = kind.parse(text)
        except ValueError:
            continue
        assert kind.parse(str(made)) == made


@fuzz
@given(st.one_of(st.text(max_size=60), st.from_regex(r"[a-z.²-]{0,9}[.:]\w{0,30}(:\w{0,30})?")))
def test_places_and_names_of_logs(text: str) -> None:
    for parse in (BinlogPosition.parse, log_index, lambda name: unbroken_row([name, f"{name}.1"], name)):
        try:
            made = parse(text)
        except ValueError:
            continue
        if isinstance(made, BinlogPosition):
            assert BinlogPosition.parse(str(made)) == made


LINES = st.sampled_from(
    [
        "[server default]", "[server1]", "[server2]", "[binlog1]", "[", "]", "hostname=10.0.0.1", "hostname=10.0.0.2",
        "port=x", "port=99999999999999999999", "password=file:/nonexistent", "password='", "ping_interval=-1", "=", "#",
        "candidate_master", "ssh_options=-o", "ssh_options=-i \"", "master_binlog_dir=,,", "no_master=2", "user=\x00",
        "fence=ssh,,", "vip_provider=ip", "managers=0", "init_conf_load_script=", "hostname = \u202e", "\ufeff", "\\",
    ]
)  # fmt: skip


@fuzz
@given(st.one_of(st.binary(max_size=300), st.lists(st.one_of(LINES, st.text(max_size=20)), max_size=12)), st.booleans())
def test_configurations(tmp_path_factory: pytest.TempPathFactory, given: bytes | list[str], toml: bool) -> None:
    path = tmp_path_factory.getbasetemp() / ("fuzz.toml" if toml else "fuzz.cnf")
    path.write_bytes(given if isinstance(given, bytes) else "\n".join(given).encode("utf-8", "surrogatepass"))
    try:
        load_cluster(path, None, resolve=lambda _: "10.0.0.9", secrets=False)
    except ConfigError as error:
        assert str(error)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(["t", "at", "step", "event", "server", "facts", "name", "instead"])


@fuzz
@given(st.lists(st.one_of(st.binary(max_size=60), st.dictionaries(KEYS, VALUES, max_size=8), VALUES), max_size=5))
def test_journals_and_records_of_who_is_held(tmp_path_factory: pytest.TempPathFactory, lines: list[object]) -> None:
    import json

    place: Path = tmp_path_factory.getbasetemp()
    data = b"\n".join(each if isinstance(each, bytes) else json.dumps(each).encode() for each in lines)
    (place / "fuzz.journal").write_bytes(data)
    (place / "fuzz.held.jsonl").write_bytes(data)
    for entry in read_journal(place / "fuzz.journal"):
        assert isinstance(entry.step, str)
        assert isinstance(entry.facts, dict)
    HeldServers(place, "fuzz").current()


def test_a_journal_line_that_is_nested_without_end_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.journal").write_bytes(b"[" * 200_000)
    assert list(read_journal(tmp_path / "a.journal")) == []


@fuzz
@given(st.text(max_size=80))
def test_what_a_manager_leaves_for_others(text: str) -> None:
    parse_health(text, 0.0)
    parse_copy_health(text)


CLUSTER = "[server1]\nhostname=10.0.0.1\n[server2]\nhostname=10.0.0.2\n"


@fuzz
@given(st.one_of(st.text(max_size=60), st.from_regex(r"/?(primary|replica|servers|)(/[\S]{0,9})?(\?max_lag=\S{0,9})?")))
def test_questions_of_load_balancers(tmp_path_factory: pytest.TempPathFactory, target: str) -> None:
    path = tmp_path_factory.getbasetemp() / "asked.cnf"
    if not path.exists():
        path.write_text(CLUSTER)
    config = load_cluster(path, None)
    try:
        code, _ = answer(config, Standings({}, 0.0), target, 100.0)
    except (ValueError, KeyError) as error:
        # A server of whom nothing is known yet has no standing; the port says 400 or ends that connection.
        assert isinstance(error, ValueError) or str(error).strip("'") in {s.address for s in config.servers}
        return
    assert code in (200, 400, 404, 503)
