"""What a configuration says otherwise than the code would, and where it says so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic_core import PydanticUndefined

from ..errors import ConfigError
from ..forms.raw import DEFAULT, SECRET_KEYS, Value
from ..loader import CLUSTER_PARAMETERS, DEFAULT_GLOBAL_CONF, SERVER_PARAMETERS, written_values
from ..models import ClusterConfig, ServerConfig
from ..values import convert


@dataclass(frozen=True)
class Difference:
    """One value that is not the default: of which block, what, and where it comes from.

    ``value`` of a secret is only where it is kept. ``default`` is empty for what has none. ``line`` is None where the
    form of the file tells none; of what `init_conf_load_script` printed it is that parameter's.
    """

    block: str
    key: str
    value: str
    default: str
    file: Path
    line: int | None

    @property
    def place(self) -> str:
        """``app1.cnf:12``"""
        return f"{self.file.name}:{self.line}" if self.line is not None else self.file.name


def differences(
    conf: Path, global_conf: Path | None = DEFAULT_GLOBAL_CONF, *, secrets: bool = True
) -> tuple[Difference, ...]:
    """Every value that counts and is not the default, the whole cluster's first. Raises ConfigError.

    Of a server those that differ from what it inherits.
    """
    defaults, blocks = written_values(conf, global_conf, secrets=secrets)
    found = list(_of(DEFAULT, defaults, {}, SERVER_PARAMETERS | CLUSTER_PARAMETERS))
    for block in blocks:
        found += _of(block.name, block.values, defaults, SERVER_PARAMETERS)
    return tuple(found)


def _of(
    block: str, values: Mapping[str, Value], inherited: Mapping[str, Value], known: frozenset[str]
) -> Iterator[Difference]:
    for key, value in values.items():
        if not value.text or key not in known or key == "ssh_ip":
            continue
        above = inherited.get(key)
        usual = _shown(key, above.text) if above is not None and above.text else _default(key)
        if not _same(key, value, above):
            yield Difference(block, key, _shown(key, value.text), usual, value.file, value.line)


def _same(key: str, value: Value, above: Value | None) -> bool:
    """Whether it says what holds without it."""
    if key in SECRET_KEYS:
        return above is not None and above.text == value.text
    model = _model(key)
    try:
        meant: Any = convert(model, key, value)
        usual = convert(model, key, above) if above is not None and above.text else _usual(key)
    except ConfigError:
        return False
    return bool(meant == usual) or str(meant) == str(usual)


def _shown(key: str, text: str) -> str:
    if key not in SECRET_KEYS:
        return text
    return text if text.startswith(("env:", "file:", "prefect:")) else "(secret)"


def _default(key: str) -> str:
    if key in SECRET_KEYS:
        return ""
    usual = _usual(key)
    if usual is PydanticUndefined or usual is None:
        return ""
    if isinstance(usual, bool):
        return str(int(usual))
    return ",".join(map(str, usual)) if isinstance(usual, tuple) else str(usual)


def _usual(key: str) -> Any:
    return _model(key).model_fields[key].get_default(call_default_factory=True)


def _model(key: str) -> type[ServerConfig] | type[ClusterConfig]:
    return ServerConfig if key in SERVER_PARAMETERS else ClusterConfig
