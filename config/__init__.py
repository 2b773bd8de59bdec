"""What an operator writes: models and loaders. Imports nothing of ours.

Each name is imported when it is first used: the models take a fifth of a second of a processor, and who only shows his
help, or raises an error, needs none.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

_IN = {
    "ClusterConfig": "models",
    "ConfigError": "errors",
    "ConfigWarning": "errors",
    "ServerConfig": "models",
    "SshOptions": "ssh_options",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f".{_IN.get(name, 'loader')}", __name__), name)
    return found
