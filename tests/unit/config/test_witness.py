"""A witness: a host, a host and the port of its sshd, or a [binlogN] block."""

from __future__ import annotations

from pathlib import Path

import pytest

from prefect_mha.config import ConfigError, load_cluster

TEXT = """
[server default]
ssh_user=root
witness={}
[server1]
hostname=10.0.0.1
[binlog1]
hostname=10.0.0.7
ssh_port=77
"""


def witnesses(tmp_path: Path, given: str) -> list[tuple[str, str, int]]:
    path = tmp_path / "app1.cnf"
    path.write_text(TEXT.format(given))
    return [(w.block, w.ssh_ip, w.ssh_port) for w in load_cluster(path, None).witnesses]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("10.0.0.9", [("witness 10.0.0.9", "10.0.0.9", 22)]),
        ("10.0.0.9:2222", [("witness 10.0.0.9:2222", "10.0.0.9", 2222)]),
        ("binlog1", [("binlog1", "10.0.0.7", 77)]),
        ("binlog1, fd00::9", [("binlog1", "10.0.0.7", 77), ("witness fd00::9", "fd00::9", 22)]),
        ("[fd00::9]:2222", [("witness [fd00::9]:2222", "fd00::9", 2222)]),
        ("", []),
    ],
)
def test_where_it_is(tmp_path: Path, given: str, expected: list[tuple[str, str, int]]) -> None:
    assert witnesses(tmp_path, given) == expected


@pytest.mark.parametrize("given", ["10.0.0.9:", "10.0.0.9:ssh", "a b", "[fd00::9", "10.0.0.9:1:2:x"])
def test_what_is_none(tmp_path: Path, given: str) -> None:
    with pytest.raises(ConfigError, match="is no host, host:port or"):
        witnesses(tmp_path, given)


def test_a_block_has_the_same_name_in_either_form(tmp_path: Path) -> None:
    path = tmp_path / "app1.toml"
    text = 'ssh_user = "root"\nwitness = "{}"\n[server.1]\nhostname = "10.0.0.1"\n[binlog.1]\nhostname = "10.0.0.7"\n'
    for given in ("binlog1", "binlog.1"):
        path.write_text(text.format(given))
        assert [w.hostname for w in load_cluster(path, None).witnesses] == ["10.0.0.7"]


def test_one_that_cannot_be_found_is_a_voice_less_and_no_error(tmp_path: Path) -> None:
    path = tmp_path / "app1.cnf"
    path.write_text(TEXT.format("nowhere.invalid, 10.0.0.9"))
    loaded = load_cluster(path, None)
    assert [w.hostname for w in loaded.witnesses] == ["10.0.0.9"]
    (told,) = [str(w) for w in loaded.warnings if "nowhere.invalid" in str(w)]
    assert told.endswith("until then this witness is not asked")


def test_a_block_that_is_not_there_is_no_host(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="names binlog2, and there is no such block"):
        witnesses(tmp_path, "binlog2")
