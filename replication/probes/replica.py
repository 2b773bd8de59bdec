"""Other eyes on the primary: what comes back from it to the hosts of the replicas."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...config import ServerConfig
from ..detection.independence import is_own, same_host
from ..detection.observation import Finding, Observation, Observer
from ..errors import DeadlineExceeded, HostError
from ..local.addresses import address_of, ssh_address_of
from ..scripts import script
from ..ssh.host import SshHost
from .forwarded import look_through

if TYPE_CHECKING:
    from ..cluster.pool import ConnectionPool

#: Seconds that another host is let wait for something to come back from the primary's.
WAITS = 2.6


def look_from(
    host: SshHost,
    primary: ServerConfig,
    others: Sequence[ServerConfig] = (),
    *,
    timeout: float = WAITS,
    slack: float = 1.5,
) -> Observation:
    """Whether the primary's port greets this host within ``timeout`` seconds. Troubles with the host are no view.

    A live mysqld greets first, even when it only says "too many connections"; a frozen one has its connections taken by
    the kernel and says nothing (SILENT). UNANSWERED is that nothing at all came back, of the host's sshd neither, while
    one of ``others`` was reached; ALONE that none of these was, so that it may be this host that is cut off. ``slack``
    is how many seconds more the host may take to tell.
    """
    began = time.monotonic()

    def saw(finding: Finding, detail: str = "") -> Observation:
        return Observation(Observer.OBSERVER, host.name, finding, detail, took=time.monotonic() - began)

    words = [f"{timeout:g}", address_of(primary), str(primary.port), str(primary.ssh_port)]
    for other in others:
        words += [ssh_address_of(other), str(other.ssh_port), address_of(other), str(other.port)]
    command = "command -v bash >/dev/null || exit 9; exec bash -s -- " + " ".join(shlex.quote(word) for word in words)
    try:
        result = host.run(
            command,
            action=f"look at {primary.name}",
            timeout=timeout + slack,
            stdin=script("knock.sh").encode(),
            ok=(0, 9),
        )
    except (HostError, DeadlineExceeded) as error:
        return saw(Finding.NO_VIEW, str(error))
    if result.exit_code == 9:
        return look_through(host, primary, timeout=timeout)
    return saw(*said(result.stdout, neighbours=bool(others)))


def said(output: str, *, neighbours: bool) -> tuple[Finding, str]:
    """What the lines of knock.sh mean, and a detail. Pure; what cannot be understood is no view."""
    lines = output.splitlines()
    if "done" not in lines:
        return Finding.NO_VIEW, "the script on that host did not come to its end"
    for word, finding in (("greeted", Finding.ANSWERED), ("refused", Finding.REFUSED), ("accepted", Finding.SILENT)):
        if f"server {word}" in lines:
            return finding, ""
    if any(line.startswith("host ") for line in lines):
        return Finding.SILENT, "its host answers, its port does not"
    if neighbours and not any(line.startswith("other ") for line in lines):
        return Finding.ALONE, ""
    return Finding.UNANSWERED, ""


def neighbours(observer: ServerConfig, primary: ServerConfig, servers: Sequence[ServerConfig]) -> list[ServerConfig]:
    """Whom an observer must reach for its silence to count: servers on hosts that are neither its nor the primary's."""
    return [s for s in servers if not same_host(s, observer) and not same_host(s, primary)]


def independent(view: Observation, observer: ServerConfig, primary: ServerConfig) -> Observation:
    """The same view as it counts: a silence on the manager's own host, or the primary's, is no second voice.

    Nor is it one that such a host cannot be asked: it goes dark with what it is to tell of. What it hears of the
    primary counts as everybody's does.
    """
    if view.finding not in (Finding.UNANSWERED, Finding.SILENT, Finding.REFUSED, Finding.NO_VIEW):
        return view
    if same_host(observer, primary):
        why = "it is the primary's own host"
    elif is_own(observer):
        why = "it is the manager's own host"
    else:
        return view
    return Observation(view.source, view.who, Finding.NO_VOICE, why, view.at, view.clock, view.took)


def ask_others(
    sessions: ConnectionPool, primary: ServerConfig, others: Sequence[ServerConfig], *, timeout: float = WAITS
) -> tuple[Observation, ...]:
    """The views of several hosts, and of the witnesses, asked at once."""
    witnesses = sessions.config.witnesses

    def ask(server: ServerConfig) -> Observation:
        reached = neighbours(server, primary, [*others, *witnesses])
        host = sessions.witness(server.block) if server in witnesses else sessions.host(server.address)
        return independent(look_from(host, primary, reached, timeout=timeout), server, primary)

    asked = sessions.each(ask, [*others, *witnesses], timeout=timeout + 2.0)
    return tuple(
        view
        if isinstance(view, Observation)
        else Observation(Observer.OBSERVER, server.hostname, Finding.NO_VIEW, "no answer in time")
        for server, view in asked
    )
