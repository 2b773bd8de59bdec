"""What happens to a cluster is told: to Prefect (by way of the outbox), to people, and to the site's own commands.

A command of the parameter ``on_EVENT`` gets MHA_* environment variables and a JSON document on its standard input, and
nothing secret. It runs beside the failover and is never waited for, unless the event is in `abort_on`: then the
failover waits for it, and goes on only when it ends with 0. docs/hooks.md is the reference.
"""

from __future__ import annotations

import contextvars
import json
import logging
import os
import threading
import time
import uuid
from datetime import UTC, datetime
from typing import Any

from ...config import ClusterConfig, ServerConfig
from ...config.forms.event_names import EVENTS
from ..errors import HookError, RefusalError
from ..local.site_scripts import HookResult, run_hook
from ..memory.spool import Outbox
from ..threads import Thread
from . import dispatcher as notify
from .manager_log import secrets_of

log = logging.getLogger("mha")

VERSION = 1

#: What a command keeps of the manager's own environment; anything else there may be a secret.
_KEPT = frozenset({"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR"})
#: Seconds that a process about to end waits for notifications; the process that sends them tries on without it.
LINGER = 5.0
_running: set[threading.Thread] = set()


class EventHooks:
    """The commands of one cluster. ``within`` names the run in Prefect that it happens in, as far as there is one."""

    def __init__(self, config: ClusterConfig) -> None:
        self._config = config
        self.within: dict[str, str] = {}

    def tell(
        self, event: str, *, old: ServerConfig | None = None, new: ServerConfig | None = None, text: str, **facts: Any
    ) -> None:
        """Something happened: tell everybody, and run its command, if there is one. ``facts`` are plain data.

        Nothing is waited for, but for the command of an event in `abort_on`: RefusalError when it did not end with 0.
        """
        variables, document = self._told(event, old, new, text, facts)
        Outbox(self._config).keep(document)
        notify.tell(self._config, document)
        script = getattr(self._config, f"on_{event}")
        if not script:
            return
        if event in self._config.abort_on:
            self._ask(event, script, variables, document)
            return
        # In a copy of the context, so that its output is in the log of the run that it belongs to.
        run = contextvars.copy_context().run
        thread = Thread(
            target=run, args=(self._beside, event, script, variables, document), name=f"on_{event}", daemon=True
        )
        _running.add(thread)
        thread.start()

    def note(self, event: str, *, text: str, **facts: Any) -> None:
        """Something that only Prefect is told of."""
        _, document = self._told(event, None, None, text, facts)
        Outbox(self._config).keep(document)

    def _told(
        self, event: str, old: ServerConfig | None, new: ServerConfig | None, text: str, facts: dict[str, Any]
    ) -> tuple[dict[str, str], dict[str, Any]]:
        config, at = self._config, datetime.now(UTC).isoformat(timespec="milliseconds")
        document: dict[str, Any] = {
            "version": VERSION,
            "id": str(uuid.uuid4()),
            "event": event,
            "at": at,
            "cluster": config.name,
            "conf": str(config.path),
            "text": text,
            "old_primary": _server(old),
            "new_primary": _server(new),
            "facts": facts,
            "within": self.within,
        }
        variables = {
            "MHA_EVENT": event,
            "MHA_AT": at,
            "MHA_CLUSTER": config.name,
            "MHA_CONF": str(config.path),
            "MHA_TEXT": text,
        }
        for name, server in (("OLD", old), ("NEW", new)):
            for key, value in (_server(server) or {}).items():
                variables[f"MHA_{name}_PRIMARY_{key.upper()}"] = str(value)
        return variables, document

    def _ask(self, event: str, script: str, variables: dict[str, str], document: dict[str, Any]) -> None:
        try:
            done = self._run(event, script, variables, document)
            why = "" if done.ok else f"{script} ended with exit code {done.exit_code}"
        except HookError as error:
            why = str(error)
        if why:
            raise RefusalError.of(
                "hook-refused",
                f"The command for the event {event} did not agree: {why}.",
                f"See what it printed in the log, or take {event} out of abort_on.",
            )

    def _beside(self, event: str, script: str, variables: dict[str, str], document: dict[str, Any]) -> None:
        try:
            done = self._run(event, script, variables, document)
            if not done.ok:
                log.warning("on_%s: %s ended with exit code %d.", event, script, done.exit_code)
        except HookError as error:
            log.warning("on_%s: %s", event, error)
        finally:
            _running.discard(threading.current_thread())

    def _run(self, event: str, script: str, variables: dict[str, str], document: dict[str, Any]) -> HookResult:
        secrets = tuple(secrets_of(self._config))
        return run_hook(
            script,
            [],
            command=f"on_{event}",
            timeout=self._config.hook_timeout,
            secrets=secrets,
            env={**_harmless_environment(), **variables},
            alone=True,
            stdin=json.dumps(document, default=str, ensure_ascii=False).encode(),
        )


def sample(config: ClusterConfig, event: str) -> dict[str, Any]:
    """The document of an event that did not happen, for a test of who is told."""
    old, new = config.servers[0], next(iter(config.servers[1:]), None)
    text = f"this is a test, nothing happened ({event}: {EVENTS[event]})"
    _, document = EventHooks(config)._told(event, old, new, text, {"report": "# Test\n\nThis is no report."})
    return document


def finish(seconds: float) -> bool:
    """Wait at most so long for commands that still run, and a moment for notifications; whether all have ended.

    For a process about to end.
    """
    ends = time.monotonic() + seconds
    for thread in list(_running):
        thread.join(max(0.0, ends - time.monotonic()))
    told = notify.finish(min(seconds, LINGER))
    return told and not _running


def _server(server: ServerConfig | None) -> dict[str, str | int] | None:
    return None if server is None else {"host": server.hostname, "ip": server.ip, "port": server.port}


def _harmless_environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k in _KEPT or k.startswith("LC_")}
