"""The sample power scripts: 0 only when the board says off, no password on a command line, an end in every case."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from prefect_mha.config import ServerConfig
from prefect_mha.replication.local.site_scripts import shutdown_args
from tests.lab.board import PASSWORD, USER, ipmitool, redfish

EXAMPLES = Path(__file__).parents[3] / "config" / "examples"
DB1 = ServerConfig(
    block="s", hostname="db1", ip="10.0.0.1", ssh_host="db1s", ssh_ip="10.0.1.1", ssh_user="root", master_pid_file="/p"
)
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def power(tmp_path: Path) -> Run:
    def run(script: str, *options: str, command: str = "stopssh", path: str = "") -> subprocess.CompletedProcess[str]:
        words = [str(EXAMPLES / script), "--boards", str(tmp_path / "boards"), *options, *shutdown_args(command, DB1)]
        env = {**os.environ, "PATH": f"{path}:{os.environ['PATH']}"}
        return subprocess.run(words, env=env, capture_output=True, text=True, timeout=60, check=False)

    return run


@pytest.fixture
def ipmi(tmp_path: Path, power: Run) -> Iterator[tuple[Path, Run]]:
    (tmp_path / "pw").write_text(PASSWORD + "\n")
    (tmp_path / "boards").write_text(f"# host board\ndb10 x y z\ndb1 10.0.9.1 {USER} {tmp_path}/pw\n")
    there = ipmitool(tmp_path)
    yield there, lambda *a, **k: power("power_ipmi.sh", *a, path=str(there), **k)
    assert PASSWORD not in (there / "arguments").read_text()


def test_ipmi_powers_off_and_sees_it(ipmi) -> None:
    there, run = ipmi
    assert run(command="status").returncode == 0
    done = run()
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "db1 is off, says its board 10.0.9.1")
    assert (there / "power").read_text() == "off\n"
    assert "is off already" in run(command="stop").stdout


@pytest.mark.parametrize("mood", ["stubborn", "silent"])
def test_ipmi_is_no_success_while_the_board_does_not_say_off(ipmi, mood: str) -> None:
    there, run = ipmi
    (there / "mood").write_text(mood)
    began = time.monotonic()
    done = run("--wait", "2")
    assert done.returncode == 1
    assert "is not off after 2 seconds" in done.stderr
    assert time.monotonic() - began < 10
    assert run(command="status").returncode == (1 if mood == "silent" else 0)


def test_a_host_that_no_board_is_known_for(power: Run, tmp_path: Path) -> None:
    (tmp_path / "boards").write_text("db2 a b c\n")
    for script in ("power_ipmi.sh", "power_redfish.sh"):
        done = power(script)
        assert done.returncode == 1
        assert "has no line" in done.stderr


@pytest.fixture
def board(tmp_path: Path, power: Run):
    with redfish(tmp_path) as (made, address, certificate):
        (tmp_path / "netrc").write_text(f'machine 127.0.0.1 login {USER} password "{PASSWORD}"\n')
        (tmp_path / "boards").write_text(f"db1 {address} {tmp_path}/netrc\n")
        yield made, lambda *a, **k: power("power_redfish.sh", "--ca", str(certificate), *a, **k)


def test_redfish_powers_off_and_sees_it(board) -> None:
    made, run = board
    assert run(command="status").stdout == "the power of db1 is On\n"
    done = run()
    assert (done.returncode, done.stdout) == (0, "db1 is off, says its board\n"), done.stderr
    assert made.power == "Off"
    assert made.orders[0] == {"ResetType": "ForceOff"}
    assert "is off already" in run(command="stop").stdout


def test_redfish_asks_again_a_board_that_is_busy(board) -> None:
    made, run = board
    made.deaf = 1
    assert run().returncode == 0
    assert len(made.orders) >= 2


def test_redfish_is_no_success_while_the_board_does_not_say_off(board) -> None:
    made, run = board
    made.takes = None
    done = run("--wait", "2")
    assert done.returncode == 1
    assert "is not off after 2 seconds" in done.stderr


def test_redfish_with_a_wrong_password_or_an_unknown_certificate(board, power: Run, tmp_path: Path) -> None:
    made, run = board
    assert power("power_redfish.sh", "--wait", "1").returncode == 1
    (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login {USER} password wrong\n")
    done = run("--wait", "1")
    assert done.returncode == 1
    assert "401" in done.stderr
    assert made.orders == []


def test_redfish_shows_no_password_in_the_list_of_processes(board) -> None:
    made, run = board
    made.hangs = True
    seen: list[str] = []

    def look() -> None:
        ends = time.monotonic() + 5
        while not seen and time.monotonic() < ends:
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    text = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
                except OSError:
                    continue
                if "--netrc-file" in text:
                    seen.append(text)
        made.hangs = False

    looking = threading.Thread(target=look)
    looking.start()
    done = run()
    looking.join()
    assert done.returncode == 0
    assert seen
    assert not any(PASSWORD in text for text in seen)
