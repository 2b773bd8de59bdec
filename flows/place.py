"""A run's place in its deployment, kept while the run lasts; a place that is lost is no reason to stop the run.

Prefect (3.4.11 and newer) lends the place of a deployment with a concurrency limit for five minutes, and kills the run
from within, wherever it is, when three attempts at renewing that fail: when its server was restarted, is away for some
seconds at the wrong moment, or was told that the run had crashed. A watch or a failover must not end for that (design
rule 8), and needs no place to be alone: that is what the locks on the host and in the servers are for.
"""

from __future__ import annotations

import contextlib
import contextvars
import logging
import threading
from collections.abc import Iterator
from uuid import UUID

import httpx
from prefect import flow_engine
from prefect.client.orchestration import get_client

log = logging.getLogger("mha.engine")

#: Seconds between two renewals: several may fail before the lease ends.
EVERY = 45.0


def keep_places_gently() -> None:
    """Have Prefect's engine keep a run's place this way from now on; versions without leases have nothing to keep."""
    if hasattr(flow_engine, "maintain_concurrency_lease"):
        flow_engine.maintain_concurrency_lease = keep_place


@contextlib.contextmanager
def keep_place(lease_id: UUID, lease_duration: float, **_: object) -> Iterator[None]:
    """Renew the lease for ``lease_duration`` seconds again and again while in it; what fails is told, once in a row."""
    over = threading.Event()
    # The API's address is in the context.
    run = contextvars.copy_context().run
    threading.Thread(target=run, args=(_renew, lease_id, lease_duration, over), name="place", daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _renew(lease_id: UUID, seconds: float, over: threading.Event) -> None:
    failing = False
    while not over.is_set():
        try:
            with get_client(sync_client=True) as client:
                client.renew_concurrency_lease(lease_id=lease_id, lease_duration=seconds)
            failing = False
        except (httpx.HTTPError, RuntimeError, OSError) as error:
            if not failing:
                log.warning("This run's place in its deployment could not be renewed; it goes on without: %s", error)
            failing = True
            if isinstance(error, httpx.HTTPStatusError) and error.response.status_code == httpx.codes.GONE:
                return
        over.wait(EVERY)
