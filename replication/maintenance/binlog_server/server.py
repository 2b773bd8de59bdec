"""A binlog server: copies the primary's binary logs to the host it runs on, for ever, and follows a new primary.

It survives what it depends on: mysqlbinlog, the source, the network and the disk may fail and come back; it says what
is wrong in one sentence, in the log once and in its health file as long as it lasts, and tries again. Only a second
binlog server in the same directory and a wrong configuration end it.
"""

from __future__ import annotations

import logging
import math
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ....config import ClusterConfig, ConfigError, ServerConfig
from ...cluster.pool import ConnectionPool
from ...errors import MhaError, RemoteFileError, ServerUnreachable, StatementFailed
from ...model.refusal import Refusal
from ...model.state import ServerState
from ...supervisor import SUPERVISOR
from ...threads import Thread
from .acknowledging.dump import Replica
from .acknowledging.feed import AcknowledgingFeed
from .acknowledging.replaced import Replaced
from .archive import (
    ArchivedLog,
    OtherHistoryError,
    archive_directory,
    archive_root,
    bytes_behind,
    disk_error,
    expired,
    local_logs,
    remove,
    resume_point,
    set_aside,
    span,
    takes_over,
)
from .block import CopyOptions, kept, pick_block
from .feed import Feed, MysqlbinlogFeed
from .health import BinlogHealth, CopyState, known_gaps, write_health
from .lock import DirectoryLock
from .source import SourceView, SourceWatch, next_source, read_logs, rival_of
from .stream import derived_server_id, find_reader, reading_account

log = logging.getLogger("mha")

#: Seconds between two looks at what mysqlbinlog has written; a new log is out of its place for so long at most.
TICK = 0.1
#: Seconds between two health files, and between two writes of what came to the disk.
BEAT = 1.0
#: Seconds without a byte, while the source has more, after which mysqlbinlog is started again.
STALL = 10.0
#: Seconds for the list of a source's logs.
LISTING = 3.0
#: Seconds between two looks for logs to remove; and that two clocks may differ, where what is removed goes by one.
SWEEP, CLOCKS = 60.0, 3600.0
#: Seconds before the next attempt: the first wait, doubled each time up to the last.
FIRST_WAIT, LAST_WAIT = 0.5, 30.0
#: The same while the source is away: a new primary is to be followed soon.
LAST_LOOK = 2.0
#: Seconds that a thread may go on while another one wants to, where commits wait for that.
HAND_OVER = 0.0005


class BinlogServer:
    """The binlog server of one block, on this host. ``load`` reads the configuration afresh; ``stop`` ends it."""

    def __init__(
        self, load: Callable[[], ClusterConfig], name: str, options: CopyOptions, stop: threading.Event
    ) -> None:
        self._load, self._options, self._stop = load, options, stop
        self._config = load()
        self._block = pick_block(self._config, name)
        self._root = Path(archive_root(self._block))
        self._health = BinlogHealth(self._block.block, os.getpid(), CopyState.WAITING)
        self._source: ServerConfig | None = None
        self._next, self._ids = "", set[int]()
        self._replaced = Replaced()
        self._anew: set[Path] = set()
        self._told = ""
        self._unwritten = False
        self._hanging: Feed | None = None
        self._lock = DirectoryLock(self._root)

    def run(self) -> int:
        """Copy until told to stop. Returns 0; raises AlreadyActing, ConfigError, OSError; MhaError with ``once``."""
        if not archive_root(self._block):
            raise ConfigError(f"[{self._block.block}] needs a master_binlog_dir", file=self._config.path)
        if any((self._root / name).exists() for name in ("ibdata1", "mysql.ibd", "aria_log_control")):
            raise ConfigError(
                f"{self._root} is the data directory of a server; set master_binlog_dir in [{self._block.block}] to a "
                "directory for the copies",
                file=self._config.path,
            )
        self._root.mkdir(mode=0o750, parents=True, exist_ok=True)
        if self._block.binlog_ack:
            # What else this process does must not let an acknowledgement wait: Python's default is 5 ms.
            sys.setswitchinterval(HAND_OVER)
        with self._lock:
            self._health = replace(self._health, gaps=known_gaps(self._root))
            try:
                self._supervise()
            finally:
                self._say(state=CopyState.STOPPED, pid=0, acknowledges=False)
        return 0

    def _supervise(self) -> None:
        wait, hurried = FIRST_WAIT, False
        while not self._stop.is_set():
            sessions = ConnectionPool(self._config)
            began, longest = time.monotonic(), LAST_WAIT
            try:
                if self._once_more(sessions):
                    return
            except (MhaError, OSError) as error:
                if self._options.once:
                    raise
                away = isinstance(error, ServerUnreachable | _NoSource)
                longest = LAST_LOOK if away else LAST_WAIT
                state = CopyState.FAILED
                if away:
                    state = CopyState.WAITING if self._source is None else CopyState.UNREACHABLE
                self._tell(state, error)
            finally:
                # In a thread: it waits for a statement under way, which on a host that is gone takes its whole timeout.
                Thread(target=sessions.close, name="close sessions", daemon=True).start()
            # An attempt that copied for a while is no failure that adds up.
            wait = FIRST_WAIT if time.monotonic() - began > LAST_WAIT else min(wait * 2, longest)
            # Commits of a new primary may wait for this disk; once, for whoever is begun again and again is paused for.
            hurried = bool(self._next) and not hurried
            if not hurried:
                self._pause(FIRST_WAIT if self._next else wait)
            self._reload()

    def _once_more(self, sessions: ConnectionPool) -> bool:
        """Find the source and copy from it until something changes. True: all that ``once`` asked for is here."""
        moved = next((s for s in self._config.servers if s.address == self._next), None)
        self._next = ""
        # The dead one's silence would be waited for again, and the new one's commits may wait for this disk.
        begun = time.monotonic()
        cluster = sessions.observe(None if moved is None else [moved])
        self._ids |= {state.server_id for state in cluster.up}
        replaced = self._source in self._replaced
        found = moved or next_source(self._config, cluster, self._source, replaced=replaced)
        if isinstance(found, Refusal):
            # Where nobody answers, why the first does not is what there is to mend: a certificate, a password.
            why = next((f" {down.reason}" for down in cluster.down if not cluster.up), "")
            raise _NoSource(f"{found.sentence}{why}")
        if self._source is None or self._source.address != found.address:
            self._health = replace(self._health, file="", size=0, behind=-1, grew=0.0, checked=0.0)
        self._source = found
        self._say(source=found.name)
        state = cluster.get(found.address)
        if state is None and not self._block.binlog_ack:
            down = next(d for d in cluster.down if d.key == found.address)
            raise _NoSource(down.reason)
        rival = "" if moved else rival_of(found, cluster)
        seen = SourceView(cluster=None if moved else cluster, rival=rival, begun=begun)
        done = self._copy(sessions, found, state, seen)
        if moved and not self._next and Path(archive_directory(self._block, moved)) in self._anew:
            self._next = moved.address
        return done

    # one source ------------------------------------------------------------------------------------------------

    def _copy(
        self, sessions: ConnectionPool, source: ServerConfig, state: ServerState | None, seen: SourceView
    ) -> bool:
        if self._hanging is not None and self._hanging.alive:
            directory = self._hanging.directory
            raise RemoteFileError("this host", f"write into {directory}", "an earlier write there has not ended yet")
        logs, end = self._logs(sessions, source, state)
        directory = Path(archive_directory(self._block, source))
        feed = self._feed(source, state, directory)
        try:
            feed.make_ready()
            start = self._where_to_begin(feed, logs) if logs else next((x.name for x in feed.here()[-1:]), "")
        except OtherHistoryError as other:
            self._put_aside(directory, f"{source.name} sends another log than the copy that is here: {other}")
            return False
        watch = SourceWatch(self._config, sessions, source, seen)
        if not self._told:
            log.info("Copying the binary logs of %s into %s, beginning with %s.", source.name, directory, start)
        self._heed(feed, watch)
        try:
            feed.start(start, next((each.size for each in logs if each.name == start), None), end)
            watch.start()
            done = self._follow(feed, watch, end)
        except OtherHistoryError as other:
            self._close(feed)
            self._put_aside(directory, f"{source.name} sends another log than the copy that is here: {other}")
            return False
        finally:
            watch.stop()
            self._close(feed)
        self._take_rest(feed)
        return done

    def _logs(
        self, sessions: ConnectionPool, source: ServerConfig, state: ServerState | None
    ) -> tuple[tuple[ArchivedLog, ...], ArchivedLog]:
        """The logs that the source has, and their end; none where it cannot say because its commits wait.

        MariaDB keeps its log locked while they do, for an acknowledgement of this very binlog server's perhaps.
        """
        logs: tuple[ArchivedLog, ...] = ()
        try:
            logs = read_logs(sessions.server(source.address), LISTING) if state is not None else ()
        except ServerUnreachable:
            if not self._block.binlog_ack:
                raise
        end = state.end_of_log if state is not None else None
        if state is not None and end is None:
            raise StatementFailed(source.name, "read its binary logs", "it writes none", 0, "set log_bin there")
        if not logs and self._options.once:
            raise ServerUnreachable(source.name, "list its binary logs", "no answer in time")
        return logs, ArchivedLog(end.file, end.pos) if end is not None else ArchivedLog("", 0)

    def _close(self, feed: Feed) -> None:
        self._hanging = feed
        feed.close()

    def _where_to_begin(self, feed: Feed, logs: tuple[ArchivedLog, ...]) -> str:
        directory = feed.directory
        anew = directory in self._anew
        here = () if anew else feed.here()
        new = not (here or anew or self._options.once) and takes_over(self._block, self._config.servers, directory)
        resume = resume_point(here, logs, from_current=self._options.from_current and not anew, taking_over=new)
        if resume.reset:
            self._put_aside(directory, f"the server's newest log is {logs[-1].name}, which is before {here[-1].name}")
        if resume.gap is not None:
            gap = span(directory, resume.gap)
            log.error("%s %s.", gap, resume.why)
            if gap not in self._health.gaps:
                self._say(gaps=(*self._health.gaps, gap))
        return resume.start

    def _feed(self, source: ServerConfig, state: ServerState | None, directory: Path) -> Feed:
        server_id = self._options.server_id or self._block.binlog_server_id
        if not server_id:
            seed = f"{self._config.name} {self._block.block} {self._block.hostname}"
            server_id = derived_server_id(seed, self._ids)
        if self._block.binlog_ack:
            replica = Replica(server_id, self._block.hostname)
            return AcknowledgingFeed(reading_account(source), directory, replica, acknowledges=not self._options.once)
        assert state is not None
        reader = find_reader(self._block, state.vendor)
        return MysqlbinlogFeed(
            reader, source, directory, server_id, private=self._root / ".private", held=self._lock.descriptor
        )

    def _follow(self, feed: Feed, watch: SourceWatch, goal: ArchivedLog) -> bool:
        """Until the feed ends, stalls, or another server is to be copied. True: the goal of ``once`` is reached."""
        beat = sweep = ended = 0.0
        swept, flows = feed.newest, False
        while not self._stop.wait(TICK):
            self._heed(feed, watch)
            failure = feed.take()
            now = time.monotonic()
            idle = feed.idle(now)
            flows = flows or idle == 0.0
            look = watch.look
            if failure is not None:
                ended = ended or now
                # Where the source is away the watch knows soonest who takes its place.
                away = isinstance(failure, ServerUnreachable) and look.at and look.state is None
                if not away or now - ended >= LAST_WAIT:
                    raise failure
            if now - beat >= BEAT:
                beat = now
                feed.sync()
                newest = self._report(feed, look, flows=flows)
                if feed.newest:
                    self._anew.discard(feed.directory)
                if self._options.once and feed.newest and newest is not None and newest.reaches(goal):
                    return feed.newest == newest.name
                if look.other is not None:
                    log.info("%s is the primary now; its binary logs are copied from here on.", look.other.name)
                    self._next = look.other.address
                    return False
                if look.state is not None and self._health.behind > 0 and idle > STALL:
                    log.warning("Nothing came from %s for %g s, although it has more; reading again.", watch, STALL)
                    return False
                if flows and self._health.behind == 0:
                    feed.caught_up()
            due = now - sweep >= SWEEP or feed.newest != swept
            if due and look.cluster is not None and not math.isnan(look.clock_ahead) and feed.at_rest:
                sweep, swept = now, feed.newest
                self._sweep(look)
        return False

    def _heed(self, feed: Feed, watch: SourceWatch) -> None:
        if self._block.binlog_ack:
            feed.barred = self._replaced.bars(watch.source, feed.directory, watch.look)
            watch.replaced = watch.source in self._replaced

    def _report(self, feed: Feed, look: SourceView, *, flows: bool) -> ArchivedLog | None:
        here = local_logs(feed.directory)
        newest = here[-1] if here else None
        behind = -1
        if look.state is not None and look.state.end_of_log is not None:
            behind = bytes_behind(newest, look.state.end_of_log, look.logs)
        if look.at and look.state is None:
            self._tell(CopyState.UNREACHABLE, look.reason)
        elif flows:
            self._told = ""
            self._health = replace(self._health, state=CopyState.COPYING, trouble="")
        changed = newest is not None and (newest.name, newest.size) != (self._health.file, self._health.size)
        self._say(
            file=newest.name if newest else "",
            size=newest.size if newest else 0,
            behind=behind,
            grew=time.time() if changed and feed.newest else self._health.grew,
            checked=look.at if look.state is not None else self._health.checked,
            acknowledges=feed.acknowledging,
        )
        return newest

    def _take_rest(self, feed: Feed) -> None:
        """What came since the last look; nothing that cannot be taken now is removed, so the next start has it."""
        try:
            feed.take()
            feed.sync()
        except OtherHistoryError as other:
            log.info("%s", other)

    def _put_aside(self, directory: Path, why: str) -> None:
        former = set_aside(directory)
        self._anew.add(directory)
        log.warning("%s. The logs of before are kept in %s; the copy begins again.", why, former)

    def _sweep(self, look: SourceView) -> None:
        """Remove what is too old or too much: only of servers that answer now, for of others it may be all there is."""
        block, (days, most) = self._block, kept(self._options, self._block)
        for server in self._config.servers:
            if look.cluster is None or look.cluster.get(server.address) is None:
                continue
            directory = Path(archive_directory(block, server))
            here, now = local_logs(directory), time.time()
            agree = abs(look.clock_ahead) <= CLOCKS
            if not agree and expired(here, now, keep_days=days, keep_bytes=0):
                log.warning("Nothing is removed for its age: the source's clock says another time.")
            if gone := expired(here, now, keep_days=days * agree, keep_bytes=most):
                remove(directory, gone)
                log.info("Removed %s to %s from %s.", gone[0].name, gone[-1].name, directory)

    # telling ---------------------------------------------------------------------------------------------------

    def _tell(self, state: CopyState, trouble: object) -> None:
        sentence = " ".join(str(trouble).split())
        if isinstance(trouble, OSError) and not isinstance(trouble, MhaError):
            sentence = str(disk_error(self._root, trouble))
        if sentence != self._told:
            self._told = sentence
            log.error("%s", sentence)
        self._say(state=state, trouble=sentence, behind=-1, acknowledges=False)

    def _say(self, **changes: object) -> None:
        """Write the health file; a disk that is full must not end the copying."""
        self._health = replace(self._health, **changes)  # type: ignore[arg-type]
        SUPERVISOR.pulse(self._block.block).beat()
        SUPERVISOR.says(f"{self._health.state} {self._health.source}")
        if self._health.state is CopyState.COPYING:
            SUPERVISOR.ready()
        try:
            write_health(self._root, self._health)
            self._unwritten = False
        except OSError as error:
            if not self._unwritten:
                log.error("The health file cannot be written: %s", error)
            self._unwritten = True

    def _pause(self, seconds: float) -> None:
        ends = time.monotonic() + seconds
        while not self._stop.wait(min(BEAT, max(0.0, ends - time.monotonic()))) and time.monotonic() < ends:
            self._say()

    def _reload(self) -> None:
        """The configuration as it is now; a file broken meanwhile must not end the copying."""
        try:
            config = self._load()
            block = pick_block(config, self._block.block)
        except ConfigError as error:
            log.error("The configuration cannot be read now, so the last good one stays: %s", error)
            return
        if archive_root(block) != archive_root(self._block):
            log.error("master_binlog_dir of [%s] has changed; start the binlog server again for that.", block.block)
            return
        self._config, self._block = config, block


class _NoSource(MhaError):
    """There is nothing to copy from now."""
