"""One replica's part of what was saved, served to it: a source made of files, and the ways in.

The ways, in order: the replica comes to the manager's address that faces it; it comes to its own loopback, from where a
forward over its host's SSH leads here. What neither lets through stays saved.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from ..binlog.cutter import Cut
from ..binlog.reader import LogFile
from ..binlog.sequence import LogSequence
from ..errors import HostError, LogError, MhaError, WayClosed
from ..model.gtid import Gtid, MariadbGtid, MariadbGtidPosition
from ..model.one_time_account import one_time_user
from ..model.position import BinlogPosition
from ..model.state import GtidKind, ReplicaChannel, ServerState
from ..mysql.server import Server
from ..source import Account, Catalogue, Identity, Source, facing
from ..source.catalogue import Before
from ..source.identity import ExpectedIdentity
from ..source.rebuilt import rebuild
from ..source.server import CannotListen
from ..ssh.host import SshHost
from ..threads import Thread
from .pointing import Where

log = logging.getLogger("mha")

DIRECTLY, OVER_SSH = "at the manager's address", "over the SSH session of its host"


def identity_of(
    state: ServerState, channel: ReplicaChannel, cut: Cut, logs: Sequence[LogFile], of: ExpectedIdentity | None = None
) -> Identity:
    """Whom the source stands in for: as the log describes its server, as the replica knows it. Raises LogError.

    ``of`` is whose log it is, where that is not the server which the replica followed last.
    """
    sequence = LogSequence(logs)
    next(iter(sequence), None)
    described = sequence.described
    gtid = cut.last.gtid if cut.last is not None else None
    number, uuid = (of.server_id, of.uuid) if of is not None else (channel.source_server_id, channel.source_uuid)
    return Identity(
        version=described.server_version,
        server_id=number or described.server_id,
        uuid=uuid or (gtid.uuid if isinstance(gtid, Gtid) else ""),
        gtid_mode=state.gtid_mode or "OFF",
        domain=gtid.domain if isinstance(gtid, MariadbGtid) else 0,
    )


def asks_from(server: Server, state: ServerState, channel: ReplicaChannel, kind: GtidKind) -> Before | None:
    """What a replica says it executed when it asks by GTID; None by position."""
    if kind is GtidKind.MYSQL:
        return state.gtid_executed
    if kind is GtidKind.MARIADB:
        name = "gtid_current_pos" if channel.using_gtid == "Current_Pos" else "gtid_slave_pos"
        return MariadbGtidPosition.parse(str(server.scalar(f"SELECT @@GLOBAL.{name}", action=f"read {name}") or ""))
    return None


def rebuilt_of(
    catalogue: Catalogue,
    logs: Sequence[LogFile],
    directory: Path,
    place: BinlogPosition | None,
    kind: GtidKind,
    before: Before | None,
) -> None:
    """Publish relay logs as the primary's log, from the place that the taker stands at; it is made in ``directory``.

    MySQL's sets tell by themselves what is lacking. MariaDB's positions need to know what stands before; where relay
    logs do not tell the places of their events (11.8), or the taker stands in another server's log (``place`` is None),
    the one that is asked from must be among them.
    """
    if kind is GtidKind.MYSQL:
        rebuild(catalogue, logs, directory, by_gtid=True, before=before)
        return
    if place is not None or kind is GtidKind.POSITION:
        try:
            rebuild(catalogue, logs, directory, start=place, before=before)
            return
        except LogError:
            if kind is GtidKind.POSITION:
                raise
    rebuild(catalogue, logs, directory, by_gtid=True, before=MariadbGtidPosition())


@contextlib.contextmanager
def served(
    server: Server,
    host: SshHost | None,
    catalogue: Catalogue,
    publish: Callable[[Catalogue], object],
    ports: Iterable[int],
) -> Iterator[Iterator[Where]]:
    """While it lasts, what ``publish`` puts into the catalogue is served; gives the ways in, one after the other.

    The log is proven, and published, while the replica is being turned. A way is opened when it is asked for; what
    cannot be opened is told and left out. Without its ``host`` there is none over SSH.
    """
    account = Account(one_time_user(), "")
    with contextlib.ExitStack() as open_:
        source = open_.enter_context(Source(catalogue, peers=[server.config.ip], account=account))
        proving = Thread(target=_prove, args=(catalogue, publish), name="prove", daemon=True)
        proving.start()
        yield _ways(source, account.user, server, host, open_, tuple(ports))


def _prove(catalogue: Catalogue, publish: Callable[[Catalogue], object]) -> None:
    try:
        publish(catalogue)
        catalogue.finish()
    except (MhaError, OSError, ValueError) as error:
        log.error("The saved log cannot be served: %s", error)
        catalogue.fail(str(error))


def _ways(
    source: Source, user: str, server: Server, host: SshHost | None, open_: contextlib.ExitStack, ports: tuple[int, ...]
) -> Iterator[Where]:
    try:
        address = facing(server.config.ip)
        yield Where(address, source.listen(address, ports), user, DIRECTLY)
    except CannotListen as error:
        log.warning("%s: %s", server, error)
    if failed := source.catalogue.view().failed:
        raise WayClosed(f"{server}: {failed}")
    if host is None:
        return
    try:
        forward = host.forward(lambda channel: source.adopt(channel, f"the SSH session of {server.config.hostname}"))
    except HostError as error:
        raise WayClosed(f"{server}: no way {OVER_SSH} either: {error}") from error
    open_.callback(forward.close)
    yield Where("127.0.0.1", forward.port, user, OVER_SSH)
