"""What an operator writes: models and loaders. Imports nothing of ours."""

from __future__ import annotations

from prefect_mha.config.errors import ConfigError, ConfigWarning
from prefect_mha.config.loader import DEFAULT_GLOBAL_CONF, app_name, load_cluster
from prefect_mha.config.models import ClusterConfig, ServerConfig
from prefect_mha.config.ssh_options import SshOptions

__all__ = [
    "DEFAULT_GLOBAL_CONF",
    "ClusterConfig",
    "ConfigError",
    "ConfigWarning",
    "ServerConfig",
    "SshOptions",
    "app_name",
    "load_cluster",
]
