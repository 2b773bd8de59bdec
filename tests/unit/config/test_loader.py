"""Inheritance, order, addresses, and the user's script."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from prefect_mha.config import ConfigError, app_name, load_cluster
from prefect_mha.config.forms.init_script import run_init_script
from prefect_mha.config.forms.raw import Value
from prefect_mha.config.loader import resolve_host

ONE = "[server1]\nhostname=10.0.0.1\n"
SCRIPT = Value("", Path("app1.cnf"), 2)


def script(text: str) -> Value:
    return Value(text, SCRIPT.file, SCRIPT.line)


def test_each_level_wins_over_the_one_below(load):
    levels = {"general": "g", "app": "a", "script": "s", "command": "c", "block": "b"}
    names = list(levels)
    for top in range(len(names) + 1):
        have = names[:top]
        app = "[server default]\n" + ("user=a\n" if "app" in have else "")
        if "script" in have:
            app += "init_conf_load_script=echo user=s\n"
        cluster = load(
            app + ONE + ("user=b\n" if "block" in have else ""),
            general="[server default]\nuser=g\n" if "general" in have else "",
            **({"user": "c"} if "command" in have else {}),
        )
        assert cluster.servers[0].user == (levels[have[-1]] if have else "root")


def test_an_empty_value_unsets_what_was_inherited(load):
    cluster = load(
        '[server default]\nshutdown_script=""\nport=\n' + ONE,
        general="[server default]\nshutdown_script=/off\nport=3310\n",
    )
    assert cluster.shutdown_script is None
    assert cluster.servers[0].port == 3306


def test_repeated_blocks_merge_and_the_later_value_wins(load):
    cluster = load(ONE + "port=1\n[server2]\nhostname=10.0.0.2\n[ server1 ] ; again\nport=2\nuser=u\nuser=v\n")
    assert [(s.port, s.user) for s in cluster.servers] == [(2, "v"), (3306, "root")]


def test_other_blocks_of_the_global_file_are_told_not_used(load):
    cluster = load(ONE, general="[server default]\nuser=g\n[server9]\nhostname=10.0.0.9\n")
    assert [s.block for s in cluster.servers] == ["server1"]
    assert "[server9] has no effect in the global file" in str(cluster.warnings[0])


@pytest.mark.parametrize(
    ("blocks", "order"),
    [
        (["server10", "server2", "server1"], ["server1", "server2", "server10"]),
        (["serverb", "server10", "server2", "servera"], ["server10", "server2", "servera", "serverb"]),
        (["server_db2_1", "server_db1_9"], ["server_db1_9", "server_db2_1"]),
        (["server1b", "server1a"], ["server1a", "server1b"]),
    ],
)
def test_servers_stand_in_mhas_order(load, blocks, order):
    text = "".join(f"[{block}]\nhostname=10.0.0.{n}\n" for n, block in enumerate(blocks, 1))
    assert [s.block for s in load(text).servers] == order


def test_addresses_follow_hostname_and_ssh_host(load):
    text = "[server1]\nhostname=node1\n[server2]\nhostname=node2\nip=10.1.1.1\n"
    text += "[server3]\nhostname=10.0.0.3\nssh_host=node3\n"
    found = [(s.hostname, s.ip, s.ssh_host, s.ssh_ip) for s in load(text).servers]
    assert found == [
        ("node1", "192.168.10.216", "node1", "192.168.10.216"),
        ("node2", "10.1.1.1", "node2", "10.1.1.1"),
        ("10.0.0.3", "10.0.0.3", "node3", "192.168.10.218"),
    ]


def test_an_ip_that_is_a_name_becomes_an_address(load):
    cluster = load("[server1]\nhostname=anything\nip=node2\n[server2]\nhostname=other\nip=FE80::0:1\n")
    assert [(s.ip, s.ssh_ip) for s in cluster.servers] == [("192.168.10.217",) * 2, ("fe80::1",) * 2]
    with pytest.raises(ConfigError, match="duplicate ip:port"):
        load("[server1]\nhostname=a\nip=node2\n[server2]\nhostname=node2\n")


def test_addresses_are_never_asked_for(tmp_path, monkeypatch):
    (tmp_path / "app1.cnf").write_text(ONE + "ssh_host=::1\n")
    monkeypatch.setattr("socket.getaddrinfo", None)
    assert load_cluster(tmp_path / "app1.cnf", None).servers[0].ssh_ip == "::1"


@pytest.mark.parametrize("text", [f"{ONE}ssh_ip=9.9.9.9\n", f"[server default]\nssh_ip=9.9.9.9\n{ONE}"])
def test_an_ssh_ip_in_the_file_is_ignored_and_told(load, text):
    cluster = load(text)
    assert cluster.servers[0].ssh_ip == "10.0.0.1"
    assert "ssh_ip is computed" in str(cluster.warnings[0])


def test_a_binlog_server_may_share_an_address_and_one_without_hostname_is_left_out(load):
    cluster = load(ONE + "[binlog2]\nhostname=10.0.0.1\n[binlog1]\nno_master=1\n")
    assert [(b.block, b.address) for b in cluster.binlog_servers] == [("binlog2", "10.0.0.1:3306")]
    assert "[binlog1] has no hostname" in str(cluster.warnings[0])


def test_a_server_is_found_by_each_of_its_names(load):
    cluster = load("[server1]\nhostname=node1\n[server2]\nhostname=node2\nport=3307\n")
    for name in ("node2", "192.168.10.217", "node2:3307", "192.168.10.217:3307"):
        found = cluster.server(name)
        assert found is not None
        assert found.block == "server2"
    assert cluster.server("node2:3306") is None
    assert cluster.server("node9") is None
    rest = cluster.without(cluster.servers[0])
    assert [s.block for s in rest.servers] == ["server2"]
    assert len(cluster.servers) == 2


def test_a_host_with_two_servers_needs_the_port(load):
    cluster = load("[server1]\nhostname=node1\nport=3320\n[server2]\nhostname=node1\nport=3321\n")
    with pytest.raises(ConfigError, match=r"ports 3320, 3321"):
        cluster.server("node1")
    found = cluster.server("node1:3321")
    assert found is not None
    assert found.block == "server2"


@pytest.mark.parametrize(
    ("conf", "name"), [("/etc/mha/app1.cnf", "app1"), ("my.app.cnf", "my.app"), ("app", "app"), ("x/mha.toml", "mha")]
)
def test_the_applications_name_is_its_files(conf, name):
    assert app_name(conf) == name
    assert app_name(Path(conf)) == name


def test_ssh_options_without_effect_are_told_and_usual_ones_are_not(load):
    cluster = load(ONE + "ssh_options=-q -o BatchMode=yes -o Ciphers=aes128-ctr -i /k\n")
    assert [w.text for w in cluster.warnings] == ["-o Ciphers=aes128-ctr in ssh_options has no effect here"]
    assert cluster.servers[0].ssh_options.identity_files == ("/k",)


def test_the_script_keeps_every_character_behind_the_first_equals_sign():
    printed = run_init_script(script("printf 'password=a=b #c\\n\\n# note=1\\nrepl_user = \"r\" \\nnothing\\n'"))
    assert {key: value.text for key, value in printed.items()} == {"password": "a=b #c", "repl_user": "r"}
    assert printed["password"].line == 2


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("echo password=S3cr3t; echo S3cr3t >&2; exit 3", "ended with exit code 3"),
        ("/nonexistent/S3", "ended with exit code 127"),
        ("kill -9 $$", "ended with exit code -9"),
        (r"printf 'password=\377\n'", "printed what is not UTF-8 text"),
        ("true " + "x" * 200_000, "cannot be started: Argument list too long"),
    ],
)
def test_a_failing_script_is_an_error_without_its_output(command, sentence):
    with pytest.raises(ConfigError) as caught:
        run_init_script(script(command))
    assert str(caught.value) == f"app1.cnf:2: init_conf_load_script {sentence}"


def test_a_script_that_never_ends_is_killed_with_its_children():
    started = time.monotonic()
    with pytest.raises(ConfigError, match=r"did not end within 0\.2 s"):
        run_init_script(script("sleep 30 | cat"), seconds=0.2)
    assert time.monotonic() - started < 5


def test_a_child_left_in_the_background_holds_nothing_up(tmp_path):
    started = time.monotonic()
    printed = run_init_script(script(f"sleep 5 & echo $! >{tmp_path}/pid; echo user=u"))
    assert printed["user"].text == "u"
    assert time.monotonic() - started < 4


def test_a_script_that_prints_an_unknown_name_is_told(load):
    with pytest.raises(ConfigError, match=r"app1\.cnf:2: .*did you mean 'password'"):
        load("[server default]\ninit_conf_load_script=echo passwrod=S3cr3t\n" + ONE)


def test_a_name_is_resolved_or_refused():
    assert resolve_host("127.0.0.1") == "127.0.0.1"
    with pytest.raises((OSError, UnicodeError)):
        resolve_host("a" * 70 + ".invalid")


def test_a_resolver_that_never_answers_has_a_deadline(monkeypatch):
    over = threading.Event()

    def silent(*args: object, **options: object) -> None:
        over.wait(10)
        raise OSError

    monkeypatch.setattr("socket.getaddrinfo", silent)
    with pytest.raises(TimeoutError, match=r"no answer within 0\.05 s"):
        resolve_host("db1", seconds=0.05)
    over.set()
