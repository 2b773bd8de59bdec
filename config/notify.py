"""Who is told of which event: one or more URLs of services, as apprise spells them. URLs are secrets."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from .forms.event_names import EVENTS, URL_KEYS

#: Those that `notify` is for when `notify_events` says nothing: not each step of a failover that is under way.
USUAL = tuple(event for event in EVENTS if event not in ("fenced", "released"))
_HOST = re.compile(r"localhost(:\d+)?/?|[\w-]+(\.[\w-]+)+(:\d+)?/?")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")


def urls_in(text: str) -> tuple[str, ...]:
    """The URLs of a value or a file: between spaces or line ends; lines that begin with ``#`` are comments.

    The word ``none`` stands for no URL at all.
    """
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    words = tuple(word for line in lines for word in line.split())
    return () if words == ("none",) else words


def url_problem(text: str) -> str:
    """What is wrong with the URLs of a value; empty when nothing is. None of it is shown."""
    for number, word in enumerate(urls_in(text), 1):
        if not _URL.fullmatch(word):
            return f"holds what is no URL in place {number}: write mailto://…, slack://…, json://…, or none"
    return ""


def parts_of(url: str) -> tuple[str, ...]:
    """A URL and whatever in it may be a secret by itself, for those who keep secrets out of texts."""
    _, _, rest = url.partition("://")
    before, _, query = rest.partition("?")
    login, at, place = before.rpartition("@")
    found = [url, rest, before, login.partition(":")[2] if at else "", place.partition("/")[2], place, query]
    found += [word.partition("=")[2] for word in query.split("&")]
    # Short ones are words that a text may hold by chance, and a host alone is no secret: a log names hosts.
    return tuple(dict.fromkeys(part for part in found if len(part) >= 8 and not _HOST.fullmatch(part)))


def _instead(event: str) -> Any:
    return Field(None, description=f"Modern: URLs for {event} instead of those in notify; or none.")


class NotifyParameters(BaseModel):
    """What is run at which event, who is told of it, and how long that is tried."""

    model_config = ConfigDict(frozen=True)

    on_suspect: str | None = Field(None, description="Modern: run when the primary misses pings.")
    on_recovered: str | None = Field(None, description="Modern: run when a suspicion came to nothing.")
    on_dead: str | None = Field(None, description="Modern: run when the primary is found dead.")
    on_started: str | None = Field(None, description="Modern: run when a failover begins.")
    on_fenced: str | None = Field(None, description="Modern: run when the old primary has been dealt with.")
    on_promoted: str | None = Field(None, description="Modern: run when the new primary takes writes.")
    on_completed: str | None = Field(None, description="Modern: run after a failover with a new primary.")
    on_refused: str | None = Field(None, description="Modern: run when a failover refused to go on.")
    on_failed: str | None = Field(None, description="Modern: run when a failover failed.")
    on_switched: str | None = Field(None, description="Modern: run when a planned switch moved the primary's role.")
    on_returned: str | None = Field(None, description="Modern: run when a fenced server came back.")
    on_released: str | None = Field(None, description="Modern: run when a fenced server is no longer held.")
    on_rejoined: str | None = Field(None, description="Modern: run when a server that came back is a replica again.")
    on_not_rejoined: str | None = Field(None, description="Modern: run when such a server was not made a replica.")
    on_check_failed: str | None = Field(None, description="Modern: run when a health check finds something new wrong.")
    on_check_passed: str | None = Field(None, description="Modern: run when a health check finds all well again.")
    on_took_over: str | None = Field(None, description="Modern: run when a manager that stood by watches.")
    on_read_only: str | None = Field(None, description="Modern: run when the primary answers and takes no writes.")
    on_reopened: str | None = Field(None, description="Modern: run when such a primary takes writes again.")
    abort_on: tuple[str, ...] = Field(
        (), description="Modern: of started and fenced: those whose command may stop the failover."
    )

    notify: SecretStr | None = Field(
        None,
        description="Modern: URLs of services to tell, as apprise spells them; "
        "`env:`, `file:` and `prefect:` are followed.",
    )
    notify_events: tuple[str, ...] = Field(USUAL, description="Modern: the events that `notify` is told of.")
    notify_suspect: SecretStr | None = _instead("suspect")
    notify_recovered: SecretStr | None = _instead("recovered")
    notify_dead: SecretStr | None = _instead("dead")
    notify_started: SecretStr | None = _instead("started")
    notify_fenced: SecretStr | None = _instead("fenced")
    notify_promoted: SecretStr | None = _instead("promoted")
    notify_completed: SecretStr | None = _instead("completed")
    notify_refused: SecretStr | None = _instead("refused")
    notify_failed: SecretStr | None = _instead("failed")
    notify_switched: SecretStr | None = _instead("switched")
    notify_returned: SecretStr | None = _instead("returned")
    notify_released: SecretStr | None = _instead("released")
    notify_rejoined: SecretStr | None = _instead("rejoined")
    notify_not_rejoined: SecretStr | None = _instead("not_rejoined")
    notify_check_failed: SecretStr | None = _instead("check_failed")
    notify_check_passed: SecretStr | None = _instead("check_passed")
    notify_took_over: SecretStr | None = _instead("took_over")
    notify_read_only: SecretStr | None = _instead("read_only")
    notify_reopened: SecretStr | None = _instead("reopened")
    notify_templates: Path | None = Field(None, description="Modern: directory of your own texts, EVENT.md.")
    notify_timeout: float = Field(
        10.0, gt=0, allow_inf_nan=False, description="Modern: seconds for one attempt to tell one service."
    )
    notify_deadline: float = Field(
        600.0, gt=0, allow_inf_nan=False, description="Modern: seconds after an event until its telling is given up."
    )
    notify_quiet: float = Field(
        300.0, gt=0, allow_inf_nan=False, description="Modern: seconds in which events that repeat are told as one."
    )

    def notify_urls(self, event: str) -> tuple[str, ...]:
        """The secret URLs of the services that are told of an event."""
        own: SecretStr | None = getattr(self, f"notify_{event}")
        if own is not None:
            return urls_in(own.get_secret_value())
        return urls_in(self.notify.get_secret_value()) if self.notify and event in self.notify_events else ()

    def notify_secrets(self) -> tuple[str, ...]:
        """Every URL that is configured, and what in it is a secret by itself."""
        held = [getattr(self, key) for key in sorted(URL_KEYS)]
        return tuple(
            part for each in held if each for url in urls_in(each.get_secret_value()) for part in parts_of(url)
        )
