"""A cluster's numbers for Prometheus, from what the manager sees anyway; docs/monitoring.md lists them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ...config import ClusterConfig
from ..drill.past import PastDrill, last_of_each_kind
from ..memory.failover_flags import FailoverFlags
from ..memory.health_file import HealthFile
from ..memory.last_check import LastCheck
from ..memory.spool import Outbox
from ..model.refusal import Refusal
from ..model.state import ClusterState
from ..model.topology import find_primary
from ..model.ways_back import FormerPrimary
from ..notify import dispatcher as notify
from ..planning.readiness import Past, assess
from ..rejoin.remembered.standing import former_primaries
from .roles import Standings


@dataclass(frozen=True)
class WatchSeen:
    """What a manager's looks told. ``pings`` are seconds by ``ip:port``; ``at`` is a time.monotonic()."""

    cluster: ClusterState
    standings: Standings
    pings: dict[str, float]
    at: float


def exposition(config: ClusterConfig, seen: WatchSeen) -> bytes:
    """Everything in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(_Collector(config, seen))
    return generate_latest(registry)


class _Collector(Collector):
    """One scrape."""

    def __init__(self, config: ClusterConfig, seen: WatchSeen) -> None:
        self._config, self._seen = config, seen

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        yield from self._readiness()
        yield from self._servers()
        yield from self._manager()
        yield from self._drills()
        yield from self._told()

    def _one(self, name: str, text: str, value: float | None) -> Iterator[Metric]:
        """A number of the whole cluster; one that cannot be told is left out."""
        if value is not None:
            gauge = GaugeMetricFamily(name, text, labels=["cluster"])
            gauge.add_metric([self._config.name], value)
            yield gauge

    def _readiness(self) -> Iterator[Metric]:
        past = Past.of(FailoverFlags(self._config.manager_workdir, self._config.name))
        ready = assess(self._config, self._seen.cluster, past)
        yield from self._one(
            "mha_failover_ready", "1 when a failover would go on if the primary died now.", ready.ready
        )
        primary = find_primary(self._config, self._seen.cluster)
        state = None if isinstance(primary, Refusal) else self._seen.cluster.get(primary.address)
        yield from self._one(
            "mha_primary_writable",
            "1 when the primary takes the writes of applications, 0 for a read-only primary.",
            None if state is None else not state.closed_by,
        )
        yield from self._one("mha_failover_blockers", "How many reasons are in its way.", len(ready.blockers))
        yield from self._one(
            "mha_failover_unreceived_bytes",
            "Bytes of the primary's log that no replica has received: lost if its host dies with it.",
            ready.unreceived,
        )
        yield from self._one(
            "mha_failover_drain_seconds",
            "About how long the candidate needs to execute what it received.",
            ready.drain_seconds,
        )
        if ready.candidate:
            gauge = GaugeMetricFamily("mha_failover_candidate", "Who would be promoted.", labels=["cluster", "server"])
            gauge.add_metric([self._config.name, ready.candidate], 1)
            yield gauge

    def _servers(self) -> Iterator[Metric]:
        def gauge(name: str, text: str) -> GaugeMetricFamily:
            return GaugeMetricFamily(name, text, labels=["cluster", "server"])

        up, primary = (
            gauge("mha_server_up", "1 when it answers."),
            gauge("mha_server_primary", "1 when it takes writes."),
        )
        replicates = gauge("mha_replica_running", "1 when receiver and applier run.")
        lag = gauge("mha_replication_lag_seconds", "Seconds since it was seen to have all that its source had.")
        ping = gauge("mha_ping_seconds", "How long a SELECT 1 took.")
        for server in self._config.servers:
            labels, state = [self._config.name, server.name], self._seen.cluster.get(server.address)
            standing = self._seen.standings.servers[server.address]
            up.add_metric(labels, state is not None)
            primary.add_metric(labels, standing.role == "primary")
            if state is not None and state.channels:
                running = all(c.receiver == "Yes" and c.applier_running for c in state.channels)
                replicates.add_metric(labels, running)
            if standing.fresh_at is not None:
                lag.add_metric(labels, max(0.0, self._seen.at - standing.fresh_at))
            if state is not None and server.address in self._seen.pings:
                ping.add_metric(labels, self._seen.pings[server.address])
        yield from (up, primary, replicates, lag, ping)
        former = GaugeMetricFamily(
            "mha_former_primary",
            "1 for where a server stands that a failover replaced: down, held (back, read-only) or rejoining.",
            labels=["cluster", "server", "state"],
        )
        found: tuple[FormerPrimary, ...] = ()
        with contextlib.suppress(OSError):
            found = former_primaries(self._config, lambda key: self._seen.cluster.get(key) is not None)
        for each in found:
            former.add_metric([self._config.name, each.name, each.state.value], 1)
        yield former
        progress = GaugeMetricFamily(
            "mha_rejoin_progress_ratio",
            "How far the copy of data is that a server is rebuilt with, 0 to 1.",
            labels=["cluster", "server"],
        )
        for each in found:
            if each.percent is not None:
                progress.add_metric([self._config.name, each.name], each.percent / 100.0)
        yield progress

    def _manager(self) -> Iterator[Metric]:
        workdir, name = self._config.manager_workdir, self._config.name
        health = HealthFile(workdir, name).read()
        if health is not None:
            yield from self._one("mha_manager_status", "As masterha_check_status exits.", health.status)
            age = max(0.0, time.time() - health.mtime)
            yield from self._one("mha_manager_last_ping_age_seconds", "Since the primary answered last.", age)
        flags = FailoverFlags(workdir, name)
        age_of_last = flags.complete_age()
        if age_of_last is not None:
            at = time.time() - age_of_last
            yield from self._one("mha_last_failover_timestamp_seconds", "When the last one was completed.", at)
        yield from self._one(
            "mha_last_failover_failed", "1 when a failover failed and stays unlooked at.", flags.has_error()
        )
        found = LastCheck(self._config).read()
        if found is not None:
            yield from self._one("mha_health_check_timestamp_seconds", "When the last health check was.", found.at)
            yield from self._one("mha_health_check_failed", "How many of its checks failed.", len(found.failed))

    def _drills(self) -> Iterator[Metric]:
        def gauge(name: str, text: str) -> GaugeMetricFamily:
            return GaugeMetricFamily(name, text, labels=["cluster", "kind"])

        at = gauge("mha_drill_timestamp_seconds", "When the last drill of a kind was.")
        passed = gauge("mha_drill_passed", "1 when it met every target.")
        out = gauge("mha_drill_out_seconds", "How long writes were out in it.")
        found: dict[str, PastDrill] = {}
        with contextlib.suppress(OSError):
            found = last_of_each_kind(self._config.manager_workdir, self._config.name)
        for kind, drill in found.items():
            labels, card = [self._config.name, kind], drill.card or {}
            at.add_metric(labels, drill.at)
            passed.add_metric(labels, card.get("passed") is True)
            if isinstance(seconds := card.get("out"), int | float):
                out.add_metric(labels, seconds)
        yield from (at, passed, out)

    def _told(self) -> Iterator[Metric]:
        waiting = len(Outbox(self._config).waiting())
        yield from self._one("mha_events_waiting", "Events that Prefect has not taken yet.", waiting)
        letters = CounterMetricFamily(
            "mha_notifications", "Notifications since the manager started.", labels=["cluster", "result"]
        )
        told = {result: number for cluster, result, number in notify.counts() if cluster == self._config.name}
        for result in ("sent", "failed"):
            letters.add_metric([self._config.name, result], told.get(result, 0))
        yield letters
