"""How every command begins that acts on a cluster: its configuration, its working directory, its log.

Nothing here is imported before it must: see `options`.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ...replication.notify.manager_log import secrets_of, setup_logging
from .failover_options import places, watch_parent_signals
from .options import require_conf

if TYPE_CHECKING:
    from ...config import ClusterConfig
    from ...replication.cluster.first_look import FirstLook

log = logging.getLogger("mha")


def loader(conf: Path, global_conf: Path, workdir: Path | None = None) -> Callable[[], ClusterConfig]:
    """What loads a configuration, again and again; ``workdir`` overrides its manager_workdir."""
    from ...config import load_cluster

    return partial(load_cluster, conf, global_conf, {"manager_workdir": str(workdir)} if workdir else None)


def begin(config: ClusterConfig, log_file: Path | None = None, *, speak: bool = False) -> None:
    """Make the working directory, log to the file or the terminal, and say what is odd in the configuration.

    ``speak`` as for `setup_logging`.
    """
    from ...replication.memory.workdir import make_workdir

    make_workdir(config.manager_workdir)
    setup_logging(log_file, config.log_level, secrets_of(config), speak=speak)
    for warning in config.warnings:
        log.warning("%s", warning)


@dataclass(frozen=True)
class Beginning:
    """What a watch of one cluster begins with; ``looked`` goes on while what acts is imported."""

    load: Callable[[], ClusterConfig]
    config: ClusterConfig
    stop: threading.Event
    looked: FirstLook


@contextlib.contextmanager
def watching(given: Namespace, *, on_terminal: bool) -> Iterator[Beginning]:
    """Begin the only watch of a cluster on this host, which signals end. Raises MhaError when another one runs."""
    from ...config import load_cluster
    from ...replication.cluster.first_look import FirstLook
    from ...replication.memory.manager_lock import ManagerLock

    load = partial(load_cluster, require_conf(given), given.global_conf, places(given))
    config = load()
    begin(config, None if on_terminal else config.manager_log)
    stop = threading.Event()
    watch_parent_signals(stop)
    with ManagerLock(config.manager_workdir, config.name):
        yield Beginning(load, config, stop, FirstLook(config))
