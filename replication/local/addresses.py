"""Where a server is now: its name is resolved again with each connection, for a container may come back elsewhere.

An address that was configured as such stays. So does one that its name still has among others, the last known one while
nobody resolves, and any when the name points at another configured server by now: that one is not this one.
"""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass

from ...config import ServerConfig
from ..threads import Thread

#: Seconds that an answer is kept; that one is waited for; and that nobody is asked again after there was none.
KEPT, WAITS, AGAIN = 1.0, 0.3, 5.0


@dataclass(frozen=True)
class _Answer:
    addresses: tuple[str, ...]
    until: float


_answers: dict[str, _Answer] = {}


def address_of(server: ServerConfig) -> str:
    """The address for MySQL sessions, within `WAITS` seconds."""
    return choose(server.ip, _ask(server.name_of_ip), server.of_others)


def ssh_address_of(server: ServerConfig) -> str:
    """The same for SSH."""
    return choose(server.ssh_ip, _ask(server.name_of_ssh_ip), server.of_others)


def choose(known: str, now: tuple[str, ...], of_others: frozenset[str]) -> str:
    """Of the addresses that a name has now, the one to use. Pure."""
    if not now or known in now:
        return known
    return next((address for address in now if address not in of_others), known)


def _ask(name: str) -> tuple[str, ...]:
    """All addresses of a name; the last ones while there is no answer, none for what is no name."""
    if not name:
        return ()
    last = _answers.get(name, _Answer((), 0.0))
    if time.monotonic() < last.until:
        return last.addresses
    found: list[tuple[str, ...]] = []

    def ask() -> None:
        try:
            entries = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            return
        found.append(tuple(dict.fromkeys(str(entry[4][0]) for entry in entries)))

    asking = Thread(target=ask, name=f"resolve {name}", daemon=True)
    asking.start()
    asking.join(WAITS)
    now = time.monotonic()
    answer = _Answer(found[0], now + KEPT) if found else _Answer(last.addresses, now + AGAIN)
    _answers[name] = answer
    return answer.addresses
