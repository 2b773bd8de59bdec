"""From a resolved login to an authenticated session: host key, user keys, one deadline for all of it."""

from __future__ import annotations

import base64
import binascii
import contextlib
import logging
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import paramiko

from ..deadline import Deadline, within
from ..errors import DeadlineExceeded, HostKeyMismatch, HostUnreachable, LoginRefused
from .channel_order import OrderedTransport
from .known_hosts import (
    SSH_PORT,
    KeyVerdict,
    KnownKey,
    fingerprint,
    judge_key,
    keys_of,
    preferred_key_types,
    read_known_hosts,
    remember_key,
)
from .login import SshLogin

logger = logging.getLogger("mha.ssh")

#: paramiko prints a stack trace for each refused or broken connection; ours are reported once, as our own errors.
PARAMIKO_LOG = "mha.paramiko"
logging.getLogger(PARAMIKO_LOG).setLevel(logging.CRITICAL)

CONNECT = "connect over SSH"
KEEPALIVE = 5
#: Seconds after which the kernel gives up a session whose packets (the keepalive's at least) nobody acknowledges.
UNANSWERED = 15
#: Seconds that an agent may take to list its keys.
AGENT_TIMEOUT = 2.0
#: What paramiko does not understand it leaves as it falls: that is the host's trouble, whoever answers there.
NOT_UNDERSTOOD = (ValueError, LookupError, TypeError, AttributeError, AssertionError, ArithmeticError, struct.error)


def open_transport(login: SshLogin, deadline: Deadline) -> paramiko.Transport:
    """An authenticated session within ``deadline``. Raises HostUnreachable, HostKeyMismatch, LoginRefused."""
    if login.proxy:
        raise HostUnreachable(
            login.name,
            CONNECT,
            f"ssh_config asks for a {login.proxy}, which is not supported",
            "let the manager reach the host directly, or exclude it from that Host pattern",
        )
    with contextlib.ExitStack() as undo:
        with _reaching(login, deadline):
            transport = _connected(login, deadline, undo)
            _handshake(transport, login, deadline)
            _authenticate(transport, login, deadline)
        transport.set_keepalive(KEEPALIVE)
        undo.pop_all()
        return transport


def unknown_key(login: SshLogin, deadline: Deadline) -> paramiko.PKey | None:
    """The key that a host presents of which known_hosts says nothing; None where it has that key. Nobody logs in.

    Raises HostUnreachable, and HostKeyMismatch for a key that is revoked, or another than the known one.
    """
    with contextlib.ExitStack() as undo, _reaching(login, deadline):
        key, verdict, entry = _presented(_connected(login, deadline, undo), login, deadline)
        if verdict in (KeyVerdict.KNOWN, KeyVerdict.UNKNOWN) or entry is None:
            return key if verdict is KeyVerdict.UNKNOWN else None
        raise HostKeyMismatch(
            login.name,
            "scan its host key",
            f"{key.get_name()} {fingerprint(key.asbytes())} is {verdict.value}, by {entry.where}",
            "look who is there; if the host was rebuilt, remove that line",
        )


@contextlib.contextmanager
def _reaching(login: SshLogin, deadline: Deadline) -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, paramiko.SSHException, *NOT_UNDERSTOOD) as error:
        raise HostUnreachable(login.name, CONNECT, *_unreachable(login, error, deadline)) from error


def _connected(login: SshLogin, deadline: Deadline, undo: contextlib.ExitStack) -> OrderedTransport:
    connection = socket.create_connection((login.address, login.port), timeout=deadline.left or 0.001)
    undo.callback(connection.close)
    _tune(connection)
    transport = OrderedTransport(connection)
    undo.callback(transport.close)
    transport.set_log_channel(PARAMIKO_LOG)
    return transport


def _tune(connection: socket.socket) -> None:
    # Requests of a few bytes must not wait for the acknowledgement of the one before (Nagle with delayed ACK: 40 ms).
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNANSWERED * 1000)


def _presented(
    transport: paramiko.Transport, login: SshLogin, deadline: Deadline
) -> tuple[paramiko.PKey, KeyVerdict, KnownKey | None]:
    """The key of whoever answers, what known_hosts says of it, and where."""
    try:
        entries = keys_of(read_known_hosts([*login.known_hosts, *login.system_known_hosts]), login.key_names)
    except OSError as error:
        raise HostKeyMismatch(login.name, CONNECT, f"known_hosts cannot be read: {error}") from error
    security = transport.get_security_options()
    security.key_types = preferred_key_types(entries, security.key_types)
    # One pass over the data instead of two, a cipher's and a sum's: logs travel at twice the rate.
    security.ciphers = sorted(security.ciphers, key=lambda name: "gcm" not in name)
    transport.banner_timeout = transport.handshake_timeout = deadline.left or 0.001
    transport.start_client(timeout=deadline.left)
    if not transport.initial_kex_done:
        raise TimeoutError
    key = transport.get_remote_server_key()
    return (key, *judge_key(entries, key.get_name(), key.asbytes()))


def _handshake(transport: paramiko.Transport, login: SshLogin, deadline: Deadline) -> None:
    key, verdict, entry = _presented(transport, login, deadline)
    if verdict is KeyVerdict.KNOWN:
        return
    shown = f"{key.get_name()} {fingerprint(key.asbytes())}"
    if verdict is KeyVerdict.REVOKED and entry:
        raise HostKeyMismatch(login.name, CONNECT, f"its host key {shown} is marked revoked in {entry.where}")
    if login.checking == "no":
        logger.warning(
            "%s: host key %s is %s; accepted, as StrictHostKeyChecking=no says", login.name, shown, verdict.value
        )
        return
    if verdict is KeyVerdict.CHANGED and entry:
        raise HostKeyMismatch(
            login.name,
            CONNECT,
            f"its host key {shown} is not the one in {entry.where}",
            f"if the host was rebuilt, run: ssh-keygen -R '{login.key_names[0]}'; otherwise somebody else is there",
        )
    if login.checking == "accept-new" and login.known_hosts:
        _accept(login, key)
        return
    target = login.known_hosts[0] if login.known_hosts else Path("~/.ssh/known_hosts")
    port = f"-p {login.port} " if login.port != SSH_PORT else ""
    raise HostKeyMismatch(
        login.name,
        CONNECT,
        f"its host key {shown} is in no known_hosts file",
        f"check it and add it: ssh-keyscan {port}{login.address} >> {target}",
    )


def _accept(login: SshLogin, key: paramiko.PKey) -> None:
    file = login.known_hosts[0]
    # As ssh does: the key is used even where it cannot be written down.
    try:
        remember_key(file, login.key_names[0], key.get_name(), key.asbytes())
        logger.info("%s: new host key %s added to %s", login.name, fingerprint(key.asbytes()), file)
    except OSError as error:
        logger.warning("%s: new host key accepted, but %s cannot be written: %s", login.name, file, error)


def _authenticate(transport: paramiko.Transport, login: SshLogin, deadline: Deadline) -> None:
    offered: list[str] = []
    unusable: list[str] = []
    for label, key in _candidates(login, unusable, deadline):
        transport.auth_timeout = deadline.left
        try:
            more = transport.auth_publickey(login.user, key)
        except paramiko.BadAuthenticationType as refusal:
            raise _login_refused(
                login, [label], unusable, f"it accepts only {' or '.join(refusal.allowed_types)}"
            ) from None
        except paramiko.AuthenticationException:
            if deadline.over:
                raise TimeoutError from None
            offered.append(label)
            if not transport.is_active():
                raise _login_refused(
                    login,
                    offered,
                    unusable,
                    "it hung up; name the right key with -i in ssh_options, or set IdentitiesOnly",
                ) from None
            continue
        if not more:
            return
        raise _login_refused(login, [label], unusable, f"it also demands {' or '.join(more)}")
    raise _login_refused(login, offered, unusable, "")


def _login_refused(login: SshLogin, offered: list[str], unusable: list[str], note: str) -> LoginRefused:
    tried = f"offered {', '.join(offered)}" if offered else "there was no key to offer"
    parts = [f"user {login.user} was not let in", tried, *([note] if note else []), *unusable]
    hint = f"put the public key into ~{login.user}/.ssh/authorized_keys on that host"
    if not offered:
        hint = "make a key with ssh-keygen, or name one with -i in ssh_options"
    return LoginRefused(login.name, CONNECT, "; ".join(parts), hint)


def _candidates(login: SshLogin, unusable: list[str], deadline: Deadline) -> Iterator[tuple[str, paramiko.PKey]]:
    """Keys to offer with a label for people: those named, the agent's, the default ones; each once.

    Named files come before the agent's other keys, unlike in OpenSSH: sshd hangs up after six wrong keys.
    """
    agent = _agent_keys(login, unusable, deadline)
    seen: set[bytes] = set()

    def fresh(key: paramiko.PKey) -> bool:
        blob = key.asbytes()
        return blob not in seen and not seen.add(blob)  # type: ignore[func-returns-value]

    for file in login.identity_files:
        held = agent.get(_public_blob(file))
        if held is not None:
            if fresh(held):
                yield f"{file} (from the agent)", held
            continue
        key = _load_key(file, unusable, named=True)
        if key is not None and fresh(key):
            yield str(file), key
    if not login.agent_keys_only_if_named:
        for key in agent.values():
            if fresh(key):
                yield f"agent key {key.get_name()} {fingerprint(key.asbytes())[:17]}…", key
    for file in login.default_keys:
        default = None if file in login.identity_files else _load_key(file, unusable, named=False)
        if default is not None and fresh(default):
            yield str(file), default


def _agent_keys(login: SshLogin, unusable: list[str], deadline: Deadline) -> dict[bytes, paramiko.PKey]:
    if not (login.use_agent and os.environ.get("SSH_AUTH_SOCK")):
        return {}
    try:
        # A forwarded agent whose connection died accepts and never answers, and paramiko would wait for ever.
        agent = within(
            paramiko.Agent, Deadline(min(AGENT_TIMEOUT, deadline.left / 2)), "ask the SSH agent for its keys"
        )
    except (OSError, paramiko.SSHException, DeadlineExceeded) as error:
        unusable.append(f"the agent could not be asked: {error}")
        return {}
    return {key.asbytes(): key for key in agent.get_keys()}


def _public_blob(file: Path) -> bytes:
    public = file if file.suffix == ".pub" else file.with_name(file.name + ".pub")
    try:
        return base64.b64decode(public.read_text(errors="replace").split()[1])
    except (OSError, IndexError, binascii.Error):
        return b""


def _load_key(file: Path, unusable: list[str], *, named: bool) -> paramiko.PKey | None:
    try:
        return paramiko.PKey.from_path(file)
    except FileNotFoundError:
        if named:
            unusable.append(f"{file} does not exist")
    except (TypeError, paramiko.PasswordRequiredException):
        # cryptography raises TypeError for a key that wants a passphrase
        unusable.append(f"{file} is encrypted and the agent does not hold it (run ssh-add)")
    except OSError as error:
        unusable.append(f"{file} cannot be read: {error.strerror}")
    except (ValueError, paramiko.SSHException, paramiko.pkey.UnknownKeyType):
        unusable.append(f"{file} is no private key that can be used")
    return None


def _unreachable(login: SshLogin, error: Exception, deadline: Deadline) -> tuple[str, str]:
    """What went wrong between the first packet and the login, and what to look at."""
    if isinstance(error, TimeoutError) or deadline.over:
        return (
            f"no answer within {round(deadline.seconds, 1):g} s",
            "is the host up, and does a firewall drop the packets?",
        )
    if isinstance(error, ConnectionRefusedError):
        return "connection refused", f"the host is up, but is sshd running there on port {login.port}?"
    if isinstance(error, paramiko.ssh_exception.IncompatiblePeer):
        return f"no algorithm in common: {error}", "update sshd on that host"
    if isinstance(error, OSError):
        return f"{error.strerror or error}", "check the address and the route to it"
    if isinstance(error, EOFError) or "banner" in str(error):
        return "it closed the connection before logging in", f"is it sshd that listens on port {login.port}?"
    return f"{error}", ""
