"""From app1.cnf to mha.toml and back: the same meaning, with its comments where they can be."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from ..forms.ini import block_name
from ..forms.raw import DEFAULT, SECRET_KEYS, RawConfig, Value
from ..forms.toml import table_name
from ..loader import load_cluster, parse
from .write import header, is_toml, setting

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_SECRET_IN_COMMENT = re.compile(rf"\b({'|'.join(SECRET_KEYS)})[\"']?\s*=\s*[\"']?(?!env:|file:|prefect:)[^\s\"']")


@dataclass
class _Section:
    """A block: the lines above its header, and those below it."""

    above: list[str] = field(default_factory=list)
    below: list[str] = field(default_factory=list)


def converted(text: str, path: Path, to: Path) -> str:
    """The text of a configuration in the form of ``to``; ``path`` tells its own. Nothing is read or written.

    Secrets stay as they are written: references stay references. Of a key given twice the value that counts remains.
    Raises ConfigError for a configuration that is wrong, and for one that the other form cannot say.
    """
    raw = parse(text, path)
    meaning = _meaning(text, path, raw)
    names = _names(raw, to)
    sections, tail = _sections(text, path, to, raw)
    lines: list[str] = []
    for name in (DEFAULT, *(block for block in raw.blocks if block != DEFAULT)):
        section = sections.get(name, _Section())
        head = [] if is_toml(to) and name == DEFAULT else [header(names[name], to)]
        if head and lines and lines[-1] and not (section.above and not section.above[0]):
            lines.append("")
        lines += [*section.above, *head, *section.below]
    made = "\n".join([*lines, *tail]).strip("\n") + "\n"
    if _meaning(made, to, parse(made, to)) != meaning:
        raise ConfigError(
            "it cannot be converted without a change of what it means; write the other by hand", file=path
        )
    return made


def plain_secrets(text: str, path: Path) -> list[str]:
    """Where a file holds a secret itself and not a reference, in words; comments too."""
    found = [
        (value.line, f"{key} of [{block.name}]")
        for block in parse(text, path).blocks.values()
        for key, value in block.values.items()
        if key in SECRET_KEYS and value.text and not value.text.startswith(("env:", "file:", "prefect:"))
    ]
    for number, line in enumerate(text.split("\n"), 1):
        comment = _SECRET_IN_COMMENT.search(line.lstrip())
        if comment and line.lstrip().startswith(("#", ";")):
            found.append((number, f"{comment[1]} in a comment"))
    return [f"line {line}: {what}" if line else what for line, what in sorted(found, key=lambda each: each[0] or 0)]


def _meaning(text: str, path: Path, raw: RawConfig) -> tuple[dict[str, Any], list[str]]:
    """What a configuration says, whatever its blocks are called; its secrets as they are written."""
    cluster = load_cluster(path, None, resolve=str, secrets=False, text=text)
    said = cluster.model_dump(exclude={"name", "path", "warnings", "servers", "binlog_servers", "witnesses"})
    for kind, servers in (("servers", cluster.servers), ("binlog_servers", cluster.binlog_servers)):
        said[kind] = [server.model_dump(exclude={"block"}) for server in servers]
    used = [DEFAULT, *(server.block for server in (*cluster.servers, *cluster.binlog_servers))]
    blocks = [raw.blocks[name].values for name in used if name in raw.blocks]
    secrets = [f"{key}={values[key].text}" for values in blocks for key in sorted(SECRET_KEYS & values.keys())]
    return said, secrets


def _names(raw: RawConfig, to: Path) -> dict[str, str]:
    """What each block is called there: [server1] is [server.1] in mha.toml, [server.db1] may stay in app1.cnf."""
    names = {name: name for name in raw.blocks} | {DEFAULT: DEFAULT}
    if is_toml(to) and not is_toml(raw.file):
        for kind in ("server", "binlog"):
            own = {name: name[6:] for name in raw.blocks if name != DEFAULT and name.startswith(kind)}
            # With all of them called server.NAME the point is the table's; otherwise it is part of the names.
            pointed = all(rest.startswith(".") and rest[1:] for rest in own.values())
            names |= {name: f"{kind}.{rest[1:] if pointed else rest}" for name, rest in own.items()}
    return names


def _sections(text: str, path: Path, to: Path, raw: RawConfig) -> tuple[dict[str, _Section], list[str]]:
    sections = {name: _Section() for name in (*raw.blocks, DEFAULT)}
    settings: dict[int, list[tuple[str, str, Value]]] = {}
    for block in raw.blocks.values():
        for key, value in block.values.items():
            settings.setdefault(value.line or 0, []).append((block.name, key, value))
    waiting: list[str] = []
    for number, line in enumerate((line.strip() for line in text.split("\n")), 1):
        if not line or line[0] in ("#" if is_toml(path) else "#;"):
            waiting.append(_comment(line[1:]) if line else "")
        elif number in settings:
            for block_of, key, value in settings.pop(number):
                section = sections[block_of]
                section.below += waiting
                section.below += _with_comment(setting(key, value.text, to), _behind(line, value.text, path), to)
                waiting = []
        elif (name := _header(line, path, number)) in sections:
            sections[name].above += waiting
            waiting = []
    for rest in settings.values():
        for block_of, key, value in rest:
            sections[block_of].below.append(setting(key, value.text, to))
    return sections, waiting


def _header(line: str, path: Path, number: int) -> str:
    if is_toml(path):
        return table_name(line) or ""
    return block_name(line, path, number) if line.startswith("[") else ""


def _behind(line: str, text: str, path: Path) -> str:
    """The comment behind a value on its line, without its mark; empty when there is none that can be told."""
    if is_toml(path):
        for mark in re.finditer("#", line):
            try:
                tomllib.loads(line[: mark.start()])
            except ValueError:
                continue
            return line[mark.end() :]
        return ""
    written = line.partition("=")[2].strip()
    for spelling in (f'"{text}"', f"'{text}'", text):
        if written.startswith(spelling):
            return written[len(spelling) :].strip().lstrip("#;/")
    return ""


def _with_comment(line: str, comment: str, to: Path) -> list[str]:
    """mha.toml has comments behind values; app1.cnf has them on lines of their own, where no parser mistakes them."""
    if not comment.strip():
        return [line]
    return [f"{line}  {_comment(comment)}"] if is_toml(to) else [_comment(comment), line]


def _comment(text: str) -> str:
    """A comment that both forms take: in UTF-8, without what TOML forbids."""
    sound = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace").rstrip()
    sound = _CONTROL.sub("?", sound)
    return f"#{sound}" if not sound or sound[0] in " \t#" or "=" in sound else f"# {sound}"
