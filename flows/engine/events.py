"""What happens to a cluster, as events in Prefect: with the cluster as resource, in order, each once, beside the path.

Whoever acts puts an event into the cluster's outbox on the disk (`replication.memory.spool`); a thread here delivers
what lies there when the API answers, now, in an hour or in the next process. Events keep their ids, so that one that
was delivered twice is there once, and the time at which they happened.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Concatenate, Literal, ParamSpec, TypeVar

from ...config import ClusterConfig
from ...replication.memory.health_file import ManagerStatus
from ...replication.memory.manager_view import observe_manager
from ...replication.memory.spool import Outbox
from ...replication.threads import Thread
from .api import api_configured, usable
from .entered import flow_run
from .kept import KeptRuns
from .standing.quiet import wait_while_quiet

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

log = logging.getLogger("mha.engine")

#: What each event is called in Prefect.
NAMES = {
    "suspect": "mha.primary.suspect",
    "recovered": "mha.primary.recovered",
    "dead": "mha.primary.dead",
    "started": "mha.failover.started",
    "fenced": "mha.failover.fenced",
    "promoted": "mha.failover.promoted",
    "completed": "mha.failover.completed",
    "refused": "mha.failover.refused",
    "failed": "mha.failover.failed",
    "switched": "mha.switchover.completed",
    "returned": "mha.server.returned",
    "released": "mha.server.released",
    "rejoined": "mha.server.rejoined",
    "not_rejoined": "mha.server.not-rejoined",
    "check_failed": "mha.check.failed",
    "check_passed": "mha.check.passed",
    "took_over": "mha.monitor.took-over",
    "read_only": "mha.primary.read-only",
    "reopened": "mha.primary.reopened",
    "drilled": "mha.drill.passed",
    "drill_failed": "mha.drill.failed",
    "lagging": "mha.replica.lagging",
    "ready": "mha.failover.ready",
    "not_ready": "mha.failover.not-ready",
}
HEARTBEAT, STOPPED = "mha.monitor.heartbeat", "mha.monitor.stopped"

#: Seconds between two heartbeats of a monitor, and from an event to its delivery: a failover's go together, after it.
BEAT, GATHER = 15.0, 1.0
#: Seconds until what could not be delivered is tried again, and between two looks for what other processes put there.
AGAIN, LOOK = 5.0, 10.0
#: Seconds that one request may take (nobody waits for it), and that a process about to end waits for its last events.
REQUEST, LAST = 10.0, 2.0
#: Events in one request.
BATCH = 50

Resource = dict[str, str]
P = ParamSpec("P")
R = TypeVar("R")


def prefect_event(document: dict[str, Any]) -> dict[str, Any]:
    """An event as Prefect takes it, from the document that hooks get. Pure.

    The report is left out: it is an artifact. The run that is related is the one that it happened in, and not that of
    whoever delivers it, days later perhaps.
    """
    servers = [
        (role, document.get(key)) for role, key in (("old-primary", "old_primary"), ("new-primary", "new_primary"))
    ]
    facts = {key: value for key, value in document["facts"].items() if key != "report"}
    return {
        "id": document["id"],
        "occurred": document["at"],
        "event": NAMES[document["event"]],
        "resource": cluster_resource(document["cluster"]),
        "related": [*(_server(role, server) for role, server in servers if server), *_run(document.get("within", {}))],
        "payload": {**facts, "text": document["text"], "conf": document["conf"]},
    }


def cluster_resource(cluster: str) -> Resource:
    """What every event is about."""
    return {"prefect.resource.id": f"mha.cluster.{cluster}", "prefect.resource.name": cluster, "mha.cluster": cluster}


def _server(role: str, server: dict[str, Any]) -> Resource:
    return {
        "prefect.resource.id": f"mha.server.{server['ip']}:{server['port']}",
        "prefect.resource.name": str(server["host"]),
        "prefect.resource.role": role,
    }


def _run(within: dict[str, str]) -> list[Resource]:
    """The flow run and its deployment, by the ids that an event was told with; automations find it by either."""
    kinds = (("flow_run", "flow-run"), ("deployment", "deployment"))
    return [
        {"prefect.resource.id": f"prefect.{role}.{within[key]}", "prefect.resource.role": role}
        for key, role in kinds
        if key in within
    ]


def this_run() -> list[Resource]:
    """The flow run and the deployment that this is called in, as an automation finds what to start again."""
    run = flow_run()
    if run is None:
        return []
    ids = {"flow_run": run.id, "deployment": run.deployment_id}
    return _run({name: str(value) for name, value in ids.items() if value is not None})


@contextlib.contextmanager
def telling_prefect(config: ClusterConfig, *, heartbeat: bool = False) -> Iterator[None]:
    """While in it, events of this cluster are delivered to Prefect; with ``heartbeat`` a monitor's own come too.

    Nothing happens where no API is configured. At the end what is left gets a moment; then the next one delivers it.
    """
    outbox = Outbox(config)
    if not api_configured():
        yield
        return
    try:
        outbox.open()
    except OSError as error:
        log.error("Prefect will not be told of events: %s", error)
        yield
        return
    delivery = _Delivery(config, outbox, this_run(), heartbeat)
    delivery.start()
    try:
        yield
    except Exception:
        delivery.failed = True
        raise
    finally:
        delivery.finish(LAST)


def with_events(act: Callable[Concatenate[ClusterConfig, P], R]) -> Callable[Concatenate[ClusterConfig, P], R]:
    """A function whose first argument is a cluster, and what happens to that in it is told to Prefect."""

    @functools.wraps(act)
    def told(config: ClusterConfig, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with telling_prefect(config):
            return act(config, *args, **kwargs)

    return told


class _Delivery(Thread):
    """Delivers one cluster's events and what records of its runs were left behind, and beats its heart."""

    def __init__(self, config: ClusterConfig, outbox: Outbox, related: list[Resource], heartbeat: bool) -> None:
        super().__init__(name=f"events {config.name}", daemon=True)
        self._config, self._outbox, self._related, self._heartbeat = config, outbox, related, heartbeat
        self._ending, self._away, self._troubled = threading.Event(), False, False
        #: What was told of ended with an error that nobody knows: a monitor that did so has not stopped, it is gone.
        self.failed = False
        self._next_beat = time.monotonic()
        self._client: SyncPrefectClient | None = None
        self._open = contextlib.ExitStack()
        self._kept = KeptRuns(config.manager_workdir, config.name)

    def finish(self, seconds: float) -> bool:
        """Deliver the last ones and end, within so many seconds; whether all were delivered."""
        self._ending.set()
        self._outbox.filled.set()
        self.join(seconds)
        return not self.is_alive() and not self._outbox.waiting()

    def run(self) -> None:
        if not usable():
            return
        from prefect.settings import temporary_settings

        with temporary_settings({"api.request_timeout": REQUEST}), self._open:
            while not self._ending.is_set():
                self._outbox.filled.wait(self._pause())
                self._outbox.filled.clear()
                if not self._ending.wait(GATHER if self._outbox.waiting() else 0.0):
                    wait_while_quiet()
                    self._try(self._round)
            self._try(self._round)
            if self._heartbeat and not (self._away or self.failed):
                self._try(lambda: self._send([self._own(STOPPED, {})]))

    def _try(self, work: Callable[[], object]) -> None:
        """Whatever goes wrong is told, once until it goes well again, and does not end this thread."""
        try:
            work()
            self._troubled = False
        except Exception:
            self._away = True
            if not self._troubled:
                log.exception("Events cannot be delivered to Prefect; it is tried again.")
            self._troubled = True

    def _pause(self) -> float:
        if self._away:
            return AGAIN
        return min(LOOK, max(0.0, self._next_beat - time.monotonic())) if self._heartbeat else LOOK

    def _round(self) -> None:
        """Everything that waits, in order, and a heartbeat when it is time."""
        with self._outbox.emptying() as ours:
            while ours and (waiting := self._outbox.take(BATCH)):
                events = [self._as_event(document) for _, document in waiting]
                # One that is refused must not take the others with it.
                if self._send(known := [event for event in events if event is not None]) == "refused":
                    for event in known:
                        self._send([event])
                if self._away:
                    return
                self._outbox.done([path for path, _ in waiting])
            if self._heartbeat and time.monotonic() >= self._next_beat and not self._ending.is_set():
                self._next_beat = time.monotonic() + BEAT
                self._beat()
            if ours and not self._away:
                self._kept.deliver_left_behind()

    def _beat(self) -> None:
        """A manager whose watch stands still has no heartbeat, although its process lives."""
        view = observe_manager(self._config.manager_workdir, self._config.name, 5.0 * self._config.ping_interval + 10.0)
        if view.status in (ManagerStatus.TIMESTAMP_OLD, ManagerStatus.UNEXPECTED_ERROR, ManagerStatus.NOT_RUNNING):
            return
        facts = {"status": view.status.name, "primary": view.primary, "pid": view.pid, "seconds_since_ping": view.age}
        self._send([self._own(HEARTBEAT, facts)])

    def _own(self, name: str, payload: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": str(uuid.uuid4()),
            "occurred": datetime.now(UTC).isoformat(),
            "event": name,
            "resource": cluster_resource(self._config.name),
            "related": self._related,
            "payload": payload,
        }

    def _as_event(self, document: dict[str, Any]) -> dict[str, Any] | None:
        try:
            return prefect_event(document)
        except (KeyError, TypeError) as error:
            log.error("What another version left is no event that Prefect can be told of: %r", error)
            return None

    def _send(self, events: list[dict[str, Any]]) -> Literal["taken", "refused", "away"]:
        """Whether Prefect has them, will never take them, or could not be asked."""
        import httpx

        refused = False
        try:
            if events:
                self._connected().request("POST", "/events", json=events)
                self._away = False
        except httpx.HTTPStatusError as error:
            status = error.response.status_code
            self._away = status >= 500 or status in (401, 403, 404, 408, 429)
            refused = not self._away
            if refused and len(events) == 1:
                log.error("Prefect refuses the event %s: %s", events[0]["event"], str(error).splitlines()[0])
        except (httpx.HTTPError, RuntimeError, OSError) as error:
            if not self._away:
                log.info("Prefect will be told of events later: %s: %s", type(error).__name__, error)
            self._away, self._client = True, None
            self._open.close()
        return "away" if self._away else "refused" if refused else "taken"

    def _connected(self) -> SyncPrefectClient:
        if self._client is None:
            from prefect.client.orchestration import get_client

            self._client = self._open.enter_context(get_client(sync_client=True))
        return self._client
