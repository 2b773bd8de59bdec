"""Every error of this system, on one screen.

MhaError
├── ServerError                  a database server: which one, what was being done, why it failed
│   ├── ServerUnreachable        nobody answers at that address, or the connection broke
│   │   └── ServerGone           asked on a new session, too, it did not answer: it is not waited for again
│   ├── ServerBusy               it answers, but takes no session now (1040, 1203, 1226)
│   ├── AccessDenied             it answers, but not to this user, password or host, or the password has expired
│   ├── PrivilegeMissing         the session lacks a privilege for the statement
│   ├── ServerOdd                it answers, and nobody can make sense of what it says
│   └── StatementFailed          it refused or could not execute the statement
├── HostError                    a host reached over SSH
│   ├── HostUnreachable          no SSH session: refused, timed out, broken
│   ├── HostKeyMismatch          the host's key is unknown or is not the one in known_hosts
│   ├── LoginRefused             no key, agent or password was accepted
│   ├── CommandFailed            a remote command ended with an exit status that was not expected
│   └── RemoteFileError          a remote file is missing, unreadable, or cannot be written
├── LogError                     a binary or relay log cannot be read as such
│   └── LogEncrypted             only a server with its keys can read it
├── NoRoom                       no place on the manager takes a copy of a log
├── HookError                    a user's script failed, or did not end within its deadline
├── AddressError                 the address that applications use could not be moved, or its means are missing
│   └── AddressTaken             somebody else answers for it
├── DeadlineExceeded             a wait ended before what it waited for
├── TooBusy                      a replica executes what it received, or waits for a lock, longer than it is waited for
├── UnsafeStatement              a statement that would destroy what has not been executed (design rule 4)
├── CannotLevel                  a replica lacks what no reachable copy holds in a form it can take
│   └── WayClosed                a copy is there, and there is no way, or none that is safe, to bring it there
├── CameBack                     the old primary may have taken writes since it was proven dead: look and level again
├── CannotRemember               the manager's disk takes no journal
├── JournalOdd                   what a journal says of a former run cannot be understood
├── AlreadyActing                somebody else holds the failover lock of this cluster
│   └── LockLost                 it was ours, and was lost in the middle: nothing is taken back
└── RefusalError                 a decision not to act, carrying its Refusal
"""

from __future__ import annotations

from typing import Any

from .model.refusal import Refusal
from .model.words import plain


class MhaError(Exception):
    """Anything this system reports as its own error; its text is one sentence for an operator."""


class ServerError(MhaError):
    """A database server could not do what it was asked.

    ``server`` is ``host(ip:port)``, ``action`` what was being done, ``cause`` the server's or driver's own
    words, ``errno`` its MySQL error number (0 when there is none), ``hint`` what an operator can do about it.
    ``answered``: the server said so itself, in its own protocol; so it lives, whatever the number (design rule 12).
    """

    def __init__(
        self, server: str, action: str, cause: str, errno: int = 0, hint: str = "", *, answered: bool = False
    ) -> None:
        self.server, self.action, self.cause, self.errno, self.hint = server, action, plain(cause), errno, hint
        self.answered = answered
        number = f"error {errno}: " if errno else ""
        super().__init__(f"{server}: {action}: {number}{self.cause}" + (f" ({hint})" if hint else ""))


class ServerUnreachable(ServerError):
    """Nobody answers at the server's address, or the connection broke (2002, 2003, 2006, 2013, timeouts)."""


class ServerGone(ServerUnreachable):
    """Neither on the session nor on a new one there was an answer: who asks again waits in vain."""


class ServerBusy(ServerError):
    """The server is alive, but takes no session now (1040, 1203, 1226)."""


class AccessDenied(ServerError):
    """The server is alive, but refuses this user, password or client host (1044, 1045, 1129, 1130, 1820, 1862, …)."""


class PrivilegeMissing(ServerError):
    """The session lacks a privilege that the statement needs (1142, 1227, …)."""


class ServerOdd(ServerError):
    """What a server says is not what a server says: packets, columns or values that nobody can make sense of.

    It is that server's error and nobody else's. Whether it ``answered`` is what came before.
    """


class StatementFailed(ServerError):
    """The server refused or could not execute a statement."""


class HostError(MhaError):
    """A host could not be used over SSH. ``host`` is ``user@host:port``; the rest as in ServerError."""

    def __init__(self, host: str, action: str, cause: str, hint: str = "") -> None:
        self.host, self.action, self.cause, self.hint = host, action, plain(cause), hint
        super().__init__(f"{host}: {action}: {self.cause}" + (f" ({hint})" if hint else ""))


class HostUnreachable(HostError):
    """No SSH session could be had, or it broke."""


class HostKeyMismatch(HostError):
    """The host's key is unknown, or differs from the one in known_hosts."""


class LoginRefused(HostError):
    """sshd accepted none of the keys, agents or passwords it was offered."""


class CommandFailed(HostError):
    """A remote command ended with an exit status that was not expected."""


class RemoteFileError(HostError):
    """A remote file is missing, unreadable, or cannot be written (disk full, permissions)."""


class LogError(MhaError):
    """A binary or relay log cannot be read: not a log, encrypted, unknown version, broken at the start."""


class LogEncrypted(LogError):
    """Only a server with its keys can read it; ``head``: bytes of the file that are no part of the log."""

    def __init__(self, text: str, head: int) -> None:
        self.head = head
        super().__init__(text)


class NoRoom(MhaError):
    """No place on the manager takes a copy of a log."""


class HookError(MhaError):
    """A user's script failed or outlived its deadline. ``exit_code`` is None when it was stopped by us."""

    def __init__(self, script: str, action: str, cause: str, exit_code: int | None) -> None:
        self.script, self.action, self.exit_code = script, action, exit_code
        super().__init__(f"{script}: {action}: {plain(cause)}")


class AddressError(MhaError):
    """A provider could not move what applications use. ``where`` is a host or proxy; the rest as in ServerError."""

    def __init__(self, provider: str, where: str, cause: str, hint: str = "") -> None:
        self.provider, self.where, self.cause, self.hint = provider, where, plain(cause), hint
        super().__init__(f"{provider}: {where}: {self.cause}" + (f" ({hint})" if hint else ""))


class AddressTaken(AddressError):
    """Somebody else answers for the address; the cause names the MAC, and the server when it is one of ours."""


class DeadlineExceeded(MhaError):
    """A wait ended before what it waited for. ``seconds`` is the deadline that was given."""

    def __init__(self, what: str, seconds: float, seen: str = "") -> None:
        self.seconds = seconds
        super().__init__(f"{what}: not within {seconds:g} s" + (f"; last seen: {plain(seen)}" if seen else ""))


class TooBusy(MhaError):
    """A replica needs longer than it is waited for. ``other`` is who is taken instead (``ip:port``), if anybody."""

    def __init__(self, text: str, other: str = "") -> None:
        self.other = other
        super().__init__(text)


class UnsafeStatement(MhaError):
    """A statement was not issued because it would have destroyed transactions not yet executed."""


class CannotLevel(MhaError):
    """A replica lacks something that no reachable copy holds in a form it can take."""


class ApplyFailed(MhaError):
    """A server refused what it was to execute of a log that a person gave it; its words are in the text."""


class WayClosed(CannotLevel):
    """A copy of what a replica lacks is there, and it cannot be brought there by this way, or by any that is safe.

    ``kept``, a `Cut`, is what it lacks, once no way is left; ``directory`` is where that lies on the manager,
    ``source`` whose it is.
    """

    def __init__(self, sentence: str, *, kept: Any = None, directory: str = "", source: str = "") -> None:
        self.kept, self.directory, self.source = kept, directory, source
        super().__init__(sentence)


class StoppedInTail(WayClosed):
    """A replica's applier stopped within what was saved.

    ``kept`` is what it lacks from there on, and ``copy``, a `BinlogCopy`, has it.
    """

    def __init__(self, sentence: str, *, kept: Any, copy: Any, source: str) -> None:
        self.copy = copy
        super().__init__(sentence, kept=kept, directory=str(copy.directory), source=source)


class CameBack(MhaError):
    """The old primary may have taken writes since it was proven dead, so nobody is opened on that proof."""


class JournalOdd(MhaError):
    """What a journal says of a former run cannot be understood, so that nobody knows what that one left open."""

    def __init__(self, journal: str, what: str, cause: Exception) -> None:
        why = f"{type(cause).__name__}: {plain(str(cause))}"
        super().__init__(
            f"{journal}: what it says of {plain(what)} makes no sense ({why}), so what that run left open is not "
            "known, and it is not gone on with. See what became of it (mha history, mha status), then move "
            "that file out of manager_workdir"
        )


class AlreadyActing(MhaError):
    """Another manager, or another command, holds the failover lock of this cluster."""


class CannotRemember(MhaError, OSError):
    """The journal cannot be written: a failover that cannot remember must not act. It is an OSError as well."""


class LockLost(AlreadyActing):
    """The failover lock was lost in the middle of a failover: what it began stays as it is, for others may act."""


class RefusalError(MhaError):
    """A decision not to act. ``refusal`` carries its code, sentence, remedy and evidence."""

    def __init__(self, refusal: Refusal) -> None:
        self.refusal = refusal
        super().__init__(refusal.sentence)

    @classmethod
    def of(cls, code: str, sentence: str, remedy: str, evidence: tuple[str, ...] = ()) -> RefusalError:
        """One that is made where it is raised; see `Refusal`."""
        return cls(Refusal(code, sentence, remedy, evidence))
