"""Prefect around what is done: steps, threads, and the log of a flow run on its page."""

from __future__ import annotations

import logging

from flows import prefect_env
from flows.prefect_env import leave

prefect_env.protect_from_prefect()

from prefect.context import FlowRunContext, TaskRunContext  # noqa: E402 - the environment comes first
from prefect.logging.handlers import APILogHandler  # noqa: E402

from flows.place import keep_places_gently  # noqa: E402
from flows.steps import parallel, step  # noqa: E402

keep_places_gently()

__all__ = ["leave", "log_to_prefect", "parallel", "step"]


class _RunLogHandler(APILogHandler):
    """Sends what is logged during a flow run to that run's page; elsewhere, and at flush, it does nothing."""

    def emit(self, record: logging.LogRecord) -> None:
        if FlowRunContext.get() is not None or TaskRunContext.get() is not None:
            super().emit(record)

    def flush(self) -> None:
        return None


def log_to_prefect(logger: logging.Logger) -> None:
    """Show what ``logger`` logs during a flow run on its page in the UI; once per logger, without any waiting."""
    if not any(isinstance(handler, _RunLogHandler) for handler in logger.handlers):
        logger.addHandler(_RunLogHandler())
