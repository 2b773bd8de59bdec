"""The accounts that a manager and replicas log in with: until when a server will let them in."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Sequence

from ...config import ClusterConfig, ServerConfig
from ..errors import PrivilegeMissing, ServerError
from ..mysql.dialects.accounts import AccountLife, life_of, life_query, typed_account
from ..mysql.server import Server
from ..notify.events import EventHooks

log = logging.getLogger("mha")

#: Days before a password expires in which that is told, and in which it is an error.
SOON, SHORTLY = 14, 3
#: Seconds between two looks of a manager, and within which it takes its first: many of them may start at once.
EVERY, FIRST_WITHIN = 86400.0, 60.0


def lives_on(server: Server) -> tuple[AccountLife, ...] | None:
    """Every account of the manager's user and of repl_user there; None when they cannot be read. Raises ServerError."""
    return lives_of(server, tuple(dict.fromkeys(n for n in (server.config.user, server.config.repl_user) if n)))


def lives_of(server: Server, names: Sequence[str]) -> tuple[AccountLife, ...] | None:
    """Every account of these users there; None when they cannot be read. Raises ServerError."""
    query = life_query(server.dialect.vendor, server.dialect.version).format(", ".join(["%s"] * len(names)))
    try:
        rows = server.query(query, names, action="see how long its accounts last")
    except PrivilegeMissing:
        return None
    known = server.query("SHOW GLOBAL VARIABLES LIKE 'default_password_lifetime'", action="read its variables")
    clock = server.scalar("SELECT UNIX_TIMESTAMP(NOW(6))", action="read its clock")
    with server.reading("see how long its accounts last"):
        now, lifetime = float(clock), float(known[0]["Value"]) if known else 0.0
        return tuple(life_of(row, lifetime, now) for row in rows)


def how_it_ends(life: AccountLife) -> str:
    """Why an account is refused, or soon will be, as the end of a sentence; empty when it lasts."""
    if life.expired:
        return "has a password that has expired: who logs in with it is refused"
    if life.locked:
        return "is locked: who logs in with it is refused"
    if life.days_left is not None and life.days_left < SOON:
        return f"has a password that expires in {life.days_left:.1f} days: then whoever logs in with it is refused"
    return ""


def sentence(life: AccountLife) -> str:
    """What is to be told of it; empty when it lasts."""
    ends = how_it_ends(life)
    return f"the account {typed_account(life.user, life.host)} {ends}" if ends else ""


def tell_daily(config: Callable[[], ClusterConfig], stop: threading.Event) -> None:
    """For a thread of a manager: once a day, of accounts that are refused or soon will be, to the log and to people."""
    pause = random.uniform(0.0, FIRST_WITHIN)  # noqa: S311 - only so that many do not act in step
    while not stop.wait(pause):
        now, pause = config(), EVERY
        told = dict.fromkeys(words for server in now.servers for words in _of(server))
        for words in told:
            log.warning("%s%s.", words[0].upper(), words[1:])
        if told:
            EventHooks(now).tell(
                "check_failed", text="; ".join(told), failed=[f"account-lasts: {each}" for each in told]
            )


def _of(server: ServerConfig) -> tuple[str, ...]:
    session = Server(server)
    try:
        return tuple(words for life in lives_on(session) or () if (words := sentence(life)))
    except ServerError as error:
        log.debug("%s", error)
        return ()
    finally:
        session.close()
