"""The threads that execute what a channel received, among all of a server's process list."""

from __future__ import annotations

from ..errors import PrivilegeMissing
from ..model.state import ServerState
from ..mysql.dialects.appliers import is_receiver, threads_query
from ..mysql.server import Row, Server


def waits(server: Server, state: ServerState, channel: str) -> bool:
    """Whether no applier of the channel does anything but wait for more to execute.

    ``state`` tells whether there are other channels. Where nobody can say whose threads they are, all have to wait.
    """
    rows = _appliers(server)
    own = own_of(server, channel, len(state.channels))
    known = [row for row in rows if own is not None and int(row["Id"]) in own]
    return all(server.dialect.is_waiting_applier(_text(row["State"])) for row in known or rows)


def idle_workers(server: Server, channel: str) -> list[int]:
    """The numbers of the parallel appliers of the channel that wait for the next part of a transaction.

    Empty where they cannot be told from those of another channel, which is none of ours.
    """
    own = own_of(server, channel, len(server.observe().channels))
    return [
        int(row["Id"])
        for row in _appliers(server)
        if server.dialect.is_idle_worker(_text(row["State"])) and (own is None or int(row["Id"]) in own)
    ]


def _appliers(server: Server) -> list[Row]:
    """Of all channels: who receives is not among them."""
    rows = server.query("SHOW PROCESSLIST", action="see what its appliers do")
    return [r for r in rows if r["User"] == "system user" and not is_receiver(_text(r["Command"]), _text(r["State"]))]


def own_of(server: Server, channel: str, channels: int) -> frozenset[int] | None:
    """The numbers of the channel's own; None where there is no other channel, empty where the server does not tell.

    ``channels`` is how many the server has.
    """
    if channels == 1:
        return None
    question = threads_query(server.dialect.vendor, server.dialect.version)
    if not question:
        return frozenset()
    try:
        found = server.query(question, (channel, channel), action="tell its channels' appliers apart")
    except PrivilegeMissing:
        return frozenset()
    return frozenset(int(row["process"]) for row in found if row["process"] is not None)


def _text(value: object) -> str:
    return str(value or "")
