"""masterha_check_status: each state's exact line and exit code, from real managers."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from prefect_mha.commands.masterha_check_status import main, status_lines
from prefect_mha.commands.shared import options
from prefect_mha.replication.memory.health_file import ManagerStatus
from prefect_mha.replication.memory.manager_view import ManagerView
from tests.unit.commands.conftest import ManagerMaker, run_command

LINES = [
    (0, "PING_OK", "app1 (pid:7) is running(0:PING_OK), master:db1"),
    (1, "UNEXPECTED_ERROR", "Unexpected error on app1."),
    (2, "NOT_RUNNING", "app1 is stopped(2:NOT_RUNNING)."),
    (
        3,
        "PARTIALLY_RUNNING",
        "Main process is not running, but child process is running on app1 (child pid: 8 9) "
        "(3:PARTIALLY_RUNNING). Check ps output for details and kill it.",
    ),
    (
        10,
        "INITIALIZING_MONITOR",
        "app1 monitoring program is now on initialization phase(10:INITIALIZING_MONITOR). "
        "Wait for a while and try checking again.",
    ),
    (20, "PING_FAILING", "app1 master maybe down(20:PING_FAILING). master:db1"),
    (21, "PING_FAILED", "app1 master maybe down(21:PING_FAILED). master:db1"),
    (
        22,
        "PRIMARY_READ_ONLY",
        "app1 is running, but its read-only primary takes no writes(22:PRIMARY_READ_ONLY). master:db1",
    ),
    (
        30,
        "RETRYING_MONITOR",
        "app1 monitoring waits for retrying to monitor master again(30:RETRYING_MONITOR). "
        "Wait for a while and try checking again.",
    ),
    (31, "CONFIG_ERROR", "app1 servers are not correctly configured(31:CONFIG_ERROR)."),
    (
        32,
        "TIMESTAMP_OLD",
        "app1 is running, but master_ping.health is too old(32:TIMESTAMP_OLD). Maybe process hangs? master:db1",
    ),
    (40, "STANDING_BY", "app1 (pid:7) is standing by(40:STANDING_BY), 10.0.0.9 watches. master:db1"),
    (50, "FAILOVER_RUNNING", "app1 master is down and failover is running(50:FAILOVER_RUNNING). master:db1"),
    (51, "FAILOVER_ERROR", "app1 master is down and failover was not successful(51:FAILOVER_ERROR). master:db1"),
    (
        52,
        "FAILOVER_UNFINISHED",
        "app1 is running, but a failover left something open(52:FAILOVER_UNFINISHED): see the log of the manager. "
        "master:db1",
    ),
]


def test_the_table_has_every_state() -> None:
    assert [(code, name) for code, name, _ in LINES] == [(int(s), s.name) for s in ManagerStatus]


@pytest.mark.parametrize(("code", "name", "line"), LINES)
def test_line_of_each_state(code: int, name: str, line: str) -> None:
    view = ManagerView("app1", ManagerStatus[name], 7, "db1", (8, 9), active="10.0.0.9")
    assert status_lines(view, None) == [line]
    details = ["Check /l for details."] if code in (20, 21, 22, 31, 50, 51) else []
    assert status_lines(view, Path("/l")) == [line, *details]


@pytest.mark.parametrize("status", ManagerStatus)
def test_a_primary_not_yet_known_leaves_no_ragged_end(status: ManagerStatus) -> None:
    (line,) = status_lines(ManagerView("app1", status, 7, "", (8,)), None)
    assert "master:" not in line
    assert line[-1] in ".)?"


@pytest.mark.parametrize("lock", [True, False], ids=["ours", "MHA's"])
@pytest.mark.parametrize("status", ["PING_OK", "INITIALIZING_MONITOR", "PING_FAILING", "FAILOVER_RUNNING"])
def test_a_running_manager_says_its_state(
    status: str, lock: bool, manager: ManagerMaker, conf: Callable[..., Path]
) -> None:
    process = manager(status=status, lock=lock)
    result = run_command("masterha_check_status", f"--conf={conf(manager_log='/var/log/app1.log')}")
    expected = ManagerView("app1", ManagerStatus[status], process.pid, "db1")
    assert result.out.splitlines() == status_lines(expected, Path("/var/log/app1.log"))
    assert result.code == ManagerStatus[status]
    assert result.err == ""


@pytest.mark.parametrize("lock", [True, False], ids=["ours", "MHA's"])
def test_a_killed_manager_is_stopped_whatever_its_file_says(lock: bool, manager: ManagerMaker, tmp_path: Path) -> None:
    process = manager(status="FAILOVER_RUNNING", lock=lock)
    process.kill()
    process.wait(10)
    assert (tmp_path / "app1.master_status.health").exists()
    result = run_command("masterha_check_status", "--app=app1", f"--status_dir={tmp_path}")
    assert (result.code, result.out) == (2, "app1 is stopped(2:NOT_RUNNING).\n")


def test_a_hanging_manager_is_told_by_the_age_of_its_file(manager: ManagerMaker, tmp_path: Path) -> None:
    process = manager()
    process.send_signal(signal.SIGSTOP)
    path = tmp_path / "app1.master_status.health"
    os.utime(path, (time.time() - 25, time.time() - 25))
    result = run_command("masterha_check_status", "--app=app1", f"--status_dir={tmp_path}")
    assert result.code == 32
    assert result.out.startswith(f"{path} behinds 2")
    assert result.out.endswith("too old(32:TIMESTAMP_OLD). Maybe process hangs? master:db1\n")
    patient = run_command("masterha_check_status", "--app=app1", f"--status_dir={tmp_path}", "--ping_limit=60")
    assert patient.code == 0


def test_a_ping_interval_of_20_seconds_is_not_a_hang(
    manager: ManagerMaker, conf: Callable[..., Path], tmp_path: Path
) -> None:
    manager()
    os.utime(tmp_path / "app1.master_status.health", (time.time() - 25, time.time() - 25))
    assert run_command("masterha_check_status", f"--conf={conf(ping_interval='20')}", "--ping_limit=10").code == 0


def test_secrets_that_only_the_manager_can_read_are_not_asked_for(
    manager: ManagerMaker, conf: Callable[..., Path]
) -> None:
    manager()
    path = conf(password="env:MHA_TEST_NEVER_SET", repl_password="file:/nowhere/secret")
    assert run_command("masterha_check_status", f"--conf={path}").code == 0


def test_children_of_a_dead_manager_are_listed(tmp_path: Path) -> None:
    with subprocess.Popen(
        ["bash", "-c", "sleep 60 & echo $!"], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as dead:
        assert dead.stdout is not None
        child = int(dead.stdout.readline())
        dead.wait(10)
        try:
            (tmp_path / "app1.master_status.health").write_text(f"{dead.pid}\t0:PING_OK\tmaster:db1")
            result = run_command("masterha_check_status", "--app=app1", f"--status_dir={tmp_path}")
            assert result.code == 3
            assert f"(child pid: {child}) (3:PARTIALLY_RUNNING)" in result.out
        finally:
            os.kill(child, 9)


def test_a_damaged_file_is_an_unexpected_error(tmp_path: Path) -> None:
    path = tmp_path / "app1.master_status.health"
    path.write_text("what is this")
    result = run_command("masterha_check_status", "--app=app1", f"--status_dir={tmp_path}")
    assert (result.code, result.out) == (1, f"{path} is not a status file of a manager.\nUnexpected error on app1.\n")


def test_all_is_1_when_one_is_not_well_and_shows_each(
    manager: ManagerMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(options, "SERVICE_DIRECTORY", tmp_path / "service")
    for app in ("app1", "app2"):
        (tmp_path / "service" / f"masterha_{app}").mkdir(parents=True)
        (tmp_path / app).symlink_to(tmp_path)
    process = manager("app2")
    assert main(["--all", f"--basedir={tmp_path}"]) == 1
    both = f"app1 is stopped(2:NOT_RUNNING).\napp2 (pid:{process.pid}) is running(0:PING_OK), master:db1\n"
    assert capsys.readouterr().out == both
    manager("app1")
    assert main(["--all", f"--basedir={tmp_path}"]) == 0


def test_all_goes_on_after_an_application_that_cannot_be_read(
    manager: ManagerMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(options, "SERVICE_DIRECTORY", tmp_path / "service")
    for app in ("app0", "app1"):
        (tmp_path / "service" / f"masterha_{app}").mkdir(parents=True)
    (tmp_path / "app1").symlink_to(tmp_path)
    manager("app1")
    assert main(["--all", f"--basedir={tmp_path}"]) == 1
    captured = capsys.readouterr()
    assert f"app0: directory {tmp_path}/app0 not found." in captured.err
    assert "is running(0:PING_OK)" in captured.out
