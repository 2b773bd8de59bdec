"""Settings of a server that are changed while a log is applied there, and given back whatever happens.

A statement of the log may be larger than `max_allowed_packet` lets a session send: mysqlbinlog writes the rows of one
statement as one BINLOG statement, in base64. And every commit waits for two fsyncs, which is where the seconds of an
application go: `sync_binlog` and `innodb_flush_log_at_trx_commit` are relaxed meanwhile, so far that a crash of mysqld
still loses nothing (the operating system has everything), and only one of the whole host could.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from ..binlog.cutter import Cut
from ..model.words import plain
from .server import Server

log = logging.getLogger("mha")

PACKET = {"max_allowed_packet": 1 << 30}
#: Nobody else has this number: it tells that a manager has set it, and not a person who likes it so (0).
DURABILITY = {"sync_binlog": 1_000_003, "innodb_flush_log_at_trx_commit": 2}
#: What a replica connects without whose place is a hole in its source's log.
LAX = {"gtid_strict_mode": 0}
#: What a manager of before lent, and none does any more; it is only given back.
FORMER = {"local_infile": 1, "sync_binlog": 0}

#: Below so many transactions the two fsyncs of each are cheaper than making everything durable at the end.
RELAX_FROM = 20


def wanted(cut: Cut) -> dict[str, int]:
    """The settings under which a session applies a cut."""
    return {**PACKET, **wanted_by_applier(cut)}


def wanted_by_applier(cut: Cut) -> dict[str, int]:
    """The settings under which a replica's own applier executes it: it needs no others than how it commits."""
    return dict(DURABILITY) if cut.transactions >= RELAX_FROM else {}


def ours(values: Mapping[str, int]) -> dict[str, int]:
    """What of this is a setting that is ever lent: a name stands in a statement as it is, and a journal is a file."""
    known = {**PACKET, **DURABILITY, **LAX, **FORMER}
    for name in values.keys() - known.keys():
        log.error(
            "%s is no setting that an application of logs changes, so it is not given back.", plain(str(name), 80)
        )
    return {name: int(value) for name, value in values.items() if name in known}


def read(server: Server, names: Mapping[str, int]) -> dict[str, int]:
    """The global values of these variables now."""
    names = ours(names)
    columns = ", ".join(f"@@GLOBAL.{name} AS {name}" for name in names)
    (row,) = server.query(f"SELECT {columns}", action=f"read {', '.join(names)}")
    return {name: int(value) for name, value in row.items()}


def put(server: Server, values: Mapping[str, int]) -> None:
    """Set these global variables; only those that are ever lent (`ours`)."""
    if values := ours(values):
        assignments = ", ".join(f"GLOBAL {name} = {value:d}" for name, value in values.items())
        server.query(f"SET {assignments}", action=f"set {', '.join(values)}")


def give_back(server: Server, former: Mapping[str, int]) -> None:
    """Set what was there before, and make durable what was written meanwhile. Doing it twice is harmless.

    A variable that somebody else has set meanwhile stays as it is.
    """
    if not (former := ours(former)):
        return
    lent = {**PACKET, **DURABILITY, **LAX}
    still = {name for name, value in read(server, former).items() if value in (lent.get(name), FORMER.get(name))}
    put(server, {name: value for name, value in former.items() if name in still})
    if former.keys() & DURABILITY.keys():
        # Closing a binary log syncs it; nobody commits here now who would do it instead.
        for kind in ("ENGINE", "BINARY"):
            server.query(f"FLUSH LOCAL {kind} LOGS", action="make what was applied durable", timeout=60.0)


def left_lent(server: Server) -> bool:
    """Whether its durability is still what a manager lent, whose journal may be on another host."""
    name = "sync_binlog"
    return read(server, {name: 0})[name] == DURABILITY[name]


@contextmanager
def lent(server: Server, changed: Mapping[str, int]) -> Iterator[None]:
    """While it lasts, the server has these settings; for whoever keeps no journal and is there to the end."""
    if not changed:
        yield
        return
    former = {name: value for name, value in read(server, changed).items() if value != changed[name]}
    try:
        put(server, {name: changed[name] for name in former})
        yield
    finally:
        give_back(server, former)
