"""Means against the old primary, one by one on a real host, and the policy that judges them in a failover."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pymysql
import pytest

from prefect_mha.config import ServerConfig, load_cluster
from prefect_mha.replication.detection.observation import Finding, Observer
from prefect_mha.replication.fencing.kill import Fenced, fence, unfence
from prefect_mha.replication.fencing.read_only import close_for_writes, is_closed
from prefect_mha.replication.mysql.server import Server
from prefect_mha.replication.probes.host import ServerPaths, look_at
from prefect_mha.replication.probes.replica import look_from
from prefect_mha.replication.ssh.host import SshHost
from tests.lab.cluster import Cluster
from tests.lab.host import Host
from tests.lab.kinds import APP, APP_PASSWORD
from tests.lab.writer import TABLE

# one host, one means -------------------------------------------------------------------------------------------------

CONTAINER = "c0ffee" + "0" * 58


@pytest.fixture(scope="module", params=["mariadb", "mysql97"])
def alone(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """One server whose option file includes a directory."""
    with Cluster(request.param, n=1, extra={1: "!includedir /etc/mysql/conf.d/"}, up=False) as cluster:
        cluster[1].run("mkdir -p /etc/mysql/conf.d && rm -f /etc/mysql/conf.d/*")
        cluster[1].start_mysqld()
        cluster[1].sql(TABLE)
        yield cluster


@pytest.fixture
def server(alone: Cluster) -> Iterator[ServerConfig]:
    with alone.in_manager_net():
        yield load_cluster(alone.write_cnf(), None).servers[0]
    if not alone[1].mysqld_pids():
        alone[1].run("rm -f /etc/mysql/conf.d/*")
        alone[1].start_mysqld()
    alone[1].sql("SET GLOBAL read_only=0")
    if not alone.kind.modern:
        alone[1].sql("SET GLOBAL tx_read_only=0")
    alone[1].sql("TRUNCATE TABLE app.rows_written")


def application(cluster: Cluster) -> pymysql.Connection:
    return cluster[1].connect(user=APP, password=APP_PASSWORD)


def run(connection: pymysql.Connection, sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


def run_to_its_end(connection: pymysql.Connection, sql: str) -> None:
    with contextlib.suppress(pymysql.MySQLError):
        run(connection, sql)


@pytest.mark.parametrize("busy_with", ["nothing", "a transaction", "locked tables", "a slow statement"])
def test_closing_a_server_ends_whoever_is_connected(alone: Cluster, server: ServerConfig, busy_with: str) -> None:
    app, idle = application(alone), application(alone)
    if busy_with == "a transaction":
        run(app, "BEGIN")
        run(app, "REPLACE INTO app.rows_written VALUES (1, 1, 1, 'x')")
    elif busy_with == "locked tables":
        alone[1].sql("GRANT LOCK TABLES ON app.* TO app@'%'")
        app = application(alone)
        run(app, "LOCK TABLES app.rows_written WRITE")
    elif busy_with == "a slow statement":
        slow = "INSERT INTO app.rows_written SELECT 9, SLEEP(30), 1, 'x'"
        threading.Thread(target=run_to_its_end, args=(app, slow), daemon=True).start()
        time.sleep(0.3)
    target = Server(server)
    try:
        closed = close_for_writes(target)
        again = close_for_writes(target)
    finally:
        target.close()
    assert closed.was_open
    assert not again.was_open
    assert closed.everyone == alone.kind.modern
    assert closed.seconds < 4.0
    assert closed.ended >= 2
    for session in (idle, *([app] if busy_with != "a slow statement" else [])):
        with pytest.raises(pymysql.MySQLError):
            run(session, "REPLACE INTO app.rows_written VALUES (1, 2, 1, 'x')")
    with pytest.raises(pymysql.MySQLError, match=r"(?i)read.only"):
        run(application(alone), "REPLACE INTO app.rows_written VALUES (1, 3, 1, 'x')")
    if busy_with != "a slow statement":  # That one may have ended before, because it was killed.
        assert alone[1].sql("SELECT COUNT(*) AS n FROM app.rows_written")[0]["n"] == 0


def fenced(server: ServerConfig, *, persist: bool = False, ask: bool = False) -> Fenced:
    host = SshHost(server)
    try:
        return fence(host, server, persist=persist, ask=ask)
    finally:
        host.close()


@contextlib.contextmanager
def without(host: Host, *programs: str) -> Iterator[None]:
    """That host has none of these; root's shell is another one."""
    host.run("sed -i 's#:/bin/bash#:/bin/sh#' /etc/passwd")
    there = [host.run(f"readlink -f $(command -v {program})").strip() for program in programs]
    for path in there:
        host.run(f"mv {path} {path}.away")
    try:
        yield
    finally:
        for path in there:
            host.run(f"mv {path}.away {path}")


def seen_there(server: ServerConfig) -> dict[Observer, Finding]:
    host = SshHost(server)
    try:
        return {o.source: o.finding for o in look_at(host, server, ServerPaths.of(server, None), timeout=5.0).seen}
    finally:
        host.close()


def test_a_server_that_greets_is_not_killed_and_one_that_is_frozen_is(alone: Cluster, server: ServerConfig) -> None:
    pids = alone[1].mysqld_pids()
    result = fenced(server, persist=True, ask=True)
    assert result.greets
    assert not result.sure
    assert (result.killed, result.persisted, alone[1].mysqld_pids()) == ((), (), pids)
    alone[1].signal_mysqld(signal.SIGSTOP)
    result = fenced(server, ask=True)
    assert result.sure, result
    assert result.killed == tuple(pids)


def test_a_host_without_ss_shows_its_process_and_its_listener_and_is_fenced(
    alone: Cluster, server: ServerConfig
) -> None:
    with without(alone[1], "ss"):
        seen = seen_there(server)
        assert (seen[Observer.PROCESS], seen[Observer.PORT]) == (Finding.RUNNING, Finding.LISTENING)
        other = server.model_copy(update={"port": 3399})
        assert seen_there(other)[Observer.PROCESS] is Finding.GONE
        assert fenced(server, ask=True).greets
        assert fenced(server).sure
        assert seen_there(server)[Observer.PROCESS] is Finding.GONE


@pytest.mark.parametrize("program", ["awk", *(pytest.param(name, marks=pytest.mark.slow) for name in ("grep", "sed"))])
def test_a_host_without_a_tool_has_no_view_and_nothing_is_killed_there(
    alone: Cluster, server: ServerConfig, program: str
) -> None:
    pids = alone[1].mysqld_pids()
    with without(alone[1], program):
        assert seen_there(server) == {Observer.SSH: Finding.NO_VIEW}
        result = fenced(server)
    assert not result.sure
    assert f"this host has no {program}" in result.cannot
    assert alone[1].mysqld_pids() == pids


@pytest.mark.parametrize(
    "missing", ["bash", *(pytest.param(name, marks=pytest.mark.slow) for name in ("timeout", "head", "wc"))]
)
def test_a_host_without_tools_has_its_sshd_look_at_the_primary(
    alone: Cluster, server: ServerConfig, missing: str
) -> None:
    host = SshHost(server)
    try:
        with without(alone[1], missing):
            assert look_from(host, server).finding is Finding.ANSWERED
            assert look_from(host, server.model_copy(update={"port": 3399})).finding is Finding.SILENT
            alone[1].signal_mysqld(signal.SIGSTOP)
            assert look_from(host, server).finding is Finding.SILENT
            alone[1].signal_mysqld(signal.SIGCONT)
            elsewhere = server.model_copy(update={"ip": f"{alone.subnet.prefix}.77"})
            assert look_from(host, elsewhere).finding is Finding.SILENT
    finally:
        alone[1].signal_mysqld(signal.SIGCONT)
        host.close()


def test_a_container_is_told_not_to_start_it_again(alone: Cluster, server: ServerConfig) -> None:
    """The control group tells the container; whoever is called `docker` on that host is asked to change its policy."""
    host = alone[1]
    group = Path("/sys/fs/cgroup/pids/docker") / CONTAINER
    try:
        group.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    host.run("echo 'echo \"$*\" >>/docker.said' >/usr/local/bin/docker && chmod 755 /usr/local/bin/docker")
    outside = host.run("pgrep -x 'mysqld|mariadbd'").split()[0]
    (group / "cgroup.procs").write_text(_pid_outside(host._pid, outside))
    try:
        result = fenced(server)
        assert result.sure, result
        assert result.containers == (f"docker {CONTAINER[:12]}",)
        assert host.run("cat /docker.said").split() == ["update", "--restart=no", CONTAINER]
        assert host.mysqld_pids() == []

        host.start_mysqld()
        inside = host.run("pgrep -x 'mysqld|mariadbd'").split()[0]
        (group / "cgroup.procs").write_text(_pid_outside(host._pid, inside))
        host.run("rm /usr/local/bin/docker")
        result = fenced(server)
        assert not result.sure
        assert f"may start it again: docker container {CONTAINER[:12]}" in str(result)
    finally:
        ends = time.monotonic() + 5
        while (group / "cgroup.procs").read_text() and time.monotonic() < ends:
            time.sleep(0.05)
        group.rmdir()
        with contextlib.suppress(OSError):
            group.parent.rmdir()


def _pid_outside(init: int, inside: str) -> str:
    """The number that the machine has for a process of a host."""
    for path in Path("/proc").glob("[0-9]*/status"):
        try:
            text = path.read_text()
            same = path.parent.joinpath("ns/pid").readlink() == Path(f"/proc/{init}/ns/pid").readlink()
        except OSError:
            continue
        numbers = next((line.split()[1:] for line in text.splitlines() if line.startswith("NSpid:")), [])
        if same and numbers[-1] == inside:
            return path.parent.name
    raise AssertionError(f"no process {inside} of that host")


def test_it_starts_read_only_until_that_is_taken_back(alone: Cluster, server: ServerConfig) -> None:
    result = fenced(server, persist=True)
    assert result.persisted == ("/etc/mysql/conf.d/zz-mha-fenced.cnf",)
    alone[1].start_mysqld()
    target = Server(server)
    try:
        assert is_closed(target)
    finally:
        target.close()
    host = SshHost(server)
    try:
        assert unfence(host, server, result.persisted) == ("removed /etc/mysql/conf.d/zz-mha-fenced.cnf",)
        assert unfence(host, server, ("/etc/passwd",)) == ()
    finally:
        host.close()
    assert "zz-mha" not in alone[1].run("ls /etc/mysql/conf.d; ls /etc/passwd")


def test_an_option_file_of_a_local_user_leads_to_no_file_of_roots(alone: Cluster, server: ServerConfig) -> None:
    """He calls a process of his mysqld, as anybody may, and has it name a file, and that a directory, of his."""
    place = "/var/tmp/his"
    alone[1].run(
        f"rm -rf {place}; mkdir {place}; echo '!includedir {place}' >{place}/my.cnf; mkfifo {place}/pipe; "
        f"cp /bin/bash {place}/mysqld; ln -s /etc/precious {place}/.zz-mha-fenced.part; "
        f"chown -hR nobody {place}; echo precious >/etc/precious"
    )
    for name in ("my.cnf", "pipe"):
        words = f"{place}/mysqld -c 'while :; do sleep 600; done' --defaults-file={place}/{name}"
        alone[1].start(f"setpriv --reuid=nobody --clear-groups {words}")
    began = time.monotonic()
    result = fenced(server, persist=True)
    assert time.monotonic() - began < 20
    assert result.persisted == ("/etc/mysql/conf.d/zz-mha-fenced.cnf",)
    assert alone[1].run(f"cat /etc/precious; ls {place}").split() == ["precious", "my.cnf", "mysqld", "pipe"]
    assert len(alone[1].run("pgrep -u nobody -x mysqld").split()) == 2, "they are nobody's, and live on"
    alone[1].run("pkill -KILL -u nobody -x mysqld")


SYSTEMCTL = """\
#!/bin/sh
echo "$*" >>/systemctl.said
case $1 in
  list-units) echo "mariadb@other.service loaded failed failed another instance" ;;
  show) case $3/$5 in
    ActiveState/mariadb) echo active ;;
    ActiveState/mariadb@other) echo failed ;;
    ActiveState/*) echo inactive ;;
    MainPID/mariadb) pgrep -x 'mysqld|mariadbd' || echo 0 ;;
    MainPID/*) echo 0 ;;
    ExecStart/mariadb@other) echo "{ path=/usr/sbin/mariadbd ; argv[]=/usr/sbin/mariadbd --port=3307 ; pid=0 }" ;;
  esac ;;
  mask) [ ! -e /mask-fails ] ;;
esac
"""


def test_what_would_start_it_is_held_off_for_the_next_boots_too(alone: Cluster, server: ServerConfig) -> None:
    """Its unit is masked for good; one of the site's own, which cannot be, gets a condition. Both are lifted.

    Another instance's unit, which failed and may be started again, is none of ours.
    """
    host = alone[1]
    host.run("cat >/usr/local/bin/systemctl && chmod 755 /usr/local/bin/systemctl", data=SYSTEMCTL)
    host.run("mkdir -p /run/systemd/system")
    ssh = SshHost(server)
    drop_in = "/etc/systemd/system/mariadb.service.d/zz-mha-fenced.conf"
    try:
        result = fenced(server)
        assert result.masked == ("mariadb.service",)
        assert "masked mariadb.service, also for the next boots, until 'mha release'" in str(result)
        assert "mask mariadb.service\n" in host.run("cat /systemctl.said")
        assert unfence(ssh, server, result.masked) == ("unmasked mariadb.service",)
        assert "unmask mariadb.service\n" in host.run("cat /systemctl.said")

        host.run("touch /mask-fails")
        result = fenced(server)
        assert result.masked == (drop_in,)
        assert host.run(f"tail -2 {drop_in}") == "[Unit]\nConditionPathExists=!/\n"
        assert unfence(ssh, server, result.masked) == (f"removed {drop_in}",)
        assert host.run(f"ls {drop_in} 2>/dev/null || echo none") == "none\n"
    finally:
        ssh.close()
        host.run("rm -rf /usr/local/bin/systemctl /systemctl.said /mask-fails /run/systemd")


def test_other_shells_live_on(alone: Cluster, server: ServerConfig) -> None:
    """Only a shell that starts mysqld is a supervisor; one that only speaks of it is not, and none of another port."""
    host = alone[1]
    host.run("echo 'while :; do pgrep mysqld >/dev/null; sleep 0.2; done' >/usr/local/bin/watch-it")
    host.run("echo 'while :; do sleep 60 && mysqld --port=3399; done' >/usr/local/bin/other")
    host.start("sh /usr/local/bin/watch-it")
    host.start("sh /usr/local/bin/other")
    result = fenced(server)
    assert result.sure
    assert result.supervisors == ()
    assert len(host.run("pgrep -f 'local/bin/(watch-it|other)'").split()) == 2
    host.run("pkill -f 'local/bin/(watch-it|other)'")
