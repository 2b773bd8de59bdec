"""A host reached over SSH: commands with deadlines, and its files, over one session that is kept open."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import shlex
import stat as stat_modes
import threading
import time
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar

import paramiko

from ..deadline import Deadline
from ..errors import CommandFailed, DeadlineExceeded, HostError, HostUnreachable, RemoteFileError
from ..local.own_files import written
from ..scripts import script
from .connect import CONNECT, NOT_UNDERSTOOD, open_transport
from .framing import NO_SHELL, Frame, hint_for, last_line
from .login import load_login
from .port_forward import Forward
from .session import Lease, SessionBroken, SftpLease, SshSession
from .sftp_reader import RemoteReader, RemoteStat, file_errors, kind_of, names_in
from .streams import CHUNK, Collector, HashingSource, InputSource, RunningCommand, drain, feed
from .wrong_host import refuse

if TYPE_CHECKING:
    from ...config import ServerConfig

#: Seconds that one exchange about a file may take: a stat, a listing, the next piece of a read.
FILE_TIMEOUT = 10.0
#: Seconds a kept session may take to open a channel before a new connection is tried instead.
PATIENCE = 3.0
#: Sessions tried for one command, before it is sent: others may give up the one that was just opened.
ATTEMPTS = 3

_T = TypeVar("_T")

_BROKE, _UNKNOWN = "the session broke before the command's end", "it is not known whether it took effect"


@dataclass(frozen=True)
class CommandResult:
    """How a remote command ended. ``exit_code`` is -1 when a signal ended it, or its end did not come whole.

    ``seconds`` is its duration seen from here. What the user's login files print is in neither output (`framing`).
    Each output holds at most 1 MiB: the first and the last half of it, and a line between that says what is missing.
    """

    exit_code: int
    stdout: str
    stderr: str
    seconds: float


class SshHost:
    """The host of one server. Thread-safe: several commands and files may be open at once.

    The session is opened when first needed, kept, and opened again when it broke between uses. All methods raise
    HostError's children: HostUnreachable (`wrong_host`, too), HostKeyMismatch, LoginRefused, and those named with each.
    """

    def __init__(self, server: ServerConfig) -> None:
        self._server = server
        self._session: SshSession | None = None
        # One login at a time may take as long as a login may; the other lock is only ever held for an instant.
        self._logging_in = threading.Lock()
        self._lock = threading.Lock()
        try:
            self._name = load_login(server).name
        except HostError as error:
            self._name = error.host

    @property
    def name(self) -> str:
        """``user@address:port``, as it is logged in to."""
        return self._name

    def __repr__(self) -> str:
        return f"SshHost({self._name})"

    def connect(self, timeout: float | None = None) -> None:
        """Have a session open, within ``timeout`` seconds (the configured ssh_connection_timeout). Idempotent."""
        self._connected(Deadline(timeout) if timeout is not None else None, timeout)

    def alive(self, timeout: float = 1.0) -> bool:
        """Whether a session is open and its far side answers now; never takes longer than ``timeout`` seconds."""
        session = self._session
        return session is not None and session.active and session.answers(timeout)

    def close(self) -> None:
        """End the session; the object may be used again."""
        with self._lock:
            session, self._session = self._session, None
        if session is not None:
            session.transport.close()

    def run(
        self,
        command: str,
        *,
        action: str,
        timeout: float,
        stdin: bytes | InputSource = b"",
        ok: Container[int] = (0,),
    ) -> CommandResult:
        """Run a command through the user's shell and wait for its end, ``timeout`` seconds at most for everything.

        ``action`` says for an operator what it is for; the command's text goes into no message. At the deadline
        the command loses its channel but is not killed there: give it to timeout(1) where that matters.
        Raises CommandFailed when the exit code is not in ``ok``; DeadlineExceeded; what reading ``stdin`` raises.
        """
        source = io.BytesIO(stdin) if isinstance(stdin, bytes) else stdin
        result = self._execute(command, action, Deadline(timeout), source)
        if result.exit_code not in ok:
            raise self._failed(CommandFailed, action, result)
        return result

    def started(self, command: str, *, action: str, timeout: float, silence: float) -> RunningCommand:
        """A command that runs on, and whose output is read as it comes. Raises as `run` does."""
        frame = Frame()
        lease = self._begun(frame.around(command), action, Deadline(timeout))
        return RunningCommand(lease, frame, self._name, action, silence)

    def greeted(self, address: str, port: int, *, timeout: float) -> bool:
        """Whether that port says anything to this host within ``timeout`` seconds; no program is needed there.

        sshd connects. Raises HostUnreachable, also when it forwards nothing (sshd_config(5), AllowTcpForwarding).
        """
        action, deadline = f"look at {address}:{port}", Deadline(timeout)
        session, _ = self._connected(deadline)
        try:
            return session.greeted_through(address, port, deadline)
        except SessionBroken as error:
            raise HostUnreachable(self._name, action, str(error)) from error

    def open(self, path: str, timeout: float = FILE_TIMEOUT, *, links: bool = True) -> BinaryIO:
        """A remote file for reading: seekable, read ahead in bounded pieces, ``timeout`` seconds for each.

        Reading at the end of a file that grows gives what was added since. Without ``links`` the name has to be a
        file's own, which is proven of what was opened: who may write to a directory does not choose what root reads.
        Raises RemoteFileError, also while reading.
        """
        action = f"read {path}"
        lease = self._borrow_sftp(action, timeout)
        try:
            with file_errors(self._name, action, lease):
                named = None if links else self._file_itself(lease.sftp, path, action)
                handle = lease.sftp.open(path, "rb", bufsize=0)
                found = handle.stat()
                size = found.st_size or 0
                if named is not None and kind_of(found) != kind_of(named):
                    handle.close()
                    raise RemoteFileError(self._name, action, "it was replaced by another file while it was opened")
        except BaseException as error:
            lease.give_back(sound=isinstance(error, RemoteFileError))
            raise
        raw = RemoteReader(handle, size, lambda: file_errors(self._name, action, lease), lease.give_back)
        return io.BufferedReader(raw, buffer_size=CHUNK * 2)

    def _file_itself(self, sftp: paramiko.SFTPClient, path: str, action: str) -> paramiko.SFTPAttributes:
        found = sftp.lstat(path)
        mode = found.st_mode or 0
        if not stat_modes.S_ISREG(mode):
            what = "a link, and links are not followed" if stat_modes.S_ISLNK(mode) else "no file"
            raise RemoteFileError(self._name, action, f"it is {what}")
        return found

    def read_file(self, path: str, limit: int, timeout: float = FILE_TIMEOUT, *, links: bool = True) -> bytes:
        """A whole small file. Raises RemoteFileError, also when it is larger than ``limit`` bytes."""
        with self.open(path, timeout, links=links) as file:
            data = file.read(limit + 1)
        if len(data) > limit:
            raise RemoteFileError(self._name, f"read {path}", f"it is larger than {limit} bytes")
        return data

    def stat(self, path: str, timeout: float = FILE_TIMEOUT, *, links: bool = True) -> RemoteStat:
        """Size, time and mode of a file; without ``links`` of what has the name itself. Raises RemoteFileError."""
        with self._sftp(f"look at {path}", timeout) as sftp:
            found = sftp.stat(path) if links else sftp.lstat(path)
            return RemoteStat(found.st_size or 0, found.st_mtime or 0, found.st_mode or 0)

    def listdir(self, path: str, timeout: float = FILE_TIMEOUT) -> tuple[str, ...]:
        """The names in a directory, sorted; bytes that are no text come as surrogates. Raises RemoteFileError."""
        with self._sftp(f"list {path}", timeout) as sftp:
            return tuple(sorted(names_in(sftp, path)))

    def remove(self, path: str, missing_ok: bool = True, timeout: float = FILE_TIMEOUT) -> None:
        """Delete a file. Raises RemoteFileError."""
        with self._sftp(f"remove {path}", timeout) as sftp:
            try:
                sftp.remove(path)
            except FileNotFoundError:
                if not missing_ok:
                    raise

    def mkdir(self, path: str, mode: int = 0o700, timeout: float = FILE_TIMEOUT) -> None:
        """Make a directory and its parents; one that exists is left as it is. Raises RemoteFileError."""
        where = shlex.quote(path)
        command = f"test -d {where} || mkdir -p -m {mode:o} -- {where}"
        self._shell(command, f"make the directory {path}", Deadline(timeout))

    def own_directory(self, path: str, timeout: float = FILE_TIMEOUT) -> str:
        """That directory, made if need be; where every local user may write there, one of the SSH user's alone, within
        it or in his home. Raises RemoteFileError.
        """
        command = f"{script('own.sh')}\nown_directory {shlex.quote(path)}"
        return self._shell(command, f"make the directory {path}", Deadline(timeout)).stdout.strip()

    def put(self, data: bytes | InputSource, path: str, mode: int = 0o600, timeout: float = 600.0) -> str:
        """Write a remote file, whole or not at all; the SHA-256 of what was written, in hex.

        It goes through the shell and not over SFTP, which cannot say that a disk is full.
        Raises RemoteFileError (disk full, permissions, no such directory); DeadlineExceeded.
        """
        action, deadline = f"write {path}", Deadline(timeout)
        digest = HashingSource(io.BytesIO(data) if isinstance(data, bytes) else data)
        final, part = shlex.quote(path), shlex.quote(f"{path}.part{os.getpid()}-{threading.get_ident()}")
        # Renamed only once the size is known to be right: to cat a session that broke looks like the end of the data.
        command = (
            f"umask 077; {{ cat > {part} && chmod {mode:o} {part} && wc -c < {part}; }} "
            f"|| {{ code=$?; rm -f {part}; exit $code; }}; "
            f"command -v sha256sum >/dev/null || exit 0; sha256sum < {part} || {{ rm -f {part}; exit 1; }}"
        )
        written, *summed = self._shell(command, action, deadline, digest).stdout.split() or [""]
        if written != str(digest.size) or summed not in ([], [digest.hex, "-"]):
            self.remove(f"{path}.part{os.getpid()}-{threading.get_ident()}")
            what = f"{written} of {digest.size} bytes" if written != str(digest.size) else "other bytes than were sent"
            raise RemoteFileError(self._name, action, f"{what} arrived")
        self._shell(f"mv -f -- {part} {final}", action, deadline)
        return digest.hex

    def get(self, path: str, local: Path, timeout: float = FILE_TIMEOUT) -> str:
        """Copy a remote file to ``local`` (mode 0600, on disk before it has its name); its SHA-256 in hex.

        ``timeout`` is for each piece. Raises RemoteFileError; OSError from the local disk.
        """
        digest = hashlib.sha256()
        with written(local, binary=True, durable=True) as target, self.open(path, timeout) as source:
            while data := source.read(CHUNK * 8):
                digest.update(data)
                target.write(data)
        return digest.hexdigest()

    def forward(self, deliver: Callable[[paramiko.Channel], None], timeout: float = FILE_TIMEOUT) -> Forward:
        """Have what connects to a port of the host's own loopback delivered here. Raises HostUnreachable."""
        session, _ = self._connected(Deadline(timeout))
        return Forward(session, self._name, deliver, timeout=timeout)

    # The session

    def _connected(self, deadline: Deadline | None, connect_timeout: float | None = None) -> tuple[SshSession, bool]:
        """The session and whether it was there before."""
        refuse(self._server, self._name)
        session = self._session
        if session is not None and session.active:
            return session, True
        wait = deadline or Deadline(self._server.ssh_connection_timeout)
        if not self._logging_in.acquire(timeout=wait.left):
            raise HostUnreachable(self._name, CONNECT, f"no answer within {wait.seconds:g} s")
        try:
            session = self._session
            if session is not None and session.active:
                return session, True
            login = load_login(self._server)
            self._name = login.name
            limit = connect_timeout or login.connect_timeout
            session = SshSession(open_transport(login, Deadline(min(limit, deadline.left) if deadline else limit)))
            with self._lock:
                self._session = session
            return session, False
        finally:
            self._logging_in.release()

    def _opened(self, deadline: Deadline, open_in: Callable[[SshSession, float], _T]) -> _T:
        """What ``open_in`` opens in the session; again in a new one when a kept session is found broken."""
        for _ in range(ATTEMPTS):
            session, kept = self._connected(deadline)
            try:
                return open_in(session, PATIENCE if kept else deadline.left)
            except SessionBroken as error:
                self._drop(session)
                broken = error
                if not kept:
                    break
        raise HostUnreachable(self._name, CONNECT, f"the session is of no use: {broken}") from broken

    def _drop(self, session: SshSession) -> None:
        with self._lock:
            if self._session is session:
                self._session = None
        session.retire()

    # Commands

    def _execute(self, command: str, action: str, deadline: Deadline, source: InputSource) -> CommandResult:
        began, frame = time.monotonic(), Frame()
        lease = self._begun(frame.around(command), action, deadline)
        collectors = Collector(lease.channel.recv, frame), Collector(lease.channel.recv_stderr, frame)
        with lease:
            for collector in collectors:
                collector.start()
            with contextlib.suppress(EOFError, paramiko.SSHException):
                feed(lease.channel, source)
            lease.channel.status_event.wait()
            drain(collectors, deadline)
            code, broken, expired = lease.channel.exit_status, not lease.active, lease.expired
        (out, told), (err, _) = (collector.result() for collector in collectors)
        if code < 0 and expired:
            raise DeadlineExceeded(f"{self._name}: {action}", deadline.seconds, last_line(out, err))
        if code < 0 and broken:
            raise HostUnreachable(self._name, action, _BROKE, _UNKNOWN)
        if code >= 0 and not collectors[0].begun:
            said = last_line(*(bytes(c.noise).decode(errors="replace") for c in collectors))
            cause = "the login shell of this user ran no command" + (f", it said: {said}" if said else "")
            raise CommandFailed(self._name, action, cause, NO_SHELL)
        # What a shell around it ends with is not the command's word.
        return CommandResult(-1 if told is None else told, out, err, time.monotonic() - began)

    def _begun(self, command: str, action: str, deadline: Deadline) -> Lease:
        """A channel in which the command was begun. sshd that refuses to start one has executed nothing of it.

        That happens on a healthy host, when it has no process to spare just then, so one refusal is asked again.
        """
        for last in (False, True):
            try:
                lease = self._opened(deadline, lambda session, patience: session.open_channel(deadline, patience))
            except TimeoutError as error:
                raise DeadlineExceeded(f"{self._name}: {action}", deadline.seconds, str(error)) from error
            try:
                lease.channel.exec_command(command)
                return lease
            except (EOFError, paramiko.SSHException) as error:
                expired, refused = lease.expired, getattr(lease.channel, "refused", False)
                with lease:
                    if refused and not last:
                        continue
                if refused:
                    cause = "sshd runs no command for this user"
                    raise CommandFailed(self._name, action, cause, NO_SHELL) from error
                if expired:
                    raise DeadlineExceeded(f"{self._name}: {action}", deadline.seconds) from error
                raise HostUnreachable(self._name, action, _BROKE, _UNKNOWN) from error
            except NOT_UNDERSTOOD as error:
                with lease:
                    cause = f"it answers what is no SSH: {type(error).__name__}: {error}"
                    raise HostUnreachable(self._name, action, cause) from error
            except BaseException:
                with lease:
                    raise
        raise AssertionError("unreachable")

    def _shell(self, command: str, action: str, deadline: Deadline, source: InputSource | None = None) -> CommandResult:
        """A command that deals with a file: its failure is the file's."""
        # The user's own shell may be none that understands these commands.
        result = self._execute(f"env LC_ALL=C sh -c {shlex.quote(command)}", action, deadline, source or io.BytesIO())
        if result.exit_code != 0:
            raise self._failed(RemoteFileError, action, result)
        return result

    def _failed(self, kind: type[HostError], action: str, result: CommandResult) -> HostError:
        said = last_line(result.stdout, result.stderr)
        end = f"exit {result.exit_code}" if result.exit_code >= 0 else "ended by a signal"
        return kind(self._name, action, f"{end}: {said}" if said else end, hint_for(said, result.exit_code))

    # Files

    def _borrow_sftp(self, action: str, timeout: float) -> SftpLease:
        deadline = Deadline(timeout)
        try:
            lease = self._opened(deadline, lambda session, patience: session.borrow_sftp(deadline, patience))
        except TimeoutError as error:
            raise DeadlineExceeded(f"{self._name}: {action}", deadline.seconds, str(error)) from error
        except (OSError, EOFError, paramiko.SSHException, paramiko.SFTPError) as error:
            hint = "sshd_config needs a line 'Subsystem sftp internal-sftp', or the host a program sftp-server"
            raise RemoteFileError(self._name, action, f"sshd offers no SFTP: {error}", hint) from error
        lease.channel.settimeout(timeout)
        return lease

    @contextlib.contextmanager
    def _sftp(self, action: str, timeout: float) -> Iterator[paramiko.SFTPClient]:
        lease = self._borrow_sftp(action, timeout)
        sound = False
        try:
            with file_errors(self._name, action, lease):
                yield lease.sftp
            sound = True
        except RemoteFileError:
            sound = True
            raise
        finally:
            lease.give_back(sound)
