"""A provider of another package: its errors become ours, and nothing in it can hang or end a failover."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import TypeVar

from ...config import ClusterConfig, ServerConfig
from ...config.address import PROVIDER_GROUP
from ..cluster.pool import ConnectionPool
from ..deadline import Deadline, within
from ..errors import AddressError, MhaError
from ..model.check import Check
from .provider import AddressLocation, AddressProvider, AddressStep

R = TypeVar("R")


class PluginProvider:
    """What the entry point ``name`` offers, loaded when it is first asked. See `AddressProvider`."""

    def __init__(self, name: str, config: ClusterConfig, sessions: ConnectionPool) -> None:
        self.name, self._config, self._sessions = name, config, sessions
        self._made: AddressProvider | None = None

    def check(self) -> tuple[Check, ...]:
        """Its own checks; that it cannot be asked is one too."""
        try:
            return self._do("check it", lambda: self._provider().check())
        except MhaError as error:
            return (Check(f"vip-{self.name}", "", False, str(error)),)

    def release(self, old: ServerConfig, *, reachable: bool = True) -> AddressStep:
        """As it does it, within `vip_timeout`."""
        return self._do("release", lambda: self._provider().release(old, reachable=reachable))

    def acquire(self, new: ServerConfig) -> AddressStep:
        """As it does it, within `vip_timeout`."""
        return self._do("acquire", lambda: self._provider().acquire(new))

    def verify(self) -> tuple[AddressLocation, ...]:
        """As it knows it, within `vip_timeout`."""
        return self._do("verify", lambda: self._provider().verify())

    def close(self) -> None:
        """Only what was asked has anything to close."""
        if (made := self._made) is not None:
            self._do("close", made.close)

    def _provider(self) -> AddressProvider:
        if self._made is None:
            offered = next(iter(entry_points(group=PROVIDER_GROUP, name=self.name)))
            self._made = offered.load()(self._config, self._sessions)
        assert self._made is not None
        return self._made

    def _do(self, what: str, work: Callable[[], R]) -> R:
        try:
            return within(work, Deadline(self._config.vip_timeout), f"{self.name}: {what}")
        except MhaError:
            raise
        except Exception as error:
            raise AddressError(self.name, what, f"{type(error).__name__}: {error}", "ask whoever wrote it") from error
