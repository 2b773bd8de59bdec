"""mha.toml says the same as an INI file, with the same errors."""

from __future__ import annotations

import json

import pytest

from prefect_mha.config import ClusterConfig, ConfigError
from tests.unit.config.test_values import CLUSTER_VALUES, SERVER_VALUES

ONE = '[server.db1]\nhostname = "10.0.0.1"\n'


def test_blocks_defaults_and_types(load):
    cluster = load(
        'user = "mha"\nping_interval = 1\nhook_timeout = 2.5\nmaster_binlog_dir = ["/a", "/b"]\n'
        f'password = "a # b"\n{ONE}candidate_master = true\n'
        '[server."db2.example"]\nhostname = "10.0.0.2"\nport = 3307\n[binlog.far]\nhostname = "10.0.0.3"\n',
        name="shop.toml",
    )
    assert cluster.name == "shop"
    assert (cluster.ping_interval, cluster.hook_timeout) == (1, 2.5)
    first, second = cluster.servers
    assert (first.block, first.candidate_master, first.user) == ("server.db1", True, "mha")
    assert (second.block, second.address) == ("server.db2.example", "10.0.0.2:3307")
    assert first.password.get_secret_value() == "a # b"
    assert first.master_binlog_dir == ("/a", "/b")
    assert [b.block for b in cluster.binlog_servers] == ["binlog.far"]
    assert cluster.warnings == ()


@pytest.mark.parametrize(("name", "text", "meant"), SERVER_VALUES + CLUSTER_VALUES)
def test_every_parameter_reads_as_in_an_ini_file(load, name, text, meant):
    cluster = load(f"{name} = {json.dumps(text)}\n{ONE}", name="mha.toml")
    assert getattr(cluster if name in ClusterConfig.model_fields else cluster.servers[0], name) == meant


WRONG = [
    ('user = "a\n' + ONE, 1, "it is not TOML"),
    ("[server.db1]\n[server.db1]\n", 2, "it is not TOML"),
    (ONE + 'pasword = "S3cr3t"\n', 3, "did you mean 'password'?"),
    ('# user = 1\nuserr = "x"\n' + ONE, 2, "did you mean 'user'?"),
    (ONE + "port = 70000\n", 3, "port must be below 65536"),
    (ONE + 'no_master = "maybe"\n', 3, "no_master must be 0 or 1"),
    (ONE + "port = [1]\n", 3, "port must be a text, a number or true/false"),
    (ONE + "[server.db2]\nport = 1\n", 3, "[server.db2] has no hostname"),
    (ONE + '[server.db2]\nhostname = "10.0.0.1"\n', 3, "[server.db1] and [server.db2] have duplicate ip:port"),
    ('\n[[server]]\nhostname = "a"\n', 2, "each server needs a table of its own: [server.NAME]"),
    ('[server]\nhostname = "a"\n', 1, "each server needs a table of its own"),
    (ONE + "[binlogs.x]\n", None, "[binlogs] is none of [server.NAME], [binlog.NAME]"),
    (ONE + "[defaults]\nport = 1\n", 3, "stands above the first table"),
    ('user = "a"\n', None, "at least one"),
]


@pytest.mark.parametrize(("text", "line", "sentence"), WRONG)
def test_an_error_names_file_and_line_and_shows_no_secret(load, text, line, sentence):
    with pytest.raises(ConfigError) as caught:
        load(text, name="mha.toml")
    assert caught.value.line == line
    assert sentence in str(caught.value)
    assert "mha.toml" in str(caught.value)
    assert "S3cr3t" not in str(caught.value)


def test_a_global_file_may_be_in_either_format(load):
    cluster = load(ONE, name="mha.toml", general='[server default]\nuser="g"\n')
    assert cluster.servers[0].user == "g"
