"""ProxySQL before the servers: the group of writers has one, and is switched here; its own monitor sees to the readers.

The server whose role moves is told to every ProxySQL by its admin interface; how, and what its monitor does meanwhile,
is in `proxysql_groups`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from ....config import ClusterConfig, ServerConfig
from ...errors import AddressError
from ...model.check import Check
from ..provider import AddressLocation, AddressStep
from .on_each import on_each
from .proxysql_admin import Asking, ProxysqlAdmin
from .proxysql_groups import Backend, leaving, taking_reads, taking_writes

#: Seconds that its monitor may need to see that a server which was read-only a moment ago is not any more.
_MONITOR = 4.0


class ProxysqlProvider:
    """Every ProxySQL of `proxysql_admins`. See `AddressProvider` and `ReadsProvider`."""

    name = "proxysql"

    def __init__(self, config: ClusterConfig) -> None:
        self._config = config
        self._admins = tuple(ProxysqlAdmin(place, config) for place in config.proxysql_admins)

    def check(self) -> tuple[Check, ...]:
        """Each one lets us in, knows every server, and has one writer, in groups that its monitor knows as a pair."""
        return tuple(check for admin in self._admins for check in self._check(admin))

    def release(self, old: ServerConfig, *, reachable: bool = True) -> AddressStep:
        """No ProxySQL sends anything to the old primary, nor looks at it any more."""

        def leave(admin: ProxysqlAdmin, asking: Asking) -> str:
            gone = f"{old.name} is still among its servers"
            asking.change(leaving(old, admin.groups), lambda found: not _of(old, found), gone)
            return f"{admin.place} sends nothing to {old.name}"

        return AddressStep(self.name, "release", True, self._everywhere(leave))

    def acquire(self, new: ServerConfig) -> AddressStep:
        """Every ProxySQL sends writes to the new primary, and to nobody else."""

        def switch(admin: ProxysqlAdmin, asking: Asking) -> str:
            reads = "SELECT variable_value AS it FROM global_variables WHERE variable_name = "
            also = [r.get("it") for r in asking.ask(f"{reads}'mysql-monitor_writer_is_also_reader'")]
            known = asking.backends()
            statements = taking_writes(new, admin.groups, known, reads=also == ["true"])

            def alone(found: Sequence[Backend]) -> bool:
                writers = [b for b in found if b.group == admin.groups.writer and b.used]
                return [b.status for b in writers] == ["ONLINE"] and writers[0].is_of(new)

            asking.change(statements, alone, f"{new.name} is not the one writer that it uses")
            return f"{admin.place} sends writes to {new.name}"

        return AddressStep(self.name, "acquire", True, self._everywhere(switch))

    def let_read(self, server: ServerConfig) -> AddressStep:
        """It replicates from the new primary: every ProxySQL may send reads to it."""

        def join(admin: ProxysqlAdmin, asking: Asking) -> str:
            def joined(found: Sequence[Backend]) -> bool:
                return [b.group for b in _of(server, found)] == [admin.groups.reader]

            statements = taking_reads(server, admin.groups, asking.backends())
            asking.change(statements, joined, f"{server.name} is not among its readers")
            return f"{admin.place} sends reads to {server.name}"

        return AddressStep(self.name, "let read", True, self._everywhere(join))

    def verify(self) -> tuple[AddressLocation, ...]:
        """Where each ProxySQL that can be asked sends writes."""

        def look(admin: ProxysqlAdmin) -> AddressLocation:
            with admin.open() as asking:
                until = time.monotonic() + min(_MONITOR, asking.deadline.left / 2)
                # Its monitor makes a reader of one that it saw before that was opened, and a writer at its next look.
                while not (writers := self._writers(admin, asking)) and time.monotonic() < until:
                    time.sleep(0.1)
            return AddressLocation(f"the writer of {admin.place}", tuple((w,) for w in writers))

        return on_each(self.name, self._admins, look)

    def close(self) -> None:
        """No session outlives what it was opened for."""

    def _writers(self, admin: ProxysqlAdmin, asking: Asking) -> tuple[str, ...]:
        found = [b for b in asking.backends() if b.group == admin.groups.writer and b.used]
        known = self._config.servers
        return tuple(next((s.address for s in known if b.is_of(s)), f"{b.host}:{b.port}") for b in found)

    def _everywhere(self, work: Callable[[ProxysqlAdmin, Asking], str]) -> str:
        def one(admin: ProxysqlAdmin) -> str:
            with admin.open() as asking:
                return work(admin, asking)

        return "; ".join(on_each(self.name, self._admins, one))

    def _check(self, admin: ProxysqlAdmin) -> Iterator[Check]:
        try:
            with admin.open() as asking:
                found = [b for b in asking.backends() if b.used]
                pairs = asking.ask("SELECT * FROM runtime_mysql_replication_hostgroups")
        except AddressError as error:
            yield Check("proxysql", admin.place, False, str(error))
            return
        groups = admin.groups
        missing = [s.name for s in self._config.servers if not _of(s, found) and not s.no_master]
        text = f"it lacks {', '.join(missing)}" if missing else "it has every server"
        hint = f"insert them into mysql_servers, hostgroup_id {groups.reader}"
        yield Check("proxysql-servers", admin.place, not missing, text, hint=hint)
        writers = [f"{b.host}:{b.port}" for b in found if b.group == groups.writer]
        text = f"it sends writes to {', '.join(writers) or 'nobody'}"
        hint = f"let the primary alone be in the hostgroup {groups.writer}"
        yield Check("proxysql-writer", admin.place, len(writers) == 1, text, hint=hint)
        ours = [str(groups.writer), str(groups.reader)]
        for pair in pairs:
            its = [str(pair.get("writer_hostgroup")), str(pair.get("reader_hostgroup"))]
            if set(ours) & set(its) and its != ours:
                text = f"its monitor moves servers between the hostgroups {' and '.join(its)}"
                hint = "set proxysql_writer and proxysql_reader to the pair of mysql_replication_hostgroups"
                yield Check("proxysql-groups", admin.place, False, text, hint=hint)


def _of(server: ServerConfig, found: Sequence[Backend]) -> list[Backend]:
    return [b for b in found if b.used and b.is_of(server)]
