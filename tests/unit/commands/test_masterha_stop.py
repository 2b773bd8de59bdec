"""masterha_stop: lines and exit codes, and what really happened to the processes."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from prefect_mha.replication.local.processes import process_alive
from prefect_mha.replication.local.stop_request import StopRequest
from prefect_mha.replication.memory.health_file import HealthFile, ManagerStatus
from prefect_mha.replication.memory.manager_lock import ManagerLock
from tests.unit.commands.conftest import ManagerMaker, ended_by, run_command


@pytest.mark.parametrize("lock", [True, False], ids=["ours", "MHA's"])
@pytest.mark.parametrize("own_group", [True, False], ids=["leader", "in our group"])
def test_a_watching_manager_ends_by_sigterm(
    lock: bool, own_group: bool, manager: ManagerMaker, conf: Callable[..., Path], tmp_path: Path
) -> None:
    process = manager(lock=lock, own_group=own_group)
    result = run_command("masterha_stop", f"--conf={conf()}")
    assert (result.code, result.out, result.err) == (0, "Stopped app1 successfully.\n", "")
    assert ended_by(process) is None
    assert not (tmp_path / "app1.master_status.health").exists()
    again = run_command("masterha_stop", f"--conf={conf()}")
    assert (again.code, again.out) == (0, "MHA Manager is not running on app1(2:NOT_RUNNING).\n")


def test_a_running_failover_is_left_alone(manager: ManagerMaker, tmp_path: Path) -> None:
    process = manager(status="FAILOVER_RUNNING")
    result = run_command("masterha_stop", "--app=app1", f"--status_dir={tmp_path}")
    assert (result.code, result.out) == (1, "Currently Failover is running on app1. Should not stop.\n")
    assert process.poll() is None


def test_abort_ends_a_running_failover(manager: ManagerMaker, tmp_path: Path) -> None:
    process = manager(status="FAILOVER_RUNNING")
    result = run_command("masterha_stop", "--app=app1", f"--status_dir={tmp_path}", "--abort")
    assert (result.code, result.out) == (0, "Stopped app1 successfully.\n")
    assert ended_by(process) is None


def test_a_manager_that_does_not_listen_is_not_killed_without_abort(manager: ManagerMaker, tmp_path: Path) -> None:
    process = manager(on_term="ignore")
    began = time.monotonic()
    result = run_command("masterha_stop", "--app=app1", f"--status_dir={tmp_path}", "--abort_timeout=1")
    assert time.monotonic() - began < 10
    assert result.code == 1
    assert result.out == f"Manager process {process.pid} didn't stop in 1 seconds.\nFailed to stop app1.\n"
    assert process.poll() is None


def test_a_frozen_manager_is_killed_with_abort(manager: ManagerMaker, tmp_path: Path) -> None:
    process = manager()
    process.send_signal(signal.SIGSTOP)
    result = run_command("masterha_stop", "--app=app1", f"--status_dir={tmp_path}", "--abort", "--abort_timeout=1")
    assert result.code == 0
    assert result.out == f"Manager process {process.pid} didn't stop in 1 seconds.\nForced stopped app1.\n"
    assert ended_by(process) is signal.SIGKILL
    assert run_command("masterha_check_status", "--app=app1", f"--status_dir={tmp_path}").code == 2


def test_a_stranger_with_the_managers_number_is_never_signalled(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as stranger:
        try:
            (tmp_path / "app1.master_status.health").write_text(f"{stranger.pid}\t0:PING_OK\tmaster:db1")
            result = run_command("masterha_stop", "--app=app1", f"--status_dir={tmp_path}", "--abort")
            assert (result.code, result.out) == (0, "MHA Manager is not running on app1(2:NOT_RUNNING).\n")
            assert stranger.poll() is None
        finally:
            stranger.kill()


def test_the_manager_of_another_application_goes_on(manager: ManagerMaker, tmp_path: Path) -> None:
    first, second = manager("app1"), manager("app2")
    assert run_command("masterha_stop", "--app=app1", f"--status_dir={tmp_path}").code == 0
    assert ended_by(first) is None
    assert second.poll() is None


def test_children_of_a_dead_manager_are_shown_and_left_to_the_operator(tmp_path: Path) -> None:
    with subprocess.Popen(
        ["bash", "-c", "sleep 60 & echo $!"], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as dead:
        assert dead.stdout is not None
        child = int(dead.stdout.readline())
        dead.wait(10)
        try:
            (tmp_path / "app1.master_status.health").write_text(f"{dead.pid}\t0:PING_OK\tmaster:db1")
            result = run_command("masterha_stop", "--app=app1", f"--status_dir={tmp_path}")
            assert (result.code, result.out) == (1, "Failed to stop app1.\n")
            assert f"child pid: {child}" in result.err
            assert process_alive(child)
        finally:
            os.kill(child, 9)


def test_a_manager_that_only_starts_can_be_stopped(manager: ManagerMaker, tmp_path: Path) -> None:
    process = manager(status="none")
    result = run_command("masterha_stop", "--app=app1", f"--status_dir={tmp_path}")
    assert (result.code, result.out) == (0, "Stopped app1 successfully.\n")
    assert ended_by(process) is None


@pytest.mark.parametrize("listens", [True, False])
def test_one_watch_of_a_process_that_has_several_is_ended_and_nothing_is_killed(listens: bool, tmp_path: Path) -> None:
    """This process is the one that watches: it survives what it is asked, also with --abort."""
    HealthFile(tmp_path, "app1").write(ManagerStatus.PING_OK, "db1")
    request = StopRequest(tmp_path, "app1")
    with ThreadPoolExecutor(1) as beside, ManagerLock(tmp_path, "app1", shared=True) as lock:
        assert lock.probe() == (True, os.getpid())

        def watch() -> None:
            ends = time.monotonic() + 30
            while not request.asked() and time.monotonic() < ends:
                time.sleep(0.02)
            lock.release()

        watching = beside.submit(watch) if listens else None
        options = [f"--status_dir={tmp_path}", "--abort", "--abort_timeout=1"]
        result = run_command("masterha_stop", "--app=app1", *options)
        if watching is not None:
            watching.result()
    assert request.asked()
    if listens:
        expected = f"Stopped app1 successfully. Process {os.getpid()} is left to its other clusters.\n"
        assert (result.code, result.out) == (0, expected)
    else:
        assert result.code == 1
        assert "is not killed for this one" in result.out


def test_a_lock_file_of_a_process_that_had_several_says_nothing_of_the_next_manager(tmp_path: Path) -> None:
    with ManagerLock(tmp_path, "app1", shared=True) as shared:
        assert shared.held_by_several()
    assert not ManagerLock(tmp_path, "app1").held_by_several()
    with ManagerLock(tmp_path, "app1") as alone:
        assert not alone.held_by_several()
        assert alone.probe() == (True, os.getpid())
