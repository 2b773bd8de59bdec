"""HAProxy before the servers: one backend takes writes, another reads; the first is switched here.

In the writer's backend every server but the primary is in maintenance. In the reader's, checks decide; here they are
only told in advance what they will find. Backends' servers are recognised by their address, so their names are free.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ...config import ClusterConfig, ServerConfig
from ..errors import AddressError
from ..model.check import Check, Severity
from ..threads import ThreadPool
from .haproxy_socket import HaproxySocket, ProxyServer
from .provider import AddressLocation, AddressStep

R = TypeVar("R")


class HaproxyProvider:
    """Every HAProxy of `haproxy_sockets`. See `AddressProvider`."""

    name = "haproxy"

    def __init__(self, config: ClusterConfig) -> None:
        self._config = config
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
            commands = [c for s in written if s.address == old.address for c in _maintenance(s)]
            commands += [c for s in read if s.address == old.address for c in _down(s)]
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

        return self._of_each(look)

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
        return "; ".join(self._of_each(work))

    def _of_each(self, work: Callable[[HaproxySocket], R]) -> tuple[R, ...]:
        """Do it on every proxy at once, whatever becomes of the others; failures are raised when all were tried."""
        with ThreadPool(max_workers=len(self._proxies), thread_name_prefix="haproxy") as pool:
            futures = [pool.submit(work, proxy) for proxy in self._proxies]
        errors = [error for future in futures if (error := future.exception()) is not None]
        for error in errors:
            if not isinstance(error, AddressError):
                raise error
        if len(errors) > 1:
            raise AddressError(self.name, f"{len(errors)} of {len(futures)} proxies", "; ".join(map(str, errors)))
        if errors:
            raise errors[0]
        return tuple(future.result() for future in futures)


_FORGETS = "; its state file cannot be written over TCP: save it before a reload, or this move is forgotten"


def _maintenance(server: ProxyServer) -> tuple[str, ...]:
    return (f"set server {server.path} state maint", f"shutdown sessions server {server.path}")


def _down(server: ProxyServer) -> tuple[str, ...]:
    return (f"set server {server.path} health down", f"shutdown sessions server {server.path}")
