"""What an address provider is: it takes an address from one server and gives it to another, and knows where it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from ...config import ServerConfig
from ..model.check import Check


@dataclass(frozen=True)
class AddressStep:
    """What became of one half of a move, by one provider.

    ``verb`` is release, acquire or let read, ``text`` what was found and done, in words. ``done`` is True only for an
    effect that was seen; ``failed`` that it should be there and is not.
    """

    provider: str
    verb: str
    done: bool
    text: str
    failed: bool = False

    def __str__(self) -> str:
        return f"{self.provider}: {self.text}"


@dataclass(frozen=True)
class AddressLocation:
    """Where one thing that moves was found: ``what`` it is, and for each host that has it the servers (``ip:port``)
    there. ``unknown`` are the names of those that could not be asked."""

    what: str
    at: tuple[tuple[str, ...], ...]
    unknown: tuple[str, ...] = ()

    def only_at(self, server: ServerConfig) -> bool:
        """It is at that server, and nowhere else that could be asked."""
        return len(self.at) == 1 and server.address in self.at[0]


class AddressProvider(Protocol):
    """One way in which applications find the primary. Providers know nothing of failovers or switches.

    Every method has its deadline and may be repeated: it looks whether it is done, does it, and looks again.
    Raises AddressError and its children; HookError from a user's script, whose exit code decides alone.
    """

    #: As `vip_provider` names it.
    name: str

    def check(self) -> tuple[Check, ...]:
        """Whether a move would find all it needs. Changes nothing, raises nothing."""
        ...

    def release(self, old: ServerConfig, *, reachable: bool = True) -> AddressStep:
        """Take it from ``old``. ``reachable`` is whether its host answers over SSH."""
        ...

    def acquire(self, new: ServerConfig) -> AddressStep:
        """Give it to ``new``, which is what applications find from then on."""
        ...

    def verify(self) -> tuple[AddressLocation, ...]:
        """Where it is now; empty for a provider that cannot know."""
        ...

    def close(self) -> None:
        """End the sessions of its own."""
        ...


@runtime_checkable
class ReadsProvider(Protocol):
    """One that takes a former primary for no reader until it is told to."""

    def let_read(self, server: ServerConfig) -> AddressStep:
        """``server`` replicates from the primary. Has its deadline and may be repeated. Raises AddressError."""
        ...
