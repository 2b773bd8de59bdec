"""Prefect around what is done: steps, threads, a way out."""

from __future__ import annotations

from prefect_mha.flows.engine.api import leave
from prefect_mha.flows.engine.steps import parallel, step

__all__ = ["leave", "parallel", "step"]
