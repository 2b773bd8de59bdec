"""Processes of this host, by their numbers: whether they run, what one of them left, which are managers."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path, PurePath

_MANAGER_PROGRAMS = frozenset({"masterha_manager", "masterha_master_monitor", "mha"})


def is_manager_command(arguments: Sequence[str], app: str) -> bool:
    """Whether a command line is that of a manager of this application, MHA's included.

    A command line that names another configuration file belongs to another application's manager.
    """
    programs = {PurePath(argument).name for argument in arguments[:4]}
    modules = {
        argument.removeprefix("prefect_mha.commands.")
        for argument in arguments[:4]
        if argument.startswith("prefect_mha.commands.")
    }
    if not _MANAGER_PROGRAMS & (programs | modules):
        return False
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
        name, given, value = argument.partition("=")
        if name.lstrip("-") == "conf" and name.startswith("-"):
            return PurePath(value if given else following).stem == app
    return True


def process_alive(pid: int) -> bool:
    """Whether a process of this number runs; a zombie, which only waits to be collected, does not."""
    stat = _stat_fields(pid)
    if stat is not None:
        return stat[0] not in ("Z", "X")
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass  # it runs, as another user, and /proc is mounted with hidepid
    return True


def alive_since(pid: int, at: float) -> bool:
    """Whether the process that had this number at a moment (epoch seconds) still runs, and not one that has it by now.

    A container that is started again gives the same numbers again.
    """
    if pid <= 0 or not process_alive(pid) or at < first_process_started():
        return False
    stat = _stat_fields(pid)
    return stat is None or at >= _started(stat)


def orphans_of(pid: int) -> tuple[int, ...]:
    """The running children, process group and session of a process that is gone itself; () while its number is used.

    The kernel does not give a number to a new process while a group or session of that number exists.
    """
    if process_alive(pid):
        return ()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        stat = _stat_fields(int(entry.name))
        if stat is not None and stat[0] not in ("Z", "X") and str(pid) in stat[1:4]:
            found.append(int(entry.name))
    return tuple(sorted(found))


def is_manager(pid: int, app: str) -> bool:
    """Whether that process runs and, as far as can be seen, is a manager of this application."""
    if not process_alive(pid):
        return False
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return True  # hidden from this user (hidepid): all that can be known is that it runs
    return is_manager_command([os.fsdecode(a) for a in arguments if a], app)


def _stat_fields(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the state on: state, ppid, pgrp, session, … (proc(5))."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    return text.rpartition(")")[2].split()


def first_process_started() -> float:
    """When this host (or container) was started, in epoch seconds; process numbers of before mean nothing now."""
    stat = _stat_fields(1)
    if stat is None:
        return 0.0
    return _started(stat)


def _started(stat: Sequence[str]) -> float:
    """In epoch seconds, a second early at most: it is counted in ticks since the boot."""
    ticks = os.sysconf("SC_CLK_TCK")
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + int(stat[19]) / ticks - 1
