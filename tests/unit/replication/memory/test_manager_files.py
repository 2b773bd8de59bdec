"""The manager's files: exact contents, what survives garbage and crashes, and who counts as a running manager."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_mha.replication.errors import AlreadyActing
from prefect_mha.replication.local.processes import is_manager_command, orphans_of, process_alive
from prefect_mha.replication.memory.failover_flags import FailoverFlags
from prefect_mha.replication.memory.health_file import HealthFile, ManagerStatus, parse_health
from prefect_mha.replication.memory.manager_lock import ManagerLock
from prefect_mha.replication.memory.manager_view import judge, observe_manager
from prefect_mha.replication.memory.workdir import make_workdir

S = ManagerStatus


def gone_pid() -> int:
    """The number of a process that has ended and been collected."""
    with subprocess.Popen(["true"]) as process:
        process.wait()
        return process.pid


def test_health_file_has_mhas_bytes(tmp_path: Path) -> None:
    file = HealthFile(tmp_path / "made" / "for it", "app1")
    file.write(S.PING_OK, "db1")
    path = tmp_path / "made" / "for it" / "app1.master_status.health"
    assert path.read_bytes() == b"%d\t0:PING_OK\tmaster:db1" % os.getpid()
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    file.write(S.INITIALIZING_MONITOR)
    assert path.read_bytes() == b"%d\t10:INITIALIZING_MONITOR" % os.getpid()
    assert [p.name for p in path.parent.iterdir()] == [path.name], "no temporary file is left"


@given(
    pid=st.integers(1, 2**22),
    status=st.sampled_from(ManagerStatus),
    host=st.text(st.characters(categories=("L", "N"), include_characters=".-:"), max_size=40),
)
def test_every_written_health_is_read_back(pid: int, status: ManagerStatus, host: str) -> None:
    text = f"{pid}\t{status.label}" + (f"\tmaster:{host}" if host else "")
    health = parse_health(text, 5.0)
    assert health is not None
    assert (health.pid, health.status, health.primary, health.mtime) == (pid, status, host, 5.0)


def test_one_that_stands_by_names_who_watches(tmp_path: Path) -> None:
    file = HealthFile(tmp_path, "app1")
    file.write(S.STANDING_BY, "db1", active="10.0.0.9, pid 12")
    file.path.unlink()
    file.touch()
    assert file.path.read_bytes() == b"%d\t40:STANDING_BY\tmaster:db1\tactive:10.0.0.9, pid 12" % os.getpid()
    health = file.read()
    assert health is not None
    assert (health.status, health.primary, health.active) == (S.STANDING_BY, "db1", "10.0.0.9, pid 12")
    with ManagerLock(tmp_path, "app1"):
        assert observe_manager(tmp_path, "app1").active == "10.0.0.9, pid 12"
    file.write(S.STANDING_BY, active="10.0.0.9")
    assert file.path.read_bytes() == b"%d\t40:STANDING_BY\tactive:10.0.0.9" % os.getpid()
    health = file.read()
    assert health is not None
    assert (health.primary, health.active) == ("", "10.0.0.9")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "12",
        "12\t0:PING_OK\tmaster:db1\tactive:db9",
        "x\t0:PING_OK",
        "0\t0:PING_OK",
        "-4\t0:PING_OK",
        "12\t1:PING_OK",
        "12\t0:PING",
        "12\t0:PING_OK\tslave:x",
        "12\t0:PING_OK\tmaster:a\tb",
        "٣\t0:PING_OK",
        "9" * 400 + "\t0:PING_OK",
        "\0\0\0",
    ],
)
def test_garbage_is_not_health(text: str) -> None:
    assert parse_health(text, 0.0) is None


@given(st.text())
def test_no_text_makes_the_parser_raise(text: str) -> None:
    health = parse_health(text, 0.0)
    assert health is None or health.pid > 0


def test_readers_never_see_half_a_file(tmp_path: Path) -> None:
    file = HealthFile(tmp_path, "app1")
    file.write(S.PING_OK, "a")
    done = threading.Event()

    def rewrite() -> None:
        for number in range(300):
            file.write(S.PING_FAILING if number % 2 else S.PING_OK, "h" * (number % 60 + 1))
        done.set()

    writer = threading.Thread(target=rewrite)
    writer.start()
    readings = 0
    while not done.is_set():
        assert HealthFile(tmp_path, "app1").read() is not None
        readings += 1
    writer.join()
    assert readings > 0


def test_touch_moves_the_time_only_and_heals_a_removed_file(tmp_path: Path) -> None:
    file = HealthFile(tmp_path, "app1")
    file.touch()
    assert file.read() is None, "nothing was ever written: nothing to keep alive"
    file.write(S.PING_OK, "db1")
    os.utime(file.path, (1000, 1000))
    file.touch()
    health = file.read()
    assert health is not None
    assert time.time() - health.mtime < 5
    file.path.unlink()
    file.touch()
    health = file.read()
    assert health is not None
    assert (health.status, health.primary) == (S.PING_OK, "db1")


def test_remove_leaves_the_file_of_another_manager(tmp_path: Path) -> None:
    file = HealthFile(tmp_path, "app1")
    file.write(S.PING_OK, "db1")
    file.path.write_text("1\t0:PING_OK\tmaster:db1")
    file.remove()
    assert file.path.exists()
    file.write(S.PING_OK, "db1")
    file.remove()
    file.remove()
    assert not file.path.exists()


def test_flags_count_from_the_last_complete_failover(tmp_path: Path) -> None:
    flags = FailoverFlags(tmp_path / "new", "app1")
    assert flags.complete_age() is None
    assert not flags.has_error()
    flags.clear()
    flags.mark_complete()
    assert flags.complete == tmp_path / "new" / "app1.failover.complete"
    assert flags.complete.read_bytes() == b""
    os.utime(flags.complete, (time.time() - 600, time.time() - 600))
    age = flags.complete_age()
    assert age is not None
    assert 599 < age < 610


def test_marking_again_starts_the_clock_again(tmp_path: Path) -> None:
    flags = FailoverFlags(tmp_path, "app1")
    flags.mark_complete()
    os.utime(flags.complete, (1000, 1000))
    flags.mark_complete()
    age = flags.complete_age()
    assert age is not None
    assert age < 5


def test_a_clock_set_back_does_not_make_the_age_negative(tmp_path: Path) -> None:
    flags = FailoverFlags(tmp_path, "app1")
    flags.mark_complete()
    os.utime(flags.complete, (time.time() + 4000, time.time() + 4000))
    assert flags.complete_age() == 0.0


def test_error_blocks_until_cleared(tmp_path: Path) -> None:
    flags = FailoverFlags(tmp_path, "app1")
    flags.mark_error()
    assert flags.error == tmp_path / "app1.failover.error"
    assert FailoverFlags(tmp_path, "app1").has_error()
    assert not FailoverFlags(tmp_path, "app2").has_error()
    flags.mark_complete()
    flags.clear()
    assert list(tmp_path.iterdir()) == []


def test_marks_do_not_follow_a_planted_link(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    flags = FailoverFlags(tmp_path, "app1")
    flags.complete.symlink_to(victim)
    with pytest.raises(OSError, match=r"app1\.failover\.complete"):
        flags.mark_complete()
    assert not victim.exists()


def test_a_second_manager_is_told_who_has_the_lock(tmp_path: Path) -> None:
    with ManagerLock(tmp_path, "app1"):
        with pytest.raises(AlreadyActing, match=rf"of app1 \(pid {os.getpid()}\)"):
            ManagerLock(tmp_path, "app1").acquire()
        with ManagerLock(tmp_path, "app2"):
            pass
        assert ManagerLock(tmp_path, "app1").probe() == (True, os.getpid())
    assert ManagerLock(tmp_path, "app1").probe() == (False, os.getpid())
    with ManagerLock(tmp_path, "app1"):
        pass


def test_looking_at_a_free_lock_neither_makes_nor_takes_it(tmp_path: Path) -> None:
    lock = ManagerLock(tmp_path, "app1")
    assert lock.probe() == (False, 0)
    assert not lock.path.exists()
    lock.acquire()
    lock.release()
    lock.release()
    lock.probe()
    ManagerLock(tmp_path, "app1").acquire()


def test_a_killed_holder_frees_the_lock_while_a_hook_it_started_goes_on(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys, pathlib\n"
        "from prefect_mha.replication.memory.manager_lock import ManagerLock\n"
        "ManagerLock(pathlib.Path(sys.argv[1]), 'app1').acquire()\n"
        "print(subprocess.Popen(['sleep', '60']).pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        hook = int(holder.stdout.readline())
        try:
            assert ManagerLock(tmp_path, "app1").probe() == (True, holder.pid)
            holder.kill()
            holder.wait(10)
            assert process_alive(hook)
            assert ManagerLock(tmp_path, "app1").probe() == (False, holder.pid)
        finally:
            os.kill(hook, 9)


@pytest.mark.parametrize(
    ("written", "alive", "orphans", "age", "reported"),
    [
        (S.PING_OK, True, False, 0.1, S.PING_OK),
        (S.PING_OK, True, False, 10, S.PING_OK),
        (S.STANDING_BY, True, False, 10, S.STANDING_BY),
        (S.STANDING_BY, True, False, 10.5, S.TIMESTAMP_OLD),
        (S.STANDING_BY, False, False, 0.1, S.NOT_RUNNING),
        (S.PING_OK, True, False, 10.5, S.TIMESTAMP_OLD),
        (S.PING_OK, False, False, 0.1, S.NOT_RUNNING),
        (S.PING_OK, False, True, 0.1, S.PARTIALLY_RUNNING),
        (S.FAILOVER_RUNNING, False, False, 0.1, S.NOT_RUNNING),
        (S.FAILOVER_RUNNING, True, False, 300, S.FAILOVER_RUNNING),
        (S.FAILOVER_ERROR, True, False, 300, S.FAILOVER_ERROR),
        (S.INITIALIZING_MONITOR, True, False, 300, S.INITIALIZING_MONITOR),
        (S.CONFIG_ERROR, True, True, 300, S.CONFIG_ERROR),
    ],
)
def test_what_is_reported_for_what_is_written(
    written: ManagerStatus, alive: bool, orphans: bool, age: float, reported: ManagerStatus
) -> None:
    assert judge(written, alive, orphans, age, ping_limit=10) is reported


@pytest.mark.parametrize(
    ("command", "is_manager"),
    [
        ("perl /usr/bin/masterha_manager --conf=/etc/mha/app1.cnf", True),
        ("/usr/bin/perl -w /usr/local/bin/masterha_master_monitor --conf /etc/app1.cnf", True),
        ("/venv/bin/python /venv/bin/mha monitor --conf /etc/mha/app1.toml", True),
        ("python3 -m prefect_mha.commands.masterha_manager --ignore_last_failover --conf=app1.cnf", True),
        ("masterha_manager -conf=app1.cnf", True),
        ("mha monitor", True),
        ("perl /usr/bin/masterha_manager --conf=/etc/mha/app2.cnf", False),
        ("vim /etc/mha/app1.cnf --cmd x y masterha_manager", False),
        ("grep masterha_managers app1.cnf", False),
        ("sleep 60", False),
        ("", False),
    ],
)
def test_which_command_lines_are_managers_of_app1(command: str, is_manager: bool) -> None:
    assert is_manager_command(command.split(), "app1") is is_manager


def test_no_files_mean_not_running(tmp_path: Path) -> None:
    assert observe_manager(tmp_path, "app1").status is S.NOT_RUNNING
    assert observe_manager(tmp_path / "nowhere", "app1").status is S.NOT_RUNNING


def test_a_file_that_is_no_health_file_is_said_to_be_unexpected(tmp_path: Path) -> None:
    (tmp_path / "app1.master_status.health").write_bytes(b"\xff\xfe\0")
    assert observe_manager(tmp_path, "app1").status is S.UNEXPECTED_ERROR


def test_a_number_given_to_another_program_is_not_the_manager(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as other:
        try:
            (tmp_path / "app1.master_status.health").write_text(f"{other.pid}\t0:PING_OK\tmaster:db1")
            assert observe_manager(tmp_path, "app1").status is S.NOT_RUNNING
        finally:
            other.kill()


def test_a_free_lock_with_the_same_number_proves_the_manager_gone(tmp_path: Path) -> None:
    with subprocess.Popen(["bash", "-c", "exec -a masterha_manager sleep 60"]) as lookalike:
        try:
            (tmp_path / "app1.master_status.health").write_text(f"{lookalike.pid}\t0:PING_OK\tmaster:db1")
            (tmp_path / "app1.manager.lock").write_text(f"{lookalike.pid}\n")
            assert observe_manager(tmp_path, "app1").status is S.NOT_RUNNING
        finally:
            lookalike.kill()


def test_a_holder_of_the_lock_is_seen_whatever_its_program_is_called(tmp_path: Path) -> None:
    with ManagerLock(tmp_path, "app1"):
        assert observe_manager(tmp_path, "app1").status is S.INITIALIZING_MONITOR, "no health file yet"
        (tmp_path / "app1.master_status.health").write_text(f"{gone_pid()}\t51:FAILOVER_ERROR")
        view = observe_manager(tmp_path, "app1")
        assert (view.status, view.pid) == (S.INITIALIZING_MONITOR, os.getpid()), "the file is the last manager's"
        HealthFile(tmp_path, "app1").write(S.PING_OK, "db1")
        view = observe_manager(tmp_path, "app1")
        assert (view.status, view.pid, view.primary) == (S.PING_OK, os.getpid(), "db1")


def test_what_a_dead_manager_left_running_is_found(tmp_path: Path) -> None:
    with subprocess.Popen(
        ["bash", "-c", "sleep 60 & echo $!"], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as manager:
        assert manager.stdout is not None
        child = int(manager.stdout.readline())
        manager.wait(10)
        try:
            (tmp_path / "app1.master_status.health").write_text(f"{manager.pid}\t50:FAILOVER_RUNNING\tmaster:db1")
            view = observe_manager(tmp_path, "app1")
            assert (view.status, view.children) == (S.PARTIALLY_RUNNING, (child,))
        finally:
            os.kill(child, 9)


def test_a_file_from_before_the_last_boot_names_nobody_of_today(tmp_path: Path) -> None:
    path = tmp_path / "app1.master_status.health"
    with subprocess.Popen(["bash", "-c", "exec -a masterha_manager sleep 60"]) as lookalike:
        try:
            path.write_text(f"{lookalike.pid}\t0:PING_OK\tmaster:db1")
            os.utime(path, (1000, 1000))
            assert observe_manager(tmp_path, "app1").status is S.NOT_RUNNING
        finally:
            lookalike.kill()


def test_a_zombie_does_not_run() -> None:
    with subprocess.Popen(["true"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.read()
        poll = os.pidfd_open(process.pid)
        try:
            os.waitid(os.P_PIDFD, poll, os.WEXITED | os.WNOWAIT)
            assert not process_alive(process.pid)
        finally:
            os.close(poll)
    assert not process_alive(gone_pid())
    assert process_alive(os.getpid())
    assert orphans_of(os.getpid()) == ()


def test_a_workdir_that_is_none_names_the_parameter(tmp_path: Path) -> None:
    (tmp_path / "passwd").touch()
    make_workdir(tmp_path / "a" / "b")
    make_workdir(tmp_path / "a" / "b")
    with pytest.raises(OSError, match="manager_workdir cannot be used: it is no directory") as caught:
        make_workdir(tmp_path / "passwd")
    assert caught.value.filename == str(tmp_path / "passwd")
    with pytest.raises(OSError, match="manager_workdir cannot be used"):
        make_workdir(tmp_path / "passwd" / "below")
