"""mha.toml: the same parameters in a modern form.

manager_workdir = "/var/lib/mha/app1"      # parameters of the cluster, and defaults for every server
user = "mha"
password = "file:/etc/mha/app1.password"

[server.db1]                               # one table a server; its name is its block's
hostname = "10.0.0.51"

[binlog.archive]
hostname = "10.0.0.60"
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from .event_names import URL_KEYS
from .raw import DEFAULT, Block, RawConfig, Value, is_utf8

KINDS = ("server", "binlog")
#: Parameters that may be written as a list.
LISTS = frozenset({"master_binlog_dir", "fence", "fence_required", "abort_on", "notify_events"}) | URL_KEYS


def parse_toml(text: str, path: Path) -> RawConfig:
    """The blocks of a file's text."""
    if not is_utf8(text):
        raise ConfigError("it is not UTF-8 text", file=path)
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits, brackets thousands deep
        at = re.search(r"line (\d+)", str(error))
        raise ConfigError(f"it is not TOML: {error}", file=path, line=int(at[1]) if at else None) from None
    raw = RawConfig(path)
    lines = text.split("\n")
    defaults = raw.block(DEFAULT, 1)
    for key, value in data.items():
        if key in KINDS:
            _tables(raw, key, value, lines)
        elif isinstance(value, dict):
            line = _line_of_table(lines, key)
            raise ConfigError(
                f"[{key}] is none of [server.NAME], [binlog.NAME]; what holds for all stands above the first table",
                file=path,
                line=line,
                key=key,
            )
        else:
            _set(defaults, key, value, _line_of(lines, key, None))
    return raw


def _tables(raw: RawConfig, kind: str, tables: Any, lines: list[str]) -> None:
    pairs = tables.items() if isinstance(tables, dict) else [(kind, None)]
    for name, values in pairs:
        header = f"{kind}.{name}"
        at = _line_of_table(lines, header)
        if not isinstance(values, dict):
            line = at or _line_of_table(lines, kind) or _line_of(lines, kind, None)
            raise ConfigError(
                f"each {kind} needs a table of its own: [{kind}.NAME]", file=raw.file, line=line, key=kind
            )
        block = raw.block(header, at)
        for key, value in values.items():
            _set(block, key, value, _line_of(lines, key, at))


def _set(block: Block, key: str, value: Any, line: int | None) -> None:
    if isinstance(value, bool):
        text = "1" if value else "0"
    elif key in LISTS and isinstance(value, list) and all(isinstance(v, str) for v in value):
        text = (" " if key in URL_KEYS else ",").join(value)
    elif isinstance(value, str | int | float):
        text = str(value)
    else:
        raise ConfigError(f"{key} must be a text, a number or true/false", file=block.file, line=line, key=key)
    block.values[key] = Value(text, block.file, line)


def table_name(line: str) -> str | None:
    """The name in a line's ``[header]`` or ``[[header]]``, without quotes; None when it has no header."""
    header = re.match(r"\s*\[\[?(?P<name>[^\]]+)\]", line)
    return ".".join(part.strip(" \t\"'") for part in header["name"].split(".")) if header else None


def _line_of_table(lines: list[str], name: str) -> int | None:
    return next((number for number, line in enumerate(lines, 1) if table_name(line) == name), None)


def _line_of(lines: list[str], key: str, after: int | None) -> int | None:
    pattern = re.compile(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=")
    for number, line in enumerate(lines[after or 0 :], (after or 0) + 1):
        if pattern.match(line):
            return number
    return None
