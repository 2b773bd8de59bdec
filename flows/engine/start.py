"""Prefect around what is done: steps, threads, a way out."""

from __future__ import annotations

from .api import leave
from .steps import both, parallel, step

__all__ = ["both", "leave", "parallel", "step"]
