"""Other eyes on the primary: what its port answers to the hosts of the replicas, and what their receivers say."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence

from config import ServerConfig
from replication.errors import DeadlineExceeded, HostError, ServerError
from replication.evidence import Finding, Observation, Source
from replication.server import Server
from replication.sessions import Sessions
from replication.ssh import CommandResult, SshHost

# A live mysqld greets first, even when it only says "too many connections". A frozen one has its connections taken
# by the kernel and says nothing, so a connection alone proves nothing.
_LOOK = """\
for tool in bash timeout head wc; do command -v $tool >/dev/null || exit 9; done
timeout {t} bash -c "exec 3<>/dev/tcp/{ip}/{port} && head -c 5 <&3" | wc -c
"""
#: What bash says when it is the network that gives nothing. Whatever else it says, it could not look.
_NETWORK = ("refused", "timed out", "No route to host", "unreachable", "reset by peer", "Host is down")


def look_from(host: SshHost, primary: ServerConfig, *, timeout: float = 1.0, slack: float = 1.5) -> Observation:
    """Whether the primary's port greets this host within ``timeout`` seconds. Troubles with the host are no view.

    ``slack`` is how many seconds more the host may take to tell. A host without the programs to look with has its sshd
    look; where that forwards nothing either, it has no view.
    """
    began = time.monotonic()

    def saw(finding: Finding, detail: str = "") -> Observation:
        return Observation(Source.OBSERVER, host.name, finding, detail, took=time.monotonic() - began)

    text = _LOOK.format(t=f"{timeout:g}", ip=primary.ip, port=primary.port)
    command = f"env LC_ALL=C sh -c {shlex.quote(text)}"
    try:
        result = host.run(command, action=f"look at {primary.name}", timeout=timeout + slack, ok=(0, 9))
        if _could_look(result):
            greeted = result.stdout.strip() != "0"
        else:
            greeted = host.greeted(primary.ip, primary.port, timeout=timeout)
    except (HostError, DeadlineExceeded) as error:
        return saw(Finding.NO_VIEW, str(error))
    return saw(Finding.ANSWERED if greeted else Finding.SILENT)


def _could_look(result: CommandResult) -> bool:
    """Whether what it says of the port can be believed: a tool that is missing, or cannot do it, is no silence."""
    if result.exit_code == 9 or not result.stdout.strip().isdigit():
        return False
    said = result.stderr.strip()
    return result.stdout.strip() != "0" or not said or any(words in said for words in _NETWORK)


def ask_others(
    sessions: Sessions, primary: ServerConfig, others: Sequence[ServerConfig], *, timeout: float = 1.0
) -> tuple[Observation, ...]:
    """The views of several hosts, asked at once."""
    asked = sessions.each(
        lambda s: look_from(sessions.host(s.address), primary, timeout=timeout), others, timeout=timeout + 2.0
    )
    return tuple(
        view
        if isinstance(view, Observation)
        else Observation(Source.OBSERVER, server.hostname, Finding.NO_VIEW, "no answer in time")
        for server, view in asked
    )


def look_at_replica(server: Server, primary: ServerConfig, *, timeout: float) -> tuple[Observation, ...]:
    """Whether a replica answers the manager, and whether its receiver still has the primary."""
    began = time.monotonic()

    def saw(source: Source, finding: Finding, detail: str = "") -> Observation:
        return Observation(source, server.config.name, finding, detail, took=time.monotonic() - began)

    try:
        server.connect(timeout)
        rows = server.query(server.dialect.show_channels(), action="read its replication status", timeout=timeout)
    except ServerError as error:
        return (saw(Source.LINK, Finding.LIVES if error.answered else Finding.UNANSWERED, str(error)),)
    seen = [saw(Source.LINK, Finding.ANSWERED)]
    for channel in (server.dialect.channel(row) for row in rows):
        if channel.source_host not in (primary.hostname, primary.ip) or channel.source_port != primary.port:
            continue
        trouble = f"{channel.receiver_errno}: {channel.receiver_error}" if channel.receiver_errno else ""
        finding = {"Yes": Finding.RECEIVES, "No": Finding.NOT_RECEIVING}.get(channel.receiver, Finding.DISCONNECTED)
        seen.append(saw(Source.REPLICA, finding, trouble))
    return tuple(seen)
