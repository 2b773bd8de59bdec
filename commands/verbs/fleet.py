"""What `mha monitor` does with several configurations: one process, a watch for each of them."""

from __future__ import annotations

import contextlib
import logging
import resource
import signal
import threading
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from ...replication.notify.manager_log import secrets_of
from ..shared.failover_options import failover_options
from ..shared.fleet_log import FleetLog

log = logging.getLogger("mha")


def watch_all(given: Namespace, confs: Sequence[Path], directory: Path | None, most: int) -> NoReturn:
    """Watch the clusters of ``confs`` and of ``directory`` until a signal ends it; ``most`` failovers at a time.

    SIGTERM, SIGINT and SIGQUIT ask for the end: every watch ends, failovers that run are finished. SIGHUP: look at the
    directory now, and begin again what masterha_stop ended. Raises OSError when the log cannot be written.
    """
    from ...config import ClusterConfig, load_cluster

    logs = FleetLog(given.manager_log)
    logs.set_up()
    stop, again = threading.Event(), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, lambda *_: stop.set())
    signal.signal(signal.SIGHUP, lambda *_: again.set())
    _open_as_many_files_as_allowed()
    places = {"manager_workdir": str(given.manager_workdir)} if given.manager_workdir else {}

    def load(path: Path) -> ClusterConfig:
        return load_cluster(path, given.global_conf, places)

    def prepare(config: ClusterConfig) -> None:
        logs.route(config, secrets_of(config))

    # What acts takes a second to import; everything that can refuse has refused before it.
    from ...flows.clusters import configuration_files
    from ...flows.engine.start import leave
    from ...flows.manager.fleet import Fleet
    from ...flows.manager.options import ManagerOptions
    from ...replication.coordination.failover_slots import FailoverSlots

    def files() -> tuple[Path, ...]:
        return (*confs, *(configuration_files(directory) if directory else ()))

    options = ManagerOptions(failover=failover_options(given), go_on=True)
    leave(Fleet(files, load, options, FailoverSlots(most), prepare).run(stop, again))


def _open_as_many_files_as_allowed() -> None:
    """A cluster of three takes a dozen descriptors, and the usual soft limit is 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            log.debug("Up to %d descriptors may be open instead of %d.", hard, soft)
