"""The log of a process that watches several clusters: each has a file, as if it were alone, or its name in each line.

A line belongs to the cluster that the thread works for which logs it (`replication.threads`).
"""

from __future__ import annotations

import copy
import logging
import sys
import threading
from pathlib import Path

from ...config import ClusterConfig
from ...replication.notify.manager_log import (
    LEVELS,
    ManagerFormatter,
    ManagerLogFile,
    TerminalLog,
    open_log,
    register_secrets,
    take_over,
)
from ...replication.threads import owner


class FleetLog(logging.Handler):
    """Sends each line where its cluster's log is. ``general`` is the file of the process and of those without one."""

    def __init__(self, general: Path | None) -> None:
        super().__init__()
        self._guard = threading.Lock()
        self._general: logging.Handler = open_log(general) if general else TerminalLog(sys.stderr)
        self._general.setFormatter(_Named())
        self._files: dict[Path, ManagerLogFile] = {}
        self._routes: dict[str, tuple[logging.Handler, int]] = {}

    def createLock(self) -> None:
        """None of its own: a log on a disk that hangs must keep nobody else from writing to another."""
        self.lock = None

    def set_up(self) -> None:
        """Become the only log of this process."""
        take_over(logging.INFO, self)

    def route(self, config: ClusterConfig, secrets: list[str]) -> None:
        """From now on a cluster's lines go where its configuration says. Raises OSError as `setup_logging` does."""
        register_secrets(secrets)
        level = LEVELS[config.log_level]
        with self._guard:
            self._routes[config.name] = (self._file(config.manager_log, config.name), level)
            least = min(logging.INFO, *(level for _, level in self._routes.values()))
        logging.getLogger("mha").setLevel(least)

    def emit(self, record: logging.LogRecord) -> None:
        """To the cluster's own handler; a line that two clusters might have written carries the name of one."""
        handler, level = self._routes.get(owner(), (self._general, logging.INFO))
        if record.levelno >= level:
            handler.handle(record)

    def _file(self, path: Path | None, cluster: str) -> logging.Handler:
        if path is None:
            return self._general
        if path not in self._files:
            made = open_log(path)
            made.setFormatter(ManagerFormatter())
            self._files[path] = made
        file = self._files[path]
        if any(handler is file for name, (handler, _) in self._routes.items() if name != cluster):
            file.setFormatter(_Named())
        return file


class _Named(ManagerFormatter):
    """The usual line with the cluster's name before the text."""

    def format(self, record: logging.LogRecord) -> str:
        """One entry."""
        name = owner()
        if name:
            record = copy.copy(record)
            record.msg, record.args = f"{name}: {record.getMessage()}", None
        return super().format(record)
