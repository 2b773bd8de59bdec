"""What `mha keepalived-config` and `mha haproxy-config` do."""

from __future__ import annotations

from pathlib import Path

from ...config import ClusterConfig, ConfigError, ServerConfig, load_cluster
from ...replication.address.keepalived_config import keepalived_files
from ...replication.address.proxies.haproxy_config import haproxy_config
from ...replication.cluster.pool import ConnectionPool
from ...replication.errors import RefusalError
from ...replication.model.refusal import Refusal
from ...replication.model.topology import find_primary
from .host_files import write_files


def write_keepalived(conf: Path, global_conf: Path, to: Path | None, *, check_script: bool, unicast: bool) -> None:
    """To the terminal, or into a folder for each host as the files are to lie there."""
    hosts = keepalived_files(load_cluster(conf, global_conf), check_script=check_script, unicast=unicast)
    write_files(hosts, to)


def print_haproxy(conf: Path, global_conf: Path, primary: str | None) -> None:
    """To the terminal. Raises ConfigError; RefusalError when the servers do not say who the primary is."""
    config = load_cluster(conf, global_conf)
    print(haproxy_config(config, _named(config, primary) if primary else _found(config)), end="")


def _named(config: ClusterConfig, name: str) -> ServerConfig:
    server = config.server(name)
    if server is None:
        raise ConfigError(f"{name} is no server of {config.name}", file=config.path)
    return server


def _found(config: ClusterConfig) -> ServerConfig:
    sessions = ConnectionPool(config)
    try:
        found = find_primary(config, sessions.observe())
    finally:
        sessions.close()
    if isinstance(found, Refusal):
        raise RefusalError(found)
    return found
