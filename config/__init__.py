"""What an operator writes: models and loaders. Imports nothing of ours."""

from __future__ import annotations

from .errors import ConfigError, ConfigWarning
from .loader import DEFAULT_GLOBAL_CONF, app_name, load_cluster
from .models import ClusterConfig, ServerConfig
from .ssh_options import SshOptions

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
