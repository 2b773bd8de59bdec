"""`ssh_options` as people write them for ssh and scp: ``-i key -o StrictHostKeyChecking=no -p 2222``."""

from __future__ import annotations

import shlex
from typing import Literal

from pydantic import BaseModel, ConfigDict

Checking = Literal["yes", "no", "accept-new"]

_CHECKING: dict[str, Checking] = {
    "yes": "yes",
    "true": "yes",
    "ask": "yes",
    "no": "no",
    "false": "no",
    "off": "no",
    "accept-new": "accept-new",
}
#: Flags of ssh without a value that change nothing for a client that never allocates a terminal.
_HARMLESS = frozenset("q t T n N x X a v C 4 6".split())


class SshOptions(BaseModel):
    """What the options mean. ``raw`` is their exact text, for hooks; ``ignored`` what has no meaning for us."""

    model_config = ConfigDict(frozen=True)

    identity_files: tuple[str, ...] = ()
    strict_host_key_checking: Checking | None = None
    user_known_hosts_files: tuple[str, ...] = ()
    port: int | None = None
    user: str | None = None
    connect_timeout: int | None = None
    config_file: str | None = None
    ignored: tuple[str, ...] = ()
    raw: str = ""

    @classmethod
    def parse(cls, text: str) -> SshOptions:
        """From one line as a shell would split it. Raises ValueError naming the option it cannot follow."""
        words = shlex.split(text)
        found: dict[str, object] = {}
        identities: list[str] = []
        ignored: list[str] = []
        while words:
            word = words.pop(0)
            if not word.startswith("-") or len(word) < 2:
                raise ValueError(f"{word!r} in ssh_options is not an option of ssh")
            flag, value = word[1], word[2:]
            if flag in _HARMLESS:
                ignored.append(word)
                continue
            if flag not in "iopPlF":
                raise ValueError(f"-{flag} in ssh_options is not supported; use a Host block in ~/.ssh/config")
            if not value:
                if not words:
                    raise ValueError(f"-{flag} in ssh_options needs a value")
                value = words.pop(0)
            if flag == "i":
                identities.append(value)
            elif flag == "o":
                _keyword(value, found, identities, ignored)
            else:
                name = {"p": "port", "P": "port", "l": "user", "F": "config_file"}[flag]
                found[name] = _number(value, f"-{flag}") if name == "port" else value
        return cls(raw=text, identity_files=tuple(identities), ignored=tuple(ignored), **found)  # type: ignore[arg-type]


def _keyword(text: str, found: dict[str, object], identities: list[str], ignored: list[str]) -> None:
    name, _, value = text.strip().partition("=") if "=" in text else text.strip().partition(" ")
    name, value = name.strip().lower(), value.strip().strip('"')
    if name == "stricthostkeychecking":
        if value.lower() not in _CHECKING:
            raise ValueError(f"StrictHostKeyChecking={value} in ssh_options is none of yes, no, accept-new")
        found["strict_host_key_checking"] = _CHECKING[value.lower()]
    elif name == "userknownhostsfile":
        found["user_known_hosts_files"] = tuple(value.split())
    elif name == "identityfile":
        identities.append(value)
    elif name == "port":
        found["port"] = _number(value, "Port")
    elif name == "user":
        found["user"] = value
    elif name == "connecttimeout":
        found["connect_timeout"] = _number(value, "ConnectTimeout")
    elif name in ("proxycommand", "proxyjump"):
        raise ValueError(f"{name} in ssh_options is not supported; reach the host directly")
    else:
        ignored.append(f"-o {text}")


def _number(text: str, name: str) -> int:
    if not text.isdigit():
        raise ValueError(f"{name} {text!r} in ssh_options is not a number")
    return int(text)
