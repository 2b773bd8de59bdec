"""What a drill does to a process: to the instance's alone, and what is frozen is woken by what was started before."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from prefect_mha.replication.scripts import script

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a process namespace of its own")

#: Two servers, of which one has the port; STATE tells whether a process is stopped, runs, or is gone.
_SCENE = """
state() {{ sed 's/.*) \\(.\\).*/\\1/' /proc/$1/stat 2>/dev/null; }}
sleeper='import time; time.sleep(60)'
{mysqld} -c "$sleeper" --port=3399 & ours=$!
{mysqld} -c "$sleeper" --port=3400 & other=$!
until [ "$(cat /proc/$ours/comm)$(cat /proc/$other/comm)" = mysqldmysqld ]; do sleep 0.01; done
until_() {{ until [ "$(state $1)" = $2 ]; do sleep 0.01; done; echo $2; }}
until_ $ours S >/dev/null; until_ $other S >/dev/null
hurt() {{ sh -s -- 3399 /nonexistent "" "" "" "$@" <{script}; }}
{body}
"""


def told(directory: Path, body: str) -> list[str]:
    mysqld, text = directory / "mysqld", directory / "inject_fault.sh"
    mysqld.symlink_to(os.path.realpath(sys.executable))
    text.write_text(script("inject_fault.sh"))
    words = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c"]
    scene = _SCENE.format(mysqld=mysqld, script=text, body=body)
    return subprocess.run([*words, scene], capture_output=True, text=True, check=True, timeout=60).stdout.split("\n")


def test_only_the_instances_own_is_killed(tmp_path: Path) -> None:
    body = 'hurt kill 0; wait $ours 2>/dev/null; echo "ours $(state $ours)"; echo "other $(state $other)"; hurt kill 0'
    lines = told(tmp_path, body)
    assert lines[0].startswith("killed ")
    assert lines[1:4] == ["done", "ours ", "other S"]
    assert lines[4] == "cannot it is not one mysqld of the instance that runs there, but: none"


def test_what_is_frozen_wakes_by_itself(tmp_path: Path) -> None:
    body = "hurt freeze 4; until_ $ours T; until_ $ours S; state $other"
    lines = told(tmp_path, body)
    assert lines[0].startswith("stopped ")
    assert lines[1:5] == ["done", "T", "S", "S"]


def test_what_is_frozen_can_be_woken_before(tmp_path: Path) -> None:
    lines = told(tmp_path, "hurt freeze 50 >/dev/null; until_ $ours T; hurt wake 0; until_ $ours S; hurt wake 0")
    assert lines[0] == "T"
    assert lines[1].startswith("woken ")
    assert lines[2:5] == ["done", "S", "done"]


def test_where_it_comes_from_has_to_be_known(tmp_path: Path) -> None:
    assert told(tmp_path, "unset SSH_CONNECTION; hurt ssh-loss 1")[0].startswith("cannot sshd does not tell")


def test_nobody_else_behind_the_same_address_loses_ssh(tmp_path: Path) -> None:
    said = told(tmp_path, "export SSH_CONNECTION='192.0.2.9 5000 192.0.2.1 22'; hurt ssh-loss 1 10.0.0.7")[0]
    assert said.startswith("cannot this session comes from 192.0.2.9, and the drill from 10.0.0.7")
