"""Other eyes on the primary: what its port answers to the hosts of the replicas, and what their receivers say."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence

from config import ServerConfig
from replication.errors import DeadlineExceeded, HostError, ServerError
from replication.evidence import Finding, Observation, Source
from replication.forwarded import look_through
from replication.server import Server
from replication.sessions import Sessions
from replication.ssh import SshHost

# A live mysqld greets first, even when it only says "too many connections". A frozen one has its connections taken
# by the kernel and says nothing, so a connection alone proves nothing. The exit status 9 tells that a tool is missing.
_LOOK = (
    "for tool in bash timeout head wc; do command -v $tool >/dev/null || exit 9; done; "
    "timeout {t} bash -c 'exec 3<>/dev/tcp/{ip}/{port} && head -c 5 <&3' | wc -c"
)


def look_from(host: SshHost, primary: ServerConfig, *, timeout: float = 1.0, slack: float = 1.5) -> Observation:
    """Whether the primary's port greets this host within ``timeout`` seconds. Troubles with the host are no view.

    ``slack`` is how many seconds more the host may take to tell.
    """
    began = time.monotonic()

    def saw(finding: Finding, detail: str = "") -> Observation:
        return Observation(Source.OBSERVER, host.name, finding, detail, took=time.monotonic() - began)

    command = _LOOK.format(t=f"{timeout:g}", ip=shlex.quote(primary.ip), port=primary.port)
    try:
        result = host.run(command, action=f"look at {primary.name}", timeout=timeout + slack, ok=(0, 9))
    except (HostError, DeadlineExceeded) as error:
        return saw(Finding.NO_VIEW, str(error))
    if result.exit_code == 9:
        return look_through(host, primary, timeout=timeout)
    greeted = result.stdout.strip() not in ("", "0")
    return saw(Finding.ANSWERED if greeted else Finding.SILENT)


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
        if channel.of_a_rescue:
            continue
        trouble = f"{channel.receiver_errno}: {channel.receiver_error}" if channel.receiver_errno else ""
        finding = {"Yes": Finding.RECEIVES, "No": Finding.NOT_RECEIVING}.get(channel.receiver, Finding.DISCONNECTED)
        seen.append(saw(Source.REPLICA, finding, trouble))
    return tuple(seen)
