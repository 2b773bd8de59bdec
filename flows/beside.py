"""A run that goes on without Prefect and is seen there all the same: its record is put there beside it.

What recovers or switches a cluster never waits for Prefect, nor shares a core with it: a flow's engine costs the
processor for as long as the rest of a failover takes. So its steps are called plainly, and written down; once the
writes are back, and every second from then on, a thread sends what Prefect lacks (design rule 8): as a run of its own,
or into the flow run that a person started it with.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from flows import prefect_env

prefect_env.protect_from_prefect()

from prefect.client.schemas.objects import State  # noqa: E402 - the environment comes first

from flows.delivery import ArtifactRecord, FlowRecord, Unanswered, deliver, deliver_later  # noqa: E402
from flows.kept import KeptRuns  # noqa: E402
from flows.steps import RunSoFar, described  # noqa: E402

R = TypeVar("R")
Conclude = Callable[[R], tuple[State[Any], str, tuple[ArtifactRecord, ...]]]
"""What a result means for the flow run: the state it ends in, its name, and what it shows."""

#: Seconds after which a run is shown although it has not said yet that it is past what is urgent.
SHOWN_AFTER = 5.0
#: Seconds between two deliveries while a run goes on, and those that one request may take.
EVERY, REQUEST_SECONDS = 1.0, 2.0
#: How long an API that was away when a run ended is tried, while the process lives (seconds).
TRIED_FOR = 30 * 86400.0
#: How long a process that ends waits for an API that answers (seconds), and what answering is.
DELIVERED_WITHIN, ANSWERS_WITHIN = 30.0, 2.0

log = logging.getLogger("mha")


class Beside:
    """One run and its record in Prefect; ``opening`` is the record as it begins. Without an API nothing is sent.

    ``kept`` is where the record lies from the end of the run until Prefect has it.
    """

    def __init__(self, opening: FlowRecord, kept: KeptRuns) -> None:
        self._record, self._kept = opening, kept
        self._so_far = RunSoFar("" if opening.within is None else opening.key)
        self._file: Path | None = None
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._sender: threading.Thread | None = None

    def run(self, core: Callable[[], R], conclude: Conclude[R]) -> R:
        """Run ``core`` once, in this thread; its result or exception is the caller's.

        Trouble of ``conclude`` is told, and changes neither.
        """
        later = threading.Timer(SHOWN_AFTER, self.show)
        later.daemon = True
        later.start()
        try:
            result = self._so_far.run(core)
        except BaseException as error:
            self._end(state="FAILED", message=described(error))
            raise
        finally:
            later.cancel()
        self._end(**self._ending(result, conclude))
        return result

    def show(self) -> None:
        """From now on the run may be seen in Prefect: what is urgent in it is over. Returns at once."""
        with self._lock:
            if self._sender is None and prefect_env.api_configured():
                self._sender = threading.Thread(target=self._send, name="mha-delivery", daemon=True)
                self._sender.start()

    def wait(self) -> None:
        """Before the process ends: wait until Prefect has the record, briefly; not at all for an API that is away."""
        if self._sender is not None and prefect_env.api_answers(ANSWERS_WITHIN):
            self._sender.join(DELIVERED_WITHIN)

    def _ending(self, result: R, conclude: Conclude[R]) -> dict[str, Any]:
        try:
            state, name, artifacts = conclude(result)
        except Exception:
            log.exception("The end of the flow run could not be described.")
            return {"state": "COMPLETED", "message": str(result)}
        named = {"state": state.type.value, "state_name": state.name or "", "message": state.message or ""}
        return {**named, "run_name": name, "artifacts": artifacts}

    def _end(self, **ending: Any) -> None:
        self._record = self._record.model_copy(update={**ending, "ended": datetime.now(UTC)})
        if prefect_env.api_configured():
            self._file = self._kept.keep(self._now())
        self._over.set()
        self.show()

    def _now(self) -> FlowRecord:
        return self._record.model_copy(update={"steps": self._so_far.steps, "lines": self._so_far.lines})

    def _send(self) -> None:
        try:
            sent: FlowRecord | None = None
            while not self._over.is_set():
                now = self._now()
                if now != sent:
                    try:
                        deliver(now, REQUEST_SECONDS)
                        sent = now
                    except Unanswered as error:
                        log.debug("Prefect does not see this run now: %s", error)
                self._over.wait(EVERY)
            deliver_later(self._now(), TRIED_FOR)
            if self._file is not None:
                self._file.unlink(missing_ok=True)
        except Exception as error:  # noqa: BLE001 - whatever Prefect cannot do, the run itself was done
            log.warning("Prefect has no record of this run: %s", described(error))
