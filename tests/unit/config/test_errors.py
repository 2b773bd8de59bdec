"""Every way in which a configuration can be wrong: one sentence with file, line, key, and the nearest valid name."""

from __future__ import annotations

import pytest

from prefect_mha.config import ConfigError, load_cluster
from tests.unit.config.conftest import resolve

ONE = "[server1]\nhostname=10.0.0.1\n"
WRONG = [
    # text, line, key, what the sentence holds
    ("hostname=a\n" + ONE, 1, None, "before the first [block]"),
    (ONE + "pasword=S3cr3t\n", 3, "pasword", "'pasword' is invalid; did you mean 'password'?"),
    (ONE + "Ping-Interval=1\n", 3, "Ping-Interval", "did you mean 'ping_interval'?"),
    (ONE + "ping interval=1\n", 3, "ping", "'ping' is invalid; did you mean 'ping_interval'?"),
    (ONE + "qqqqqqqqqqqq=1\n", 3, "qqqqqqqqqqqq", "parameter name 'qqqqqqqqqqqq' is invalid"),
    (ONE + "password S3cr3t\n", 3, None, "neither a [block] nor name=value"),
    (ONE + "S3cr3t\n", 3, None, "neither a [block] nor name=value"),
    (ONE + "=S3cr3t\n", 3, None, "neither a [block] nor name=value"),
    (ONE + "[server2\n", 3, None, "not a block header such as [server1]"),
    (ONE + "[server2] hostname=b\n", 3, None, "not a block header such as [server1]"),
    (ONE + "[server\0]\nhostname=b\n", 3, None, "name holds what cannot be printed"),
    (ONE + "user=a\0b\n", 3, "user", "user holds what is not text"),
    (ONE + "[]\n", 3, None, "not a block header"),
    (ONE + "[server]\n", 3, None, "[server] is none of [server default], [serverN], [binlogN]"),
    (ONE + "[sever2]\nhostname=b\n", 3, None, "did you mean [server2]?"),
    (ONE + "[Server2]\nhostname=b\n", 3, None, "did you mean [server2]?"),
    (ONE + "[binlgo12]\nhostname=b\n", 3, None, "did you mean [binlog12]?"),
    (ONE + "[server_default]\nuser=b\n", 3, None, "did you mean [server default]?"),
    (ONE + "[server defaults]\nuser=b\n", 3, None, "did you mean [server default]?"),
    (ONE + "[mysqld]\nuser=b\n", 3, None, "[mysqld] is none of"),
    ("", None, None, "at least one [serverN] block is needed"),
    ("[server default]\nuser=a\n[binlog1]\nhostname=10.0.0.1\n", None, None, "at least one [serverN] block"),
    ("[server1]\nport=3306\n", 1, "hostname", "[server1] has no hostname"),
    ('[server1]\nhostname=""\n', 1, "hostname", "[server1] has no hostname"),
    (
        ONE + "[server2]\nhostname=10.0.0.1\n",
        3,
        "hostname",
        "[server1] and [server2] have duplicate ip:port 10.0.0.1:3306",
    ),
    ("[server1]\nhostname=node1\n[server2]\nhostname=192.168.10.216\n", 3, "hostname", "[server1] and [server2]"),
    ("[server1]\nhostname=nowhere\n", 2, "hostname", "'nowhere' cannot be resolved to an address: Name or service"),
    (ONE + "ip=nowhere\n", 3, "ip", "ip 'nowhere' cannot be resolved"),
    (ONE + "ssh_host=nowhere\n", 3, "ssh_host", "ssh_host 'nowhere' cannot be resolved"),
    (ONE + "port=33o6\n", 3, "port", "port must be a whole number, not '33o6'"),
    (ONE + "port=0\n", 3, "port", "port must be above 0, not '0'"),
    (ONE + "port=65536\n", 3, "port", "port must be below 65536, not '65536'"),
    (ONE + "port=1_000\n", 3, "port", "must be a whole number"),
    (ONE + "ssh_connection_timeout=-1\n", 3, "ssh_connection_timeout", "must be above 0"),
    (ONE + "no_master=2\n", 3, "no_master", "no_master must be 0 or 1, not '2'"),
    (ONE + "ping_interval=fast\n", 3, "ping_interval", "must be a whole number, not 'fast'"),
    ("[server default]\nping_interval=0\n" + ONE, 2, "ping_interval", "must be above 0, not '0'"),
    ("[server default]\nping_interval=1.5\n" + ONE, 2, "ping_interval", "must be a whole number"),
    (
        "[server default]\nping_type=PING\n" + ONE,
        2,
        "ping_type",
        "must be one of SELECT, CONNECT or INSERT, not 'PING'",
    ),
    ("[server default]\nlog_level=loud\n" + ONE, 2, "log_level", "must be one of debug, info, warning or error"),
    ("[server default]\nhook_timeout=inf\n" + ONE, 2, "hook_timeout", "must be a number, not 'inf'"),
    ("[server default]\nhook_timeout=0\n" + ONE, 2, "hook_timeout", "must be above 0"),
    (ONE + "ssh_options=-o\n", 3, "ssh_options", "ssh_options ends in -o, which needs a value"),
    (ONE + "ssh_options=-J jump\n", 3, "ssh_options", "holds -J, which is not supported"),
]


@pytest.mark.parametrize(("text", "line", "key", "sentence"), WRONG)
def test_an_error_names_file_line_and_key_and_shows_no_secret(load, text, line, key, sentence):
    with pytest.raises(ConfigError) as caught:
        load(text)
    error = caught.value
    assert (error.line, error.key) == (line, key)
    assert sentence in str(error)
    place = "app1.cnf:" if line is None else f"app1.cnf:{line}: "
    assert place in str(error)
    assert "S3cr3t" not in str(error)
    assert "\n" not in str(error)


def test_a_broken_global_file_is_named(load):
    with pytest.raises(ConfigError, match=r"masterha_default\.cnf:2: .*did you mean 'user'"):
        load(ONE, general="[server default]\nuserr=a\n")


def test_a_name_on_the_command_line_is_checked_too(load):
    with pytest.raises(ConfigError, match="did you mean 'manager_log'"):
        load(ONE, manager_lgo="/x")


@pytest.mark.parametrize("name", ["missing.cnf", "missing.toml"])
def test_a_missing_file_is_one_sentence(tmp_path, name):
    with pytest.raises(ConfigError, match=rf"{name}: no such file$"):
        load_cluster(tmp_path / name, None)


def test_a_directory_is_one_sentence(tmp_path):
    with pytest.raises(ConfigError, match="it cannot be read: Is a directory"):
        load_cluster(tmp_path, None)


def test_a_file_that_cannot_be_reached_is_one_sentence(tmp_path):
    (tmp_path / "loop.cnf").symlink_to("loop.cnf")
    (tmp_path / "file").write_text(ONE)
    for path, reason in ((tmp_path / "loop.cnf", "Too many levels"), (tmp_path / "file" / "a.cnf", "Not a directory")):
        with pytest.raises(ConfigError, match=rf"^{path}: it cannot be read: {reason}"):
            load_cluster(path, None)
    with pytest.raises(ConfigError, match="it cannot be read: Too many levels"):
        load_cluster(tmp_path / "file", tmp_path / "loop.cnf")


def test_a_missing_global_file_is_a_warning_in_mhas_words(tmp_path):
    (tmp_path / "app1.cnf").write_text(ONE)
    cluster = load_cluster(tmp_path / "app1.cnf", tmp_path / "none.cnf", resolve=resolve)
    assert [str(w) for w in cluster.warnings] == [f"Global configuration file {tmp_path}/none.cnf not found. Skipping."]
    assert cluster.global_path is None


def test_a_comment_in_another_encoding_does_no_harm_but_a_value_in_it_is_an_error(tmp_path):
    path = tmp_path / "app1.cnf"
    path.write_bytes(ONE.encode() + "# 设置\nuser=mha # 设置\n".encode("gbk"))
    assert load_cluster(path, None, resolve=resolve).servers[0].user == "mha"
    path.write_bytes(ONE.encode() + "user=设置\n".encode("gbk"))
    with pytest.raises(ConfigError, match=r"app1\.cnf:3: this line's value is not UTF-8 text"):
        load_cluster(path, None, resolve=resolve)


def test_nothing_runs_when_a_name_is_wrong(load, tmp_path):
    with pytest.raises(ConfigError, match="did you mean 'user'"):
        load(f"[server default]\ninit_conf_load_script=touch {tmp_path}/ran\n{ONE}userr=a\n")
    assert not (tmp_path / "ran").exists()
