"""Whose word is one's own: what lives on the manager's host, or on the suspect's, is no second voice (design rule 3).

A manager that is cut off together with a replica sees that replica well, and both see nobody else.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable

from ...config import ServerConfig


def is_local(address: str) -> bool:
    """Whether this machine has that address: whether it can be bound.

    So it is in a container that shares the host's network. In one with a network of its own its host's address is not
    seen; `beside_manager` says it then.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


def is_own(server: ServerConfig) -> bool:
    """Whether a server lives on the manager's own host."""
    return server.beside_manager or is_local(server.ip) or is_local(server.ssh_ip)


def same_host(one: ServerConfig, other: ServerConfig) -> bool:
    """Whether two servers are known to share a host, by their addresses."""
    return bool({one.ip, one.ssh_ip} & {other.ip, other.ssh_ip})


def own_names(servers: Iterable[ServerConfig]) -> tuple[str, ...]:
    """The names of those that live on the manager's own host."""
    return tuple(server.name for server in servers if is_own(server))
