"""HAProxy before the servers: one backend takes writes, another reads; the first is switched here.

In the writer's backend every server but the primary is in maintenance. In the reader's, checks decide; here they are
only told in advance what they will find. Backends' servers are recognised by their address, so their names are free.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from ....config import ClusterConfig, ServerConfig
from ...deadline import Deadline
from ...errors import AddressError
from ...model.check import Check, Severity
from ..provider import AddressLocation, AddressStep
from .haproxy_socket import HaproxySocket, ProxyServer
from .on_each import on_each

log = logging.getLogger("mha")


class HaproxyProvider:
    """Every HAProxy of `haproxy_sockets`. ``drain``: seconds that sessions have to end when a server is left. See
    `AddressProvider`."""

    name = "haproxy"

    def __init__(self, config: ClusterConfig, *, drain: float = 0.0) -> None:
        self._config, self._drain = config, min(drain, config.vip_timeout / 2)
        like = config.servers[0]
        self._proxies = tuple(
            HaproxySocket(url, like, config.haproxy_state_file, config.vip_timeout) for url in config.haproxy_sockets
        )

    def check(self) -> tuple[Check, ...]:
        """Each proxy answers, knows every server, and sends writes to one."""
        return tuple(check for proxy in self._proxies for check in self._check(proxy))

    def release(self, old: ServerConfig, *, reachable: bool = True) -> AddressStep:
        """No proxy sends anything to the old primary any more, and what it had open is closed."""

        def leave(proxy: HaproxySocket) -> str:
            written, read = self._backends(proxy)
            drained = [s for s in (*written, *read) if s.address == old.address and s.ready and s.up]
            self._let_end(proxy, drained)
            commands = [c for s in written if s.address == old.address for c in _maintenance(s)]
            commands += [c for s in read if s.address == old.address for c in _down(s)]
            # Its checks let it in again, once it is a replica.
            commands += [f"set server {s.path} state ready" for s in read if s in drained]
            self._change(proxy, commands)
            if any(s.ready for s in self._backends(proxy)[0] if s.address == old.address):
                raise AddressError(self.name, proxy.url, f"{old.name} is still in {self._config.haproxy_writer}")
            return f"{proxy.url} sends nothing to {old.name}"

        return AddressStep(self.name, "release", True, self._everywhere(leave))

    def acquire(self, new: ServerConfig) -> AddressStep:
        """Every proxy sends writes to the new primary, and to nobody else."""

        def switch(proxy: HaproxySocket) -> str:
            written, read = self._backends(proxy)
            mine = [s for s in written if s.address == new.address]
            if not mine:
                cause = f"{self._config.haproxy_writer} has no server at {new.address}"
                raise AddressError(self.name, proxy.url, cause, "see mha haproxy-config")
            # The others leave first: at no moment two take writes.
            commands = [c for s in written if s not in mine and s.ready for c in _maintenance(s)]
            commands += [f"set server {s.path} state ready" for s in mine]
            commands += [f"set server {s.path} health down" for s in read if s.address == new.address and s.up]
            self._change(proxy, commands)
            ready = [s for s in self._backends(proxy)[0] if s.ready]
            if [s.address for s in ready] != [new.address]:
                cause = f"{self._config.haproxy_writer} has {', '.join(s.path for s in ready) or 'nobody'} ready"
                raise AddressError(self.name, proxy.url, cause, f"let {new.name} alone be ready there")
            return f"{proxy.url} sends writes to {new.name}" + ("" if proxy.keeps_state else _FORGETS)

        return AddressStep(self.name, "acquire", True, self._everywhere(switch))

    def verify(self) -> tuple[AddressLocation, ...]:
        """Where each proxy that can be asked sends writes."""

        def look(proxy: HaproxySocket) -> AddressLocation:
            ready = tuple((s.address,) for s in self._backends(proxy)[0] if s.ready)
            return AddressLocation(f"the writer of {proxy.url}", ready)

        return on_each(self.name, self._proxies, look)

    def close(self) -> None:
        """End the sessions."""
        for proxy in self._proxies:
            proxy.close()

    def _backends(self, proxy: HaproxySocket) -> tuple[list[ProxyServer], list[ProxyServer]]:
        servers = proxy.servers()
        written = [s for s in servers if s.backend == self._config.haproxy_writer]
        if not written:
            cause = f"it has no backend {self._config.haproxy_writer} with servers"
            raise AddressError(self.name, proxy.url, cause, "see haproxy_writer and mha haproxy-config")
        return written, [s for s in servers if s.backend == self._config.haproxy_reader]

    def _let_end(self, proxy: HaproxySocket, servers: Sequence[ProxyServer]) -> None:
        """No new session goes there; those that are under way have `haproxy_drain` seconds to end by themselves."""
        if not self._drain or not servers:
            return
        self._change(proxy, [f"set server {s.path} state drain" for s in servers])
        deadline = Deadline(self._drain)
        while (open_ones := proxy.sessions(s.path for s in servers)) and not deadline.over:
            time.sleep(min(0.05, deadline.left))
        if open_ones:
            log.info("%s: %d sessions on %s are ended.", proxy.url, open_ones, servers[0].address)

    def _change(self, proxy: HaproxySocket, commands: list[str]) -> None:
        if commands:
            said = proxy.ask(*commands, save=proxy.keeps_state).strip()
            if said and "permission" in said.lower():
                raise AddressError(self.name, proxy.url, said, "its stats socket needs level admin")

    def _check(self, proxy: HaproxySocket) -> tuple[Check, ...]:
        try:
            written, _ = self._backends(proxy)
        except AddressError as error:
            return (Check("haproxy", proxy.url, False, str(error)),)
        known = {s.address for s in written}
        missing = [s.name for s in self._config.servers if s.address not in known and not s.no_master]
        ready = [s.path for s in written if s.ready]
        backend = self._config.haproxy_writer
        return (
            Check(
                "haproxy-servers",
                proxy.url,
                not missing,
                f"{backend} lacks {', '.join(missing)}" if missing else f"{backend} has every server",
                hint="see mha haproxy-config",
            ),
            Check(
                "haproxy-writer",
                proxy.url,
                len(ready) == 1,
                f"{backend} sends writes to {', '.join(ready) or 'nobody'}",
                hint="let the primary alone be ready: set server … state maint",
            ),
            *(() if proxy.keeps_state else (Check("haproxy-state", proxy.url, False, _FORGETS[2:], Severity.WARNING),)),
        )

    def _everywhere(self, work: Callable[[HaproxySocket], str]) -> str:
        return "; ".join(on_each(self.name, self._proxies, work))


_FORGETS = "; its state file cannot be written over TCP: save it before a reload, or this move is forgotten"


def _maintenance(server: ProxyServer) -> tuple[str, ...]:
    return (f"set server {server.path} state maint", f"shutdown sessions server {server.path}")


def _down(server: ProxyServer) -> tuple[str, ...]:
    return (f"set server {server.path} health down", f"shutdown sessions server {server.path}")
