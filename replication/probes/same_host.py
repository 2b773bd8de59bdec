"""Whether the mysqld that SSH shows is the server that we talk to: it has the other end of our session.

A port, a data directory, a pid file's name are those of many servers, and of MariaDB nothing on the disk is its own.
But what the server says of our session, address and port of its far end, stands in the kernel's table of its network
(proc(5), net/tcp), and in no other host's.
"""

from __future__ import annotations

import ipaddress
import re
import shlex
from collections.abc import Sequence

from ..errors import MhaError
from ..mysql.server import Server
from ..scripts import script
from ..ssh.host import SshHost

_PORT = re.compile(r"[0-9]{1,5}")


def leads_elsewhere(host: SshHost, server: Server, pids: Sequence[int], *, timeout: float) -> str | None:
    """Why SSH leads to another host than ``server`` runs on; empty where it does not, None where nobody can tell.

    ``pids`` are what was taken for its mysqld there; another one may be it, in a network of its own.
    """
    session = server.thread_id
    try:
        before = _far_end(server, timeout)
        if not before or not pids or _told_by_a_proxy(server, timeout):
            return None
        words = " ".join((shlex.quote(_pattern(before)), *map(str, pids)))
        command = f"sh -s -- {words}"
        said = host.run(
            command, action="look for our session there", timeout=timeout, stdin=script("serves.sh").encode()
        )
        told = said.stdout.split()
        if (
            told[-1:] != ["done"]
            or not {*told[:-1]} <= {"seen", "unseen", "unread"}
            or len(told) != len(pids) + 3
            or _far_end(server, timeout) != before
            or server.thread_id != session
        ):
            return None
    except MhaError:
        return None
    if "seen" in told:
        return ""
    if "unread" in told:
        return None
    names = ", ".join(map(str, pids))
    return f"it leads to another host: mysqld {names} there has the port, and no session of ours"


def _far_end(server: Server, timeout: float) -> str:
    """Address and port from which our session comes, as the server sees them; empty where it does not tell a port."""
    mine, asked = server.thread_id, "see where our session comes from"
    with server.reading(asked):
        for row in server.query("SHOW PROCESSLIST", action=asked, timeout=timeout):
            host = row["Host"].decode(errors="replace") if isinstance(row["Host"], bytes) else str(row["Host"])
            if mine is not None and int(row["Id"]) == mine and _PORT.fullmatch(host.rpartition(":")[2]):
                return host
    return ""


def _told_by_a_proxy(server: Server, timeout: float) -> bool:
    """Whether what it says of a session's far end may be a proxy's word, which no kernel knows (the PROXY protocol)."""
    sql = "SHOW GLOBAL VARIABLES LIKE 'proxy_protocol_networks'"
    rows = server.query(sql, action="see whether proxies tell where sessions come from", timeout=timeout)
    return any(str(row["Value"]) for row in rows)


def _pattern(end: str) -> str:
    """What stands in net/tcp for an end (``address:port``); of a name only the port is known."""
    host, _, port = end.rpartition(":")
    number = f":{int(port):04X}$"
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return number
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    packed = (mapped or address).packed
    # Words of the host's own order.
    little = "".join(packed[at : at + 4][::-1].hex() for at in range(0, len(packed), 4)).upper()
    ways = {little: "0000000000000000FFFF0000", packed.hex().upper(): "00000000000000000000FFFF"}
    if len(packed) > 4:
        return f"^({'|'.join(ways)}){number}"
    return f"^({'|'.join(f'({before})?{each}' for each, before in ways.items())}){number}"
