"""Whom a binlog server follows, how it calls mysqlbinlog, what it makes of its last words, and how it tells."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from prefect_mha.config import ConfigError, load_cluster
from prefect_mha.replication.errors import (
    AccessDenied,
    AlreadyActing,
    CommandFailed,
    PrivilegeMissing,
    RemoteFileError,
    ServerUnreachable,
    StatementFailed,
)
from prefect_mha.replication.maintenance.binlog_server.archive import ArchivedLog
from prefect_mha.replication.maintenance.binlog_server.block import CopyOptions, pick_block
from prefect_mha.replication.maintenance.binlog_server.health import (
    FILE,
    BinlogHealth,
    CopyState,
    known_gaps,
    parse_health,
    status_line,
    write_health,
)
from prefect_mha.replication.maintenance.binlog_server.lock import DirectoryLock
from prefect_mha.replication.maintenance.binlog_server.server import BinlogServer
from prefect_mha.replication.maintenance.binlog_server.source import SourceView, next_source, rival_of
from prefect_mha.replication.maintenance.binlog_server.stream import (
    Reader,
    arguments,
    derived_server_id,
    explain,
    find_reader,
)
from prefect_mha.replication.model.refusal import Refusal
from prefect_mha.replication.model.state import Vendor
from prefect_mha.replication.mysql.dialects import binary_log
from tests.unit.replication.build import channel, cluster, server


@pytest.fixture
def config(tmp_path):
    """Two servers, and a binlog server on this host and one elsewhere."""

    def load(extra: str = "") -> object:
        path = tmp_path / "app1.cnf"
        path.write_text(
            "[server default]\nuser=mha\npassword=manager-secret\nrepl_user=repl\nrepl_password=repl-secret\n"
            "[server1]\nhostname=10.0.0.1\n[server2]\nhostname=10.0.0.2\n[server3]\nhostname=10.0.0.3\n" + extra
        )
        return load_cluster(path, None)

    return load


def follows(n: int = 1) -> object:
    return channel(source_host=f"10.0.0.{n}")


@pytest.mark.parametrize(
    ("current", "state", "expected"),
    [
        pytest.param(
            None, cluster(server(1, read_only=False), server(2, follows()), server(3, follows())), 1, id="primary"
        ),
        pytest.param(1, cluster(server(2, follows()), server(3, follows()), down=(1,)), 1, id="dead, nothing done yet"),
        pytest.param(
            1,
            cluster(server(2), server(3, follows()), down=(1,)),
            1,
            id="promoted, but not open yet, and nobody follows it",
        ),
        pytest.param(
            1, cluster(server(2, read_only=False), server(3, follows()), down=(1,)), 2, id="promoted and open"
        ),
        pytest.param(1, cluster(server(2, read_only=False), server(3, follows(2)), down=(1,)), 2, id="followed by all"),
        pytest.param(1, cluster(server(2, read_only=False), down=(1, 3)), 2, id="the only one left"),
        pytest.param(
            1,
            cluster(server(1, follows(2)), server(2, read_only=False), server(3, follows(2))),
            2,
            id="a planned switch made it a replica",
        ),
        pytest.param(
            2,
            cluster(server(1, read_only=False), server(2, read_only=False), server(3, follows(2))),
            2,
            id="the old primary comes back open",
        ),
        pytest.param(1, cluster(down=(1, 2, 3)), 1, id="nobody answers"),
        pytest.param(
            1, cluster(server(1, read_only=False), down=(2, 3)), 1, id="no replica is left, the primary is well"
        ),
        pytest.param(
            1,
            cluster(server(1), server(2, read_only=False), down=(3,)),
            2,
            id="of two servers a planned switch left the old one read-only, or it came back so",
        ),
        pytest.param(1, cluster(server(1), server(2), down=(3,)), 1, id="read-only, and nobody else is open"),
        pytest.param(
            1,
            cluster(server(1), server(2, read_only=False), server(3, read_only=False)),
            1,
            id="read-only, and two others are open",
        ),
        pytest.param(
            1,
            cluster(server(1), server(2, read_only=False, log_bin=False), down=(3,)),
            1,
            id="read-only, and who is open writes no log",
        ),
        pytest.param(
            1,
            cluster(server(1), server(2, read_only=False), server(3, follows())),
            2,
            id="a planned switch has opened it, and the others do not follow it yet",
        ),
        pytest.param(None, cluster(down=(1, 2, 3)), None, id="nobody ever answered"),
        pytest.param(
            None, cluster(server(1, read_only=False), server(2, read_only=False), down=(3,)), None, id="which of two?"
        ),
    ],
)
def test_whom_it_copies(config, current, state, expected):
    loaded = config()
    known = None if current is None else loaded.servers[current - 1]
    found = next_source(loaded, state, known)
    if expected is None:
        assert isinstance(found, Refusal)
    else:
        assert found == loaded.servers[expected - 1]


@pytest.mark.parametrize(
    ("state", "rival"),
    [
        pytest.param(cluster(server(1, read_only=False), server(2, follows()), server(3)), "", id="the usual"),
        pytest.param(cluster(server(1, read_only=False), server(2, read_only=False)), "db2", id="two take writes"),
        pytest.param(
            cluster(server(1, read_only=False), server(2, read_only=False), server(3, follows())),
            "",
            id="a stray beside a primary that is followed",
        ),
        pytest.param(
            cluster(
                server(1, read_only=False), server(2, read_only=False), server(3, replace(follows(), receiver="No"))
            ),
            "db2",
            id="in the middle of a failover",
        ),
        pytest.param(cluster(server(1, read_only=False), down=(2, 3)), "", id="alone"),
    ],
)
def test_who_takes_writes_beside_the_source(config, state, rival):
    assert rival_of(config().servers[0], state).startswith(rival)
    assert bool(rival_of(config().servers[0], state)) is bool(rival)


def test_one_that_is_replaced_is_left_although_it_still_takes_writes(config):
    loaded = config()
    both = cluster(server(1, read_only=False), server(2, read_only=False))
    assert next_source(loaded, both, loaded.servers[0]) is loaded.servers[0]
    assert next_source(loaded, both, loaded.servers[0], replaced=True) is loaded.servers[1]
    alone = cluster(server(1, read_only=False), server(2))
    assert next_source(loaded, alone, loaded.servers[0], replaced=True) is loaded.servers[0]
    again = cluster(server(1, read_only=False), server(2, read_only=False), server(3, follows()))
    assert next_source(loaded, again, loaded.servers[0], replaced=True) is loaded.servers[0]


def test_a_source_that_left_the_configuration_is_given_up(config):
    loaded = config()
    gone = loaded.servers[0]
    state = cluster(server(2, read_only=False), server(3, follows(2)))
    assert next_source(loaded.without(gone), state, gone) == loaded.servers[1]


# mysqlbinlog -----------------------------------------------------------------------------------------------------


def test_the_command_line_has_no_secret_and_the_options_that_this_program_knows(config):
    source = config().servers[0].model_copy(update={"ssl_ca": "/ca.pem", "ssl_verify": True})
    mysql = Reader("/usr/bin/mysqlbinlog", frozenset({"connection-server-id", "ssl-mode"}))
    words = arguments(mysql, Path("/p/client.cnf"), source, Path("/srv/a"), "b.000001", 77)
    assert words == [
        "/usr/bin/mysqlbinlog",
        "--defaults-file=/p/client.cnf",
        "--read-from-remote-server",
        "--raw",
        "--stop-never",
        "--connection-server-id=77",
        "--result-file=/srv/a/",
        "--ssl-ca=/ca.pem",
        "--ssl-mode=VERIFY_IDENTITY",
        "--host=10.0.0.1",
        "b.000001",
    ]
    mariadb = arguments(Reader("x", frozenset()), Path("c"), source, Path("/srv/a"), "b.000001", 77)
    assert "--stop-never-slave-server-id=77" in mariadb
    assert "--ssl-verify-server-cert" in mariadb


def test_a_derived_server_id_is_the_same_each_time_and_nobody_elses():
    first = derived_server_id("app1 binlog1 archive")
    assert derived_server_id("app1 binlog1 archive") == first
    assert 1 << 30 <= first < 1 << 31
    assert derived_server_id("app1 binlog1 archive", {first}) != first
    assert derived_server_id("app1 binlog2 archive") != first


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        (
            "mysqlbinlog: [Warning] x\n"
            "ERROR: Failed on connect: Access denied for user 'repl'@'h' (using password: YES)",
            AccessDenied,
            "10.0.0.1(10.0.0.1:3306): read its binary logs as 'mha': error 1045: ",
        ),
        (
            "ERROR: Got error reading packet from server: Access denied; you need (at least one of) the REPLICATION "
            "SLAVE privilege(s) for this operation",
            PrivilegeMissing,
            "error 1227: ",
        ),
        (
            "ERROR: Got error reading packet from server: Could not find first log file name in binary log index file",
            StatementFailed,
            "error 1236: ",
        ),
        ("ERROR: Failed on connect: Can't connect to server on 'x' (115)", ServerUnreachable, "error 2003: "),
        ("ERROR: Got error reading packet from server: Lost connection to server", ServerUnreachable, "error 2013: "),
        (
            "ERROR: Failed on connect: Authentication plugin 'mysql_native_password' cannot be loaded: x.so",
            AccessDenied,
            "install those of the server's version",
        ),
        ("x: Can't create/write to file '/n' (Errcode: 13 \"Permission denied\")", RemoteFileError, "Errcode: 13"),
        ("x: Can't write (OS errno 28 - No space left on device)\nERROR: Could not write", RemoteFileError, "no space"),
        ("", StatementFailed, "ended with exit code 1 and said nothing"),
    ],
)
def test_its_last_words_become_one_sentence(config, tmp_path, said, kind, words):
    error = explain(config().servers[0], tmp_path, said, 1)
    assert type(error) is kind
    assert words in str(error)
    assert "\n" not in str(error)


def test_a_signal_is_said(config, tmp_path):
    assert "ended by signal 9" in str(explain(config().servers[0], tmp_path, "", -9))


def test_a_program_that_is_not_there(config, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    (block,) = config("[binlog1]\nhostname=10.0.0.9\nclient_bindir=/nowhere\n").binlog_servers
    with pytest.raises(CommandFailed, match=r"mariadb-binlog or mysqlbinlog: .* set client_bindir in \[binlog1\]"):
        find_reader(block, Vendor.MARIADB)


def test_a_program_that_does_not_run(config, tmp_path):
    program = tmp_path / "mysqlbinlog"
    program.write_text("#!/bin/sh\necho 'error while loading shared libraries: libx.so' >&2\nexit 127\n")
    program.chmod(0o755)
    (block,) = config(f"[binlog1]\nhostname=10.0.0.9\nclient_bindir={tmp_path}\n").binlog_servers
    with pytest.raises(CommandFailed, match=r"libx\.so \(set client_libdir"):
        find_reader(block, Vendor.MYSQL)


def test_an_encrypted_log_is_counted_as_it_is_sent():
    assert binary_log({"Log_name": "b.000001", "File_size": 700, "Encrypted": "Yes"}) == ("b.000001", 188)
    assert binary_log({"Log_name": "b.000001", "File_size": 700}) == ("b.000001", 700)


PROGRAM = """\
#!/bin/sh
for word; do case $word in --defaults-file=*) cp "${word#*=}" "$SEEN"; stat -c %a "${word#*=}" >>"$SEEN";; esac; done
exec sleep 60
"""
STARTER = """\
import sys, time
from pathlib import Path
from prefect_mha.config import ServerConfig
from pydantic import SecretStr
from prefect_mha.replication.maintenance.binlog_server.lock import DirectoryLock
from prefect_mha.replication.maintenance.binlog_server.stream import Reader, Stream
root = Path(sys.argv[1])
source = ServerConfig(block="server1", hostname="h", ip="10.0.0.1", ssh_host="h", ssh_ip="10.0.0.1", user="u",
                      password=SecretStr("a-secret"), repl_user="repl", repl_password=SecretStr('it"s \\\\ one'))
with DirectoryLock(root) as lock:
    stream = Stream(Reader(str(root / "program"), frozenset()), source, root / "in", "b.000001", server_id=1,
                    private=root / "private", held=lock.descriptor)
    print(stream.pid, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def started(tmp_path, monkeypatch):
    """A process that runs a program under the lock of a directory; its pid and the program's."""
    monkeypatch.setenv("SEEN", str(tmp_path / "seen"))
    (tmp_path / "program").write_text(PROGRAM)
    (tmp_path / "program").chmod(0o755)
    process = subprocess.Popen(
        [sys.executable, "-c", STARTER, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[4]
    )
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    wait_until(lambda: "sleep" in Path(f"/proc/{pid}/comm").read_text())
    yield tmp_path, process, pid
    process.kill()
    process.wait()


def wait_until(condition, seconds: float = 10.0) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.01)


def test_the_program_dies_with_its_starter_and_gets_its_password_in_a_private_file(started):
    root, process, pid = started
    seen = (root / "seen").read_text()
    assert 'user="repl"' in seen
    assert 'password="it\\"s \\\\ one"' in seen
    assert "connect-timeout" not in seen
    assert seen.endswith("600\n")
    assert (root / "private").stat().st_mode & 0o777 == 0o700
    process.kill()
    process.wait()
    wait_until(lambda: not Path(f"/proc/{pid}").exists())


def test_the_lock_is_free_only_when_the_program_is_gone_too(started, monkeypatch):
    root, process, pid = started
    monkeypatch.setattr("prefect_mha.replication.maintenance.binlog_server.lock.LOCK_WAIT", 0.2)
    with pytest.raises(AlreadyActing, match=f"pid {process.pid}"):
        DirectoryLock(root).__enter__()
    os.kill(pid, signal.SIGSTOP)
    process.kill()
    process.wait()
    wait_until(lambda: not Path(f"/proc/{pid}").exists())
    with DirectoryLock(root) as lock:
        assert lock.descriptor >= 0


# telling ---------------------------------------------------------------------------------------------------------

WELL = BinlogHealth(
    "binlog1", 7, CopyState.COPYING, "db1(10.0.0.1:3306)", "b.000007", 5000, 0, 990.0, 999.0, written=999.5
)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {},
            "copies db1(10.0.0.1:3306); newest b.000007 with 5000 bytes; 0 bytes behind; last byte 10 s ago; "
            "source last seen 1 s ago",
        ),
        (
            {"state": CopyState.FAILED, "trouble": "x: error 1045: no", "behind": -1},
            "cannot copy (db1(10.0.0.1:3306)); newest b.000007 with 5000 bytes; last byte 10 s ago; source last seen "
            "1 s ago; x: error 1045: no",
        ),
        (
            {"written": 900.0, "grew": 0.0, "checked": 0.0, "file": "", "behind": -1},
            "does not run: no sign of it for 100 s (before: copies db1(10.0.0.1:3306))",
        ),
        (
            {"state": CopyState.STOPPED, "written": 1.0, "grew": 0.0, "checked": 0.0, "file": "", "behind": -1},
            "was stopped (db1(10.0.0.1:3306))",
        ),
        ({"gaps": ("db1_3306/b.000003",)}, None),
    ],
)
def test_the_line(changes, line):
    told = replace(WELL, **changes).line(1000.0)
    assert told == line or (line is None and told.endswith("never copied: db1_3306/b.000003"))


def test_what_is_written_is_read(tmp_path):
    write_health(tmp_path, WELL)
    text = (tmp_path / FILE).read_text()
    read = parse_health(text)
    assert read is not None
    assert replace(read, written=0.0) == replace(WELL, written=0.0)
    assert len(text) >= 4096


NEWEST = tuple(ArchivedLog(f"b.{n:06d}", 100) for n in (1, 2, 3))


@pytest.mark.parametrize(
    ("acks", "once", "copied", "here", "start", "gaps"),
    [
        pytest.param(1, False, True, (), "b.000003", ("10.0.0.2_3306/b.000001 to b.000002",), id="a new primary"),
        pytest.param(1, False, False, (), "b.000001", (), id="the first start"),
        pytest.param(0, False, True, (), "b.000001", (), id="nobody waits for it"),
        pytest.param(1, True, True, (), "b.000001", (), id="a copy of everything is asked for"),
        pytest.param(1, False, True, NEWEST[:1], "b.000002", (), id="it was copied before"),
    ],
)
def test_commits_of_a_new_primary_do_not_wait_for_its_past(config, tmp_path, acks, once, copied, here, start, gaps):
    root = tmp_path / "copies"
    loaded = config(f"[binlog1]\nhostname=127.0.0.1\nmaster_binlog_dir={root}\nbinlog_ack={acks}\n")
    (root / "10.0.0.1_3306").mkdir(parents=True)
    if copied:
        (root / "10.0.0.1_3306" / "b.000007").write_bytes(b"x")
    feed = SimpleNamespace(directory=root / "10.0.0.2_3306", here=lambda: here)
    copier = BinlogServer(lambda: loaded, "", CopyOptions(once=once), threading.Event())
    assert copier._where_to_begin(feed, NEWEST) == start
    assert copier._health.gaps == gaps


def test_a_full_disk_does_not_keep_it_from_telling(tmp_path, monkeypatch):
    write_health(tmp_path, WELL)

    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("prefect_mha.replication.maintenance.binlog_server.health.written", full)
    write_health(tmp_path, replace(WELL, trouble="the disk is full", file=""))
    read = parse_health((tmp_path / FILE).read_text())
    assert read is not None
    assert read.trouble == "the disk is full"


def test_a_gap_is_told_as_long_as_there_is_a_log_from_before_it(tmp_path):
    write_health(tmp_path, replace(WELL, gaps=("db1_3306/b.000003 to b.000005", "nonsense")))
    assert known_gaps(tmp_path) == ()
    (tmp_path / "db1_3306").mkdir()
    (tmp_path / "db1_3306" / "b.000006").touch()
    assert known_gaps(tmp_path) == ()
    (tmp_path / "db1_3306" / "b.000002").touch()
    assert known_gaps(tmp_path) == ("db1_3306/b.000003 to b.000005",)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"state": "sings"}', "null", '{"state": "copies"}'])
def test_what_is_no_health_file(text):
    assert parse_health(text) is None


def test_the_status_line_of_this_host(config, tmp_path):
    (block,) = config(f"[binlog1]\nhostname=127.0.0.1\nmaster_binlog_dir={tmp_path}/b\n").binlog_servers
    assert "no binlog server has run there" in status_line(block)
    (tmp_path / "b").mkdir()
    write_health(tmp_path / "b", WELL)
    assert status_line(block).startswith("binlog1 on 127.0.0.1: copies db1(10.0.0.1:3306); ")
    (tmp_path / "b" / FILE).write_text("?")
    assert "is not the state of a binlog server" in status_line(block)


def test_which_block_is_meant(config):
    two = config("[binlog1]\nhostname=127.0.0.1\n[binlog2]\nhostname=10.9.9.9\n")
    assert pick_block(two, "binlog2").hostname == "10.9.9.9"
    assert pick_block(two).block == "binlog1"
    with pytest.raises(ConfigError, match="there are: binlog1, binlog2"):
        pick_block(two, "binlog3")
    with pytest.raises(ConfigError, match="choose one with --name"):
        pick_block(config("[binlog1]\nhostname=127.0.0.1\n[binlog2]\nhostname=127.0.0.1\n"))
    with pytest.raises(ConfigError, match=r"it has no \[binlogN\] block"):
        pick_block(config())


def test_it_never_writes_into_a_servers_data_directory(config, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "ibdata1").touch()
    loaded = config(f"[binlog1]\nhostname=127.0.0.1\nmaster_binlog_dir={tmp_path}/data\n")
    with pytest.raises(ConfigError, match="is the data directory of a server"):
        BinlogServer(lambda: loaded, "", CopyOptions(), threading.Event()).run()
    assert sorted(p.name for p in (tmp_path / "data").iterdir()) == ["ibdata1"]


@pytest.mark.parametrize(
    ("ahead", "left"),
    [
        pytest.param(0.2, ["b.000002"], id="the clocks agree"),
        pytest.param(86400.0 * 40, ["b.000001", "b.000002"], id="this one jumped"),
        pytest.param(float("nan"), ["b.000001", "b.000002"], id="the other one was not seen yet"),
    ],
)
def test_a_clock_that_jumped_removes_no_log_for_its_age(config, tmp_path, ahead, left):
    root = tmp_path / "copies"
    loaded = config(f"[binlog1]\nhostname=127.0.0.1\nmaster_binlog_dir={root}\nbinlog_keep_days=30\n")
    (copies := root / "10.0.0.1_3306").mkdir(parents=True)
    for name in ("b.000001", "b.000002"):
        (copies / name).write_bytes(b"x")
        os.utime(copies / name, (1e9, 1e9))
    copier = BinlogServer(lambda: loaded, "", CopyOptions(), threading.Event())
    copier._sweep(SourceView(cluster=cluster(server(1)), clock_ahead=ahead))
    assert sorted(path.name for path in copies.iterdir()) == left


@pytest.mark.parametrize(
    ("state", "other", "followed"),
    [
        pytest.param(None, True, True, id="another one is open"),
        pytest.param(server(1), False, False, id="it is back: read again"),
    ],
)
def test_a_reader_that_gave_up_on_a_silent_source_ends_no_watch_for_who_takes_its_place(
    config, tmp_path, state, other, followed
):
    loaded = config(f"[binlog1]\nhostname=127.0.0.1\nmaster_binlog_dir={tmp_path}/copies\nbinlog_ack=1\n")
    (copies := tmp_path / "copies" / "10.0.0.1_3306").mkdir(parents=True)
    failure = ServerUnreachable("db1", "read its binary logs", "nothing came for 10 s", 2013)
    feed = SimpleNamespace(directory=copies, newest="", at_rest=False, acknowledging=False, barred="")
    feed.take, feed.idle, feed.sync = (lambda: failure), (lambda now: 1.0), (lambda: None)
    silent = SourceView(reason="no answer in time", at=1.0)
    looks = iter([silent, silent, SourceView(state, at=2.0, other=loaded.servers[1] if other else None)])
    watch = SimpleNamespace(source=loaded.servers[0], replaced=False, look=silent)
    stop = SimpleNamespace(wait=lambda _: setattr(watch, "look", next(looks, watch.look)))
    copier = BinlogServer(lambda: loaded, "", CopyOptions(), stop)
    if followed:
        assert copier._follow(feed, watch, ArchivedLog("", 0)) is False
        assert copier._next == loaded.servers[1].address
    else:
        with pytest.raises(ServerUnreachable):
            copier._follow(feed, watch, ArchivedLog("", 0))
