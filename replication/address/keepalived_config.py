"""keepalived's configuration for every server's host, as text. Pure.

All begin as BACKUP and none preempts: who comes back leaves the address where it is. RFC 5798 took authentication out
of VRRP, so there is none; whoever can send VRRP on this network can also answer ARP.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...config import ClusterConfig, ConfigError, ServerConfig

HIGHEST, STEP, LOWEST = 150, 10, 10
CHECK_SCRIPT = "/etc/keepalived/check_mysql.sh"


def keepalived_files(
    config: ClusterConfig, *, check_script: bool = True, unicast: bool = False
) -> dict[str, dict[str, str]]:
    """For each server that may be promoted, by hostname: the files of its host, by path. Raises ConfigError.

    With ``check_script`` a host whose mysqld does not answer gives the address up by itself; with ``unicast`` the hosts
    talk to each other alone, for networks without multicast.
    """
    if not config.vip_addresses:
        raise ConfigError("vip_addresses is needed for keepalived", file=config.path, key="vip_addresses")
    servers = [server for server in config.servers if not server.no_master]
    order = sorted(servers, key=lambda s: not s.candidate_master)
    files: dict[str, dict[str, str]] = {}
    for number, server in enumerate(order):
        priority = max(LOWEST, HIGHEST - STEP * number)
        peers = [s for s in servers if s is not server] if unicast else []
        text = "\n".join(_lines(config, server, priority, peers, check_script)) + "\n"
        files[server.hostname] = {server.keepalived_config: text}
        if check_script:
            files[server.hostname][CHECK_SCRIPT] = _check(server)
    return files


def _lines(
    config: ClusterConfig, server: ServerConfig, priority: int, peers: list[ServerConfig], check_script: bool
) -> Iterator[str]:
    if not server.vip_interface:
        raise ConfigError(f"vip_interface is needed for {server.name}", file=config.path, key="vip_interface")
    yield f"# {server.keepalived_config} on {server.hostname}, for the cluster {config.name}"
    yield "global_defs {"
    yield f"    router_id {config.name}-{server.block}"
    yield "    script_user root"
    yield "    enable_script_security"
    yield "}"
    if check_script:
        yield ""
        yield "# A mysqld that does not answer twice in a row: this host gives the address up."
        yield "vrrp_script mysqld {"
        yield f'    script "{CHECK_SCRIPT}"'
        yield "    interval 2"
        yield "    timeout 3"
        yield "    fall 2"
        yield "    rise 2"
        yield "}"
    yield ""
    yield f"vrrp_instance {config.name} {{"
    yield "    # On every host: who starts, or comes back, leaves the address where it is."
    yield "    state BACKUP"
    yield "    nopreempt"
    yield f"    interface {server.vip_interface}"
    yield f"    virtual_router_id {config.keepalived_router_id}"
    yield f"    priority {priority}"
    yield "    advert_int 1"
    yield "    # Neighbours are told again: some ignore the first, because their entry is too fresh."
    yield "    garp_master_delay 1"
    yield f"    garp_master_repeat {config.vip_announcements}"
    if peers:
        yield f"    unicast_src_ip {server.ip}"
        yield "    unicast_peer {"
        yield from (f"        {peer.ip}" for peer in peers)
        yield "    }"
    four = [address for address in config.vip_addresses if ":" not in address]
    six = [address for address in config.vip_addresses if ":" in address]
    label = f" label {server.vip_interface}:{config.vip_label}" if config.vip_label else ""
    yield "    virtual_ipaddress {"
    yield from (f"        {address}{label}" for address in four)
    yield from (f"        {address}" for address in (six if not four else []))
    yield "    }"
    if four and six:
        yield "    # An instance speaks one version of IP; these move with it."
        yield "    virtual_ipaddress_excluded {"
        yield from (f"        {address}" for address in six)
        yield "    }"
    if check_script:
        yield "    track_script {"
        yield "        mysqld"
        yield "    }"
    yield "}"


def _check(server: ServerConfig) -> str:
    """No account is needed: an answer that refuses one is an answer too (mysqladmin(1), ping)."""
    return f"""\
#!/bin/sh
# {CHECK_SCRIPT} on {server.hostname}: does mysqld answer? No account is needed for that.
PATH=$PATH:/usr/local/bin:/usr/bin:{server.client_bindir or "/usr/local/mysql/bin"}
for admin in mariadb-admin mysqladmin; do
    command -v $admin >/dev/null || continue
    exec $admin --no-defaults --host=127.0.0.1 --protocol=tcp --port={server.port} \\
        --connect-timeout=2 ping >/dev/null 2>&1
done
echo "neither mariadb-admin nor mysqladmin is on this host" >&2
exit 1
"""
