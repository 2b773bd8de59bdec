"""How a deployment, which may only name a cluster, finds its configuration; secrets never travel through Prefect."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from prefect_mha.config import ClusterConfig, ConfigError, load_cluster
from prefect_mha.config.loader import DEFAULT_GLOBAL_CONF
from prefect_mha.replication.local.core_files import leave_none

CONF_DIR = "MHA_CONF_DIR"
DEFAULT_CONF_DIR = "/etc/mha"
SUFFIXES = (".cnf", ".toml", ".conf")
#: Characters that are shown at most of a name that is none.
SHOWN = 80


def conf_directory() -> Path:
    """Where clusters are configured on this worker: $MHA_CONF_DIR, or /etc/mha."""
    return Path(os.environ.get(CONF_DIR, DEFAULT_CONF_DIR))


def configuration_files(directory: Path) -> tuple[Path, ...]:
    """The configurations of clusters in a directory, by name. Raises OSError."""
    found = (path for path in directory.iterdir() if path.suffix in SUFFIXES and path.stem != DEFAULT_GLOBAL_CONF.stem)
    return tuple(sorted(path for path in found if path.is_file() and not path.name.startswith(".")))


def configured_clusters() -> tuple[str, ...]:
    """The names of the clusters that are configured here."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        return tuple(sorted({path.stem for path in configuration_files(conf_directory())}))
    return ()


def load_named(cluster: str) -> tuple[ClusterConfig, Callable[[], ClusterConfig]]:
    """The configuration of a cluster by its name, and a way to read it afresh. Raises ConfigError.

    Who starts a run names a cluster, and may send any text: it is looked for among those that are configured, and is no
    part of a path, for a configuration names programs that are run.
    """
    directory = conf_directory()
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        named = [path for path in configuration_files(directory) if path.stem == cluster]
        for path in sorted(named, key=lambda path: SUFFIXES.index(path.suffix)):
            # From here on this process knows passwords.
            leave_none()
            load = partial(load_cluster, path)
            return load(), load
    known = configured_clusters()
    raise ConfigError(
        f"no cluster {shown(cluster)} is configured in {directory}"
        + (f"; there are: {', '.join(known)}" if known else "; set MHA_CONF_DIR to where the files are")
    )


def shown(text: str) -> str:
    """What somebody sent, quoted, in one line and not too long."""
    quoted = ascii(text)
    return quoted if len(quoted) <= SHOWN else f"{quoted[:SHOWN]}…"


@contextlib.contextmanager
def stopped_by_cancelling() -> Iterator[threading.Event]:
    """An event that a cancelled run gets by SIGTERM: a watch ends, a failover is finished first.

    Prefect's own handler would raise in the middle of whatever is done. Outside a main thread there is no signal.
    """
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    former = signal.signal(signal.SIGTERM, lambda *_: stop.set())
    try:
        yield stop
    finally:
        signal.signal(signal.SIGTERM, former)
