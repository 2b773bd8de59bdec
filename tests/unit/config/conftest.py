"""A way to write a configuration and load it, without DNS."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from prefect_mha.config import ClusterConfig, load_cluster

SAMPLES = Path(__file__).parent / "samples"
NODES = {f"node{n}": f"192.168.10.{215 + n}" for n in (1, 2, 3)}


def resolve(host: str) -> str:
    """node1 … node3 have addresses, numbers are their own, nothing else exists."""
    if host in NODES:
        return NODES[host]
    if host[:1].isdigit():
        return host
    raise OSError(-2, "Name or service not known")


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., ClusterConfig]:
    def loader(text: str, name: str = "app1.cnf", general: str | None = None, **overrides: str) -> ClusterConfig:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        global_conf = None
        if general is not None:
            global_conf = tmp_path / "masterha_default.cnf"
            global_conf.write_text(general, encoding="utf-8")
        return load_cluster(path, global_conf, overrides, resolve=resolve)

    return loader
