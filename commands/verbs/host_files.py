"""Files for the database hosts, shown or written into a folder for each host as they are to lie there."""

from __future__ import annotations

import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from ...config import ClusterConfig, ConfigError, ServerConfig, load_cluster
from ...replication.cluster.pool import ConnectionPool
from ...replication.maintenance.host_helper import helper, login_options, sudoers
from ...replication.model.state import ServerState
from ...replication.probes.host import ServerPaths
from ...replication.ssh.login import load_login
from ...replication.ssh.rights import helper_path

#: A path that is none of the host's: the line's place is what the SSH user's home and key say.
LOGIN = "/authorized_keys.options"


def write_files(hosts: Mapping[str, Mapping[str, str]], to: Path | None) -> None:
    """By host and path: to the terminal, or below ``to``. What is run there may be run."""
    for host, files in hosts.items():
        for path, text in files.items():
            if to is None:
                print(f"##### {host}:{path}\n{text}")
                continue
            target = to / host / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
            target.chmod(0o755 if text.startswith("#!") else 0o644)
            print(target)


def write_sudoers(conf: Path, global_conf: Path, to: Path | None, user: str | None) -> int:
    """What a plain SSH user needs on every host. Servers that do not answer are named, and left out: exit code 1.

    Their places stand in the files, and only they know them. Raises ConfigError.
    """
    config = load_cluster(conf, global_conf)
    sessions = ConnectionPool(config)
    try:
        states = sessions.observe()
        hosts: dict[str, dict[str, str]] = {}
        for server in config.servers:
            state = states.get(server.address)
            if isinstance(state, ServerState):
                files = _files(config, server, ServerPaths.of(server, state), user)
                hosts.setdefault(server.hostname, {}).update(files)
            else:
                print(f"{server.name} does not answer, so there is nothing for its host: {state}", file=sys.stderr)
    finally:
        sessions.close()
    write_files(hosts, to)
    return 0 if len(hosts) == len({server.hostname for server in config.servers}) else 1


def _files(config: ClusterConfig, server: ServerConfig, places: ServerPaths, user: str | None) -> dict[str, str]:
    name = user or load_login(server).user
    if name == "root":
        raise ConfigError(
            f"ssh_user of {server.name} is root, who needs no files; name the plain user in the configuration, or with "
            "--user",
            file=config.path,
        )
    path = helper_path(server)
    return {
        path: helper(config, server, places),
        f"/etc/sudoers.d/{Path(path).name}": sudoers(config, server, name),
        LOGIN: login_options(config, server, _own_addresses(server)) + "\n",
    }


def _own_addresses(server: ServerConfig) -> list[str]:
    """The address of this machine that the host sees; no packet is sent for it."""
    family = socket.AF_INET6 if ":" in server.ssh_ip else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((server.ssh_ip, server.ssh_port))
        return [str(probe.getsockname()[0])]
