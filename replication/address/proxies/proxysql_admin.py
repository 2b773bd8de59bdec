"""One ProxySQL's admin interface: MySQL's protocol, SQLite's SQL."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import pymysql
from pymysql.cursors import DictCursor

from ....config import ClusterConfig
from ....config.loader import resolve_host
from ...deadline import Deadline
from ...errors import AddressError, MhaError
from ...mysql.session import SqlSession, map_error
from .proxysql_groups import Backend, Groups

#: Seconds between two attempts against a monitor that moves servers, too.
_AGAIN = 0.1
_BEGIN, _RUN, _KEEP = "SAVE MYSQL SERVERS FROM RUNTIME", "LOAD MYSQL SERVERS TO RUNTIME", "SAVE MYSQL SERVERS TO DISK"


class _AdminSession(SqlSession):
    """It knows none of the settings that a session with a database server depends on."""

    def _set_all(self) -> None:
        pass


class ProxysqlAdmin:
    """The admin interface at ``place`` (host:port). All of one `Asking` has `vip_timeout` seconds."""

    def __init__(self, place: str, config: ClusterConfig) -> None:
        self.place, self._config = place, config
        self.groups = Groups(config.proxysql_writer, config.proxysql_reader)

    def open(self) -> Asking:
        """A session, to be used with ``with``. Raises AddressError."""
        deadline = Deadline(self._config.vip_timeout)
        where, like = urlsplit(f"//{self.place}"), self._config.servers[0]
        name, password = where.hostname or "", self._config.proxysql_password
        changes = {
            "block": "proxysql",
            "hostname": name,
            "port": where.port,
            "user": self._config.proxysql_user,
            "ssl_mode": "preferred",
            **({"password": password} if password is not None else {}),
            **dict.fromkeys(("ssl_ca", "ssl_cert", "ssl_key", "ssl_server_key", "unix_socket")),
        }
        try:
            changes["ip"] = resolve_host(name, deadline.left)
            session = _AdminSession(like.elsewhere(changes), deadline.left, defer_connect=True)
            session.connect()
        except (pymysql.Error, OSError) as error:
            raise self.failed(map_error(self.place, "connect", error)) from None
        except MhaError as error:
            raise self.failed(error) from error
        return Asking(self, session, deadline)

    def failed(self, error: MhaError) -> AddressError:
        """The sentence for what went wrong with this one."""
        hint = "see proxysql_admins, proxysql_user, proxysql_password; the user admin may only come from its own host"
        return AddressError("proxysql", self.place, getattr(error, "cause", "") or str(error), hint)


class Asking:
    """One session with an admin interface, which ends with the ``with`` around it. Raises AddressError."""

    def __init__(self, admin: ProxysqlAdmin, session: SqlSession, deadline: Deadline) -> None:
        self._admin, self._session, self.deadline = admin, session, deadline

    def __enter__(self) -> Asking:
        return self

    def __exit__(self, *_: object) -> None:
        self._session._force_close()  # type: ignore[attr-defined]

    def ask(self, sql: str) -> list[dict[str, Any]]:
        """The rows of one statement."""
        try:
            self._session.allow(max(0.01, self.deadline.left), whole=max(0.01, self.deadline.left))
            with self._session.cursor(DictCursor) as cursor:
                cursor.execute(sql)
                return list(cursor.fetchall())
        except Exception as error:  # noqa: BLE001  # whatever it makes of the driver is its error
            raise self._admin.failed(map_error(self._admin.place, sql, error)) from None

    def backends(self) -> tuple[Backend, ...]:
        """What runs in both groups."""
        sql = "SELECT hostgroup_id, hostname, port, status FROM runtime_mysql_servers"
        rows = self.ask(f"{sql} WHERE hostgroup_id IN ({self._admin.groups})")
        try:
            return tuple(
                Backend(int(r["hostgroup_id"]), str(r["hostname"]), int(r["port"]), str(r["status"])) for r in rows
            )
        except (KeyError, TypeError, ValueError):
            raise AddressError(
                "proxysql", self._admin.place, "it is no ProxySQL: it answers with other columns"
            ) from None

    def change(
        self, statements: Sequence[str], done: Callable[[Sequence[Backend]], bool], otherwise: str
    ) -> tuple[Backend, ...]:
        """Change, run, look, again until it stays; then keep it. ``otherwise`` is what is wrong when it never does."""
        while True:
            for sql in (_BEGIN, *statements, _RUN):
                self.ask(sql)
            found = self.backends()
            if done(found):
                self.ask(_KEEP)
                return found
            if self.deadline.left <= _AGAIN:
                now = ", ".join(f"{b.host}:{b.port} {b.status} in {b.group}" for b in found) or "no server"
                hint = "see who else changes mysql_servers, and whether ProxySQL reaches that server"
                raise AddressError("proxysql", self._admin.place, f"{otherwise}: it has {now}", hint)
            time.sleep(_AGAIN)
