"""A cluster whose address is moved."""

from __future__ import annotations

from pathlib import Path

from prefect_mha.config import ClusterConfig
from tests.unit.replication.build import block


def config(**changes) -> ClusterConfig:
    servers = tuple(block(n, vip_interface="eth0", no_master=n == 3, candidate_master=n == 2) for n in (1, 2, 3))
    return ClusterConfig(**{"name": "app1", "path": Path("/app1.cnf"), "servers": servers, **changes})
