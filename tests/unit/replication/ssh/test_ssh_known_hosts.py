"""known_hosts: which keys count as a host's, and what is said about the key it presents."""

from __future__ import annotations

import base64
import hashlib
import hmac
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_mha.replication.ssh.known_hosts import (
    KeyVerdict,
    KnownKey,
    fingerprint,
    judge_key,
    keys_of,
    lookup_names,
    preferred_key_types,
    read_known_hosts,
    remember_key,
)

ED25519, RSA = "ssh-ed25519", "ssh-rsa"
KEY, OTHER = b"the key", b"another key"


def entry(blob: bytes, kind: str = ED25519, hosts: str = "db1", revoked: bool = False) -> KnownKey:
    return KnownKey(hosts, kind, blob, "known_hosts:1", revoked)


@pytest.mark.parametrize(
    ("entries", "verdict"),
    [
        ([], KeyVerdict.UNKNOWN),
        ([entry(KEY)], KeyVerdict.KNOWN),
        ([entry(OTHER)], KeyVerdict.CHANGED),
        ([entry(OTHER, RSA)], KeyVerdict.UNKNOWN),
        ([entry(OTHER), entry(KEY)], KeyVerdict.KNOWN),
        ([entry(KEY), entry(OTHER)], KeyVerdict.KNOWN),
        ([entry(KEY), entry(KEY, revoked=True)], KeyVerdict.REVOKED),
        ([entry(OTHER, revoked=True)], KeyVerdict.UNKNOWN),
    ],
)
def test_verdict_on_a_presented_key(entries: list[KnownKey], verdict: KeyVerdict) -> None:
    assert judge_key(entries, ED25519, KEY)[0] is verdict


def hashed(name: str) -> str:
    salt = b"0123456789abcdefghij"
    digest = hmac.new(salt, name.encode(), hashlib.sha1).digest()
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"


@pytest.mark.parametrize(
    ("hosts", "name", "expected"),
    [
        ("db1", "db1", True),
        ("db1", "db10", False),
        ("DB1", "db1", True),
        ("db1,10.0.0.51", "10.0.0.51", True),
        ("10.0.0.5?", "10.0.0.51", True),
        ("*.example,!db2.example", "db2.example", False),
        ("!db2.example,*.example", "db1.example", True),
        ("[db1]:2222", "[db1]:2222", True),
        ("[db1]:2222", "d", False),
        ("[db1]:*", "[db1]:2222", True),
        (hashed("db1"), "db1", True),
        (hashed("db1"), "db2", False),
        ("|1|broken", "db1", False),
        ("|1|!!!|???", "db1", False),
        ("|2|a|b", "db1", False),
    ],
)
def test_names_match_as_in_openssh(hosts: str, name: str, expected: bool) -> None:
    assert entry(KEY, hosts=hosts).names(name) is expected


@given(st.text(alphabet="abc[]!*?-.", min_size=1, max_size=12))
def test_a_name_without_wildcards_matches_itself_only_as_a_whole(name: str) -> None:
    if not set("*?!,") & set(name):
        assert entry(KEY, hosts=name).names(name)
        assert not entry(KEY, hosts=name).names(name + "x")


def test_port_22_is_never_written_and_another_port_falls_back_to_the_plain_name() -> None:
    assert lookup_names(("DB1", "10.0.0.51", "db1", ""), 22) == ("db1", "10.0.0.51")
    assert lookup_names(("db1", "10.0.0.51"), 2222) == ("[db1]:2222", "[10.0.0.51]:2222", "db1", "10.0.0.51")


def test_known_rsa_key_is_asked_for_by_its_modern_names_first() -> None:
    supported = [ED25519, "ecdsa-sha2-nistp256", "rsa-sha2-512", "rsa-sha2-256"]
    order = preferred_key_types([entry(KEY, RSA), entry(KEY, ED25519, revoked=True), entry(KEY, "ssh-dss")], supported)
    assert order == ["rsa-sha2-512", "rsa-sha2-256", ED25519, "ecdsa-sha2-nistp256"]


def test_damaged_lines_and_missing_files_cost_only_themselves(tmp_path: Path) -> None:
    good = base64.b64encode(KEY).decode()
    file = tmp_path / "known_hosts"
    file.write_bytes(
        b"# comment\n\nshort line\n\xff\xfe ssh-ed25519 %%%\n@cert-authority * ssh-ed25519 " + good.encode() + b"\n"
        b"@revoked db1 ssh-ed25519 " + good.encode() + b"\n  db1\tssh-ed25519   " + good.encode() + b" a comment\n"
    )
    found = read_known_hosts([tmp_path / "missing", file])
    assert [(key.where.rsplit(":", 1)[1], key.revoked) for key in found] == [("6", True), ("7", False)]
    assert keys_of(found, ("db2",)) == []


@given(st.binary(min_size=1, max_size=80), st.sampled_from(["", "x y z\n", "no line end"]))
def test_a_remembered_key_is_known_afterwards(
    tmp_path_factory: pytest.TempPathFactory, blob: bytes, before: str
) -> None:
    file = tmp_path_factory.mktemp("home") / ".ssh" / "known_hosts"
    if before:
        file.parent.mkdir(mode=0o700)
        file.write_text(before)
    remember_key(file, "[db1]:2222", ED25519, blob)
    assert file.read_text().startswith(before)
    known = keys_of(read_known_hosts([file]), ("[db1]:2222",))
    assert judge_key(known, ED25519, blob)[0] is KeyVerdict.KNOWN
    if not before:
        assert file.stat().st_mode & 0o777 == 0o600
        assert file.parent.stat().st_mode & 0o777 == 0o700


def test_fingerprint_is_printed_as_ssh_keygen_does() -> None:
    assert fingerprint(b"") == "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU"
