"""Guard: servers that a failover replaced are found when they come back, closed, and told about."""

from __future__ import annotations

import logging
from functools import partial

from ...config import ClusterConfig, ServerConfig
from ..address import FailoverCalls, chain_of
from ..address.ip import IpProvider
from ..cluster.pool import ConnectionPool
from ..errors import DeadlineExceeded, HostError, MhaError
from ..fencing.guard import FormerPrimaryGuard, News
from ..fencing.kill import keep_read_only, unfence
from ..memory.held_servers import HeldServers, config_of
from ..notify.events import EventHooks
from ..rejoin.remembered.interrupted import last_of_each
from ..ssh.host import SshHost

log = logging.getLogger("mha")

#: Providers that take the address from the one host they are told, whoever has it elsewhere.
OWN = ("ip", "keepalived", "haproxy", "proxysql")


def guard_of(config: ClusterConfig) -> FormerPrimaryGuard:
    """The guard of a manager: it takes the address from what comes back, runs the site's commands, and makes it start
    read-only if asked."""
    events = EventHooks(config)
    servers = {s.address: s for s in config.servers}

    def tell(news: News) -> None:
        old, new = config_of(news.hold, config.servers), servers.get(news.hold.instead)
        events.tell(news.event, old=old, new=new, text=news.text, since=news.hold.since)

    def persist(server: ServerConfig) -> tuple[str, ...]:
        host = SshHost(server)
        try:
            done = keep_read_only(host, server, timeout=config.fence_timeout)
        finally:
            host.close()
        if done.persisted:
            log.info("%s starts read-only from now on: wrote %s.", server.name, ", ".join(done.persisted))
        else:
            log.warning("%s may start writable again: %s.", server.name, done.not_persisted or done.cannot)
        return done.persisted

    return FormerPrimaryGuard(
        config.servers,
        HeldServers.of(config),
        tell,
        persist if config.fence_persist else None,
        partial(_take_address, config),
        take_back,
        partial(_rejoining, config),
    )


def _rejoining(config: ClusterConfig, key: str) -> bool:
    last = last_of_each(config.manager_workdir, config.name).get(key)
    return last is not None and last.alive


def take_back(server: ServerConfig, traces: tuple[str, ...]) -> None:
    """A server that is held no longer may be started again by what starts it; what stays on its host is told."""
    host = SshHost(server)
    try:
        for line in unfence(host, server, traces):
            log.info("%s: %s", server.name, line)
    except (HostError, DeadlineExceeded) as error:
        log.error("%s. Take back by hand on that host: %s.", error, ", ".join(traces))
    finally:
        host.close()


def _take_address(config: ClusterConfig, old: ServerConfig, new: ServerConfig) -> bool:
    """A host that comes back may have the address again, from its own configuration of interfaces; True when it is off.

    The site's own script or plug-in is not asked: it might take the address from the new primary.
    """
    own = tuple(name for name in config.vip_provider if name in OWN)
    if not own:
        return True
    sessions = ConnectionPool(config)
    chain = chain_of(config.model_copy(update={"vip_provider": own}), sessions, FailoverCalls(config, old))
    try:
        failed = chain.release(old, reachable=True).failed
        for half in failed:
            log.error("%s may still have the address: %s.", old.name, half)
        if "ip" in own:
            # Whoever heard the host that came back believes it until told otherwise.
            IpProvider(config, sessions).announce(new)
        return not failed
    except MhaError as error:
        log.error("After %s came back: %s.", old.name, error)
        return False
    finally:
        chain.close()
        sessions.close()
