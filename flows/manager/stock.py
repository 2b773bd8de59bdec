"""What a manager says of its cluster before its first ping: who is there, who is the primary, what is not set."""

from __future__ import annotations

import logging
from importlib import metadata

from ...config import ClusterConfig, ServerConfig
from ...replication.address import FailoverCalls, chain_of
from ...replication.cluster.pool import ConnectionPool
from ...replication.errors import MhaError
from ...replication.memory.manager_view import note_places
from ...replication.model.state import ClusterState
from ...replication.model.topology import tree
from ...replication.notify.events import EventHooks
from ...replication.watch.settle import settle_open_business

log = logging.getLogger("mha")


def tell_stock(config: ClusterConfig, cluster: ClusterState, primary: ServerConfig) -> None:
    """Log what was seen, in the lines that users of MHA look for, and note for other commands where the files are."""
    note_places(config)
    for down in cluster.down:
        log.warning("Dead server: %s: %s", down.name, down.reason)
    log.info("Alive Servers: %s", ", ".join(s.name for s in cluster.up))
    if cluster.get(primary.address):
        log.info("Current Alive Master: %s", primary.name)
    for line in tree(config, cluster, primary):
        log.info("%s", line)
    scripts = ["shutdown_script", "secondary_check_script"]
    if "script" in config.vip_provider:
        scripts.insert(0, "master_ip_failover_script")
    elif config.master_ip_failover_script:
        log.warning("master_ip_failover_script is not run, because vip_provider does not name script.")
    for name in scripts:
        if not getattr(config, name):
            log.warning("%s is not defined.", name)


def settle_and_tell(
    config: ClusterConfig, sessions: ConnectionPool, cluster: ClusterState, primary: ServerConfig
) -> bool:
    """End what a failover left open; what cannot be ended is told, and it is not PING_OK beside it (False)."""
    left = settle_open_business(config, sessions, cluster, primary)
    for line in left:
        log.error("Left open by a failover: %s.", line)
    if left:
        text = f"a failover of {config.name} left something open: {'; '.join(left)}"
        EventHooks(config).tell("check_failed", old=primary, text=text)
    return not left


def check_address(config: ClusterConfig, sessions: ConnectionPool, primary: ServerConfig) -> None:
    """What moving the address would lack is told while there is time; no watch waits for it, and no script is run."""
    own = tuple(name for name in config.vip_provider if name != "script")
    chain = chain_of(config.model_copy(update={"vip_provider": own}), sessions, FailoverCalls(config, primary))
    try:
        for check in chain.check():
            (log.debug if check.ok else log.warning)("Address: %s", check)
    except (MhaError, RuntimeError) as error:
        log.warning("The address could not be checked: %s", error)
    finally:
        chain.close()


def version() -> str:
    """That of this package; from a checkout nobody knows."""
    try:
        return metadata.version("prefect-mha")
    except metadata.PackageNotFoundError:
        return "unknown"
