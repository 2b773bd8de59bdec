"""Who is held read-only after a failover: the lines of `mha status`, and `mha release`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...config import ConfigError, ServerConfig, load_cluster
from ...replication.errors import DeadlineExceeded, HostError, ServerError, ServerUnreachable
from ...replication.fencing.everyone import closed_to_everybody, let_go
from ...replication.fencing.kill import unfence
from ...replication.fencing.ports import knock
from ...replication.local.person import this_person
from ...replication.memory.held_servers import HeldServers, Hold, config_of
from ...replication.model.ways_back import FormerPrimary, FormerState
from ...replication.mysql.server import Server
from ...replication.notify.events import EventHooks, finish
from ...replication.notify.manager_log import secrets_of, setup_logging
from ...replication.rejoin.remembered.standing import former_primaries
from ...replication.ssh.host import SshHost
from ..shared.beginning import loader
from ..shared.options import one_line


def held_lines(conf: Path, global_conf: Path) -> list[str]:
    """One line for each server that is held; nothing that goes wrong is an error."""
    try:
        config = load_cluster(conf, global_conf, resolve=str, secrets=False)
        held = HeldServers.of(config).current()
        stands = {each.key: each for each in former_primaries(config, _answers)}
    except (ConfigError, OSError) as error:
        return [f"The list of servers that are held read-only cannot be read: {one_line(error)}"]
    return [f"{hold}; {_now(stands.get(hold.key), conf, hold.name.partition('(')[0])}" for hold in held]


def _answers(key: str) -> bool:
    host, _, port = key.rpartition(":")
    return knock(host.strip("[]"), int(port), 0.5) == "open"


def _now(stands: FormerPrimary | None, conf: Path, host: str) -> str:
    state = stands.state if stands is not None else None
    words = f"--conf={conf} --host={host}"
    lifts = f"'mha release {words}' lifts it"
    if state is FormerState.REJOINING:
        return f"it is being made a replica ({stands}); {lifts}"
    if state is FormerState.HELD:
        return f"it is back: 'mha rejoin {words}' makes it a replica, {lifts}"
    return f"it is down; {lifts}"


def lift(conf: Path, global_conf: Path, workdir: Path | None, host: str) -> int:
    """Record the release, and take away what fencing left on the host; 0 when both are done, 1 when not.

    The record comes first: a manager that watches must not close the server again while it is being made ready.
    """
    config = loader(conf, global_conf, workdir)()
    setup_logging(None, config.log_level, secrets_of(config))
    holds = HeldServers.of(config)
    server = config.server(host)
    hold = _named(holds.current(), host, server)
    server = config_of(hold, config.servers) if hold is not None else server
    if hold is None:
        held = ", ".join(h.name for h in holds.current()) or "nobody"
        print(f"{host} is not held read-only; these are: {held}.")
        return 1
    who = this_person()
    holds.release(hold.key, who, "mha release")
    print(f"{hold.name} is no longer held read-only. It stays as it is: set read_only=0, or make it a replica.")
    _open_to_everybody(server)
    EventHooks(config).tell("released", old=server, text=f"{hold.name} was released by {who}", by=who)
    code = _take_back(hold, server)
    finish(config.hook_timeout)
    return code


def _named(held: Sequence[Hold], host: str, server: ServerConfig | None) -> Hold | None:
    if server is not None:
        return next((h for h in held if h.key == server.address), None)
    # One that was taken out of the configuration since.
    return next((h for h in held if host in (h.key, h.key.rpartition(":")[0], h.name.partition("(")[0])), None)


def _open_to_everybody(server: ServerConfig | None) -> None:
    """It was closed to accounts with SUPER too; whoever makes it ready must not fall over that."""
    if server is None:
        return
    session = Server(server)
    try:
        session.connect(2.0)
        if closed_to_everybody(session):
            let_go(session, session.observe())
            print(f"{server.name}: tx_read_only is 0 again: read_only alone keeps applications out.")
    except ServerUnreachable:
        pass  # a start clears it
    except ServerError as error:
        print(f"{error}. Where tx_read_only is 1, set it to 0 before START SLAVE, and before it is opened.")
    finally:
        session.close()


def _take_back(hold: Hold, server: ServerConfig | None) -> int:
    if not hold.traces:
        return 0
    by_hand = f"Take back by hand on that host: {', '.join(hold.traces)}."
    if server is None:
        print(f"{hold.name} is not in the configuration. {by_hand}")
        return 1
    ssh = SshHost(server)
    try:
        for line in unfence(ssh, server, hold.traces):
            print(f"{hold.name}: {line}")
    except (HostError, DeadlineExceeded) as error:
        print(f"{error}. {by_hand}")
        return 1
    finally:
        ssh.close()
    return 0
