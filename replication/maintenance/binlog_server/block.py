"""Which binlog server is meant: its block of the configuration, and what a command line says over it."""

from __future__ import annotations

from dataclasses import dataclass

from ....config import ClusterConfig, ConfigError, ServerConfig
from .health import is_here


@dataclass(frozen=True)
class CopyOptions:
    """What a command line says over the ``[binlogN]`` block; None leaves it to that.

    ``from_current``: begin an empty directory with the log that is written now. ``once``: end when everything is here
    that the source had at the start, and end with an error where a running one would try again.
    """

    from_current: bool = False
    once: bool = False
    keep_days: float | None = None
    keep_bytes: int | None = None
    server_id: int | None = None


def kept(options: CopyOptions, block: ServerConfig) -> tuple[float, int]:
    """For how many days logs are kept, and how many bytes of one server's; 0 for ever and all."""
    days, most = options.keep_days, options.keep_bytes
    return block.binlog_keep_days if days is None else days, block.binlog_keep_bytes if most is None else most


def pick_block(config: ClusterConfig, name: str = "") -> ServerConfig:
    """The ``[binlogN]`` block of that name, else the only one, else this host's by its address. Raises ConfigError."""
    blocks = config.binlog_servers
    names = ", ".join(b.block for b in blocks)
    if not blocks:
        raise ConfigError("it has no [binlogN] block; add one with hostname and master_binlog_dir", file=config.path)
    if name:
        found = [b for b in blocks if name in (b.block, b.block.removeprefix("binlog."))]
        if not found:
            raise ConfigError(f"it has no block [{name}]; there are: {names}", file=config.path)
        return found[0]
    here = blocks if len(blocks) == 1 else [b for b in blocks if is_here(b)]
    if len(here) != 1:
        raise ConfigError(f"several blocks may be meant ({names}); choose one with --name", file=config.path)
    return here[0]
