"""A server by its host, with and without a port."""

from __future__ import annotations

from pathlib import Path

import pytest

from prefect_mha.config import ClusterConfig, ConfigError, load_cluster


def cluster(tmp_path: Path, *blocks: str) -> ClusterConfig:
    path = tmp_path / "app1.cnf"
    path.write_text("".join(f"[server{n}]\n{block}\n" for n, block in enumerate(blocks, 1)))
    return load_cluster(path, None, resolve=lambda host: f"10.0.0.{host[-1]}")


def test_the_only_server_of_a_host_needs_no_port(tmp_path: Path) -> None:
    config = cluster(tmp_path, "hostname=db1\nport=3307", "hostname=db2\nport=3307")
    for name in ("db1", "DB1", "10.0.0.1"):
        found = config.server_at(name, None)
        assert found is not None and found.address == "10.0.0.1:3307"
    assert config.server_at("DB2", 3307) == config.servers[1]
    assert config.server_at("db2", 3306) is None
    assert config.server_at("db9", None) is None


def test_of_several_on_one_host_it_is_the_usual_port_or_it_has_to_be_named(tmp_path: Path) -> None:
    config = cluster(tmp_path, "hostname=db1\nport=3306", "hostname=db1\nport=3307")
    assert config.server_at("db1", None) == config.servers[0]
    assert config.server_at("db1", 3307) == config.servers[1]
    odd = cluster(tmp_path, "hostname=db1\nport=3308", "hostname=db1\nport=3307")
    with pytest.raises(ConfigError, match="name the port"):
        odd.server_at("db1", None)
