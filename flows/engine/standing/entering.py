"""What a run that stands ready asks of Prefect: to be entered, a name, whether it is still there."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from uuid import UUID

import httpx
from prefect import flow, tags, task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.context import TagsContext
from prefect.events.worker import EventsWorker
from prefect.exceptions import ObjectNotFound
from prefect.flow_engine import run_flow
from prefect.logging.handlers import APILogWorker
from prefect.settings import temporary_settings

from ....replication.threads import Thread
from ....replication.watch.garbage import spare_what_is_loaded
from ....tasks.step import make_tasks
from ..record import REQUEST_SECONDS
from ..run_log import log_to_prefect
from .of_deployment import made_for

log = logging.getLogger("mha.engine")

#: Seconds within which what is queued for Prefect is sent.
FLUSHED_WITHIN = 10.0
#: Runs that one process enters at a time: whoever watches a hundred clusters does not ask the API for all at once.
_entering = threading.Semaphore(2)


@task(name="Stand by", cache_policy=NO_CACHE, persist_result=False)
def _warm_up() -> None:
    """The first task of a process costs ten times what another one does."""


@contextlib.contextmanager
def impatient() -> Iterator[None]:
    """While in it each request has one short try; what is logged is shown on the page of the run."""
    log_to_prefect(logging.getLogger("mha"))
    with temporary_settings({"api.request_timeout": REQUEST_SECONDS, "client.max_retries": 0}):
        yield


def enter(flow_name: str, cluster: str, run_name: str, run_tags: Sequence[str], stay: Callable[[], State[Any]]) -> None:
    """Enter a run of that flow, ``stay`` in it; it ends in the state that this returns. Raises as Prefect does."""
    place = contextlib.ExitStack()

    @flow(name=flow_name, flow_run_name=run_name, persist_result=False, validate_parameters=False)
    def standing(cluster: str) -> State[Any]:
        place.close()
        return stay()

    with place:
        place.enter_context(_entering)
        with tags(*run_tags) as tagged:
            made = made_for(flow_name, cluster, run_name, tagged)
            run_flow(standing, flow_run=made, parameters={"cluster": cluster}, return_type="state")


@contextlib.contextmanager
def warm() -> Iterator[None]:
    """A first task is behind the run, the others are made, and none has a tag: such a one asks the API for a place."""
    make_tasks()
    with TagsContext(current_tags=set()):
        _warm_up()
        spare_what_is_loaded()
        yield


def rename(run_id: UUID, name: str, run_tags: Sequence[str] | None) -> None:
    """The run is called so from now on, if Prefect answers."""
    try:
        with get_client(sync_client=True) as client:
            client.update_flow_run(run_id, name=name, tags=run_tags)
    except (httpx.HTTPError, RuntimeError, OSError) as error:
        log.debug("Prefect does not rename the run %s: %s", name, error)


def lost(run_id: UUID) -> bool:
    """Whether Prefect has ended this run, or has it no more. One that does not answer has lost nothing."""
    try:
        with get_client(sync_client=True) as client:
            state = client.read_flow_run(run_id).state
    except ObjectNotFound:
        return True
    except (httpx.HTTPError, RuntimeError, OSError):
        return False
    return state is not None and (state.is_final() or state.is_cancelling())


def flush() -> None:
    """Send what is queued for Prefect; an API that dies meanwhile holds nobody up."""
    for queue in (EventsWorker, APILogWorker):
        sending = Thread(target=queue.drain_all, kwargs={"timeout": FLUSHED_WITHIN}, daemon=True)
        sending.start()
        sending.join(FLUSHED_WITHIN)
