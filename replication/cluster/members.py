"""Who belongs to a cluster, for whoever has no configuration yet: one of its servers is asked who its replicas are.

The way leads up first, from a replica to its source, and so to the primary; then down to those that have introduced
themselves there. A replica that tells no report_host is looked for at the addresses that read the primary's log.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from ...config import ServerConfig
from ..errors import MhaError, RefusalError, ServerOdd
from ..model.refusal import Refusal
from ..model.state import ServerState
from ..mysql.server import Server
from .unknown_replicas import READER_PORT, Readers, Registered, readers_of

#: Seconds for a server's first word.
CONNECT = 4.0
#: Sources above each other that are gone up to at most.
STOREYS = 8
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,254}")
#: What an account may be for: in that of an address an underscore would be any digit.
_NO_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:-]*|(?=[^:]*[A-Za-z])[A-Za-z0-9][A-Za-z0-9._-]*")

Place = tuple[str, int]
#: How to log in at a host and port. It may raise OSError, for a name that nobody knows.
Login = Callable[[str, int], ServerConfig]
#: Whether to log in at these places, of which a sentence says who names them: who is there would get the account's
#: login, and a server tells of its source, as a replica of itself, whatever it likes.
Agreed = Callable[[str], bool]


@dataclass(frozen=True)
class Member:
    """A server that answered; ``host`` is what it is called, ``manager`` this host as it sees it."""

    host: str
    state: ServerState
    manager: str
    readers: Readers = field(default_factory=Readers)

    @property
    def place(self) -> Place:
        """Where it is."""
        return self.host, int(self.state.key.rpartition(":")[2])

    @property
    def ip(self) -> str:
        """Its address."""
        return self.state.key.rpartition(":")[0]

    @property
    def log_directory(self) -> str:
        """Where it writes its binary log; empty where it writes none."""
        base = self.state.log_bin_basename if self.state.log_bin else ""
        return (
            str(PurePosixPath(base).parent) if base.startswith("/") else self.state.datadir.rstrip("/") if base else ""
        )


@dataclass(frozen=True)
class Members:
    """The cluster as its servers tell it. ``unasked`` are servers that are there and did not let us in, and why."""

    primary: Member
    replicas: tuple[Member, ...]
    unasked: tuple[tuple[Place, str], ...]
    strangers: tuple[str, ...]

    @property
    def all(self) -> tuple[Member, ...]:
        """Those that answered, the primary first."""
        return (self.primary, *self.replicas)

    @property
    def replication_user(self) -> str:
        """The account that most replicas come in with; empty where nobody tells."""
        users = [c.source_user for m in self.replicas for c in m.state.channels if not c.of_a_rescue and c.source_user]
        return max(users, key=users.count, default="")


def find_members(host: str, port: int, login: Login, agreed: Agreed) -> Members:
    """Ask the server there, its source, and their replicas. Raises ServerError or OSError where that one is not to be
    asked; whoever else is not is told in the result.
    """
    primary = ask(login(host, port), host)
    above = _sources(primary, login, agreed)
    primary = above[-1] if above else primary
    found: list[Member] = []
    unasked: list[tuple[Place, str]] = []
    strangers: list[str] = []
    spare = list(dict.fromkeys(address for _, address in primary.readers.sessions))
    registered = [replica for replica in primary.readers.registered if replica.port != READER_PORT]
    places = {f"{host}:{replica.port}": None for replica in registered for host in _places(replica, spare)}
    may = not places or agreed(f"Servers that replicate from it are at {', '.join(places)}.")
    for replica in registered:
        member, why = _asked(replica, spare, login) if may else (None, "nobody logged in to it")
        if member is not None:
            found.append(member)
        elif _HOST.fullmatch(replica.host):
            unasked.append(((replica.host, replica.port), why))
        else:
            strangers.append(f"a replica with server_id {replica.server_id} tells no report_host, and {why}")
    return Members(primary, tuple(found), tuple(unasked), tuple(strangers))


def ask(config: ServerConfig, host: str) -> Member:
    """One server: its state, and what it knows of replicas and of us. Raises ServerError."""
    with contextlib.closing(Server(config)) as server:
        server.connect(CONNECT)
        action = "see where this session comes from"
        manager = str(server.scalar("SELECT USER()", action=action)).rpartition("@")[2]
        if not _NO_PATTERN.fullmatch(manager):
            # An account is made for it: a pattern would let in whoever comes.
            raise ServerOdd(str(server), action, f"{manager!r} is no host", answered=True)
        return Member(host, server.observe(), manager, readers_of(server))


def _sources(member: Member, login: Login, agreed: Agreed) -> tuple[Member, ...]:
    """Those above it, the topmost last; of two that replicate from each other the one that takes writes.

    Raises RefusalError where nobody may be asked there.
    """
    way: list[Member] = []
    seen = {member.state.server_id}
    for _ in range(STOREYS):
        channel = next((c for c in member.state.channels if not c.of_a_rescue), None)
        if channel is None:
            break
        place = f"{channel.source_host}:{channel.source_port}"
        if not _HOST.fullmatch(channel.source_host):
            raise ServerOdd(
                member.state.name, "see whom it follows", f"{channel.source_host!r} is no host", answered=True
            )
        if not agreed(f"{member.state.name} replicates from {place}."):
            raise RefusalError(
                Refusal(
                    "source-not-asked",
                    f"{member.state.name} replicates from {place}, and nobody logged in there.",
                    "Name the primary with --from.",
                )
            )
        above = ask(login(channel.source_host, channel.source_port), channel.source_host)
        if above.state.server_id in seen:
            return tuple(way) if member.state.writable or not above.state.writable else (*way, above)
        seen.add(above.state.server_id)
        way.append(above)
        member = above
    return tuple(way)


def _asked(replica: Registered, spare: Sequence[str], login: Login) -> tuple[Member | None, str]:
    """The replica of that server_id at the place it tells, else at an address that reads the log; or why it was not."""
    why = "no address that reads the log is its own"
    for host in _places(replica, spare):
        try:
            member = ask(login(host, replica.port), host)
        except (MhaError, OSError) as error:
            why = str(error)
            continue
        if member.state.server_id == replica.server_id:
            return member, ""
    return None, why


def _places(replica: Registered, spare: Sequence[str]) -> Iterator[str]:
    """Where it says that it is, and where somebody reads the log; what is no name of a host is left out."""
    if replica.host and _HOST.fullmatch(replica.host):
        yield replica.host
    yield from (address for address in spare if address != replica.host and _HOST.fullmatch(address))
