"""What a drill does to the primary's host, and takes back: by `inject_fault.sh` over SSH, or by the power command.

Killed is only a process that is the instance's for certain, by the look with which a failover fences it. What is frozen
or closed comes back by itself, by what was started on the host before; whoever held the drill may be gone by then.
"""

from __future__ import annotations

import logging
import shlex

from ...config import ClusterConfig, ServerConfig
from ..errors import HostError
from ..fencing.kill import present_on
from ..local.addresses import ssh_address_of
from ..local.site_scripts import run_hook
from ..mysql.server import Server
from ..probes.host import ServerPaths
from ..rejoin.rebuild.on_host import STOPS, OnHost, answers
from ..scripts import script
from ..source.server import facing
from ..ssh.host import SshHost
from .kinds import FROZEN, WITHOUT_SSH, DrillKind

log = logging.getLogger("mha")

#: Seconds for what is done over SSH, and for the power command.
HURTS, POWERS = 15.0, 120.0
_SECONDS = {DrillKind.FREEZE: FROZEN, DrillKind.SSH_LOSS: WITHOUT_SSH}


def inject(config: ClusterConfig, kind: DrillKind, server: ServerConfig, host: SshHost, places: ServerPaths) -> str:
    """Do it; what was done, in words. Raises HostError's children, HookError, DeadlineExceeded where nothing was."""
    if kind is DrillKind.POWER:
        power(config, server, on=False)
        return "its host was switched off"
    return _on_host(host, server, places, kind.value, _SECONDS.get(kind, 0))


def wake(server: ServerConfig, host: SshHost, places: ServerPaths) -> str:
    """A mysqld of the instance that is stopped runs on; empty where there is none. Raises as above."""
    return _on_host(host, server, places, "wake", 0)


def power(config: ClusterConfig, server: ServerConfig, *, on: bool) -> None:
    """Switch the host of a server on or off, by `drill_power_command`. Raises HookError."""
    command = config.drill_power_command
    assert command is not None
    word = "on" if on else "off"
    words = [f"--command={word}", f"--host={server.hostname}", f"--ip={server.ip}", f"--port={server.port}"]
    done = run_hook(command, words, command=word, timeout=POWERS, secrets=config.notify_secrets())
    if not done.ok:
        raise HostError(server.hostname, f"switch it {word}", f"{command} ended with exit code {done.exit_code}")


def remember_start(host: SshHost, server: ServerConfig, places: ServerPaths) -> None:
    """How its mysqld runs is noted on its host, so that it can be started again. Raises HostError, DeadlineExceeded."""
    if not server.start_command:
        OnHost(host, server, places).step("remember", action="note how its mysqld is started")


def forget_start(host: SshHost, server: ServerConfig, places: ServerPaths) -> None:
    """Take that note away. Raises as above."""
    if not server.start_command:
        OnHost(host, server, places).step("forget", action="forget how its mysqld was started")


def start_again(host: SshHost, server: ServerConfig, places: ServerPaths, session: Server) -> bool:
    """The primary that nobody replaced runs again, as it ran; whether it had to be started. Raises as above."""
    if present_on(host, server, places, timeout=HURTS).runs:
        return False
    if server.start_command:
        host.run(server.start_command, action="start its mysqld (start_command)", timeout=STOPS)
    else:
        OnHost(host, server, places).step("start", action="start its mysqld", timeout=STOPS)
    answers(session)
    return True


def _on_host(host: SshHost, server: ServerConfig, places: ServerPaths, what: str, seconds: int) -> str:
    action = f"do what the drill is about ({what})"
    owned, here = ",".join(places.owned), facing(ssh_address_of(server))
    words = (str(server.port), places.pid_file, server.ip, places.datadir, owned, what, str(seconds), here)
    command = "sh -s -- " + " ".join(shlex.quote(word) for word in words)
    told = host.run(command, action=action, timeout=HURTS, stdin=script("inject_fault.sh").encode()).stdout.splitlines()
    if cannot := [line.removeprefix("cannot ") for line in told if line.startswith("cannot ")]:
        raise HostError(host.name, action, cannot[0])
    if "done" not in told:
        raise HostError(host.name, action, "the script on that host did not come to its end")
    done = [line for line in told if line.partition(" ")[0] in ("killed", "stopped", "woken", "closed")]
    return ", ".join(done)
