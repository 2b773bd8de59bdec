"""The monitoring half of the manager alone: watch, and say that the primary is dead; somebody else acts."""

from __future__ import annotations

import logging

from prefect_mha.flows.manager.listening import StatusListener
from prefect_mha.flows.manager.manager import Manager
from prefect_mha.replication.cluster.pool import ConnectionPool
from prefect_mha.replication.memory.health_file import ManagerStatus
from prefect_mha.tasks.detect import BeginAnew

log = logging.getLogger("mha")

MASTER_DEAD = 20


class MasterMonitor(Manager):
    """Watches one cluster and changes nothing. `run` returns 20 for a dead primary, 0 when stopped, 1 on an error."""

    def _watch_and_recover(self, sessions: ConnectionPool) -> int | None:
        cluster, primary = self._take_stock(sessions)
        reporter = StatusListener(self._config, self._health, primary, sessions, self._right)
        verdict = self._watch(sessions, cluster, primary, reporter, reporter.begins)
        if verdict is None:
            return 0
        if isinstance(verdict, BeginAnew):
            log.info("%s; watching the cluster anew.", verdict.why)
            return None
        self._health.write(ManagerStatus.PING_FAILED, primary.hostname)
        log.info("Got exit code %d (Master dead).", MASTER_DEAD)
        print(f"Master {primary.hostname} is dead!\nIP Address: {primary.ip}\nPort: {primary.port}")
        print(f"SSH to {primary.ssh_host} is {'reachable' if verdict.ssh_reachable else 'NOT reachable'}.")
        return MASTER_DEAD
