"""The account with which an old server replicates: the configured one, or the one that another replica logs in with."""

from __future__ import annotations

from collections.abc import Sequence

from ...config import ServerConfig
from ..checks.trying_logins import kept_password
from ..cluster.pool import ConnectionPool
from ..planning.selection import Follower


def user_of(old: ServerConfig, followers: Sequence[Follower]) -> str:
    """Its name, empty where nobody tells."""
    return old.repl_user or next((f.channel.source_user for f in followers if f.channel.source_user), "")


def password_of(old: ServerConfig, followers: Sequence[Follower], sessions: ConnectionPool) -> str | None:
    """Its password; None where it cannot be had. Never kept, never shown."""
    if old.repl_password is not None:
        return old.repl_password.get_secret_value()
    user = user_of(old, followers)
    for each in followers:
        if each.channel.source_user != user:
            continue
        server, host = sessions.server(each.key), sessions.host(each.key)
        if (kept := kept_password(each.state, each.channel.name, server, host)) is not None:
            return kept
    return None
