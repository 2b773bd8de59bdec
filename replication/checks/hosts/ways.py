"""Whether the replicas could fetch a saved log from the manager: tried from each host, as a rescue would."""

from __future__ import annotations

import contextlib
import shlex
import socket
from collections.abc import Iterator
from dataclasses import dataclass

from ....config import ClusterConfig, ServerConfig
from ...cluster.pool import ConnectionPool
from ...errors import HostError, MhaError
from ...model.check import Check, Severity
from ...source.server import CannotListen, facing
from ..rule import Rule

#: Seconds that a host may take to connect, and for everything that is tried from it.
CONNECT, ALL = 3, 12.0
RESCUE_PORT = Rule(
    "rescue-port",
    "Does every host reach `rescue_port` of this machine, from where replicas fetch what was saved of a dead primary?",
    "let {server} connect to {address}, ports {ports}; a forward over SSH is tried instead",
    Severity.WARNING,
)
RULES = (RESCUE_PORT,)


@dataclass(frozen=True)
class TriedWay:
    """What was tried from one host: the address here, why it was not reached, and why SSH forwards nothing."""

    server: ServerConfig
    address: str
    trouble: str = ""
    forward: str = ""


def look_at_ways(config: ClusterConfig, sessions: ConnectionPool) -> tuple[TriedWay, ...]:
    """Try it from every host that is looked at, all at once."""
    wanted = [s for s in config.servers if not s.skip_init_ssh_check]
    done = sessions.each(lambda server: _try(config, sessions, server), wanted, timeout=ALL)
    return tuple(result for _, result in done if isinstance(result, TriedWay))


def _try(config: ClusterConfig, sessions: ConnectionPool, server: ServerConfig) -> TriedWay | None:
    host, address = sessions.host(server.address), ""
    try:
        address = facing(server.ip)
        with _listening(address, config.rescue_ports) as port:
            there = shlex.quote(f"exec 3<>/dev/tcp/{address}/{port}")
            command = f"timeout {CONNECT} bash -c {there}"
            result = host.run(command, action="connect to rescue_port", timeout=CONNECT + 3.0, ok=range(256))
        if result.exit_code == 0:
            return TriedWay(server, address)
        lines = [line for line in result.stderr.splitlines() if line.strip()]
        trouble = lines[0].strip() if lines else f"no answer within {CONNECT} s"
    except CannotListen as error:
        trouble = str(error)
    except HostError:
        # That there is no session is told by another check.
        return None
    try:
        host.forward(lambda channel: channel.close()).close()
    except MhaError as error:
        return TriedWay(server, address, trouble, str(error))
    return TriedWay(server, address, trouble)


@contextlib.contextmanager
def _listening(address: str, ports: range) -> Iterator[int]:
    """A port of the range that takes connections and says nothing. Raises CannotListen."""
    last: OSError | None = None
    for port in ports:
        listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        with listener:
            try:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind((address, port))
                listener.listen(4)
            except OSError as error:
                last = error
                continue
            yield port
            return
    raise CannotListen(f"this machine cannot listen at {address} on any port of rescue_port: {last}")


def checks(ways: tuple[TriedWay, ...], ports: str) -> Iterator[Check]:
    """One a host."""
    for way in ways:
        fields = {"server": way.server.hostname, "address": way.address or "this machine", "ports": ports}
        if not way.trouble:
            yield RESCUE_PORT.yes(way.server.name, f"reaches {way.address}, where what was saved is fetched")
        elif way.forward:
            text = f"reaches no port where what was saved is fetched ({way.trouble}), and {way.forward}"
            yield RESCUE_PORT.no(way.server.name, text, **fields)
        else:
            text = f"reaches no port where what was saved is fetched ({way.trouble}); SSH forwards one"
            yield RESCUE_PORT.no(way.server.name, text, **fields)
