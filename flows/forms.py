"""What the form of a deployment asks, in words for somebody tired; nothing secret is passed."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema, field_validator, model_validator

from prefect_mha.flows.clusters import configured_clusters
from prefect_mha.replication.planning.plan import FailoverOptions
from prefect_mha.replication.planning.switch_options import SwitchOptions
from prefect_mha.replication.rejoin.diverged.comparison.choice import Choice

_PORT, _COLONS = r":([1-9][0-9]{0,4})", r"[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*"
#: Nothing, or a host's name or address and its port; an address with colons stands in brackets when there is a port.
#: The form is held to it as well, so it is plain enough for whatever reads a JSON schema.
PLACE = rf"^ *(([A-Za-z0-9_.-]{{1,255}})({_PORT})?|({_COLONS})|\[({_COLONS})\]({_PORT})?)? *$"

#: Tables, each with its database.
TABLES = r"^ *([^,. ]+\.[^,]+(,[^,. ]+\.[^,]+)*)? *$"

AS_CONFIGURED: Literal["as configured"] = "as configured"


def _cluster_schema() -> dict[str, object]:
    """A choice of the clusters that are configured where this is deployed from; free text when there are none."""
    names = list(configured_clusters())
    return {"type": "string", "enum": names} if names else {"type": "string"}


def _labelled(title: str) -> Any:
    """What a form calls a parameter: Prefect gives each its own name as title, and leaves what is beyond that alone."""
    return Field(json_schema_extra={"title": title})


ClusterName = Annotated[str, WithJsonSchema(_cluster_schema()), _labelled("Cluster")]
"""A configured cluster. Only the form is held to the choice: the worker looks for the file itself."""

Seconds = Annotated[int, Field(ge=0, le=24 * 3600), _labelled("Seconds that a replica may be late")]

BlockName = Annotated[str, _labelled("Binlog server")]


_PLACE_SCHEMA = {"type": "string", "pattern": PLACE}


def place_of(text: str) -> tuple[str | None, int | None]:
    """Host and port of what was typed; None for what was left out. Raises ValueError for what is no place."""
    found = re.fullmatch(PLACE, text)
    if found is None:
        raise ValueError("is no host and no host:port")
    name, colons = found[2], found[5] or found[6]
    if colons:
        ipaddress.ip_address(colons)
    port = found[4] or found[8]
    if port and int(port) > 65535:
        raise ValueError(f"{port} is no port")
    return name or colons, int(port) if port else None


@dataclass(frozen=True)
class AnswerWait:
    """For how long (seconds) an answer is waited for, and whether it goes on without one."""

    seconds: float
    go_on_without: bool = False

    def __str__(self) -> str:
        default = "it starts as planned" if self.go_on_without else "nothing is changed"
        return f"Without an answer within {self.seconds / 60:g} minutes {default}"


class _Asked(BaseModel):
    """The questions that everything shares which a person may be asked about before it acts."""

    model_config = ConfigDict(extra="forbid")

    dry_run: bool = Field(
        default=False,
        title="Dry run",
        description="Only check, make the plan and show it. Nothing is changed, nobody is asked.",
    )
    ask_first: bool = Field(
        default=True,
        title="Ask before acting",
        description="Pause with the plan until somebody approves it on the page of this run. Without: act at once.",
    )
    answer_within: int = Field(
        default=60, title="Minutes to wait for an answer", description="How long the question stands.", ge=1, le=24 * 60
    )
    without_answer: Literal["abort", "start"] = Field(
        default="abort",
        title="When nobody answers",
        description="abort: change nothing (the default). start: act as planned.",
    )

    def waiting(self) -> AnswerWait:
        """For how long somebody is asked, and what happens without an answer."""
        return AnswerWait(60.0 * self.answer_within, self.without_answer == "start")

    @field_validator("new_primary", "dead_primary", "server", check_fields=False)
    @classmethod
    def _is_place(cls, text: str) -> str:
        place_of(text)
        return text.strip()


class _Promoting(BaseModel):
    """The question that a failover and a planned switch share."""

    new_primary: Annotated[str, WithJsonSchema(_PLACE_SCHEMA)] = Field(
        default="",
        title="New primary",
        description="Host to promote, or host:port. Leave it empty, and the best replica is chosen by the configured "
        "rules; the plan tells which, and why.",
    )


class _Asking(_Asked, _Promoting):
    """Pydantic takes the fields of the last base first: the form begins with the new primary."""


class _Returning(BaseModel):
    """Who is back, and by which way it is to come."""

    server: Annotated[str, WithJsonSchema(_PLACE_SCHEMA)] = Field(
        title="Server that is back", description="Its host, or host:port.", min_length=1
    )
    way: Literal["auto", "follow", "rescue", "rewind", "rebuild", "empties"] = Field(
        default="auto",
        title="Way",
        description="auto: what its data allows. follow: only when it has nothing that the primary lacks. rescue: "
        "copy what only it has to the manager, compare it with what the primary changed meanwhile, and replay what is "
        "chosen below. rewind: take it back on the old server. rebuild: give it the data "
        "of another server. empties: of a replica with errant transactions, commit empty ones in their place on the "
        "primary (MySQL).",
    )
    replay: Literal["none", "all", "tables"] = Field(
        default="none",
        title="Replay on the primary",
        description="Of a rescue: none of its transactions, all that are in nobody's way, or those of the tables "
        "below. Once the primary has all of them, the server is made a replica.",
    )
    tables: Annotated[str, WithJsonSchema({"type": "string", "pattern": TABLES})] = Field(
        default="", title="Tables", description="With tables: DATABASE.TABLE, several with commas between them."
    )
    hide_values: bool = Field(
        default=False, title="Hide values", description="The report of a rescue tells keys, and no other values."
    )

    @model_validator(mode="after")
    def _tables_are_named(self) -> Self:
        self.choice()
        return self

    def choice(self) -> Choice:
        """What is to be replayed. Raises ValueError for what names no tables."""
        return Choice.parse(self.tables if self.replay == "tables" else self.replay)


class RejoinRequest(_Asked, _Returning):
    """A server that a failover replaced, and that is back."""

    model_config = ConfigDict(title="What is to be done")


class DrillRequest(_Asked):
    """A drill of a cluster whose file allows it."""

    model_config = ConfigDict(title="What is to be done")

    kind: Literal["switch", "kill", "freeze", "power", "ssh-loss"] = Field(
        default="switch",
        title="Kind",
        description="switch: the role is moved as planned, and back. kill, freeze, power: the primary is killed, "
        "stopped or switched off, the manager replaces it, it comes back, and gets its role back. ssh-loss: its host "
        "takes no SSH from here for a while, and nothing may be failed over.",
    )


class FailoverRequest(_Asking):
    """A failover of a cluster whose primary is dead."""

    model_config = ConfigDict(title="Failover")

    dead_primary: Annotated[str, WithJsonSchema(_PLACE_SCHEMA)] = Field(
        default="",
        title="Dead primary",
        description="Its host. Leave it empty, and it is found out from the replicas. A primary that answers is never "
        "failed over.",
    )
    salvage_policy: Literal["as configured", "strict", "safe", "availability"] = Field(
        default=AS_CONFIGURED,
        title="When transactions are or may be lost",
        description="strict: open nothing. safe: rescue all that can be rescued, go on and tell what is missing. "
        "availability: the same, but do not wait longer for the rescue than salvage_timeout.",
    )

    def options(self) -> FailoverOptions:
        """As the failover wants it. A person who starts one is not held back by the last one."""
        host, port = place_of(self.new_primary)
        policy = None if self.salvage_policy == AS_CONFIGURED else self.salvage_policy
        return FailoverOptions(
            new_master_host=host, new_master_port=port, ignore_last_failover=True, salvage_policy=policy
        )


class SwitchRequest(_Asking):
    """A planned switch of a cluster whose primary is alive."""

    model_config = ConfigDict(title="Planned switch")

    keep_old_as_replica: bool = Field(
        default=True,
        title="Keep the old primary as a replica",
        description="It replicates from the new one afterwards. Without: it is left read-only, a replica of nobody.",
    )

    def options(self) -> SwitchOptions:
        """As the switch wants it."""
        host, port = place_of(self.new_primary)
        return SwitchOptions(
            new_master_host=host, new_master_port=port, orig_master_is_new_slave=self.keep_old_as_replica
        )


FailoverHow = Annotated[FailoverRequest, _labelled("What is to be done")]
SwitchHow = Annotated[SwitchRequest, _labelled("What is to be done")]
