"""`ssh_options` as people write them for ssh and scp: ``-i key -o StrictHostKeyChecking=no -p 2222``."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from typing import Any, Literal

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
#: Flags without a value that change nothing for a client that never asks, forwards or allocates a terminal.
_HARMLESS_FLAGS = frozenset("q t T n N x X a v C 4 6 k".split())
#: Flags with a value that prefer one algorithm to another.
_PREFERENCES = frozenset("cm")
#: Keywords that change nothing for such a client either.
_HARMLESS_KEYWORDS = frozenset(
    """batchmode numberofpasswordprompts passwordauthentication kbdinteractiveauthentication
    challengeresponseauthentication pubkeyauthentication preferredauthentications loglevel compression requesttty
    forwardagent forwardx11 serveraliveinterval serveralivecountmax tcpkeepalive connectionattempts controlmaster
    controlpath controlpersist gssapiauthentication checkhostip updatehostkeys""".split()
)
_FIELDS = {"p": "port", "P": "port", "l": "user", "F": "config_file"}
_KEYWORDS = {"port": "port", "user": "user", "connecttimeout": "connect_timeout"}


class SshOptions(BaseModel):
    """Their meaning; ``raw`` is their exact text, for hooks, ``ignored`` those without effect on our sessions."""

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

    @property
    def missed(self) -> tuple[str, ...]:
        """Those of ``ignored`` whose author may expect an effect."""
        return tuple(option for option in self.ignored if not _harmless(option))

    @classmethod
    def parse(cls, text: str) -> SshOptions:
        """From one line as a shell would split it. Raises ValueError whose text goes on from "ssh_options"."""
        try:
            words = shlex.split(text)
        except ValueError:
            raise ValueError("has a quote that is not closed") from None
        found = _Found()
        while words:
            word = words.pop(0)
            if not re.match(r"-[A-Za-z0-9]", word):
                raise ValueError(f"holds {word!r}, which is not an option of ssh")
            flag, value = word[1], word[2:]
            if flag in _HARMLESS_FLAGS:
                found.ignored.append(f"-{flag}")
                if value:
                    words.insert(0, f"-{value}")
                continue
            if flag not in "io" and flag not in _FIELDS and flag not in _PREFERENCES:
                raise ValueError(f"holds -{flag}, which is not supported; use a Host block in ~/.ssh/config")
            if not value:
                if not words:
                    raise ValueError(f"ends in -{flag}, which needs a value")
                value = words.pop(0)
            _take(flag, value, found)
        return cls(raw=text, identity_files=tuple(found.identities), ignored=tuple(found.ignored), **found.fields)


@dataclass
class _Found:
    """What was found so far. As with ssh, the first of several values counts."""

    fields: dict[str, Any] = field(default_factory=dict)
    identities: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)

    def put(self, name: str, value: str, option: str) -> None:
        self.fields.setdefault(name, value if name in ("user", "config_file") else _number(value, option))


def _take(flag: str, value: str, found: _Found) -> None:
    if flag == "i":
        found.identities.append(value)
    elif flag == "o":
        _keyword(value, found)
    elif flag in _FIELDS:
        found.put(_FIELDS[flag], value, f"-{flag}")
    else:
        found.ignored.append(f"-{flag} {value}")


def _keyword(text: str, found: _Found) -> None:
    match = re.fullmatch(r"\s*(?P<name>[A-Za-z0-9]+)(?:\s*=\s*|\s+)(?P<value>.*\S)\s*", text)
    if match is None:
        raise ValueError(f"holds -o {text!r}, which is not Keyword=value")
    name, value = match["name"].lower(), match["value"].strip('"')
    if name == "stricthostkeychecking":
        if value.lower() not in _CHECKING:
            raise ValueError(f"holds {match['name']}={value}, which is none of yes, no, accept-new")
        found.fields.setdefault("strict_host_key_checking", _CHECKING[value.lower()])
    elif name == "userknownhostsfile":
        found.fields.setdefault("user_known_hosts_files", tuple(value.split()))
    elif name == "identityfile":
        found.identities.append(value)
    elif name in _KEYWORDS:
        found.put(_KEYWORDS[name], value, match["name"])
    elif name in ("proxycommand", "proxyjump") and value.lower() != "none":
        raise ValueError(f"holds {match['name']}, which is not supported; reach the host directly")
    else:
        found.ignored.append(f"-o {text.strip()}")


def _harmless(option: str) -> bool:
    if option.startswith("-o "):
        return re.split(r"[\s=]", option[3:], maxsplit=1)[0].lower() in _HARMLESS_KEYWORDS
    return option[1:] in _HARMLESS_FLAGS


def _number(text: str, option: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) == 0:
        raise ValueError(f"holds {option} {text}, which is not a positive number")
    if option.lower() in ("-p", "port") and int(text) > 65535:
        raise ValueError(f"holds {option} {text}, which is not a port")
    return int(text)
