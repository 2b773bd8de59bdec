"""Prefect around what is done: steps, threads, a way out."""

from __future__ import annotations

from flows.prefect_env import leave
from flows.steps import parallel, step

__all__ = ["leave", "parallel", "step"]
