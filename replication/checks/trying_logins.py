"""Try what each server would have to do as a replica of each that may be promoted: log in there.

From its own host, with its own client, as its channel would: that user, that password, those options. A server that
follows nobody is tried with what the configuration has for it, as a planned switch would make it a replica. Passwords
are read where servers keep them (mysql.slave_master_info, master.info), go through pipes, and are in nothing that is
returned.
"""

from __future__ import annotations

import logging
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from posixpath import join

from ...config import ServerConfig
from ..cluster.pool import ConnectionPool
from ..errors import MhaError, ServerError
from ..model.state import ClusterState, ReplicaChannel, ServerState, Vendor
from ..mysql.dialects import Row, channel_name
from ..mysql.dialects.channel_status import source_host, source_user
from ..mysql.dialects.connecting import Connecting
from ..mysql.option_file import quoted
from ..mysql.server import Server
from ..scripts import script
from ..ssh.host import SshHost

log = logging.getLogger("mha")

#: Seconds that a client waits for a connection, and for everything that is tried from one host.
CONNECT, ALL = 3, 10.0
#: What MySQL's client has no number for when it says it (ER_MUST_CHANGE_PASSWORD_LOGIN).
EXPIRED = 1862
#: Bytes of the file in which a server keeps a channel's source; it has some thirty lines.
_INFO_LIMIT = 64 << 10


@dataclass(frozen=True)
class TriedLogin:
    """One try, or one that could not be made: from which server, to which, as whom.

    ``own`` is whether the password was the channel's own, or else the configuration's. ``error`` is what the client
    said, ``number`` its error number; ``untried`` why nothing was tried. ``found`` is the server_id that answered.
    ``asks`` is how the channel connects.
    """

    start: ServerConfig
    end: ServerConfig
    user: str
    own: bool
    asks: Connecting
    host: str
    found: int = 0
    number: int = 0
    error: str = ""
    untried: str = ""


@dataclass(frozen=True)
class _Means:
    """What one server would log in with. Never kept."""

    user: str
    password: str
    own: bool
    asks: Connecting
    like: str


def try_logins(cluster: ClusterState, sessions: ConnectionPool) -> tuple[TriedLogin, ...]:
    """From every server that answers to every other one that may be promoted, all hosts at once. Bounded by `ALL`."""
    rows = {state.key: row for state in cluster.up if (row := _channel_row(sessions, state)) is not None}
    pattern = next(iter(rows.values()), None)
    if pattern is None:
        return ()
    like: Row = pattern
    wanted = [s for s in sessions.config.servers if cluster.get(s.address) is not None]

    def ask(start: ServerConfig) -> tuple[TriedLogin, ...]:
        state = cluster.get(start.address)
        ends = [end for end in wanted if end.address != start.address and not end.no_master]
        return _from(start, state, ends, rows.get(start.address), like, sessions) if state is not None else ()

    done = sessions.each(ask, wanted, timeout=ALL + 2.0)
    return tuple(login for _, result in done if isinstance(result, tuple) for login in result)


def _channel_row(sessions: ConnectionPool, state: ServerState) -> Row | None:
    """The status row of the channel that a failover would turn, with all that tells how it connects."""
    channel = next((c for c in state.channels if not c.of_a_rescue), None)
    if channel is None:
        return None
    try:
        rows = sessions.server(state.key).show_channels()
    except ServerError:
        return dict(channel.row)
    return next((row for row in rows if channel_name(row) == channel.name), dict(channel.row))


def _from(
    start: ServerConfig,
    state: ServerState,
    ends: list[ServerConfig],
    row: Row | None,
    pattern: Row,
    sessions: ConnectionPool,
) -> tuple[TriedLogin, ...]:
    host = sessions.host(start.address)
    server, untried = sessions.server(start.address), ""
    means = list(_means(start, state, row, pattern, server, host))
    if start.skip_init_ssh_check:
        untried = "its host is left out: skip_init_ssh_check is set"
    elif not means:
        untried = "its password is not known here: repl_password is not set, and where it keeps it cannot be read"
    if untried:
        asks, user = Connecting.of(row or pattern), source_user(row or pattern)
        return tuple(TriedLogin(start, end, user, row is not None, asks, "", untried=untried) for end in ends)
    tries = [(each, end) for each in means for end in ends]
    blocks = "".join(_option_file(state, each, end) for each, end in tries)
    told = _answers(host, start, state, blocks)
    if isinstance(told, str):
        said = [(0, 0, "", told)] * len(tries)
    else:
        said = [_read(told.get(number, "")) for number in range(1, len(tries) + 1)]
    return tuple(
        TriedLogin(start, end, each.user, each.own, each.asks, end.as_source(each.like), found, number, error, why)
        for (each, end), (found, number, error, why) in zip(tries, said, strict=True)
    )


def _means(
    start: ServerConfig, state: ServerState, row: Row | None, pattern: Row, server: Server, host: SshHost
) -> Iterable[_Means]:
    """Its channel's own, and the configuration's where that is another or the server has no channel."""
    asks, like = Connecting.of(row or pattern), source_host(row or pattern)
    own = None
    if row is not None and not start.skip_init_ssh_check:
        own = kept_password(state, channel_name(row), server, host)
        if own is not None:
            yield _Means(source_user(row), own, True, asks, like)
    named = start.repl_password.get_secret_value() if start.repl_password is not None else None
    user = start.repl_user or source_user(row or pattern)
    if named is not None and user and named != own:
        yield _Means(user, named, False, asks, like)


def kept_password(state: ServerState, channel: str, server: Server, host: SshHost) -> str | None:
    """The password that a channel logs in with; None where it cannot be read. Not for anybody's eyes."""
    if state.vendor is Vendor.MYSQL:
        named = " WHERE Channel_name = %s" if server.dialect.multi_channel else ""
        query = f"SELECT User_password AS kept FROM mysql.slave_master_info{named}"  # noqa: S608 - no word of others
        try:
            rows = server.query(query, (channel,) if named else (), action="read how it logs in")
        except ServerError as error:
            log.debug("%s", error)
            rows = []
        if rows:
            return _text(rows[0]["kept"])
    name = f"master{'-' + channel.lower() if channel else ''}.info"
    try:
        text = host.read_file(join(state.datadir, name), _INFO_LIMIT, links=False)
        lines = text.decode("utf-8", "surrogateescape").split("\n")
    except MhaError as error:
        log.debug("%s", error)
        return None
    # How many lines it has, then log, place, host, user, password (both vendors; MySQL's rpl_mi.cc names them).
    return lines[5] if len(lines) > 6 and lines[0].isdigit() else None


def _text(value: object) -> str:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value or "")


def _option_file(state: ServerState, means: _Means, end: ServerConfig) -> str:
    lines = ["[client]", f"host={quoted(end.as_source(means.like))}", f"port={end.port}", "protocol=tcp"]
    lines += [f"user={quoted(means.user)}", f"password={quoted(means.password)}", f"connect-timeout={CONNECT}"]
    for line in means.asks.client_lines(state.vendor, state.datadir):
        name, is_set, value = line.partition("=")
        lines.append(f"{name}={quoted(value)}" if is_set else name)
    return "\n".join(lines) + "\n.\n"


def _answers(host: SshHost, start: ServerConfig, state: ServerState, blocks: str) -> dict[int, str] | str:
    """What the client was answered, by the number of the try; or why nothing was tried."""
    words = [state.vendor.value, start.client_bindir or "", start.client_libdir or ""]
    command = f"sh -c {shlex.quote(script('come_in.sh'))} come_in {' '.join(shlex.quote(word) for word in words)}"
    try:
        done = host.run(
            command, action="log in as a replica", timeout=ALL, stdin=blocks.encode("utf-8", "surrogateescape")
        )
    except MhaError as error:
        return str(error)
    if "noclient" in done.stdout.splitlines():
        return "there is no mysql client on its host"
    told: dict[int, str] = {}
    for line in done.stdout.splitlines():
        key, _, rest = line.partition("\t")
        number, _, said = rest.partition("\t")
        if key == "login" and number.isdigit():
            told[int(number)] = said
    return told


def _read(said: str) -> tuple[int, int, str, str]:
    """server_id, error number, error, and why nothing is known."""
    if found := re.fullmatch(r"id (\d+)", said):
        return int(found[1]), 0, "", ""
    if "--connect-expired-password" in said:
        return 0, EXPIRED, "the password of the account has expired", ""
    if found := re.search(r"ERROR (\d+)", said):
        return 0, int(found[1]), said[:400], ""
    return 0, 0, "", said[:400] or "its client did not answer in time"


def of_channel(channels: Iterable[ReplicaChannel]) -> str:
    """The account that a server's channel comes in with."""
    return next((c.source_user for c in channels if not c.of_a_rescue), "")
