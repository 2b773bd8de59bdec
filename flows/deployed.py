"""How a deployment, which may only name a cluster, finds its configuration; secrets never travel through Prefect."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from config import ClusterConfig, ConfigError, load_cluster

CONF_DIR = "MHA_CONF_DIR"
DEFAULT_CONF_DIR = "/etc/mha"


def conf_directory() -> Path:
    """Where clusters are configured on this worker: $MHA_CONF_DIR, or /etc/mha."""
    return Path(os.environ.get(CONF_DIR, DEFAULT_CONF_DIR))


def load_named(cluster: str) -> tuple[ClusterConfig, Callable[[], ClusterConfig]]:
    """The configuration of a cluster by its name, and a way to read it afresh. Raises ConfigError."""
    directory = conf_directory()
    for suffix in (".cnf", ".toml", ".conf"):
        path = directory / f"{cluster}{suffix}"
        if path.is_file():
            load = partial(load_cluster, path)
            return load(), load
    known = sorted(p.stem for p in directory.glob("*") if p.suffix in (".cnf", ".toml", ".conf"))
    raise ConfigError(
        f"no cluster {cluster!r} is configured in {directory}"
        + (f"; there are: {', '.join(known)}" if known else "; set MHA_CONF_DIR to where the files are")
    )
