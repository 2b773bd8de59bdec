"""Prefect held at arm's length: its settings for a process that must never wait for it.

Prefect's defaults suit a process whose purpose is a flow: a temporary server when none is configured, telemetry and its
banner, a check of versions. A manager of a failover can afford none of it, so these settings are made before Prefect is
first imported: whoever imports a task or a flow has made them. Prefect's patience with a busy API stays: nothing urgent
waits for that.
"""

from __future__ import annotations

import os
import sys

from ..config.forms.prefect_secret import QUIET

PROTECTION = QUIET | {
    "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",  # else a flow without an API URL starts a server of its own
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",  # docs/automations/run-gone.yaml waits for four of them
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
}
"""Environment variables and the values they get where nobody has set them."""


def protect_from_prefect() -> None:
    """Set :data:`PROTECTION` in the environment, where nothing else is set, before Prefect reads it.

    When Prefect is loaded already (a worker or ``prefect deploy`` imports it first), its settings are read again,
    so that clients made from now on obey; its logging stays as it was set up, for there somebody else reads it.
    """
    missing = {name: value for name, value in PROTECTION.items() if name not in os.environ}
    os.environ.update(missing)
    context = sys.modules.get("prefect.context")
    refresh = getattr(context, "refresh_global_settings_context", None)
    if missing and refresh is not None:
        refresh()
