"""Monitor: watch a cluster's primary, and run the failover the moment it is dead.

`Manager` is the long-running process behind `masterha_manager` (which ends after one failover, as its users'
supervisors expect), `mha monitor` and the `monitor` deployment (which go on with the new primary).
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from prefect import flow

from config import ClusterConfig, ConfigError, ServerConfig
from config.edit import remove_block
from flows.deployed import load_named
from flows.engine import ArmedFlow, FlowRecord, api_configured, deliver_later, log_to_prefect, warm_up
from flows.failover import armed_failover, cut_short_failover, new_job, record_of, run_job
from flows.prefect_env import api_answers
from replication.errors import MhaError, RefusalError
from replication.job import FailoverJob
from replication.manager_files import HealthFile, ManagerLock, ManagerStatus
from replication.outcome import Outcome
from replication.patience import Verdict
from replication.plan import FailoverOptions, Refusal
from replication.sessions import Sessions
from replication.snapshots import ClusterState, ServerState
from replication.topology import find_primary, tree
from tasks.detect import Listener, watch

log = logging.getLogger("mha")

#: How long a manager that goes on watching waits before it looks again at a cluster it could not watch (seconds).
LOOK_AGAIN = 10.0
#: How long a failover waits for a flow that was armed a moment ago (seconds); not at all while the API says nothing.
ENTERED_WITHIN = 0.3
#: How long a manager that ends waits for the delivery of a record that Prefect has not (seconds).
DELIVERED_WITHIN = 5.0
#: How long Prefect may take to accept the end of a failover before the record is delivered again (seconds).
RECORDED_WITHIN = 30.0


@dataclass(frozen=True)
class ManagerOptions:
    """What the command line asks of a manager beyond the failover itself. ``wait_*`` are seconds."""

    failover: FailoverOptions = field(default_factory=FailoverOptions)
    go_on: bool = False
    ignore_fail_on_start: bool = False
    skip_check_ssh: bool = False
    wait_on_monitor_error: float = 0.0
    wait_on_failover_error: float = 0.0


class Manager:
    """Watches one cluster. ``load`` reads the configuration afresh; ``stop`` ends the watch, not a failover."""

    def __init__(self, load: Callable[[], ClusterConfig], options: ManagerOptions, stop: threading.Event) -> None:
        self._load, self._options, self._stop = load, options, stop
        self._config = load()
        self._health = _SteadyHealth(self._config.manager_workdir, self._config.name)

    def run(self) -> int:
        """Watch until a failover was done (or, with ``go_on``, until stopped). Returns the exit code: 0, 10 or 1."""
        try:
            while True:
                code = self._one_watch()
                if not self._options.go_on or self._stop.is_set():
                    return code
                if code == 1:
                    self._health.write(ManagerStatus.RETRYING_MONITOR)
                    self._stop.wait(LOOK_AGAIN)
                self._config = self._reload()
        except Exception:
            log.exception("The manager meets an error that it does not know, and ends.")
            raise
        finally:
            self._health.remove()

    def _one_watch(self) -> int:
        self._health.write(ManagerStatus.INITIALIZING_MONITOR)
        sessions = Sessions(self._config)
        try:
            return self._watch_and_recover(sessions)
        except MhaError as error:
            refusal = error.refusal if isinstance(error, RefusalError) else None
            log.error("Error happened on monitoring servers: %s", error)
            for line in refusal.evidence if refusal else ():
                log.error("  %s", line)
            self._health.write(ManagerStatus.CONFIG_ERROR)
            self._stop.wait(self._options.wait_on_monitor_error)
            return 1
        finally:
            sessions.close()

    def _watch_and_recover(self, sessions: Sessions) -> int:
        cut_short = cut_short_failover(self._config, sessions)
        if cut_short is not None:
            finish = Verdict(True, "its failover was cut short")
            return self._recover(sessions, cut_short, None, finish, armed_failover(self._config.name))
        cluster, primary = self._take_stock(sessions)
        self._health.write(ManagerStatus.PING_OK, primary.hostname)
        warm_up()
        armed = armed_failover(self._config.name)
        listener = _Manned(self._health, primary, armed)
        verdict = watch(self._config, primary, sessions, self._stop, listener, cluster.get(primary.address))
        if verdict is None:
            armed.stand_down("the manager was stopped")
            return 0
        return self._recover(sessions, primary, cluster.get(primary.address), verdict, armed)

    def _take_stock(self, sessions: Sessions) -> tuple[ClusterState, ServerConfig]:
        """Look at everybody once, as the predecessor does before its first ping."""
        log.info("MHA::MasterMonitor version %s.", _version())
        sessions.warm()
        cluster = sessions.observe()
        primary = find_primary(self._config, cluster)
        if isinstance(primary, Refusal):
            raise RefusalError(primary)
        for down in cluster.down:
            log.warning("Dead server: %s: %s", down.name, down.reason)
        log.info("Alive Servers: %s", ", ".join(s.name for s in cluster.up))
        if cluster.get(primary.address):
            log.info("Current Alive Master: %s", primary.name)
        for line in tree(self._config, cluster, primary):
            log.info("%s", line)
        for name in ("master_ip_failover_script", "shutdown_script", "secondary_check_script"):
            if not getattr(self._config, name):
                log.warning("%s is not defined.", name)
        return cluster, primary

    def _recover(
        self,
        sessions: Sessions,
        dead: ServerConfig,
        seen: ServerState | None,
        verdict: Verdict,
        armed: ArmedFlow[Outcome],
    ) -> int:
        self._health.write(ManagerStatus.FAILOVER_RUNNING, dead.hostname)
        job = new_job(self._config, dead, self._options.failover, sessions)
        job.journal.record("verdict", "dead", dead.address, why=verdict.why)
        began = time.time()
        directory = str(Path(seen.log_bin_basename).parent) if seen and seen.log_bin_basename else ""
        outcome = armed.fire(
            lambda: run_job(
                job,
                ssh_reachable=verdict.ssh_reachable,
                log_directories=(directory,) if directory else (),
                afterwards=armed.afterwards,
            ),
            budget=ENTERED_WITHIN,
        )
        self._tell_prefect(armed, job, outcome, began)
        return self._after(job, outcome)

    def _tell_prefect(self, armed: ArmedFlow[Outcome], job: FailoverJob, outcome: Outcome, began: float) -> None:
        """What ran without Prefect is delivered when its API is back; a manager that ends waits for one that is there.

        The verdict may fall before a flow can be entered: in the first seconds of a manager, or with a slow API.
        """
        if not api_configured():
            return
        record = record_of(job, outcome, armed.steps, began, armed.flow_run_id)
        delivery = threading.Thread(target=_deliver, args=(armed, record, self._stop), name="deliver", daemon=True)
        delivery.start()
        if armed.mode == "plain" and not self._options.go_on and api_answers(1.0):
            delivery.join(DELIVERED_WITHIN)

    def _after(self, job: FailoverJob, outcome: Outcome) -> int:
        """What follows a failover: the dead block leaves the file if asked, the status file tells of a failure."""
        if outcome.exit_code == 1:
            self._health.write(ManagerStatus.FAILOVER_ERROR, job.dead.hostname)
            self._stop.wait(self._options.wait_on_failover_error)
        elif outcome.exit_code == 0 and self._options.failover.remove_dead_master_conf:
            try:
                remove_block(self._config.path, job.dead.block)
                log.info("Deleted %s entry from %s .", job.dead.block, self._config.path)
            except ConfigError as error:
                log.error("%s", error)
        job.journal.close()
        return outcome.exit_code

    def _reload(self) -> ClusterConfig:
        """The configuration as it is now; a file broken meanwhile must not end the watch."""
        try:
            return self._load()
        except ConfigError as error:
            log.error("The configuration cannot be read now, so the last good one stays: %s", error)
            return self._config


class _SteadyHealth(HealthFile):
    """A status file that may fail to be written: a full disk is told once and stops neither watch nor failover."""

    def write(self, status: ManagerStatus, primary: str | None = None) -> None:
        with self._told():
            super().write(status, primary)

    def touch(self) -> None:
        with self._told():
            super().touch()

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            log.error("The status file cannot be written: %s", error)


class _Manned(Listener):
    """Keeps the status file true, and arms the failover on a suspicion."""

    def __init__(self, health: HealthFile, primary: ServerConfig, armed: ArmedFlow[Outcome]) -> None:
        self._health, self._primary, self._armed = health, primary, armed

    def answered(self) -> None:
        self._health.touch()

    def suspect(self, misses: int, error: str) -> None:
        self._health.write(ManagerStatus.PING_FAILING, self._primary.hostname)

    def make_ready(self) -> None:
        self._armed.arm()

    def recovered(self, why: str) -> None:
        log.info("Monitoring goes on: %s.", why)
        self._armed.stand_down(why)
        self._health.write(ManagerStatus.PING_OK, self._primary.hostname)


@flow(name="monitor", flow_run_name="monitor {cluster}", persist_result=False)
def monitor(cluster: str) -> None:
    """Watch a cluster until the run is cancelled; fail over when its primary dies, and go on with the new one.

    Args:
        cluster: Name of a configured cluster, such as "app1": the configuration is /etc/mha/app1.cnf or
            /etc/mha/app1.toml, or in the directory that MHA_CONF_DIR names.
    """
    config, load = load_named(cluster)
    options = ManagerOptions(failover=FailoverOptions(last_failover_minute=60), go_on=True)
    config.manager_workdir.mkdir(parents=True, exist_ok=True)
    log_to_prefect(log)
    with ManagerLock(config.manager_workdir, config.name):
        Manager(load, options, threading.Event()).run()


def _deliver(armed: ArmedFlow[Outcome], record: FlowRecord, stop: threading.Event) -> None:
    """A run that Prefect has whole is left alone; one it lost in the middle, or never saw, is completed."""
    if armed.mode == "flow" and armed.recorded(RECORDED_WITHIN):
        return
    try:
        deliver_later(record, deadline=3600.0, stop=stop)
    except MhaError as error:
        log.warning("Prefect has no record of this failover: %s", error)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("prefect-mha")
    except PackageNotFoundError:
        return "unknown"
