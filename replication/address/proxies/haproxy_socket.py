"""One HAProxy's runtime API, over TCP or over SSH to its unix socket (HAProxy's management guide, chapter 9.3)."""

from __future__ import annotations

import contextlib
import csv
import io
import shlex
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from ....config import ServerConfig
from ....config.loader import resolve_host
from ...deadline import Deadline
from ...errors import AddressError, DeadlineExceeded, HostError
from ...scripts import script
from ...ssh.host import SshHost

#: Bits of srv_admin_state: by an operator, inherited from a tracked server, drained, by DNS.
_NOT_READY = 0x01 | 0x02 | 0x08 | 0x20
_RUNNING = "2"
#: Bytes of an answer that are read at most.
_LIMIT = 1 << 20
#: Characters of its words that an error quotes.
_LONGEST = 300


@dataclass(frozen=True)
class ProxyServer:
    """A server in one backend: its ``name`` there, ``ip:port``, whether an operator lets it take sessions (``ready``),
    and whether its checks do (``up``)."""

    backend: str
    name: str
    address: str
    ready: bool
    up: bool

    @property
    def path(self) -> str:
        """``backend/name``, as commands have it."""
        return f"{self.backend}/{self.name}"


class HaproxySocket:
    """The admin socket of one HAProxy. ``like`` is a server whose SSH settings hold for the proxy's host too.

    Raises AddressError.
    """

    def __init__(self, url: str, like: ServerConfig, state_file: str, timeout: float) -> None:
        self.url, self._state_file, self._timeout = url, state_file, timeout
        self._parts, self._like = urlsplit(url), like
        self._host: SshHost | None = None

    @property
    def keeps_state(self) -> bool:
        """Whether what is changed here outlives a reload: its state file can only be written on its host."""
        return self._parts.scheme == "ssh"

    def servers(self) -> tuple[ProxyServer, ...]:
        """Every server of every backend."""
        with self._reading():
            return parse_state(self.ask("show servers state"))

    def sessions(self, paths: Iterable[str]) -> int:
        """How many sessions there are now on these servers (``backend/name``)."""
        wanted = set(paths)
        with self._reading():
            rows = csv.DictReader(io.StringIO(self.ask("show stat").lstrip("# ")))
            ours = (r for r in rows if f"{r.get('pxname')}/{r.get('svname')}" in wanted)
            return sum(int(r["scur"]) for r in ours if r.get("scur"))

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        """What nobody can make sense of is that proxy's error: it may not end what it is asked for."""
        try:
            yield
        except (ValueError, LookupError, csv.Error) as error:
            cause = f"its answer makes no sense: {type(error).__name__}: {error}"[:_LONGEST]
            raise AddressError("haproxy", self.url, cause, "is it HAProxy that listens there?") from error

    def ask(self, *commands: str, save: bool = False) -> str:
        """The answer to some commands; ``save`` keeps the state file as things are after them."""
        text = "; ".join(commands) + "\n"
        try:
            return self._over_ssh(text, save) if self.keeps_state else self._over_tcp(text)
        except (HostError, DeadlineExceeded, OSError) as error:
            raise AddressError("haproxy", self.url, str(error) or "no answer", "see haproxy_sockets") from error

    def close(self) -> None:
        """End the SSH session, if there is one."""
        if self._host is not None:
            self._host.close()

    def _over_tcp(self, text: str) -> str:
        deadline = Deadline(self._timeout)
        place = (self._parts.hostname or "", self._parts.port or 0)
        with socket.create_connection(place, timeout=deadline.left) as connection:
            connection.sendall(text.encode())
            answer = b""
            while len(answer) < _LIMIT:
                connection.settimeout(max(0.001, deadline.left))
                if not (data := connection.recv(65536)):
                    break
                answer += data
        return answer.decode("utf-8", "replace")

    def _over_ssh(self, text: str, save: bool) -> str:
        words = (self._parts.path, self._state_file if save else "")
        result = self._ssh_host().run(
            f"env LC_ALL=C timeout -k 1 {self._timeout:g} sh -c {shlex.quote(script('haproxy.sh'))} sh "
            f"{' '.join(map(shlex.quote, words))}",
            action="ask HAProxy",
            timeout=self._timeout + 2.0,
            stdin=text.encode(),
            ok=(0, 91),
        )
        if result.exit_code == 91:
            cause = f"its state file {self._state_file} could not be written: {result.stderr.strip()}"
            raise AddressError("haproxy", self.url, cause, "after a reload it would forget this move")
        return result.stdout

    def _ssh_host(self) -> SshHost:
        if self._host is None:
            name = self._parts.hostname or ""
            ip = resolve_host(name, self._timeout)
            changed = {
                "block": "haproxy",
                "hostname": name,
                "ip": ip,
                "ssh_host": name,
                "ssh_ip": ip,
                "ssh_port": self._parts.port or 22,
                "ssh_user": self._parts.username or self._like.ssh_user,
            }
            self._host = SshHost(self._like.elsewhere(changed))
        return self._host


def parse_state(text: str) -> tuple[ProxyServer, ...]:
    """What ``show servers state`` printed: a version, the columns' names, one line a server."""
    columns: list[str] = []
    found = []
    for line in text.splitlines():
        words = line.split()
        if line.startswith("# "):
            columns = words[1:]
        elif columns and len(words) >= len(columns):
            row = dict(zip(columns, words, strict=False))
            found.append(
                ProxyServer(
                    row["be_name"],
                    row["srv_name"],
                    f"{row['srv_addr']}:{row['srv_port']}",
                    not int(row["srv_admin_state"]) & _NOT_READY,
                    row["srv_op_state"] == _RUNNING,
                )
            )
    return tuple(found)
