"""HAProxy's configuration for a cluster, as text: one port for writes, one for reads. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ....config import ClusterConfig, ConfigError, ServerConfig


def haproxy_config(config: ClusterConfig, primary: ServerConfig | None) -> str:
    """The whole haproxy.cfg. ``primary`` is who takes writes when no state file says otherwise; None for nobody.

    Raises ConfigError when the checks have nowhere to go.
    """
    if not config.health_url:
        raise ConfigError(
            "health_url is needed: where HAProxy reaches the manager's health_port", file=config.path, key="health_url"
        )
    return "\n".join(_lines(config, primary)) + "\n"


def server_name(server: ServerConfig) -> str:
    """What a server is called in the backends: its block's name, which the manager's checks know too."""
    return re.sub(r"[^\w.:-]", "_", server.block)


def _lines(config: ClusterConfig, primary: ServerConfig | None) -> Iterator[str]:
    where = re.sub(r"^https?://", "", config.health_url or "").rstrip("/")
    host, _, port = where.rpartition(":")
    state_file = config.haproxy_state_file
    yield f"# haproxy.cfg for the cluster {config.name}: writes on {config.haproxy_writer_port}, reads on "
    yield f"# {config.haproxy_reader_port}. The manager switches the writer through the socket below."
    yield "global"
    yield "    stats socket /run/haproxy/admin.sock mode 600 level admin"
    yield "    # Kept at every move that comes over SSH. Before a reload by hand:"
    yield f"    #   echo 'show servers state' | socat - /run/haproxy/admin.sock > {state_file}"
    yield f"    server-state-file {state_file}"
    yield "    maxconn 4096"
    yield ""
    yield "defaults"
    yield "    mode tcp"
    yield "    load-server-state-from-file global"
    yield "    timeout connect 2s"
    yield "    timeout client 8h"
    yield "    timeout server 8h"
    yield "    timeout check 2s"
    yield "    option clitcpka"
    yield "    option srvtcpka"
    yield ""
    yield f"listen {config.haproxy_writer}"
    yield f"    bind :{config.haproxy_writer_port}"
    yield "    # One server is not in maintenance: the primary. No checks: writes go on while the manager is away, and"
    yield "    # mysqld counts connections that say nothing, until it blocks this host (max_connect_errors)."
    for server in (s for s in config.servers if not s.no_master):
        disabled = "" if primary is not None and server.address == primary.address else " disabled"
        yield f"    server {server_name(server)} {_address(server)}{disabled}"
    yield ""
    yield f"frontend {config.haproxy_reader}_port"
    yield f"    bind :{config.haproxy_reader_port}"
    yield "    # Without a replica that may take reads, or without a manager to say so, the primary takes them."
    yield f"    use_backend {config.haproxy_reader} if {{ nbsrv({config.haproxy_reader}) gt 0 }}"
    yield f"    default_backend {config.haproxy_writer}"
    yield ""
    yield f"backend {config.haproxy_reader}"
    yield "    balance leastconn"
    yield "    option httpchk"
    yield f"    http-check send meth GET uri-lf /replica/%[srv_name]?max_lag={config.haproxy_max_lag} ver HTTP/1.0"
    yield "    http-check expect status 200"
    yield f"    default-server check addr {host} port {port} inter 1s fastinter 500ms fall 1 rise 2"
    yield "    default-server on-marked-down shutdown-sessions"
    yield from (f"    server {server_name(server)} {_address(server)}" for server in config.servers)
    if config.haproxy_stats_port:
        yield ""
        yield "frontend mha_stats"
        yield f"    bind :{config.haproxy_stats_port}"
        yield "    mode http"
        yield "    timeout client 30s"
        yield "    stats enable"
        yield "    stats uri /"
        yield "    stats refresh 5s"


def _address(server: ServerConfig) -> str:
    return f"[{server.ip}]:{server.port}" if ":" in server.ip else server.address
