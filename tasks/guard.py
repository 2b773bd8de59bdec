"""Guard: servers that a failover replaced are found when they come back, closed, and told about."""

from __future__ import annotations

import logging

from config import ClusterConfig, ServerConfig
from replication.event_hooks import EventHooks
from replication.fence import keep_read_only
from replication.holds import Holds
from replication.returning import Guard, News
from replication.ssh import SshHost

log = logging.getLogger("mha")


def guard_of(config: ClusterConfig) -> Guard:
    """The guard of a manager: it logs, runs the site's commands, and makes what comes back start read-only if asked."""
    events = EventHooks(config)
    servers = {s.address: s for s in config.servers}

    def tell(news: News) -> None:
        old, new = servers.get(news.hold.key), servers.get(news.hold.instead)
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

    return Guard(
        config.servers, Holds(config.manager_workdir, config.name), tell, persist if config.fence_persist else None
    )
