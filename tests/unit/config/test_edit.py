"""Removing a server's block leaves everything else, byte for byte."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_mha.config import ConfigError
from prefect_mha.config.editing import edit
from prefect_mha.config.editing.edit import add_block, remove_block, with_block, without_block
from prefect_mha.config.forms.ini import parse_ini

FILE = """\
# The shop
[server default]
user=mha   # the account

; first
[server1]
hostname=10.0.0.1
# candidate_master=1
port=3306
# no_master=1

# second, in rack 7
[server2]   ; comment
hostname=10.0.0.2

[server10]
hostname=10.0.0.3

# end of file
"""
INI, TOML = Path("app1.cnf"), Path("mha.toml")


def test_the_block_goes_with_its_own_comments_only():
    expected = FILE.replace("[server1]\nhostname=10.0.0.1\n# candidate_master=1\nport=3306\n# no_master=1\n\n", "")
    assert without_block(FILE, "server1", INI) == expected.replace("; first\n", "; first\n\n")


def test_a_block_between_blank_lines_leaves_one_of_them():
    edited = without_block("[server1]\nhostname=a\n\n[server2]\nhostname=b\n\n[server3]\nhostname=c\n", "server2", INI)
    assert edited == "[server1]\nhostname=a\n\n[server3]\nhostname=c\n"


def test_the_last_block_leaves_the_comment_behind_it():
    assert without_block(FILE, "server10", INI) == FILE.replace("[server10]\nhostname=10.0.0.3\n\n", "")


def test_a_name_that_begins_alike_is_another_block():
    assert "[server10]" in without_block(FILE, "server1", INI)


def test_a_block_written_in_two_places_goes_from_both():
    edited = without_block("[server1]\nhostname=a\n[server2]\nhostname=b\n[server1]\nport=1\n", "server1", INI)
    assert edited == "[server2]\nhostname=b\n"


def test_windows_line_ends_and_a_missing_last_one_stay():
    edited = without_block("[server1]\r\nhostname=a\r\n[server2]\r\nhostname=b", "server1", INI)
    assert edited == "[server2]\r\nhostname=b"


LINES = ["", "# note", "; note", "user=x", "password='# [a]'", "[server2]", "[server1]", "[server3] # x", "port=1"]


@settings(deadline=None)
@given(st.lists(st.sampled_from(LINES), max_size=12))
def test_what_remains_means_the_same(lines):
    text = "\n".join(["[server default]", *lines, "[server1]", "hostname=a"])
    edited = without_block(text, "server1", INI)
    before, after = parse_ini(text, INI).blocks, parse_ini(edited, INI).blocks
    assert {n: {k: v.text for k, v in b.values.items()} for n, b in before.items() if n != "server1"} == {
        n: {k: v.text for k, v in b.values.items()} for n, b in after.items()
    }


def test_a_table_of_a_toml_file_goes_too():
    text = '# top\nuser = "a"\n\n[server.db1] # one\nhostname = "a"\n\n[server."db2"]\nhostname = "b"\n'
    assert without_block(text, "server.db2", TOML) == text.removesuffix('[server."db2"]\nhostname = "b"\n')
    assert without_block(text, "server.db1", TOML) == '# top\nuser = "a"\n\n[server."db2"]\nhostname = "b"\n'


@pytest.mark.parametrize(
    "text",
    [
        'user = """\n[server.db1]\n"""\n[server.db1]\nhostname = "a"\n[server.db2]\nhostname = "b"\n',
        'server.db1.hostname = "a"\nserver.db2.hostname = "b"\n',
    ],
)
def test_a_toml_file_that_is_written_oddly_is_left_alone(text):
    with pytest.raises(ConfigError, match=r"remove it by hand|no block"):
        without_block(text, "server.db1", TOML)


def test_the_file_is_replaced_with_its_mode_and_a_backup(tmp_path):
    path = tmp_path / "app1.cnf"
    data = b"\xef\xbb\xbf" + FILE.encode() + "# 设置\n".encode("gbk")
    path.write_bytes(data)
    path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(path, 12, 34)
    remove_block(path, "server2")
    assert (tmp_path / "app1.cnf.bak").read_bytes() == data
    assert path.read_bytes() == data.replace(b"[server2]   ; comment\nhostname=10.0.0.2\n", b"")
    for file in (path, tmp_path / "app1.cnf.bak"):
        assert file.stat().st_mode & 0o7777 == 0o640
        assert file.stat().st_uid == (12 if os.geteuid() == 0 else os.geteuid())
    assert sorted(f.name for f in tmp_path.iterdir()) == ["app1.cnf", "app1.cnf.bak"]


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real.cnf").write_text(FILE)
    link = tmp_path / "app1.cnf"
    link.symlink_to("real.cnf")
    remove_block(str(link), "server2")
    assert link.is_symlink()
    assert "[server2]" not in (tmp_path / "real.cnf").read_text()


def test_a_file_changed_meanwhile_is_left_as_it_is(tmp_path):
    path = tmp_path / "app1.cnf"
    path.write_text(FILE + "# new\n")
    with pytest.raises(ConfigError, match="changed meanwhile"):
        remove_block(path, "server2", expected=FILE)
    assert path.read_text() == FILE + "# new\n"
    remove_block(path, "server2", expected=FILE + "# new\n")
    assert "[server2]" not in path.read_text()


def test_an_unknown_block_changes_nothing(tmp_path):
    path = tmp_path / "app1.cnf"
    path.write_text(FILE)
    with pytest.raises(ConfigError, match=r"it has no block \[server9\]"):
        remove_block(path, "server9")
    assert path.read_text() == FILE
    assert [f.name for f in tmp_path.iterdir()] == ["app1.cnf"]


def test_a_disk_that_refuses_leaves_the_file_and_no_litter(tmp_path, monkeypatch):
    path = tmp_path / "app1.cnf"
    path.write_text(FILE)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ConfigError, match="it cannot be rewritten: No space left on device"):
        remove_block(path, "server2")
    assert path.read_text() == FILE
    assert [f.name for f in tmp_path.iterdir()] == ["app1.cnf"]


def test_a_block_is_added_at_the_end_and_nothing_else_changes(tmp_path):
    path = tmp_path / "app1.cnf"
    path.write_text(FILE)
    path.chmod(0o600)
    add_block(path, "server_9", {"hostname": "db9", "password": "a=b # c", "port": "3307"})
    assert path.read_text() == FILE + '\n[server_9]\nhostname=db9\npassword="a=b # c"\nport=3307\n'
    assert (tmp_path / "app1.cnf.bak").read_text() == FILE
    assert path.stat().st_mode & 0o777 == 0o600
    remove_block(path, "server_9", check=True)
    assert path.read_text() == FILE + "\n"


def test_line_ends_and_the_modern_form_are_kept():
    added = with_block("[server1]\r\nhostname=a\r\n", "server2", {"hostname": "b"}, INI)
    assert added == "[server1]\r\nhostname=a\r\n\r\n[server2]\r\nhostname=b\r\n"
    assert with_block("[server1]\nhostname=a", "server2", {"hostname": "b"}, INI).endswith(
        "a\n\n[server2]\nhostname=b\n"
    )
    added = with_block('[server.a]\nhostname = "a"\n', "server.b", {"hostname": "b", "no_master": "1"}, TOML)
    assert added == '[server.a]\nhostname = "a"\n\n[server.b]\nhostname = "b"\nno_master = true\n'


@pytest.mark.parametrize(
    ("block", "values", "says"),
    [
        ("server1", {"hostname": "x"}, "a block [server1] already"),
        ("server7", {"hostname": "x", "no_mster": "1"}, "did you mean 'no_master'?"),
        ("server7", {"hostname": "x", "port": "33o6"}, "[server7] was not added: port must be a whole number"),
        ("server7", {"hostname": "10.0.0.2"}, "have duplicate ip:port 10.0.0.2:3306"),
        ("server7", {"hostname": "x", "password": "s3\ncret"}, "cannot hold"),
        ("servers", {"hostname": "x"}, None),
        ("web7", {"hostname": "x"}, "is none of"),
    ],
)
def test_what_would_not_load_is_not_written(tmp_path, block, values, says):
    path = tmp_path / "app1.cnf"
    path.write_text(FILE)
    if says is None:
        add_block(path, block, values)
        return
    with pytest.raises(ConfigError) as refused:
        add_block(path, block, values)
    assert says in str(refused.value)
    assert "s3" not in str(refused.value)
    assert path.read_text() == FILE


def test_the_last_server_is_not_removed(tmp_path):
    path = tmp_path / "app1.cnf"
    path.write_text("[server1]\nhostname=a\n")
    with pytest.raises(ConfigError, match="was not removed: it has no server"):
        remove_block(path, "server1", check=True)
    assert path.read_text() == "[server1]\nhostname=a\n"


def test_a_file_that_changes_while_it_is_edited_is_left_alone(tmp_path, monkeypatch):
    path = tmp_path / "app1.cnf"
    path.write_text(FILE)
    real = edit.load_cluster

    def somebody_writes(*words, **named):
        path.write_text(FILE + "# new\n")
        return real(*words, **named)

    monkeypatch.setattr(edit, "load_cluster", somebody_writes)
    with pytest.raises(ConfigError, match="changed meanwhile"):
        add_block(path, "server9", {"hostname": "db9"})
    assert path.read_text() == FILE + "# new\n"
