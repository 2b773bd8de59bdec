"""Users' scripts: the exact arguments of each call, and scripts that fail, hang, flood or tell secrets."""

from __future__ import annotations

import itertools
import logging
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_mha.config import ServerConfig, SshOptions
from prefect_mha.replication.errors import HookError
from prefect_mha.replication.local.site_scripts import (
    failover_args,
    password_environment,
    report_args,
    run_hook,
    shutdown_args,
    why_not_runnable,
)
from tests.unit.replication.build import block

NASTY = "\"'\\!=#&;` |*?$<>()[]{} "


def server(number: int, ssh_options: str = "", **changes: Any) -> ServerConfig:
    known = {"ssh_user": "mysql", "ssh_options": SshOptions(raw=ssh_options), "user": "mha", "password": "s p"}
    return block(number, **{**known, **changes})


OLD, NEW = server(1), server(2)
#: The same with everything about SSH that differs from the defaults.
ODD_OLD = server(1, "-i /k", ssh_host="ssh1", ssh_ip="10.1.0.1", ssh_port=2201)
ODD_NEW = server(2, "-i /k", ssh_host="ssh2", ssh_ip="10.1.0.2", ssh_port=2202)

ORIG = "--orig_master_host=db1 --orig_master_ip=10.0.0.1 --orig_master_port=3306"
FRESH = "--new_master_host=db2 --new_master_ip=10.0.0.2 --new_master_port=3306 --new_master_user=mha"
ORIG_SSH = "--orig_master_ssh_host=ssh1 --orig_master_ssh_ip=10.1.0.1 --orig_master_ssh_port=2201"
NEW_SSH = "--new_master_ssh_host=ssh2 --new_master_ssh_ip=10.1.0.2 --new_master_ssh_port=2202"


@pytest.mark.parametrize(
    ("command", "old", "new", "expected"),
    [
        ("status", OLD, None, f"--command=status --ssh_user=mysql {ORIG}"),
        ("stopssh", OLD, None, f"{ORIG} --command=stopssh --ssh_user=mysql"),
        ("stop", OLD, None, f"{ORIG} --command=stop"),
        ("start", OLD, NEW, f"--command=start --ssh_user=mysql {ORIG} {FRESH} --new_master_password=s p"),
        ("status", ODD_OLD, None, f"--command=status --ssh_user=mysql {ORIG} {ORIG_SSH} --ssh_options=-i /k"),
        ("stopssh", ODD_OLD, None, f"{ORIG} --command=stopssh --ssh_user=mysql {ORIG_SSH} --ssh_options=-i /k"),
        (
            "start",
            ODD_OLD,
            ODD_NEW,
            f"--command=start --ssh_user=mysql {ORIG} {FRESH} --new_master_password=s p {ORIG_SSH} {NEW_SSH}"
            " --ssh_options=-i /k",
        ),
    ],
)
def test_arguments_of_master_ip_failover_script(
    command: Any, old: ServerConfig, new: ServerConfig, expected: str
) -> None:
    assert " ".join(failover_args(command, old, new)) == expected


@pytest.mark.parametrize(
    ("command", "which", "expected"),
    [
        ("status", OLD, "--command=status --ssh_user=mysql --host=db1 --ip=10.0.0.1"),
        ("stopssh", OLD, "--command=stopssh --ssh_user=mysql --host=db1 --ip=10.0.0.1 --port=3306"),
        ("stop", OLD, "--command=stop --host=db1 --ip=10.0.0.1 --port=3306"),
        (
            "stop",
            server(1, master_pid_file="/run/mysqld.pid"),
            "--command=stop --host=db1 --ip=10.0.0.1 --port=3306 --pid_file=/run/mysqld.pid",
        ),
        (
            "stopssh",
            ODD_OLD,
            "--command=stopssh --ssh_user=mysql --host=db1 --ip=10.0.0.1 --port=3306"
            " --ssh_host=ssh1 --ssh_ip=10.1.0.1 --ssh_port=2201 --ssh_options=-i /k",
        ),
    ],
)
def test_arguments_of_shutdown_script(command: Any, which: ServerConfig, expected: str) -> None:
    assert " ".join(shutdown_args(command, which)) == expected


def test_arguments_of_report_script_name_the_new_primary_only_if_there_is_one() -> None:
    tail = ["--conf=/etc/mha/app 1.cnf", "--subject=it's done", "--body=line 1\nline 2"]
    fresh = ["--new_master_host=db2", "--new_slave_hosts=db3,db4"]
    given = (Path("/etc/mha/app 1.cnf"), "it's done", "line 1\nline 2")
    assert report_args(OLD, NEW, ["db3", "db4"], *given) == ["--orig_master_host=db1", *fresh, *tail]
    assert report_args(OLD, None, ["db3"], *given) == ["--orig_master_host=db1", *tail]


def test_password_can_travel_in_the_environment_instead_of_the_process_list() -> None:
    arguments = failover_args("start", OLD, NEW, pass_password=False)
    assert "--new_master_password=" in arguments and not any("s p" in argument for argument in arguments)
    assert password_environment(NEW) == {"MHA_NEW_MASTER_PASSWORD": "s p"}


def test_start_without_a_new_primary_is_a_programming_error() -> None:
    with pytest.raises(ValueError, match="new primary"):
        failover_args("start", OLD)


Script = Callable[..., str]


@pytest.fixture
def script(tmp_path: Path) -> Script:
    number = itertools.count()

    def script(body: str, first: str = "#!/bin/sh\n", mode: int = 0o755) -> str:
        path = tmp_path / f"hook{next(number)}"
        path.write_text(first + body)
        path.chmod(mode)
        return str(path)

    return script


def run(line: str, *args: str, timeout: float = 10, **more: Any) -> Any:
    return run_hook(line, args, command="start", timeout=timeout, **more)


def test_arguments_arrive_exactly_as_they_are(script: Script) -> None:
    given = [f"--new_master_password={NASTY}", "--body=line 1\nline 2\n", "", "--x=\té€", "-", "$(touch /nowhere)"]
    arguments = "".join(f"<{a}>" for a in ["--own=a b", *given])
    show = script('for a in "$@"; do printf \'<%s>\' "$a"; done')
    done = run(f"{show} --own='a b'", *given)
    assert "\n".join(done.output) == arguments


@settings(max_examples=25, deadline=None)
@given(st.text(alphabet=st.characters(exclude_characters="\0\r\n", exclude_categories=["Cs"]), min_size=1, max_size=40))
def test_any_password_arrives_and_none_is_logged(password: str) -> None:
    done = run_hook("printf %s%s --p=", [password], command="start", timeout=10)
    assert "".join(done.output) == f"--p={password}"
    hidden = run_hook("printf '[%s]\n'", [password], command="start", timeout=10, secrets=[password])
    assert hidden.output == ("[xxx]",) or password in "[xxx]"


@pytest.mark.parametrize(
    ("code", "ok", "go_on"), [(0, True, False), (10, False, True), (1, False, False), (255, False, False)]
)
def test_exit_codes_are_the_callers_to_judge(script: Script, code: int, ok: bool, go_on: bool) -> None:
    done = run(script(f"echo said; exit {code}"))
    assert (done.exit_code, done.ok, done.go_on, done.output) == (code, ok, go_on, ("said",))


def test_script_killed_by_a_signal_counts_as_in_a_shell(script: Script) -> None:
    assert run(script("kill -9 $$")).exit_code == 137


def test_both_outputs_reach_the_log_line_by_line_without_secrets(
    script: Script, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "it's $ecret"
    with caplog.at_level(logging.INFO, "mha.hooks"):
        done = run(
            script('set -x; echo "password=$1"; printf "no line end"', "#!/bin/bash\n"), secret, secrets=[secret, ""]
        )
    assert [record.getMessage() for record in caplog.records] == list(done.output)
    text = "\n".join(done.output)
    assert "password=xxx" in text and done.output[-1] == "no line end"
    assert "ecret" not in text, "set -x prints it quoted"


@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash"])
@pytest.mark.parametrize("how", ['set -x; : "$1"', 'set -x; : "--p=$1"', 'set -x; : --p="$1" x'])
@pytest.mark.parametrize("secret", ["plain", NASTY + "tail", "it's", "a'b'c d", "back\\slash$"])
def test_secrets_are_recognised_as_shells_trace_them(script: Script, shell: str, how: str, secret: str) -> None:
    done = run(script(how, f"#!{shell}\n"), secret, secrets=[secret])
    assert len(done.output) == 1
    traced = done.output[0].removeprefix("+ :").replace("--p=", "").strip(" x'\"")
    assert traced == "", "all but the veil is quotes"


def test_hanging_script_is_stopped_with_all_its_children(script: Script, tmp_path: Path) -> None:
    line = script(f"sleep 60 & echo $! > {tmp_path}/child; echo $$ > {tmp_path}/self; wait")
    began = time.monotonic()
    with pytest.raises(HookError, match=r"--command=start: still running after 0.3 s, stopped") as error:
        run(line, timeout=0.3)
    assert error.value.exit_code is None
    assert time.monotonic() - began < 2
    for name in ("self", "child"):
        pid = int((tmp_path / name).read_text())
        with pytest.raises(ProcessLookupError):
            _wait_gone(pid)


def _wait_gone(pid: int) -> None:
    end = time.monotonic() + 5
    while time.monotonic() < end and not _is_zombie(pid):
        os.kill(pid, 0)
        time.sleep(0.01)
    raise ProcessLookupError


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_script_that_ignores_sigterm_is_killed(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prefect_mha.replication.local.site_scripts.GRACE", 0.2)
    began = time.monotonic()
    with pytest.raises(HookError, match="stopped"):
        run(script("trap '' TERM; while :; do sleep 0.05; done"), timeout=0.2)
    assert time.monotonic() - began < 2


def test_child_in_the_background_is_neither_waited_for_nor_stopped(script: Script, tmp_path: Path) -> None:
    go, late = tmp_path / "go", tmp_path / "late"
    done = run(script(f"(until [ -e {go} ]; do sleep 0.05; done; echo late > {late}) & echo early"))
    assert done.output == ("early",) and not late.exists()
    go.touch()
    ends = time.monotonic() + 10
    while not late.exists():
        assert time.monotonic() < ends, "the child was stopped"
        time.sleep(0.02)


def test_flood_of_output_is_read_but_neither_kept_nor_logged_whole(
    script: Script, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "mha.hooks"):
        done = run(script("head -c 10000000 /dev/zero | tr '\\0' 'x' | fold -w 100; echo; echo last"))
    assert done.output[-1] == "last"
    assert sum(map(len, done.output)) < 200_000
    assert len(caplog.records) <= 1001


def test_endless_line_is_cut_and_the_next_one_is_whole(script: Script) -> None:
    done = run(script("head -c 10000000 /dev/zero | tr '\\0' 'x'; echo; echo next"))
    assert [len(line) for line in done.output] == [4001, 4]


def test_nothing_is_read_from_our_input_and_the_environment_is_added(script: Script) -> None:
    done = run(script('cat; echo "$EXTRA $HOME"'), env={"EXTRA": "there"})
    assert done.output == (f"there {os.environ['HOME']}",)


@pytest.mark.parametrize(
    ("first", "mode", "words"),
    [
        ("#!/bin/sh\r\n", 0o755, "Windows line ends"),
        ("#!/no/such/interpreter -x\n", 0o755, "wants the interpreter /no/such/interpreter"),
        ("#!/bin/sh\n", 0o644, r"is not executable \(chmod \+x"),
        ("#!/bin/sh\nno-such-program\nexit 127\n", 0o755, "a program that it calls was not found"),
    ],
)
def test_script_that_cannot_run_says_why(script: Script, first: str, mode: int, words: str) -> None:
    line = script("echo fine\n", first, mode)
    with pytest.raises(HookError, match=words) as error:
        run(line)
    assert error.value.exit_code in (126, 127)


def test_missing_script_says_so_without_the_secret_in_its_options() -> None:
    with pytest.raises(HookError, match="/no/such/hook does not exist") as error:
        run("/no/such/hook --password=hush", secrets=["hush"])
    assert "hush" not in str(error.value)
    with pytest.raises(HookError, match="was not found in PATH"):
        run("no-such-hook")
    assert run("'unbalanced").exit_code == 2, "the shell's own words are in the output"


def test_arguments_too_long_for_the_system_are_an_error_not_a_crash(script: Script) -> None:
    with pytest.raises(HookError, match="its arguments are too long"):
        run(script("exit 0"), "--body=" + "x" * 3_000_000)


def test_signals_from_our_terminal_do_not_reach_the_script(script: Script) -> None:
    done = run(script(f"exec {sys.executable} -c 'import os; print(os.getsid(0), os.getpgid(0))'"))
    session, group = done.output[0].split()
    assert session == group != str(os.getsid(0))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("/bin/true --x", ""),
        ("true", ""),
        ("ls -l", ""),
        ("VIP=10.0.0.9 /nowhere/script", ""),
        ("cd /etc && ./script", ""),
        ("$HOME/script", ""),
        ("/nowhere/script --x", "/nowhere/script does not exist"),
        ("no-such-program", "no-such-program was not found in PATH; configure it with its full path"),
        ("'/bin/true", "the shell does not understand the configured line"),
        ("", "the shell does not understand the configured line"),
    ],
)
def test_what_shows_of_a_line_without_starting_it(line: str, says: str) -> None:
    assert why_not_runnable(line) == says


@pytest.mark.parametrize(
    ("text", "mode", "says"),
    [
        ("#!/bin/sh\n", 0o755, ""),
        ("#!/bin/sh\n", 0o644, "is not executable (chmod +x"),
        ("#!/bin/sh\r\n", 0o755, "Windows line ends"),
        ("#!/usr/bin/perl5.8\n", 0o755, "wants the interpreter /usr/bin/perl5.8, which does not exist"),
    ],
)
def test_what_shows_of_a_script_without_starting_it(text: str, mode: int, says: str, tmp_path: Path) -> None:
    script = tmp_path / "hook"
    script.write_bytes(text.encode())
    script.chmod(mode)
    found = why_not_runnable(f"{script} --option")
    assert says in found
    assert bool(found) == bool(says)


def test_our_own_commands_are_found_behind_what_stands_in_a_short_path(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "masterha_manager").write_text("#!/bin/sh\necho ours\n")
    (tmp_path / "masterha_manager").chmod(0o755)
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "masterha_manager")])
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert why_not_runnable("masterha_manager --status") == ""
    assert run(script("masterha_manager; echo $PATH")).output[0] == "ours"
    assert run(script("echo $PATH")).output[0].startswith("/usr/bin:/bin:")
    assert run(script("echo $PATH"), alone=True, env={"PATH": "/opt/bin"}).output[0].startswith("/opt/bin:")
