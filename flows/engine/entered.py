"""The flow run that this is called in, if there is one. Asking it imports no Prefect: who never did is in no run."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun
    from prefect.context import FlowRunContext


def flow_context() -> FlowRunContext | None:
    """Prefect's context of the flow run, in a flow; None elsewhere, and while another thread still imports Prefect."""
    kind = getattr(sys.modules.get("prefect.context"), "FlowRunContext", None)
    context: FlowRunContext | None = kind.get() if kind is not None else None
    return context


def flow_run() -> FlowRun | None:
    """The run, as Prefect knew it when it was entered."""
    context = flow_context()
    return context.flow_run if context is not None else None
