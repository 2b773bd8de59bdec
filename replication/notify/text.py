"""What a notification says: title and Markdown body of an event, in our words or in the operator's. Pure but for files.

An operator's own text is a file EVENT.md, or default.md, in `notify_templates`: its first line ``# …`` is the title,
the rest the body, and ``${name}`` stands for a value (docs/notifications.md lists them).
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

from ..model.words import apart, in_markdown, plain

#: What is said of an event in its title, behind the cluster's name.
TITLES = {
    "suspect": "${old_primary} does not answer",
    "recovered": "${old_primary} answers again",
    "dead": "${old_primary} is dead",
    "started": "failover from ${old_primary} to ${new_primary} started",
    "fenced": "${old_primary} was fenced",
    "promoted": "${new_primary} takes writes",
    "completed": "failover completed: ${text}",
    "refused": "failover REFUSED",
    "failed": "failover FAILED",
    "switched": "primary moved from ${old_primary} to ${new_primary}",
    "returned": "${old_primary} came back and is held read-only",
    "released": "${old_primary} is no longer held read-only",
    "rejoined": "${old_primary} is a replica of ${new_primary} again",
    "not_rejoined": "${old_primary} came back and was NOT made a replica",
    "check_failed": "health check failed",
    "check_passed": "health check passed again",
    "took_over": "the manager that stood by took over",
    "read_only": "${old_primary} takes no writes, and nobody else does",
    "reopened": "${old_primary} takes writes again",
}
#: What kind of news it is, as services colour it.
KINDS = {
    "dead": "failure",
    "refused": "failure",
    "failed": "failure",
    "check_failed": "failure",
    "read_only": "failure",
    "suspect": "warning",
    "returned": "warning",
    "took_over": "warning",
    "not_rejoined": "warning",
    "rejoined": "success",
    "recovered": "success",
    "reopened": "success",
    "promoted": "success",
    "completed": "success",
    "switched": "success",
    "check_passed": "success",
}
TITLE_LENGTH = 200


@dataclass(frozen=True)
class Text:
    """One notification; ``attachment`` is a Markdown document, empty for none. ``problem`` tells of a template."""

    title: str
    body: str
    kind: str = "info"
    attachment: str = ""
    problem: str = ""


def text_of(document: dict[str, Any], templates: Path | None = None) -> Text:
    """The notification of an event as `EventHooks` tells it. A template that is wrong is told, and ours is used."""
    values, problem = values_of(document), ""
    event = document["event"]
    said = values_of(document, plain)
    title = f"{said['cluster']}: {Template(TITLES[event]).safe_substitute(said)}"
    body = "\n".join(_body(document, values))
    if templates is not None:
        try:
            own = _own(templates, event)
            if own is not None:
                filled = Template(own).substitute(values)
                first, _, rest = filled.partition("\n")
                title, body = (first[1:].strip(), rest.strip("\n")) if first.startswith("#") else (title, filled)
        except (OSError, ValueError, KeyError) as error:
            reason = f"it knows no {error}" if isinstance(error, KeyError) else str(error)
            problem = f"The template for {event} in {templates} cannot be used: {reason}"
    title = apart(" ".join(title.split())[:TITLE_LENGTH])
    return Text(title, body, KINDS.get(event, "info"), values["report"], problem)


def values_of(document: dict[str, Any], as_text: Callable[[str], str] = in_markdown) -> dict[str, str]:
    """What a template may say, by name: as Markdown in which the words of others mean nothing, or ``as_text``."""
    facts = document["facts"]
    replicas = facts.get("replicas") or {}
    return {
        "event": document["event"],
        "at": document["at"],
        "cluster": as_text(document["cluster"]),
        "conf": as_text(document["conf"]),
        "text": as_text(document["text"]),
        "manager": as_text(socket.gethostname()),
        "old_primary": as_text(_name(document["old_primary"])),
        "new_primary": as_text(_name(document["new_primary"])),
        "exit_code": str(facts.get("exit_code", "")),
        "refusal": str(facts.get("refusal") or ""),
        "remedy": as_text(str(facts.get("remedy") or "")),
        "replicas": "\n".join(f"- {as_text(f'{name}: {detail}')}" for name, detail in replicas.items()),
        "plan": "\n".join(f"{number}. {as_text(str(step))}" for number, step in enumerate(facts.get("plan") or (), 1)),
        "failed": "\n".join(f"- {as_text(str(check))}" for check in facts.get("failed") or ()),
        "report": str(facts.get("report") or ""),
    }


def _name(server: dict[str, Any] | None) -> str:
    if server is None:
        return "the primary"
    address = f"{server['ip']}:{server['port']}"
    return address if server["host"] == server["ip"] else f"{server['host']} ({address})"


def _body(document: dict[str, Any], values: dict[str, str]) -> Iterator[str]:
    yield f"**{_sentence(values['text'])}**"
    if values["refusal"]:
        yield from ("", f"Refused: `{values['refusal']}`. {values['remedy']}".rstrip())
    if document["event"] == "completed" and values["exit_code"] == "10":
        yield from ("", "Something is left to do (exit code 10).")
    for heading, name in (("What will be done", "plan"), ("Replicas", "replicas"), ("Checks", "failed")):
        if values[name]:
            yield from ("", f"{heading}:", "", values[name])
    yield ""
    if document["old_primary"]:
        yield f"- old primary: {values['old_primary']}"
    if document["new_primary"]:
        yield f"- new primary: {values['new_primary']}"
    yield f"- cluster: {values['cluster']} ({values['conf']} on {values['manager']})"
    yield f"- at: {values['at']}"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def _own(templates: Path, event: str) -> str | None:
    for name in (event, "default"):
        path = templates / f"{name}.md"
        if path.is_file():
            return path.read_text(encoding="utf-8")
    return None
