"""Host keys as OpenSSH keeps them: reading known_hosts, judging a key, remembering a new one.

Own code because paramiko's HostKeys knows neither patterns nor ``@revoked``, stops at a damaged line, and
takes quadratic time on a large hashed file. Format: sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT".
"""

from __future__ import annotations

import base64
import binascii
import fnmatch
import hashlib
import hmac
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

SSH_PORT = 22


class KeyVerdict(Enum):
    """What known_hosts says about the key that a host presented."""

    KNOWN = "known"
    UNKNOWN = "unknown"
    CHANGED = "changed"
    REVOKED = "revoked"


@dataclass(frozen=True)
class KnownKey:
    """One entry: ``hosts`` is its first field, ``blob`` the decoded key, ``where`` is ``file:line``."""

    hosts: str
    key_type: str
    blob: bytes
    where: str
    revoked: bool = False

    def names(self, name: str) -> bool:
        """Whether the entry is about ``name`` (a name, an address, or ``[name]:port``)."""
        if self.hosts.startswith("|"):
            return _hash_matches(self.hosts, name)
        matched = False
        for pattern in self.hosts.lower().split(","):
            if pattern.startswith("!"):
                if _pattern_matches(pattern[1:], name):
                    return False
            elif _pattern_matches(pattern, name):
                matched = True
        return matched


def lookup_names(hosts: Iterable[str], port: int) -> tuple[str, ...]:
    """The names under which a host's key may be listed, the most exact first.

    With another port than 22 that is ``[host]:port``, then the plain name, as OpenSSH falls back to it.
    """
    plain = tuple(dict.fromkeys(host.lower() for host in hosts if host))
    if port == SSH_PORT:
        return plain
    return tuple(f"[{host}]:{port}" for host in plain) + plain


def read_known_hosts(files: Iterable[Path]) -> list[KnownKey]:
    """All entries of ``files`` in order. Missing files, damaged lines and ``@cert-authority`` lines are passed over.

    Raises OSError for a file that exists and cannot be read.
    """
    found: list[KnownKey] = []
    for file in files:
        try:
            text = file.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            entry = _parse_line(line, f"{file}:{number}")
            if entry is not None:
                found.append(entry)
    return found


def keys_of(entries: Iterable[KnownKey], names: Sequence[str]) -> list[KnownKey]:
    """The entries about any of ``names``."""
    return [entry for entry in entries if any(entry.names(name) for name in names)]


def judge_key(entries: Iterable[KnownKey], key_type: str, blob: bytes) -> tuple[KeyVerdict, KnownKey | None]:
    """What a host's ``entries`` say about the key it presented, and the entry that decided.

    A key of a type that is not listed is unknown, not changed: a host may have several keys.
    """
    same_type: KnownKey | None = None
    known: KnownKey | None = None
    for entry in entries:
        if entry.blob == blob:
            if entry.revoked:
                return KeyVerdict.REVOKED, entry
            known = known or entry
        elif entry.key_type == key_type and not entry.revoked:
            same_type = same_type or entry
    if known:
        return KeyVerdict.KNOWN, known
    if same_type:
        return KeyVerdict.CHANGED, same_type
    return KeyVerdict.UNKNOWN, None


def preferred_key_types(entries: Iterable[KnownKey], supported: Sequence[str]) -> list[str]:
    """``supported`` host key algorithms with those that known_hosts has a key for first.

    Without it a host with several keys may present one that was never recorded (ssh_config(5), HostKeyAlgorithms).
    """
    wanted: list[str] = []
    for entry in entries:
        if not entry.revoked:
            wanted += ["rsa-sha2-512", "rsa-sha2-256"] if entry.key_type == "ssh-rsa" else [entry.key_type]
    first = [kind for kind in dict.fromkeys(wanted) if kind in supported]
    return first + [kind for kind in supported if kind not in first]


def remember_key(file: Path, name: str, key_type: str, blob: bytes) -> None:
    """Append a host's key to ``file`` (made with mode 0600, its folder with 0700). Raises OSError."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    line = f"{name} {key_type} {base64.b64encode(blob).decode()}\n"
    descriptor = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "r+b") as stream:
        size = stream.seek(0, os.SEEK_END)
        if size:
            stream.seek(size - 1)
            if stream.read(1) != b"\n":
                line = "\n" + line
        stream.write(line.encode())


def fingerprint(blob: bytes) -> str:
    """The key's fingerprint as ``ssh-keygen -l`` prints it: ``SHA256:…``."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def _parse_line(line: str, where: str) -> KnownKey | None:
    fields = line.split()
    if not fields or fields[0].startswith("#"):
        return None
    marker = fields.pop(0) if fields[0].startswith("@") else ""
    if len(fields) < 3 or marker not in ("", "@revoked"):
        return None
    try:
        blob = base64.b64decode(fields[2], validate=True)
    except binascii.Error:
        return None
    return KnownKey(fields[0], fields[1], blob, where, revoked=bool(marker))


def _pattern_matches(pattern: str, name: str) -> bool:
    # Only * and ? are special in known_hosts; fnmatch would read [host]:22 as a set of characters.
    return fnmatch.fnmatchcase(name.lower(), pattern.replace("[", "[[]"))


def _hash_matches(hashed: str, name: str) -> bool:
    try:
        _, kind, salt, digest = hashed.split("|")
        if kind != "1":
            return False
        expected = base64.b64decode(digest)
        actual = hmac.new(base64.b64decode(salt), name.lower().encode(), hashlib.sha1).digest()
    except (ValueError, binascii.Error):
        return False
    return hmac.compare_digest(expected, actual)
