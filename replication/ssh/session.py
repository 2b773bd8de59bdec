"""One authenticated SSH session and the channels in it: how many at once, and that nothing in it can hang.

paramiko waits without limit for the answer to a request and while it writes into a full socket. A `Watchdog` ends
both from outside. sshd allows MaxSessions channels at once (10 unless configured, often fewer), so they are counted.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

import paramiko

from ..deadline import Deadline
from ..model.greeting import GREETING, LOGIN, awaits_login
from ..threads import Thread, Timer
from .channel_order import orderly
from .framing import Frame, sftp_by_shell

#: Channels used at once before sshd has said what it allows; two below its default, for the probe and a straggler.
CHANNELS = 8
IDLE_SFTP = 2
#: Seconds between closing a channel and closing the whole session when the first did not end the wait.
GRACE = 0.5
#: Seconds after which a probe that nobody waits for any more is given up.
PROBE = 30.0
#: Seconds that sshd may take to show that it answers; what it says when nobody takes its connection (RFC 4254, 5.1).
ANSWERS, _CONNECT_FAILED = 0.3, 2
#: Seconds between two requests for a channel when sshd refuses even the first.
REFUSED_PAUSE = 0.02


class SessionBroken(Exception):
    """The session was of no use before anything was sent over it; a new one may be tried."""


class Watchdog:
    """Ends whatever blocks past ``deadline``: closes the channel, and if that does not help the whole session."""

    def __init__(
        self, transport: paramiko.Transport, deadline: Deadline, channel: paramiko.Channel | None = None
    ) -> None:
        self.fired = False
        self._transport, self._channel = transport, channel
        self._over = threading.Event()
        self._timer = Timer(deadline.left, self._fire)
        self._timer.daemon = True
        self._timer.start()

    def _fire(self) -> None:
        self.fired = True
        if self._channel is not None:
            # Closing sends a packet, which itself can block.
            Thread(target=_close, args=(self._channel,), daemon=True).start()
        if not self._over.wait(GRACE):
            self._transport.close()

    def stop(self) -> None:
        self._over.set()
        self._timer.cancel()


class Lease:
    """A channel for one command, and the place it takes in its session; closed at the end or at ``deadline``."""

    def __init__(self, session: SshSession, channel: paramiko.Channel, deadline: Deadline) -> None:
        self._session, self.channel = session, channel
        self._watchdog = Watchdog(session.transport, deadline, channel)

    @property
    def active(self) -> bool:
        """Whether the session under it is still open."""
        return self._session.transport.is_active()

    @property
    def expired(self) -> bool:
        return self._watchdog.fired

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.give_up(self.channel)
        self._watchdog.stop()


class SftpLease:
    """A channel that speaks SFTP. Give it back, and say whether it is ``sound``: no answer is still on its way."""

    def __init__(self, session: SshSession, channel: paramiko.Channel, sftp: paramiko.SFTPClient) -> None:
        self._session, self.channel, self.sftp = session, channel, sftp

    @property
    def active(self) -> bool:
        """Whether the session under it is still open."""
        return self._session.transport.is_active()

    def give_back(self, sound: bool) -> None:
        if not (sound and self._session.keep(self)):
            self._session.give_up(self.channel)


class SshSession:
    """The channels of one transport. Thread-safe."""

    def __init__(self, transport: paramiko.Transport) -> None:
        self.transport = transport
        self._changed = threading.Condition()
        self._in_use = 0
        self._limit = CHANNELS
        self._idle: list[SftpLease] = []
        self._retired, self._sftp_by_shell = False, False
        self._probe: threading.Thread | None = None
        self._probe_answered = False

    @property
    def active(self) -> bool:
        return self.transport.is_active() and not self._retired

    def open_channel(self, deadline: Deadline, patience: float) -> Lease:
        """A channel for one command, once there is room for it; sshd has ``patience`` seconds to open it.

        Raises SessionBroken; TimeoutError when no room is had before the deadline.
        """
        return Lease(self, self._open(deadline, patience), deadline)

    def borrow_sftp(self, deadline: Deadline, patience: float) -> SftpLease:
        """A channel that speaks SFTP, an idle one if there is one. Raises as `open_channel`, and paramiko's."""
        with self._changed:
            while self._idle:
                lease = self._idle.pop()
                if not lease.channel.closed:
                    return lease
                self._in_use -= 1
        if not self._sftp_by_shell:
            try:
                return self._new_sftp(deadline, patience, lambda channel: channel.invoke_subsystem("sftp"))
            except (OSError, EOFError, paramiko.SSHException, paramiko.SFTPError):
                # There is no such subsystem, or the login shell that sshd starts its program in prints something first.
                lease = self._new_sftp(deadline, patience, _begin_sftp)
                self._sftp_by_shell = True
                return lease
        return self._new_sftp(deadline, patience, _begin_sftp)

    def _new_sftp(self, deadline: Deadline, patience: float, begin: Callable[[paramiko.Channel], object]) -> SftpLease:
        channel = self._open(deadline, patience)
        watchdog = Watchdog(self.transport, Deadline(min(patience, deadline.left)), channel)
        try:
            begin(channel)
            return SftpLease(self, channel, paramiko.SFTPClient(channel))
        except BaseException as error:
            self.give_up(channel)
            if watchdog.fired or not self.transport.is_active():
                raise SessionBroken("no answer to the request for SFTP") from error
            raise
        finally:
            watchdog.stop()

    def greeted_through(self, address: str, port: int, deadline: Deadline) -> bool:
        """Whether a connection that the far side's sshd makes is said anything on, in time.

        Raises SessionBroken, when sshd makes none, or does not answer itself.
        """
        channel: paramiko.Channel | None = None
        try:
            where, origin = (address, port), ("127.0.0.1", 0)
            channel = orderly(
                self.transport.open_channel("direct-tcpip", where, origin, timeout=max(0.01, deadline.left))
            )
            channel.settimeout(max(0.01, deadline.left))
            greeting = channel.recv(GREETING)
            if awaits_login(greeting):
                # Whoever leaves before a handshake's end is counted against that host.
                channel.sendall(LOGIN)
                channel.shutdown_write()
            return bool(greeting)
        except TimeoutError:
            return False
        except paramiko.ChannelException as error:
            if error.code == _CONNECT_FAILED:
                return False
            raise SessionBroken(f"sshd forwards no connection: {error}") from error
        except (OSError, EOFError, paramiko.SSHException) as error:
            # Its own connect may take longer than we wait; only an sshd that answers has seen nothing.
            if self.answers(ANSWERS):
                return False
            raise SessionBroken(str(error) or "it was closed") from error
        finally:
            if channel is not None:
                _close(channel)

    def keep(self, lease: SftpLease) -> bool:
        """Keep an SFTP channel for the next who needs one; False when there are enough."""
        with self._changed:
            if self.active and len(self._idle) < IDLE_SFTP and not lease.channel.closed:
                self._idle.append(lease)
                self._changed.notify_all()
                return True
        return False

    def give_up(self, channel: paramiko.Channel) -> None:
        """Close a channel and free its place."""
        _close(channel)
        self._release()

    def retire(self) -> None:
        """Use it for nothing new; it ends with the last channel that others still have open in it."""
        with self._changed:
            self._retired = True
            idle, self._idle = self._idle, []
            self._in_use -= len(idle)
            unused = self._in_use <= 0
        if unused:
            self.transport.close()

    def answers(self, timeout: float) -> bool:
        """Whether the far side's sshd answers a request within ``timeout`` seconds. Never waits longer."""
        with self._changed:
            if self._probe is None or not self._probe.is_alive():
                self._probe_answered = False
                self._probe = Thread(target=self._ask, name="ssh probe", daemon=True)
                self._probe.start()
            probe = self._probe
        probe.join(timeout)
        return not probe.is_alive() and self._probe_answered and self.transport.is_active()

    def _ask(self) -> None:
        try:
            self.transport.open_session(timeout=PROBE).close()
            self._probe_answered = True
        except paramiko.ChannelException:
            # Refused for want of channels, which is an answer.
            self._probe_answered = True
        except (OSError, EOFError, paramiko.SSHException):
            self._probe_answered = False

    def _open(self, deadline: Deadline, patience: float) -> paramiko.Channel:
        refused: Deadline | None = None
        while True:
            self._take_place(deadline)
            wait = Deadline(min(patience, deadline.left))
            watchdog = Watchdog(self.transport, wait)
            try:
                return orderly(self.transport.open_session(timeout=wait.left))
            except (OSError, EOFError, paramiko.SSHException) as error:
                self._release()
                if not self.transport.is_active() or wait.over:
                    raise SessionBroken(str(error) or "it was closed") from error
                refused = refused or wait
                self._learn_limit(error, refused)
            finally:
                watchdog.stop()

    def _take_place(self, deadline: Deadline) -> None:
        evicted: SftpLease | None = None
        with self._changed:
            while self._in_use >= self._limit:
                if self._idle:
                    evicted = self._idle.pop()
                    self._in_use -= 1
                elif not self._changed.wait(deadline.left):
                    raise TimeoutError("every channel of the session is in use")
            self._in_use += 1
        if evicted is not None:
            _close(evicted.channel)

    def _release(self) -> None:
        with self._changed:
            self._in_use -= 1
            unused = self._retired and self._in_use <= 0
            self._changed.notify_all()
        if unused:
            self.transport.close()

    def _learn_limit(self, error: Exception, refused: Deadline) -> None:
        """sshd refused one more channel: use no more than are open now (sshd_config(5), MaxSessions).

        When none is open, a channel's process is still about to end there; or commands left behind at their deadline
        hold every place, and a new session is needed. Nothing tells which, but for the time it takes.
        """
        with self._changed:
            self._limit = max(1, min(self._limit, self._in_use))
            if self._in_use <= 0:
                self._changed.wait(REFUSED_PAUSE)
        if refused.over:
            raise SessionBroken(f"sshd opens no channel in it: {error}") from error


def _begin_sftp(channel: paramiko.Channel) -> None:
    """Have the host's own program speak SFTP behind whatever the login shell prints. Raises EOFError."""
    frame = Frame()
    channel.exec_command(sftp_by_shell(frame))
    seen = b""
    while not seen.endswith(frame.begin):
        # Not a byte more: what follows is the program's.
        byte = channel.recv(1)
        if not byte:
            raise EOFError("no sftp-server is found there")
        seen = (seen + byte)[-len(frame.begin) :]


def _close(channel: paramiko.Channel) -> None:
    # A session that broke meanwhile leaves nothing to close.
    with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
        channel.close()
