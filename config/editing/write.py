"""How names and values are written in both forms, so that they are read as they were meant."""

from __future__ import annotations

import json
import re
from pathlib import Path

from ..errors import ConfigError
from ..forms.ini import block_name, parse_ini
from ..forms.raw import RawConfig
from ..forms.toml import KINDS
from ..loader import SERVER_PARAMETERS
from ..models import ClusterConfig, ServerConfig
from ..values import FALSE, TRUE

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def is_toml(path: Path) -> bool:
    """Which of the two forms a file has."""
    return path.suffix == ".toml"


def ini_setting(key: str, text: str) -> str:
    """``key=value`` for MHA's own files, quoted where it must be.

    Raises ConfigError for a value that cannot be written there, such as one of two lines; its text is not repeated.
    """
    spellings = (text, f'"{text}"', f"'{text}'")
    for warned_of in (False, True):
        for spelling in spellings:
            read = _read(f"{key}={spelling}")
            if read is not None and read.defaults()[key].text == text and (warned_of or not read.warnings):
                return f"{key}={spelling}"
    raise ConfigError(f"{key} has a value that this form of file cannot hold; keep it in a file, or use mha.toml")


def _read(line: str) -> RawConfig | None:
    """What a setting by itself would be read as."""
    try:
        read = parse_ini(f"[server default]\n{line}", Path("value"))
    except ConfigError:
        return None
    return read if len(read.blocks) == 1 and len(read.defaults()) == 1 else None


def toml_setting(key: str, text: str) -> str:
    """``key = value`` for mha.toml: numbers, true and false, lists where the parameter is one, else a text."""
    return f"{key} = {_toml_value(key, text)}"


def _toml_value(key: str, text: str) -> str:
    kind = (ServerConfig if key in SERVER_PARAMETERS else ClusterConfig).model_fields[key].annotation
    if kind is bool and text.lower() in TRUE | FALSE:
        return str(text.lower() in TRUE).lower()
    if kind in (int, float) and re.fullmatch(r"0|[1-9][0-9]{0,14}", text):
        return text
    if key == "master_binlog_dir" and "," in text:
        return f"[{', '.join(toml_text(part.strip()) for part in text.split(','))}]"
    return toml_text(text)


def toml_text(text: str) -> str:
    """A text in quotes (TOML's basic string: what JSON escapes, and 0x7f)."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def header(block: str, path: Path) -> str:
    """``[block]`` as the file at ``path`` writes it. Raises ConfigError for a name that the form does not allow."""
    if is_toml(path):
        kind, dot, name = block.partition(".")
        if kind not in KINDS or not dot:
            raise ConfigError(f"[{block}] is none of [server.NAME], [binlog.NAME]", file=path)
        return f"[{kind}.{name if _BARE_KEY.fullmatch(name) else toml_text(name)}]"
    line = f"[{block}]"
    try:
        sound = "\n" not in block and block_name(line, path, 0) == block
    except ConfigError:
        sound = False
    if not sound:
        raise ConfigError(f"{block!r} cannot be the name of a block", file=path)
    return line


def setting(key: str, text: str, path: Path) -> str:
    """One line for the file at ``path``."""
    return toml_setting(key, text) if is_toml(path) else ini_setting(key, text)
