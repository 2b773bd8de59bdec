"""The question before a failover or a planned switch, on the page of its run in Prefect's UI."""

from __future__ import annotations

import logging
import time
from typing import Annotated, Any, Literal
from uuid import UUID

from prefect import pause_flow_run
from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.exceptions import FlowPauseTimeout
from prefect.input import RunInput
from prefect.settings import PREFECT_UI_URL
from prefect.states import Running
from pydantic import Field, WithJsonSchema, create_model

from prefect_mha.flows.engine.entered import flow_run
from prefect_mha.flows.forms import AnswerWait
from prefect_mha.replication.model.words import in_markdown as md
from prefect_mha.replication.model.words import plain
from prefect_mha.replication.reporting.approval import Answer, Ask, Question

log = logging.getLogger("mha")

#: Seconds between two looks for the answer.
LOOK_EVERY = 2


def ask_in_prefect(waiting: AnswerWait, plan_key: str) -> Ask:
    """Ask by pausing the flow run that this is called in: the plan is an artifact, the answer a form."""

    def ask(question: Question) -> Answer:
        name_run(question.run_name)
        shown = show_page(question.document, plan_key, f"{question.deed.capitalize()} plan of {question.cluster}")
        log.warning("%s Answer on the page of this run (Resume). %s.", question.sentence, waiting)
        try:
            given: Any = pause_flow_run(
                wait_for_input=form(question, waiting, shown), timeout=int(waiting.seconds), poll_interval=LOOK_EVERY
            )
        except FlowPauseTimeout:
            _run_again()
            return Answer(
                waiting.go_on_without, question.chosen.key, "the timer", "nobody answered in time", time.time()
            )
        key = next(choice.key for choice in question.choices if choice.name == given.new_primary)
        by = plain(given.your_name, 100) or "somebody who gave no name"
        accept = getattr(given, "accept_possible_loss", None)
        return Answer(given.decision == "start", key, by, "in Prefect's UI", time.time(), accept)

    return ask


def form(question: Question, waiting: AnswerWait, plan: UUID | None = None) -> type[RunInput]:
    """The question as Prefect's UI shows it: typed choices, each with a title and a description.

    What matters most comes first, and nothing is started by whoever decides nothing: *Decision* has no default.
    """
    told = f"Choose start to begin the {question.deed}, or abort: nothing is changed."
    fields: dict[str, Any] = {"decision": (Literal["start", "abort"], Field(title="Decision", description=told))}
    if question.accept_loss is not None:
        told = f"At stake: {question.at_stake}. " if question.at_stake else ""
        told += "On: open the new primary even so, and tell what is missing. Off: do not open it then."
        title = "Accept that transactions are or may be lost"
        fields["accept_possible_loss"] = (bool, Field(question.accept_loss, title=title, description=plain(told)))
    names = [choice.name for choice in question.choices]
    fields["new_primary"] = (
        # A single choice would be a constant in the schema, which the form does not show as a choice.
        Annotated[Literal[tuple(names)], WithJsonSchema({"type": "string", "enum": names})],
        Field(names[0], title=question.chosen_as),
    )
    told = "For the journal and the report."
    fields["your_name"] = (str, Field("", title="Your name", description=told, max_length=100))
    made: type[RunInput] = create_model("Approval", __base__=RunInput, **fields)
    return made.with_initial_data(description=_description(question, waiting, plan))


def _description(question: Question, waiting: AnswerWait, plan: UUID | None) -> str:
    """Short: it stands above the fields, and on a phone they are to be in sight. The steps are on the plan's page."""
    parts = [f"**{md(question.sentence)}**", *(f"The plan changed: {md(change)}." for change in question.changed)]
    page = f"[The plan, step by step]({PREFECT_UI_URL.value()}/artifacts/artifact/{plan}). "
    parts += [f"{page if plan is not None else ''}{waiting}."]
    return "\n\n".join(parts)


def show_page(document: str, key: str, description: str) -> UUID:
    """A plan or a report as an artifact of this run."""
    made = create_markdown_artifact(document, key=key, description=description)
    assert isinstance(made, UUID)
    return made


def is_retry() -> bool:
    """Whether this flow run was run before: somebody pressed Retry, or Prefect did."""
    run = flow_run()
    return run is not None and run.run_count > 1


def this_run_id() -> UUID:
    """The id of the flow run that this is called in."""
    run = flow_run()
    assert run is not None
    return run.id


def name_run(name: str) -> None:
    """Give the flow run that this is called in its name, if there is one: ``failover app1: db1 → db2``."""
    run = flow_run()
    if run is None:
        return
    with get_client(sync_client=True) as client:
        client.update_flow_run(run.id, name=name)


def _run_again() -> None:
    """A pause whose time is up lets a run end only as failed, whatever came of it; so it is set running first."""
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(this_run_id(), Running(message="nobody answered in time"), force=True)
