"""Hosts over SSH without a network: which setting wins, what ssh_config says, what is kept of an output."""

from __future__ import annotations

import io
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_mha.config import ServerConfig, SshOptions
from prefect_mha.replication.deadline import Deadline, within
from prefect_mha.replication.errors import DeadlineExceeded, HostUnreachable
from prefect_mha.replication.ssh.framing import Frame
from prefect_mha.replication.ssh.host import SshHost
from prefect_mha.replication.ssh.login import SshLogin, load_login, resolve_login
from prefect_mha.replication.ssh.streams import OUTPUT_LIMIT, Collector, HashingSource

HOME = Path("/home/dba")


def server(options: dict[str, Any] | None = None, **changes: Any) -> ServerConfig:
    fields: dict[str, Any] = {
        "block": "server1",
        "hostname": "db1",
        "ip": "10.0.0.51",
        "ssh_host": "db1",
        "ssh_ip": "10.0.0.51",
        "ssh_user": "mha",
        "ssh_options": SshOptions(**(options or {})),
    }
    return ServerConfig(**{**fields, **changes})


def resolved(
    ssh_config: dict[str, Any] | None = None, options: dict[str, Any] | None = None, **changes: Any
) -> SshLogin:
    return resolve_login(server(options, **changes), ssh_config or {}, HOME)


@pytest.mark.parametrize(
    ("options", "changes", "ssh_config", "user", "port"),
    [
        ({}, {}, {}, "mha", 22),
        ({}, {}, {"user": "other", "port": "2200"}, "mha", 2200),
        ({}, {"ssh_port": 2222}, {"port": "2200"}, "mha", 2222),
        ({"user": "flag", "port": 2022}, {"ssh_port": 2222}, {"user": "other", "port": "2200"}, "flag", 2022),
    ],
)
def test_user_and_port_come_from_the_nearest_source(
    options: dict[str, Any], changes: dict[str, Any], ssh_config: dict[str, Any], user: str, port: int
) -> None:
    login = resolved(ssh_config, options, **changes)
    assert (login.user, login.port) == (user, port)
    assert login.name == f"{user}@10.0.0.51:{port}"


def test_host_name_in_ssh_config_never_moves_the_address() -> None:
    login = resolved({"hostname": "elsewhere.example"})
    assert login.address == "10.0.0.51"
    assert login.key_names == ("db1", "10.0.0.51", "elsewhere.example")


def test_host_key_alias_stands_alone_and_without_a_port() -> None:
    assert resolved({"hostkeyalias": "cluster"}, ssh_port=2222).key_names == ("cluster",)


@pytest.mark.parametrize(
    ("option", "in_config", "expected"),
    [
        (None, None, "yes"),
        (None, "ask", "yes"),
        (None, "off", "no"),
        (None, "No", "no"),
        (None, "accept-new", "accept-new"),
        ("yes", "no", "yes"),
        ("no", "yes", "no"),
        ("accept-new", "yes", "accept-new"),
    ],
)
def test_host_keys_are_checked_unless_somebody_says_no(
    option: str | None, in_config: str | None, expected: str
) -> None:
    config = {"stricthostkeychecking": in_config} if in_config else {}
    assert resolved(config, {"strict_host_key_checking": option}).checking == expected


def test_known_hosts_files_replace_the_users_but_never_the_systems() -> None:
    assert [str(file) for file in resolved().known_hosts] == [
        "/home/dba/.ssh/known_hosts",
        "/home/dba/.ssh/known_hosts2",
    ]
    in_config = resolved({"userknownhostsfile": "~/a /b"})
    assert [str(file) for file in in_config.known_hosts] == ["/home/dba/a", "/b"]
    option = resolved({"userknownhostsfile": "~/a"}, {"user_known_hosts_files": ("/dev/null",)})
    assert [str(file) for file in option.known_hosts] == ["/dev/null"]
    assert Path("/etc/ssh/ssh_known_hosts") in option.system_known_hosts


def test_named_keys_come_first_and_identities_only_leaves_out_the_rest() -> None:
    config = {"identityfile": ["%d/.ssh/from_config", "none"]}
    login = resolved(config, {"identity_files": ("~/named", "/abs")})
    assert [str(file) for file in login.identity_files] == ["/home/dba/named", "/abs", "/home/dba/.ssh/from_config"]
    assert len(login.default_keys) == 3 and not login.agent_keys_only_if_named
    only = resolved({**config, "identitiesonly": "yes"})
    assert only.default_keys == () and only.agent_keys_only_if_named
    assert len(resolved({"identitiesonly": "yes"}).default_keys) == 3, (
        "no key was named: the default ones count as named"
    )
    assert not resolved({"identityagent": "none"}).use_agent


def test_connect_timeout_of_the_options_wins() -> None:
    assert resolved(ssh_connection_timeout=7).connect_timeout == 7
    assert resolved({}, {"connect_timeout": 2}, ssh_connection_timeout=7).connect_timeout == 2


@pytest.mark.parametrize(
    ("config", "proxy"),
    [
        ({}, ""),
        ({"proxycommand": "none"}, ""),
        ({"proxycommand": "nc %h"}, "ProxyCommand"),
        ({"proxyjump": "b"}, "ProxyJump"),
    ],
)
def test_proxies_are_recognised(config: dict[str, Any], proxy: str) -> None:
    assert resolved(config).proxy == proxy


@pytest.fixture
def ssh_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("prefect_mha.replication.ssh.login.SYSTEM_CONFIG", tmp_path / "etc" / "ssh_config")
    (tmp_path / "etc").mkdir()
    (tmp_path / ".ssh").mkdir()
    return tmp_path / ".ssh"


def test_host_patterns_match_by_name_and_by_address_over_the_general_ones(ssh_dir: Path) -> None:
    (ssh_dir / "config").write_text(
        "Host 10.0.0.*\n Port 2201\n StrictHostKeyChecking accept-new\nHost db1\n Port 2202\nHost *\n Port 2203\n"
    )
    (ssh_dir.parent / "etc" / "ssh_config").write_text("Host *\n  Port 2204\n  HostKeyAlias from-the-system\n")
    login = load_login(server())
    assert (login.port, login.checking, login.key_names) == (2202, "accept-new", ("from-the-system",))
    assert load_login(server(ssh_host="db9")).port == 2201
    assert load_login(server(ssh_host="db9", ssh_ip="192.0.2.9")).port == 2203


def test_includes_are_followed_relative_to_the_right_folder_and_not_for_ever(ssh_dir: Path) -> None:
    (ssh_dir / "config").write_text("Include part\n")
    (ssh_dir / "part").write_text(f"Include {ssh_dir}/more/*\n")
    (ssh_dir / "more").mkdir()
    (ssh_dir / "more" / "one").write_text("Port 2205\n")
    (ssh_dir.parent / "etc" / "ssh_config").write_text("Include conf.d/*\n")
    (ssh_dir.parent / "etc" / "conf.d").mkdir()
    (ssh_dir.parent / "etc" / "conf.d" / "x").write_text("HostKeyAlias included\n")
    login = load_login(server())
    assert (login.port, login.key_names) == (2205, ("included",))
    (ssh_dir / "part").write_text("Include part\n")
    with pytest.raises(HostUnreachable, match="Include nested deeper"):
        load_login(server())


def test_config_file_option_replaces_both_and_must_exist(ssh_dir: Path) -> None:
    (ssh_dir / "config").write_text("Port 2206\n")
    (ssh_dir / "mine").write_text("Host db*\n  HostKeyAlias mine\n")
    login = load_login(server({"config_file": "~/.ssh/mine"}))
    assert (login.port, login.key_names) == (22, ("mine",))
    with pytest.raises(HostUnreachable, match=r"read .*absent: no such file"):
        load_login(server({"config_file": "~/.ssh/absent"}))


@pytest.mark.parametrize("text", ["Port many\n", "just-a-word\n"])
def test_unusable_ssh_config_is_one_clear_error_when_connecting_not_before(ssh_dir: Path, text: str) -> None:
    (ssh_dir / "config").write_text(text)
    host = SshHost(server())
    assert host.name == "mha@10.0.0.51:22"
    with pytest.raises(HostUnreachable, match=r"read .*config: .*correct that file"):
        host.connect(timeout=1)


def test_match_exec_runs_nothing_and_matches_nothing(ssh_dir: Path) -> None:
    (ssh_dir / "config").write_text(
        f'Match host db1 exec "touch {ssh_dir}/ran"\n  Port 2207\nMatch host db1\n  Port 2208\n'
    )
    assert load_login(server()).port == 2208
    assert not (ssh_dir / "ran").exists()


def collected(chunks: list[bytes], before: bytes = b"", after: bytes = b"") -> tuple[str, int | None]:
    frame = Frame()
    collector = Collector(lambda _: b"", frame)
    for chunk in [before, frame.begin, *chunks, frame.end + b"3\n", after]:
        collector.add(chunk)
    return collector.result()


@given(st.lists(st.integers(0, OUTPUT_LIMIT), max_size=5))
def test_output_is_whole_up_to_the_limit_and_never_longer(sizes: list[int]) -> None:
    whole = b"".join(bytes([97 + number]) * size for number, size in enumerate(sizes))
    text, code = collected([bytes([97 + number]) * size for number, size in enumerate(sizes)], b"Hello\n", b"Bye\n")
    assert code == 3
    if len(whole) <= OUTPUT_LIMIT:
        assert text == whole.decode()
    else:
        half = OUTPUT_LIMIT // 2
        missing = len(whole) - OUTPUT_LIMIT
        assert text == whole[:half].decode() + f"\n[{missing} bytes left out]\n" + whole[-half:].decode()


def test_output_that_is_no_text_does_not_fail() -> None:
    assert collected([b"\xff\xfeok"])[0].endswith("ok")


@given(st.binary(max_size=60), st.binary(max_size=60), st.binary(max_size=60), st.integers(1, 7))
def test_an_output_is_what_stands_in_its_frame_however_it_comes(
    noise: bytes, inside: bytes, after: bytes, step: int
) -> None:
    frame = Frame("f" * 16)
    collector = Collector(lambda _: b"", frame)
    whole = noise + frame.begin + inside + frame.end + b"0\n" + after
    for start in range(0, len(whole), step):
        collector.add(whole[start : start + step])
    assert collector.result() == (inside.decode(errors="replace"), 0)
    assert bytes(collector.noise) == noise


@pytest.mark.parametrize("answer", [b"", b"Hello\n", b"mha<another\n1\nmha>another 0\n"])
def test_what_is_not_framed_is_no_answer(answer: bytes) -> None:
    collector = Collector(lambda _: b"", Frame())
    collector.add(answer)
    assert (collector.begun, *collector.result()) == (False, "", None)


@pytest.mark.parametrize("end", [b"", b"0", b"x\n", b"-1\n"])
def test_an_end_that_is_not_whole_tells_no_exit_code(end: bytes) -> None:
    frame = Frame()
    collector = Collector(lambda _: b"", frame)
    collector.add(frame.begin + b"so far\n" + frame.end[: None if end else 5] + end)
    assert collector.result()[1] is None


def test_hashing_source_counts_what_was_read() -> None:
    source = HashingSource(io.BytesIO(b"abc"))
    assert source.read(2) + source.read(2) + source.read(2) == b"abc"
    assert source.size == 3
    assert source.hex == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_deadline_never_goes_below_nothing_left() -> None:
    assert Deadline(-1).left == 0 and Deadline(0).over
    assert 50 < Deadline(60).left <= 60


def test_work_without_a_deadline_gets_one_and_its_errors_come_through() -> None:
    assert within(lambda: 5, Deadline(5), "count") == 5
    with pytest.raises(ZeroDivisionError):
        within(lambda: 1 // 0, Deadline(5), "divide")
    block = threading.Event()
    with pytest.raises(DeadlineExceeded, match=r"wait: not within 0.02 s"):
        within(block.wait, Deadline(0.02), "wait")
    block.set()
