"""MySQL option files, as ``--defaults_file`` names them (Reference Manual, Using Option Files)."""

from __future__ import annotations

import re
from pathlib import Path

from ...config.errors import ConfigError

_GROUP = re.compile(r"\[([^\]]+)\]")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "s": " "}


def read_client_options(path: Path) -> dict[str, str]:
    """What the group [client] says; ``-`` and ``_`` in names are the same. Raises ConfigError."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ConfigError(f"it cannot be read: {error.strerror}", file=path) from None
    except UnicodeDecodeError:
        raise ConfigError("it is not UTF-8 text", file=path) from None
    options: dict[str, str] = {}
    group = ""
    for number, line in enumerate((line.strip() for line in lines), 1):
        if not line or line[0] in "#;!":
            continue
        if line.startswith("["):
            header = _GROUP.match(line)
            if header is None:
                raise ConfigError("this line is not a group such as [client]", file=path, line=number)
            group = header[1].strip()
        elif group == "client":
            name, equals, value = line.partition("=")
            options[name.strip().replace("-", "_")] = _value(value.strip()) if equals else ""
    return options


def _value(text: str) -> str:
    """Without a comment outside of quotes, without the quotes, and with escapes replaced."""
    quote, escaped = "", False
    for at, char in enumerate(text):
        if char == "#" and not quote:
            text = text[:at].rstrip()
            break
        if char in "'\"" and not escaped:
            quote = "" if char == quote else quote or char
        escaped = char == "\\" and not escaped
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        text = text[1:-1]
    return re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[1] if m[1] in "\\\"'" else m[0]), text)
