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

from config.errors import ConfigError
from config.ini import read_text
from config.raw import Block, RawConfig, Value

DEFAULT = "server default"


def read_toml(path: Path) -> RawConfig:
    """Read one file. Raises ConfigError with the line of what cannot be understood."""
    text = read_text(path)
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        at = re.search(r"line (\d+)", str(error))
        raise ConfigError(f"it is not TOML: {error}", file=path, line=int(at[1]) if at else None) from None
    raw = RawConfig(path)
    lines = text.splitlines()
    defaults = raw.block(DEFAULT, 1)
    for key, value in data.items():
        if key in ("server", "binlog") and isinstance(value, dict):
            _tables(raw, key, value, lines)
        else:
            _set(defaults, key, value, _line_of(lines, key, None))
    return raw


def _tables(raw: RawConfig, kind: str, tables: dict[str, Any], lines: list[str]) -> None:
    for name, values in tables.items():
        header = f"{kind}.{name}"
        at = _line_of_table(lines, header)
        if not isinstance(values, dict):
            raise ConfigError(f"[{kind}] holds tables, as [{kind}.db1]", file=raw.file, line=at, key=name)
        block = raw.block(header, at)
        for key, value in values.items():
            _set(block, key, value, _line_of(lines, key, at))


def _set(block: Block, key: str, value: Any, line: int | None) -> None:
    if isinstance(value, bool):
        text = "1" if value else "0"
    elif isinstance(value, list) and all(isinstance(v, str) for v in value):
        text = ",".join(value)
    elif isinstance(value, str | int | float):
        text = str(value)
    else:
        raise ConfigError(f"{key} must be a text, a number or true/false", file=block.file, line=line, key=key)
    block.values[key] = Value(text, block.file, line, quoted=True)


def _line_of_table(lines: list[str], header: str) -> int | None:
    wanted = header.replace('"', "")
    for number, line in enumerate(lines, 1):
        if line.strip().startswith("[") and line.split("]")[0].strip(" [").replace('"', "") == wanted:
            return number
    return None


def _line_of(lines: list[str], key: str, after: int | None) -> int | None:
    pattern = re.compile(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=")
    for number, line in enumerate(lines[after or 0 :], (after or 0) + 1):
        if pattern.match(line):
            return number
    return None
