"""How a server's mysqld is, seen on its own host over the kept SSH session: one small script, tens of milliseconds."""

from __future__ import annotations

import posixpath
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ...config import ServerConfig
from ..detection.observation import Finding, Observation, Observer
from ..errors import DeadlineExceeded, HostError
from ..model.state import ServerState
from ..scripts import script
from ..ssh.host import SshHost
from ..ssh.rights import as_root

#: Supervisors that fencing holds off, or where there is none.
HELD = frozenset({"systemd", "mysqld_safe", "none"})


@dataclass(frozen=True)
class ServerPaths:
    """Where a server keeps what is looked at on its host: absolute paths, from what it said while it lived.

    By ``pid_file`` and ``datadir`` it is told from other servers there; either may be unknown, and empty. ``owned`` are
    directories whose owner runs the server: nobody else's process is it. ``server_id`` and ``server_uuid`` are who it
    said that it was; ``logs`` the path and the beginning of the names of its binary logs.
    """

    pid_file: str = ""
    directories: tuple[str, ...] = ()
    datadir: str = ""
    owned: tuple[str, ...] = ()
    server_id: int = 0
    server_uuid: str = ""
    logs: str = ""

    @classmethod
    def of(cls, server: ServerConfig, state: ServerState | None) -> ServerPaths:
        """What the server said, else what the configuration says."""
        if state is None:
            return cls(server.master_pid_file or "", owned=server.master_binlog_dir)
        pid_file = state.pid_file or server.master_pid_file or ""
        log = posixpath.dirname(state.log_bin_basename)
        directories = tuple(dict.fromkeys(d.rstrip("/") for d in (state.datadir, log) if d))
        datadir = state.datadir.rstrip("/") if state.datadir.startswith("/") else ""
        owned = tuple(dict.fromkeys((*directories, *server.master_binlog_dir)))
        pid_file = posixpath.join(state.datadir, pid_file) if pid_file else ""
        who = state.server_id, state.server_uuid or ""
        return cls(pid_file, directories, datadir, owned, *who, logs=state.log_bin_basename)

    @classmethod
    def parse(cls, facts: Mapping[str, Any], server: ServerConfig) -> ServerPaths:
        """What a journal kept of `facts`, and where it kept nothing, what the configuration says."""
        owned = tuple(dict.fromkeys((*facts.get("owned", ()), *server.master_binlog_dir)))
        pid_file = facts.get("pid_file") or server.master_pid_file or ""
        who = int(facts.get("server_id") or 0), str(facts.get("server_uuid") or "")
        return cls(pid_file, datadir=facts.get("datadir", ""), owned=owned, server_id=who[0], server_uuid=who[1])

    @property
    def who(self) -> tuple[int, str]:
        """Its server id and uuid; 0 and empty where it was never seen alive."""
        return self.server_id, self.server_uuid

    @property
    def facts(self) -> dict[str, Any]:
        """Plain data for a journal."""
        who = {"server_id": self.server_id, "server_uuid": self.server_uuid}
        return {"pid_file": self.pid_file, "datadir": self.datadir, "owned": self.owned, **who}


def asking(server: ServerConfig, places: ServerPaths, *more: str, helper: str) -> str:
    """The command for a script that comes through stdin and looks for one instance (instance.sh).

    ``helper`` are the words by which a plain SSH user has root's helper do the same (`ssh.rights`).
    """
    words = (str(server.port), places.pid_file, server.ip, places.datadir, ",".join(places.owned), *more)
    return as_root(server, helper, "sh -s -- " + " ".join(shlex.quote(word) for word in words))


@dataclass(frozen=True)
class HostView:
    """What one look found. ``supervisor`` is who would start mysqld again, empty when no process was seen.

    ``waits`` are threads in uninterruptible sleep: (thread, how often it was put to run), the same pair in two looks
    is a thread that stood still between them. ``pids`` are the processes of the instance.
    """

    seen: tuple[Observation, ...]
    supervisor: str = ""
    waits: frozenset[tuple[int, int]] = frozenset()
    pids: tuple[int, ...] = ()
    began: float = field(default_factory=time.monotonic, compare=False)

    @property
    def healthy(self) -> bool:
        """The process is there, listens, and is not held."""
        found = {o.finding for o in self.seen}
        return Finding.RUNNING in found and not found & {
            Finding.FULL,
            Finding.READ_ONLY,
            Finding.STALLED,
            Finding.NO_VIEW,
        }


def look_at(
    host: SshHost,
    server: ServerConfig,
    places: ServerPaths,
    *,
    timeout: float,
    before: HostView | None = None,
) -> HostView:
    """Look once, within ``timeout`` seconds. A host that cannot be asked is an observation, not an exception.

    ``before`` is an earlier look: a thread that waited then, and has not run since, shows a stalled disk.
    """
    began = time.monotonic()
    command = asking(server, places, *places.directories, helper="vitals")

    def saw(source: Observer, finding: Finding, detail: str = "") -> Observation:
        return Observation(source, host.name, finding, detail, took=time.monotonic() - began)

    try:
        answer = host.run(command, action="look at mysqld", timeout=timeout, stdin=script("vitals.sh").encode())
    except DeadlineExceeded as error:
        return HostView((saw(Observer.SSH, Finding.UNANSWERED, str(error)),))
    except HostError as error:
        return HostView((saw(Observer.SSH, Finding.NO_VIEW, str(error)),))
    return replace(_read(answer.stdout, saw, bool(places.pid_file), before), began=began)


def _read(
    output: str,
    saw: Callable[..., Observation],
    knows_pid_file: bool,
    before: HostView | None,
) -> HostView:
    told: dict[str, list[list[str]]] = {}
    for key, *rest in (line.split() for line in output.splitlines() if line.strip()):
        told.setdefault(key, []).append(rest)
    if "done" not in told:
        return HostView((saw(Observer.SSH, Finding.NO_VIEW, "the script on that host did not come to its end"),))
    seen = [saw(Observer.SSH, Finding.ANSWERED)]
    processes = told.get("process", [])
    listening = "listening" in told
    states = {state for _, state in processes}
    pids = ", ".join(pid for pid, _ in processes)
    if not processes and (doubts := told.get("doubt")):
        why = "; ".join(f"process {pid} may be another's: {' '.join(reason)}" for pid, *reason in doubts)
        seen.append(saw(Observer.PROCESS, Finding.NO_VIEW, why))
    elif not processes:
        seen.append(saw(Observer.PROCESS, Finding.GONE))
    elif states & {"T", "t"}:
        seen.append(saw(Observer.PROCESS, Finding.STOPPED, f"{pids} in state {'/'.join(sorted(states))}"))
    else:
        seen.append(saw(Observer.PROCESS, Finding.RUNNING if listening else Finding.STARTING, pids))
    port = Finding.LISTENING if listening else Finding.STRANGER if "stranger" in told else Finding.CLOSED
    seen.append(saw(Observer.PORT, port))
    if knows_pid_file:
        there = told.get("pidfile") == [["there"]]
        seen.append(saw(Observer.PID_FILE, Finding.THERE if there else Finding.ABSENT))
    waits = frozenset((int(thread), int(runs)) for thread, runs in told.get("waits", []))
    seen += _disks(told.get("disk", []), waits & before.waits if before is not None else frozenset(), saw)
    supervisors = [rest[0] for rest in told.get("supervisor", []) if rest]
    return HostView(tuple(seen), supervisors[0] if supervisors else "", waits, tuple(int(pid) for pid, _ in processes))


def _disks(
    disks: Sequence[Sequence[str]], still: frozenset[tuple[int, int]], saw: Callable[..., Observation]
) -> list[Observation]:
    words = {
        "full": Finding.FULL,
        "read-only": Finding.READ_ONLY,
        "silent": Finding.STALLED,
        "good": Finding.GOOD,
    }
    found = [saw(Observer.DISK, words[disk[-1]], " ".join(disk[:-1])) for disk in disks]
    if still:
        threads = ", ".join(str(thread) for thread, _ in sorted(still))
        found.append(saw(Observer.DISK, Finding.STALLED, f"threads {threads} wait for it and do not move"))
    return found
