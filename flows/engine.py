"""Prefect around what is done: steps, threads, a way out."""

from __future__ import annotations

from flows import prefect_env
from flows.prefect_env import leave

prefect_env.protect_from_prefect()

from flows.place import keep_places_gently  # noqa: E402 - the environment comes first
from flows.steps import parallel, step  # noqa: E402

keep_places_gently()

__all__ = ["leave", "parallel", "step"]
