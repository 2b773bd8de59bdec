"""Make sure that the mysqld that was declared dead does not serve again, through SSH on its own host.

One small shell script does it, because every round trip counts and because it must work on any Linux with nothing
installed: it stops what would start mysqld again (systemd, mysqld_safe, a container's restart policy, a shell's loop),
kills a mysqld that hangs, and tells what it found, line by line, as ``key value``.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass

from ...config import ServerConfig
from ..errors import DeadlineExceeded, HostError
from ..probes.host import ServerPaths, asking
from ..scripts import script
from ..ssh.host import SshHost
from ..ssh.rights import as_root, without_rights


@dataclass(frozen=True)
class Fenced:
    """What was done on the dead primary's host. ``sure``: no mysqld of the instance runs there, and nothing starts one.

    ``killed`` and ``supervisors`` are process ids, ``masked`` systemd units that are unmasked later (`unfence`, or
    ``systemctl unmask UNIT``), or the file with a condition that keeps one from starting; a boot of the host lifts
    neither, save of those in ``brief``. ``containers`` are those whose restart policy was set to no, ``persisted``
    option files that keep the server read-only when it is started, ``dying`` killed processes that hang in the kernel,
    on a disk that does not answer: they run no more, and are gone when it does. ``doubts`` are servers that may be
    another's and were left alone, with the reason. ``cannot`` says in words why nothing
    could be proven; ``still_there`` that a mysqld was seen which does not go away; ``greets`` that it still greets
    whoever connects to it there, so that nothing was done.
    """

    sure: bool
    killed: tuple[int, ...] = ()
    supervisors: tuple[int, ...] = ()
    masked: tuple[str, ...] = ()
    brief: tuple[str, ...] = ()
    dying: tuple[int, ...] = ()
    containers: tuple[str, ...] = ()
    persisted: tuple[str, ...] = ()
    not_persisted: str = ""
    cannot: str = ""
    still_there: bool = False
    seconds: float = 0.0
    greets: bool = False
    stranger: bool = False
    parted: bool = False
    doubts: tuple[str, ...] = ()

    def __str__(self) -> str:
        if not self.sure:
            return f"not fenced: {self.cannot}"
        told = [f"killed mysqld {', '.join(map(str, self.killed))}"] if self.killed else ["no mysqld runs there"]
        if self.stranger:
            sessions = ", but for its sessions, which were closed" if self.parted else ""
            told.append(f"a process of somebody else listens on its port, and was left alone{sessions}")
        if self.dying:
            told.append(f"{', '.join(map(str, self.dying))} ends when its disk answers")
        if self.supervisors:
            told.append(f"stopped its supervisor {', '.join(map(str, self.supervisors))}")
        if self.masked:
            told.append(f"masked {', '.join(self.masked)}, also for the next boots, until 'mha release'")
        if self.brief:
            told.append(f"but {', '.join(self.brief)} only until the next boot")
        if self.containers:
            told.append(f"set restart=no for {', '.join(self.containers)}")
        if self.persisted:
            told.append(f"wrote {', '.join(self.persisted)}, so that it starts read-only")
        if self.not_persisted:
            told.append(f"could not make it start read-only: {self.not_persisted}")
        return ", ".join(told)


def fence(
    host: SshHost,
    server: ServerConfig,
    places: ServerPaths | None = None,
    *,
    timeout: float = 15.0,
    persist: bool = False,
    ask: bool = False,
) -> Fenced:
    """Fence one instance; safe to repeat. An unreachable host is an answer (``sure`` is False), not an exception.

    ``places`` are what it said of itself while it lived: by them it is told from other servers of its host. One that
    may be another's is not touched, and nothing is sure then.

    With ``persist`` an option file makes the server read-only whenever it is started, until `unfence`. With ``ask`` a
    server that still greets is not killed: who was found dead by its silence is not. Who else listens
    on its port, by the owner of its directories, is not it, and is left alone (``stranger``); its sessions there are
    closed, for a replica that logs in to it cannot be stopped (``parted``: it had some).
    """
    return _run(host, server, places, str(int(persist)), timeout, ask=ask)


def _run(
    host: SshHost, server: ServerConfig, places: ServerPaths | None, persist: str, timeout: float, *, ask: bool = False
) -> Fenced:
    began = time.monotonic()
    words = (persist, str(int(ask)))
    command = asking(server, places or ServerPaths.of(server, None), *words, helper=f"fence {' '.join(words)}")
    try:
        result = host.run(
            command,
            action="make sure that mysqld does not serve again",
            timeout=timeout,
            stdin=script("fence.sh").encode(),
        )
    except (HostError, DeadlineExceeded) as error:
        return Fenced(False, cannot=str(error), seconds=time.monotonic() - began)
    return _read(server, result.stdout, time.monotonic() - began)


def keep_read_only(host: SshHost, server: ServerConfig, *, timeout: float = 15.0) -> Fenced:
    """Only write the option file that keeps a server read-only at its next starts; nothing is stopped."""
    return _run(host, server, None, "only", timeout)


@dataclass(frozen=True)
class Present:
    """``runs``: a mysqld of the instance is there, or who listens on its port may be it. ``stranger``: he is not."""

    runs: bool
    stranger: bool = False


def present_on(host: SshHost, server: ServerConfig, places: ServerPaths | None = None, *, timeout: float) -> Present:
    """Whether a mysqld of the instance runs on the host now, and who listens on its port; ``places`` as in `fence`.

    Raises HostError's children; DeadlineExceeded; HostError when the host could not tell.
    """
    command = asking(server, places or ServerPaths.of(server, None), helper="present")
    action = "see whether mysqld runs"
    output = host.run(command, action=action, timeout=timeout, stdin=script("present.sh").encode()).stdout
    told = {line.partition(" ")[0]: line for line in output.splitlines()}
    if "done" not in told:
        raise HostError(host.name, action, "the script on that host did not come to its end")
    if "process" not in told and "listening" not in told and "doubt" in told:
        raise HostError(host.name, action, f"nobody can tell whose a mysqld there is: {told['doubt']}")
    return Present("process" in told or "listening" in told, "stranger" in told)


def unfence(host: SshHost, server: ServerConfig, traces: Sequence[str], *, timeout: float = 15.0) -> tuple[str, ...]:
    """Take back what `fence` left: option files and masked units. Returns what was done, in words.

    No server is started or opened by it. Raises HostError's children; DeadlineExceeded.
    """
    if not traces:
        return ()
    words = " ".join(shlex.quote(each) for each in traces)
    action = "take back what fencing left"
    command = as_root(server, "unfence", f"sh -s -- {words}")
    output = host.run(command, action=action, timeout=timeout, stdin=script("unfence.sh").encode()).stdout
    told = [line for line in output.splitlines() if line.partition(" ")[0] in ("removed", "unmasked", "kept")]
    # The helper gives free what it noted itself.
    ours = [trace for trace in traces if trace.endswith((".service", "/zz-mha-fenced.cnf", "/zz-mha-fenced.conf"))]
    left = [trace for trace in ours if not any(line.endswith(f" {trace}") for line in told)]
    return (*told, *(f"kept {trace}" for trace in left))


def _read(server: ServerConfig, output: str, seconds: float) -> Fenced:
    told = [line.split(maxsplit=1) for line in output.splitlines() if line.strip()]
    by_key: dict[str, list[str]] = {}
    for key, *rest in told:
        by_key.setdefault(key, []).extend(rest)
    left = by_key.get("left", []) + (["a listener"] if "listening" in by_key else [])
    again, doubts = by_key.get("restarts", []), tuple(by_key.get("doubt", []))
    finished, greets = "done" in by_key, "greets" in by_key
    lacks = without_rights(server, output.splitlines())
    return Fenced(
        sure=finished and not left and not again and not greets and not doubts,
        greets=greets,
        stranger="stranger" in by_key,
        parted="parted" in by_key,
        doubts=doubts,
        killed=tuple(int(p) for p in by_key.get("killed", [])),
        supervisors=tuple(int(p) for p in by_key.get("supervisor", [])),
        masked=tuple(by_key.get("masked", [])),
        brief=tuple(by_key.get("brief", [])),
        dying=tuple(int(p) for p in by_key.get("dying", [])),
        containers=tuple(by_key.get("container", [])),
        persisted=tuple(by_key.get("persisted", [])),
        not_persisted=", ".join(by_key.get("unpersisted", [])),
        cannot="it still greets who connects to it there" if greets else _why_not(left, again, doubts, finished, lacks),
        still_there=bool(left) or greets,
        seconds=seconds,
    )


def _why_not(left: list[str], again: list[str], doubts: Sequence[str], finished: bool, lacks: str) -> str:
    if left:
        return f"still there after kill -9: {', '.join(left)}" + (f" ({lacks})" if lacks else "")
    if again:
        return f"mysqld was killed, but this may start it again: {', '.join(again)}"
    if doubts:
        told = "; ".join(doubt.replace(" ", ": ", 1) for doubt in doubts)
        return f"a mysqld runs there that may be another's, and was left alone: process {told}"
    return "" if finished else "the script on that host did not come to its end"
