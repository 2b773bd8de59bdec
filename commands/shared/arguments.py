"""Servers and secrets that were given as arguments; secrets are taken out of what `ps` shows of this process."""

from __future__ import annotations

import ctypes
import os
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import Namespace

    from pydantic import SecretStr

    from ...config import ServerConfig
    from ...replication.maintenance.node.client_programs import Client
    from .options import OptionParser


def password(option: str, given: str | None, variable: str) -> SecretStr:
    """The password of an option: as it stands, ``env:NAME`` or ``file:/path``; else of the environment, else empty.

    Raises ConfigError for one that points to what is not there.
    """
    from pydantic import SecretStr

    from ...config import ServerConfig
    from ...config.forms.raw import Value
    from ...config.values import convert

    if given is None:
        return SecretStr(os.environ.get(variable, ""))
    if not given.startswith(("env:", "file:")):
        hide(
            given,
            f"{option} shows the password to everybody on this host who can list processes; set {variable} or give "
            f"{option}=file:/path instead",
        )
    found = convert(ServerConfig, "password", Value(given, Path(option), None))
    assert isinstance(found, SecretStr)
    return found


def address(name: str, option: str) -> str:
    """The address of a name. Raises LogError."""
    from ...replication.errors import LogError

    try:
        return str(socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)[0][4][0])
    except OSError as error:
        raise LogError(f"{name} cannot be resolved ({error.strerror}); give an address with {option}") from None


def described(block: str, host: str, ip: str, **more: object) -> ServerConfig:
    """A host that options name, as the configuration would describe it."""
    from ...config import ServerConfig

    known = {"block": block, "hostname": host, "ip": ip, "ssh_host": host, "ssh_ip": ip}
    return ServerConfig.model_validate({**known, **more})


def add_client_options(parser: OptionParser, programs: str) -> None:
    """Where the client programs of the server are."""
    parser.add_argument("--client_bindir", metavar="DIR", help=f"directory of {programs}")
    parser.add_argument("--client_libdir", metavar="DIR", help="directory of the libraries that they need")


def client(given: Namespace) -> Client:
    """The client programs where `add_client_options` says."""
    from ...replication.maintenance.node.client_programs import Client

    return Client(given.client_bindir, given.client_libdir)


def hide(secret: str, advice: str) -> None:
    """Write x over a secret in this process's own arguments, and say how to do without.

    Between the start of the process and this call it was to be seen; nothing can change that but another way.
    """
    print(advice, file=sys.stderr)
    if secret:
        overwrite(secret.encode("utf-8", "surrogateescape"))


def overwrite(secret: bytes) -> None:
    """Write x over these bytes wherever they stand in the memory that /proc/PID/cmdline shows (proc(5), arg_start)."""
    with suppress(OSError, ValueError, IndexError):
        fields = Path("/proc/self/stat").read_text(errors="replace").rpartition(")")[2].split()
        begin, end = int(fields[45]), int(fields[46])
        shown = Path("/proc/self/cmdline").read_bytes()
        if not begin or len(shown) > end - begin:
            return  # somebody else has moved it
        at = shown.find(secret)
        while at >= 0:
            ctypes.memset(begin + at, ord("x"), len(secret))
            at = shown.find(secret, at + len(secret))
