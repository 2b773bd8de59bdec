"""Whatever stands in a file, it is understood or refused with a ConfigError; nothing else comes out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from prefect_mha.config import ConfigError, load_cluster
from prefect_mha.config.editing.edit import without_block
from prefect_mha.config.forms.raw import decode
from prefect_mha.config.forms.toml import parse_toml
from prefect_mha.config.loader import PARAMETERS
from tests.unit.config.conftest import resolve
from tests.unit.config.test_edit import INI, LINES, TOML

HEADERS = ["[server default]", "[server1]", "[server2]", "[server_x9]", "[binlog1]", "[server.db1]", "[binlog.far]"]
VALUES = [
    "",
    "0",
    "1",
    "-1",
    "1e9",
    "node1",
    "10.0.0.1",
    "env:NOT_SET",
    "file:/",
    "'",
    '"',
    "' #",
    "\0",
    "\t",
    "\u0130",
]
PIECES = (
    st.sampled_from([*HEADERS, *VALUES, *sorted(PARAMETERS), "=", " = ", '"', "'", "#", " ; ", " //", "\n", "\r\n"])
    | st.text(max_size=3)
    | st.builds(lambda key, value: f"\n{key} = {value}\n", st.sampled_from(sorted(PARAMETERS)), st.sampled_from(VALUES))
)
FILES = st.lists(PIECES, max_size=30).map("".join).map(lambda text: text.encode("utf-8", "replace")) | st.binary()


@pytest.mark.parametrize("suffix", [".cnf", ".toml"])
@settings(deadline=None, max_examples=200)
@given(st.sampled_from([b"", b"[server1]\nhostname=node1\n", b'[server.a]\nhostname = "node1"\n']), FILES)
@example(b"", b"[server\xff1]\nhostname=node1\n")
@example(b"", b"[server" + b"1" * 5000 + b"]\nhostname=node1\n")
@example(b"", b"a = " + b"[" * 3000)
@example(b"", b"port = " + b"1" * 5000)
@example(b"[server1]\nhostname=node1\n", b"hostname=a\0b\n")
@example(b'[server.a]\nhostname = "node1"\n', b'user = "a\\u0000b"\n')
def test_any_file_loads_or_is_refused_in_one_line(tmp_path_factory, suffix, start, rest):
    path = tmp_path_factory.getbasetemp() / f"any{suffix}"
    path.write_bytes(start + rest)
    try:
        cluster = load_cluster(path, None, resolve=resolve, secrets=False)
    except ConfigError as error:
        assert str(error).startswith(f"{path}:")
        assert "\n" not in str(error)
    else:
        assert cluster.servers
        cluster.model_dump_json()  # needs text that is UTF-8


@settings(deadline=None, max_examples=200)
@given(FILES, st.sampled_from(["server1", "server default", "binlog1"]))
def test_any_file_is_edited_or_refused(data, block):
    for path in (INI, TOML):
        try:
            edited = without_block(decode(data), block, path)
        except ConfigError:
            continue
        assert len(edited) < len(decode(data))


ENDS = st.sampled_from(["\n", "\r\n"])
CONTENTS = st.sampled_from(LINES) | st.text(st.characters(exclude_characters="\n\r"), max_size=5).map("# {}".format)


@settings(deadline=None)
@given(st.lists(CONTENTS, max_size=12), st.lists(CONTENTS, max_size=6), ENDS)
def test_outside_the_block_every_byte_stays(before, after, end):
    lines = ["[server default]", *before, "[server1]", "hostname=a", *after]
    edited = without_block(end.join(lines), "server1", INI)
    kept, owner = [], ""
    for line in lines:
        owner = line if line.startswith("[") else owner
        if owner != "[server1]":
            kept.append(line)
    rest = iter(end.join(lines).split("\n"))
    assert all(line in rest for line in edited.removesuffix("\n").split("\n")), "only whole lines go, none moves"
    remaining = iter(edited.replace("\r", "").split("\n"))
    assert all(line in remaining for line in kept if line.strip()), "nothing of another block goes"
    assert "[server1]" not in edited


PRINTABLE = st.characters(exclude_categories=["Cs", "Cc"])


@settings(deadline=None)
@given(st.text(PRINTABLE | st.sampled_from("\"'\\!=#&;` |*?$<>()[]{}/")))
def test_any_password_survives_in_a_toml_file(password):
    raw = parse_toml(f"password = {json.dumps(password, ensure_ascii=False)}\n", Path("mha.toml"))
    assert raw.blocks["server default"].values["password"].text == password
