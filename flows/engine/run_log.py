"""The log of a flow run: what the command would say, on the run's page and in manager_log, without secrets."""

from __future__ import annotations

import contextlib
import copy
import logging
from collections.abc import Iterator
from contextvars import ContextVar
from functools import partial

from prefect.context import TaskRunContext
from prefect.logging.handlers import APILogHandler

from ...config import ClusterConfig
from ...replication.notify.manager_log import (
    LEVELS,
    ManagerFormatter,
    ManagerLogFile,
    open_log,
    register_secrets,
    secrets_of,
)
from .entered import flow_context
from .standing.quiet import kept

#: Where Prefect logs what becomes of a task run.
TASK_RUNS = "prefect.task_runs"


class _RunLogHandler(APILogHandler):
    """Sends what is logged during a flow run to that run's page; elsewhere, and at flush, it does nothing."""

    def emit(self, record: logging.LogRecord) -> None:
        if (flow_context() or TaskRunContext.get()) is None:
            return
        line = _as_said(record)
        if not kept(partial(super().emit, line)):
            super().emit(line)

    def flush(self) -> None:
        return None


class _Later(logging.Filter):
    """What Prefect says of a step itself is sent with the step's own lines, while it is quiet."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not kept(partial(self._say, _as_said(record)))

    @staticmethod
    def _say(line: logging.LogRecord) -> None:
        for handler in logging.getLogger(TASK_RUNS).handlers:
            handler.handle(line)


def _as_said(record: logging.LogRecord) -> logging.LogRecord:
    """With the words that it has now: what it tells of may change until it is sent."""
    line = copy.copy(record)
    line.msg, line.args = record.getMessage(), None
    return line


#: Whose manager_log the lines of this context are for: those of a run that stands by are its monitor's as well.
_logged: ContextVar[object | None] = ContextVar("mha_logged", default=None)


class _OwnLines(logging.Filter):
    """Leaves out what another flow of this process logs. Threads that know of none are this one's."""

    def __init__(self, mine: object) -> None:
        super().__init__()
        self._mine = mine

    def filter(self, record: logging.LogRecord) -> bool:
        return _logged.get() in (None, self._mine)


@contextlib.contextmanager
def logged(config: ClusterConfig, *, in_file: bool = True) -> Iterator[None]:
    """Log as the command does, from `log_level` on: to the page of the flow run, and with ``in_file`` to manager_log.

    Nothing is waited for. A log file that cannot be opened is told, and no reason not to go on.
    """
    logger = logging.getLogger("mha")
    register_secrets(secrets_of(config))
    level = LEVELS[config.log_level]
    logger.setLevel(min(level, logger.level or level))
    log_to_prefect(logger)
    file: ManagerLogFile | None = None
    if in_file and config.manager_log is not None:
        try:
            file = open_log(config.manager_log)
        except OSError as error:
            logger.error("%s: %s", config.manager_log, error.strerror)
    for warning in config.warnings:
        logger.warning("%s", warning)
    if file is None:
        yield
        return
    file.setFormatter(ManagerFormatter())
    file.setLevel(level)
    mine = object()
    file.addFilter(_OwnLines(mine))
    logger.addHandler(file)
    before = _logged.set(mine)
    try:
        yield
    finally:
        _logged.reset(before)
        logger.removeHandler(file)
        with contextlib.suppress(OSError):  # a full disk, already told
            file.close()


def log_to_prefect(logger: logging.Logger) -> None:
    """Show what ``logger`` logs during a flow run on its page in the UI; once per logger, without any waiting."""
    if not any(isinstance(handler, _RunLogHandler) for handler in logger.handlers):
        logger.addHandler(_RunLogHandler())
        logging.getLogger(TASK_RUNS).addFilter(_Later())
        # Else Prefect's sender writes on standard error whenever its API is away.
        logging.raiseExceptions = False
