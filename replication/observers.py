"""Other eyes on the primary: what its port answers to the hosts of the replicas."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from config import ServerConfig
from replication.detection import Observation, View
from replication.errors import DeadlineExceeded, HostError
from replication.sessions import Sessions
from replication.ssh import SshHost

# A live mysqld greets first, even when it only says "too many connections". A frozen one has its connections taken
# by the kernel and says nothing, so a connection alone proves nothing. The exit status 9 tells that bash is missing.
_LOOK = (
    "command -v bash >/dev/null || exit 9; timeout {t} bash -c 'exec 3<>/dev/tcp/{ip}/{port} && head -c 5 <&3' | wc -c"
)


def look_from(host: SshHost, primary: ServerConfig, *, timeout: float = 1.0) -> Observation:
    """Whether the primary's port greets this host within ``timeout`` seconds. Troubles with the host are no view."""
    command = _LOOK.format(t=f"{timeout:g}", ip=shlex.quote(primary.ip), port=primary.port)
    try:
        result = host.run(command, action=f"look at {primary.name}", timeout=timeout + 1.5, ok=(0, 9))
    except (HostError, DeadlineExceeded) as error:
        return Observation(host.name, View.NO_OBSERVER, str(error))
    if result.exit_code == 9:
        return Observation(host.name, View.NO_OBSERVER, "it has no bash to look with")
    greeted = result.stdout.strip() not in ("", "0")
    return Observation(host.name, View.ANSWERS if greeted else View.SILENT)


def ask_others(
    sessions: Sessions, primary: ServerConfig, others: Sequence[ServerConfig], *, timeout: float = 1.0
) -> tuple[Observation, ...]:
    """The views of several hosts, asked at once."""
    asked = sessions.each(
        lambda s: look_from(sessions.host(s.address), primary, timeout=timeout), others, timeout=timeout + 2.0
    )
    return tuple(
        view if isinstance(view, Observation) else Observation(server.hostname, View.NO_OBSERVER, "no answer in time")
        for server, view in asked
    )
