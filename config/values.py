"""One value at a time: from its text to what a model holds, and the sentence when it cannot be that."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, SecretStr, ValidationError

from .address import provider_problem, socket_problem, vip_problem
from .errors import ConfigError
from .forms.event_names import EVENTS, URL_KEYS
from .forms.prefect_secret import secret_block
from .forms.raw import SECRET_KEYS, Value, is_utf8
from .forms.witness import problem as witness_problem
from .notify import url_problem
from .ssh_options import SshOptions

Values = dict[str, Value]
M = TypeVar("M", bound=BaseModel)

TRUE, FALSE = frozenset({"1", "true", "yes", "on"}), frozenset({"0", "false", "no", "off"})
#: Lists, and what is wrong with one part of each.
_PARTS = {
    "vip_provider": provider_problem,
    "vip_addresses": vip_problem,
    "haproxy_sockets": socket_problem,
    "witness": witness_problem,
}
#: Lists of words: what each may hold, as a pattern and as a person would say it.
_CHOICES: dict[str, tuple[re.Pattern[str], str]] = {
    "fence": (re.compile(r"ssh|sql|ip|script:\S.*"), "ssh, sql, ip, script:/path"),
    "fence_required": (re.compile(r"any|ssh|sql|ip|script:\S.*"), "any, ssh, sql, ip, script:/path"),
    "abort_on": (re.compile(r"started|fenced"), "started, fenced"),
    "notify_events": (re.compile("|".join(EVENTS)), ", ".join(EVENTS)),
}
_NUMBER = re.compile(r"[+-]?[0-9]{1,15}(\.[0-9]*)?")
_NUMBERS: dict[object, tuple[re.Pattern[str], str]] = {
    int: (re.compile(r"[+-]?[0-9]{1,18}"), "a whole number"),
    float: (_NUMBER, "a number"),
    float | None: (_NUMBER, "a number"),
}


def wrong(value: Value, key: str, sentence: str) -> ConfigError:
    """The error for one value; ``sentence`` follows the key."""
    return ConfigError(f"{key} {sentence}", file=value.file, line=value.line, key=key)


def build(model: type[M], values: Mapping[str, Value], **known: Any) -> M:
    """A model from ``values`` and what is ``known`` already. Raises ConfigError for the first bad value."""
    converted = {key: convert(model, key, value) for key, value in values.items()}
    try:
        return model(**known, **converted)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        key = str(first["loc"][0])
        raise wrong(values[key], key, _requirement(first["type"], first.get("ctx", {}), values[key])) from None


def _requirement(kind: str, context: Mapping[str, Any], value: Value) -> str:
    if kind == "literal_error":
        return f"must be one of {context['expected'].replace(chr(39), '')}, not {value.text!r}"
    limits = {"greater_than": "above", "less_than": "below"}
    limit = context.get("gt", context.get("lt"))
    return f"must be {limits[kind]} {limit:g}, not {value.text!r}" if kind in limits else "is not valid"


def convert(model: type[BaseModel], key: str, value: Value) -> Any:
    """Text to what the model wants, where pydantic alone would be too strict or too lax."""
    text = value.text
    kind = model.model_fields[key].annotation
    if key in SECRET_KEYS:
        secret = _secret(key, value)
        if key in URL_KEYS and (problem := url_problem(secret)):
            raise wrong(value, key, problem)
        return SecretStr(secret)
    if kind is bool:
        if text.lower() in TRUE | FALSE:
            return text.lower() in TRUE
        raise wrong(value, key, f"must be 0 or 1, not {text!r}")
    if kind in _NUMBERS:
        pattern, name = _NUMBERS[kind]
        if not pattern.fullmatch(text):
            raise wrong(value, key, f"must be {name}, not {text!r}")
        return int(text) if kind is int else float(text)
    if key in _PARTS or key == "master_binlog_dir":
        parts = tuple(part for part in map(str.strip, text.split(",")) if part)
        for part in parts:
            if problem := _PARTS[key](part) if key in _PARTS else "":
                raise wrong(value, key, problem)
        return parts
    if key in _CHOICES:
        return _choices(key, value)
    if key == "ssh_options":
        try:
            return SshOptions.parse(text)
        except ValueError as error:
            raise wrong(value, key, str(error)) from None
    if key == "rescue_port":
        return _ports(key, value)
    if key == "ping_type":
        return text.upper()
    return text.lower() if key in ("log_level", "ssl_mode") else text


def ports_of(text: str) -> range:
    """A port, or a range of at most 1000 of them. Raises ValueError."""
    found = re.fullmatch(r"([0-9]{1,5})(?:\s*-\s*([0-9]{1,5}))?", text.strip())
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not 0 < first <= last < min(65536, first + 1000):
        raise ValueError(f"must be a port or a range of ports, as 23306-23315, not {text!r}")
    return range(first, last + 1)


def _ports(key: str, value: Value) -> str:
    try:
        ports = ports_of(value.text)
    except ValueError as error:
        raise wrong(value, key, str(error)) from None
    return f"{ports[0]}-{ports[-1]}" if len(ports) > 1 else str(ports[0])


def _choices(key: str, value: Value) -> tuple[str, ...]:
    """The words of a list, separated by commas; ``none`` is the empty list."""
    pattern, known = _CHOICES[key]
    words = tuple(part for part in map(str.strip, value.text.split(",")) if part)
    if words == ("none",):
        return ()
    for word in words:
        if not pattern.fullmatch(word):
            raise wrong(value, key, f"knows {known} or none, not {word!r}")
    if len(set(words)) != len(words):
        raise wrong(value, key, f"names one of {value.text!r} twice")
    return words


def _secret(key: str, value: Value) -> str:
    """A secret, from where the value points to: ``env:NAME``, ``file:/path``, ``prefect:NAME``, or the value itself."""
    kind, _, where = value.text.partition(":")
    if kind == "env" and where:
        found = os.environ.get(where)
        if found is None:
            raise wrong(value, key, f"names the environment variable {where}, which is not set")
        if not is_utf8(found):
            raise wrong(value, key, f"names the environment variable {where}, which is not UTF-8 text")
        return found
    if kind == "file" and where.startswith(("/", "~/")):
        try:
            text = Path(where).expanduser().read_text(encoding="utf-8")
        except OSError as error:
            raise wrong(value, key, f"names the file {where}, which cannot be read: {error.strerror}") from None
        except (UnicodeDecodeError, RuntimeError):
            raise wrong(value, key, f"names the file {where}, which is not UTF-8 text") from None
        return text.removesuffix("\n").removesuffix("\r")
    if kind == "prefect" and where:
        try:
            return secret_block(where)
        except LookupError as error:
            raise wrong(value, key, f"names the Secret block {ascii(where)[1:-1]}{error.args[0]}") from None
    return value.text
