"""Every parameter, in both formats; quoting, comments and secrets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from prefect_mha.config import ClusterConfig, ConfigError, ServerConfig
from prefect_mha.config.forms.event_names import EVENTS
from prefect_mha.config.forms.ini import parse_ini
from prefect_mha.config.loader import CLUSTER_PARAMETERS, PARAMETERS, SERVER_PARAMETERS
from prefect_mha.config.state import state_directory

#: The parameters of MHA 0.58: its wiki's, and two it reads without documenting them.
PREDECESSOR = """
    hostname ip port ssh_host ssh_ip ssh_port ssh_connection_timeout ssh_options ssh_user user password repl_user
    repl_password disable_log_bin master_pid_file handle_raw_binlog remote_workdir master_binlog_dir log_level
    manager_workdir manager_log client_bindir client_libdir node_label candidate_master no_master ignore_fail
    skip_init_ssh_check skip_reset_slave check_repl_delay check_repl_filter latest_priority multi_tier_slave
    ping_interval ping_type secondary_check_script master_ip_failover_script master_ip_online_change_script
    shutdown_script report_script init_conf_load_script use_gtid_auto_pos""".split()

#: Written text and what it means, for every parameter but those that say which server it is.
SERVER_VALUES = [
    ("port", "3307", 3307),
    ("ssh_port", "2222", 2222),
    ("ssh_connection_timeout", "7", 7),
    ("ssh_user", "mha", "mha"),
    ("user", "admin", "admin"),
    ("password", "a=b=c", SecretStr("a=b=c")),
    ("repl_user", "repl", "repl"),
    ("repl_password", "r", SecretStr("r")),
    ("probe_user", "probe", "probe"),
    ("probe_password", "p", SecretStr("p")),
    ("disable_log_bin", "1", True),
    ("master_pid_file", "/run/mysqld.pid", "/run/mysqld.pid"),
    ("handle_raw_binlog", "0", False),
    ("remote_workdir", "/scratch", "/scratch"),
    ("master_binlog_dir", "/a, /b ,/c d", ("/a", "/b", "/c d")),
    ("client_bindir", "/opt/mysql/bin", "/opt/mysql/bin"),
    ("client_libdir", "/opt/mysql/lib", "/opt/mysql/lib"),
    ("node_label", "rack 7", "rack 7"),
    ("replication_host", "10.1.0.1", "10.1.0.1"),
    ("beside_manager", "1", True),
    ("admin_port", "33062", 33062),
    ("candidate_master", "1", True),
    ("no_master", "yes", True),
    ("ignore_fail", "on", True),
    ("skip_init_ssh_check", "true", True),
    ("skip_reset_slave", "1", True),
    ("check_repl_delay", "0", False),
    ("check_errant", "0", False),
    ("binlog_keep_days", "30", 30),
    ("binlog_keep_bytes", "200000000000", 200_000_000_000),
    ("binlog_ack", "1", True),
    ("binlog_server_id", "4294967295", 4294967295),
    ("vip_interface", "bond0", "bond0"),
    ("start_command", "service mysql start", "service mysql start"),
    ("vip_sudo", "doas", "doas"),
    ("keepalived_config", "/k.conf", "/k.conf"),
    ("keepalived_pid_file", "/k.pid", "/k.pid"),
    ("ssl_mode", "VERIFY_CA", "verify_ca"),
    ("ssl_server_key", "/etc/db1.pub", "/etc/db1.pub"),
    ("ssl_ca", "/etc/ca.pem", "/etc/ca.pem"),
    ("ssl_cert", "/etc/cert.pem", "/etc/cert.pem"),
    ("ssl_key", "/etc/key.pem", "/etc/key.pem"),
    ("ssl_verify", "1", True),
]
CLUSTER_VALUES = [
    ("log_level", "DEBUG", "debug"),
    ("start_checks", "warn", "warn"),
    ("priority", "250", 250),
    ("manager_workdir", "/w", Path("/w")),
    ("manager_spare_dir", "/s", Path("/s")),
    ("manager_log", "/w/log", Path("/w/log")),
    ("check_repl_filter", "0", False),
    ("latest_priority", "0", False),
    ("multi_tier_slave", "1", True),
    ("ping_interval", "1", 1),
    ("detection", "classic", "classic"),
    ("confirm_interval", "0.5", 0.5),
    ("managers", "2", 2),
    ("on_shutdown", "wait", "wait"),
    ("semi_sync", "require", "require"),
    ("witness", "10.0.0.9, 10.0.0.8:2222", ("10.0.0.9", "10.0.0.8:2222")),
    ("reopen", "tell", "tell"),
    ("restart_grace", "1.5", 1.5),
    ("ping_type", "insert", "INSERT"),
    ("secondary_check_script", "check -s 'a' -s 'b'", "check -s 'a' -s 'b'"),
    ("master_ip_failover_script", "/f --x=http://h//p", "/f --x=http://h//p"),
    ("master_ip_online_change_script", "/o", "/o"),
    ("shutdown_script", "/s", "/s"),
    ("report_script", '/r --to "a # b ; c"', '/r --to "a # b ; c"'),
    ("init_conf_load_script", "true", "true"),
    ("use_gtid_auto_pos", "0", False),
    ("hook_timeout", "2.5", 2.5),
    ("hook_passwords", "0", False),
    ("drain_timeout", "9", 9.0),
    ("busy_after", "2.5", 2.5),
    ("busy_candidate", "refuse", "refuse"),
    ("end_blockers", "0", False),
    ("follow_up_timeout", "0", 0.0),
    ("salvage_policy", "strict", "strict"),
    ("salvage_timeout", "2.5", 2.5),
    ("rescue_port", "4406 - 4410", "4406-4410"),
    ("vip_provider", " script ", ("script",)),
    ("vip_addresses", "10.0.0.55/24, 2001:db8::55/64", ("10.0.0.55/24", "2001:db8::55/64")),
    ("vip_label", "1", "1"),
    ("vip_announcements", "3", 3),
    ("vip_duplicate", "go_on", "go_on"),
    ("vip_duplicate_wait", "0.5", 0.5),
    ("vip_on_failure", "abort", "abort"),
    ("vip_timeout", "4", 4.0),
    ("keepalived_router_id", "77", 77),
    ("haproxy_sockets", "tcp://lb1:9999, ssh://root@lb2/run/h.sock", ("tcp://lb1:9999", "ssh://root@lb2/run/h.sock")),
    ("haproxy_writer", "w", "w"),
    ("haproxy_reader", "r", "r"),
    ("haproxy_writer_port", "6033", 6033),
    ("haproxy_reader_port", "6034", 6034),
    ("haproxy_state_file", "/s", "/s"),
    ("haproxy_max_lag", "0", 0),
    ("health_port", "8900", 8900),
    ("health_address", "127.0.0.1", "127.0.0.1"),
    ("health_url", "lb:8900", "lb:8900"),
    ("fence", "sql, ssh,script:/p --bmc x", ("sql", "ssh", "script:/p --bmc x")),
    ("fence_required", "any", ("any",)),
    ("fence_timeout", "4", 4.0),
    ("fence_persist", "1", True),
    ("power_first", "1", True),
    ("auto_rejoin", "follow", "follow"),
    ("auto_rejoin_pause", "60", 60.0),
    ("rebuild_method", "dump", "dump"),
    ("rebuild_rate", "5000000", 5000000),
    ("rebuild_verify", "0", 0.0),
    ("keep_old_data", "0", False),
    *((f"on_{event}", "/h --x=1", "/h --x=1") for event in EVENTS),
    ("abort_on", "started,fenced", ("started", "fenced")),
    ("notify", "json://h/secret mailto://u:pw@h", SecretStr("json://h/secret mailto://u:pw@h")),
    ("notify_events", "dead, refused", ("dead", "refused")),
    *((f"notify_{event}", "json://h/x", SecretStr("json://h/x")) for event in EVENTS),
    ("notify_templates", "/t", Path("/t")),
    ("notify_timeout", "2.5", 2.5),
    ("notify_deadline", "60", 60.0),
    ("notify_quiet", "60", 60.0),
]


def test_every_parameter_of_mha_is_known():
    assert set(PREDECESSOR) <= PARAMETERS
    assert len(PREDECESSOR) == 42  # 41, and ssh_ip, which it computes


def test_the_tables_below_leave_no_parameter_out():
    named = {"hostname", "ip", "ssh_host", "ssh_ip", "ssh_options"}
    assert {name for name, _, _ in SERVER_VALUES} == SERVER_PARAMETERS - named
    assert {name for name, _, _ in CLUSTER_VALUES} == CLUSTER_PARAMETERS


@pytest.mark.parametrize(("name", "text", "meant"), SERVER_VALUES)
def test_a_server_parameter_is_inherited_and_overridden(load, name, text, meant):
    inherited = load(f"[server default]\n{name} = {text}\n[server1]\nhostname=10.0.0.1\n").servers[0]
    assert getattr(inherited, name) == meant
    own = load(f"[server1]\nhostname=10.0.0.1\n{name}={text}\n[server2]\nhostname=10.0.0.2\n")
    assert getattr(own.servers[0], name) == meant
    assert getattr(own.servers[1], name) == ServerConfig.model_fields[name].default or name == "ssh_user"


@pytest.mark.parametrize(("name", "text", "meant"), CLUSTER_VALUES)
def test_a_cluster_parameter_holds_for_all_and_not_in_one_block(load, name, text, meant):
    assert getattr(load(f"[server default]\n{name}={text}\n[server1]\nhostname=10.0.0.1\n"), name) == meant
    misplaced = load(f"[server1]\nhostname=10.0.0.1\n{name}={text}\n")
    assert getattr(misplaced, name) == ClusterConfig.model_fields[name].get_default(call_default_factory=True)
    assert [w.line for w in misplaced.warnings] == [3]


def test_the_defaults_are_mhas_but_for_a_directory_that_everybody_may_write_to(load):
    cluster = load("[server1]\nhostname=node1\n")
    assert (cluster.ping_interval, cluster.ping_type, cluster.log_level) == (3, "SELECT", "info")
    assert cluster.manager_workdir == state_directory()
    server = cluster.servers[0]
    assert (server.port, server.ssh_port, server.user, server.ssh_connection_timeout) == (3306, 22, "root", 5)
    assert server.master_binlog_dir == ("/var/lib/mysql", "/var/log/mysql")
    assert server.repl_password is None
    assert "ssh_user" not in server.model_fields_set, "an SSH user from ~/.ssh/config may win over an unset one"


USERS = [
    ("root", "root", False),
    ("root 设置监控用户root", "root", True),
    ("root # the account", "root", True),
    ("app admin", "app admin", True),
    ("管理 员", "管理 员", True),
    ("'root 设置'", "root 设置", False),
    ("", "", False),
]


@pytest.mark.parametrize(("text", "meant", "warned"), USERS)
def test_what_a_user_means(text, meant, warned):
    raw = parse_ini(f"[server1]\nuser={text}\n", Path("app1.cnf"))
    assert raw.blocks["server1"].values["user"].text == meant
    assert bool(raw.warnings) is warned


def test_models_are_frozen(load):
    cluster = load("[server1]\nhostname=node1\n")
    for model, name in (
        (cluster, "ping_interval"),
        (cluster.servers[0], "port"),
        (cluster.servers[0].ssh_options, "port"),
    ):
        with pytest.raises(ValidationError):
            setattr(model, name, 1)


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\"'\\!=#&;` |*?$<>()[]{}/\t")))
def test_any_password_survives_in_quotes(password):
    for mark in "\"'":
        raw = parse_ini(f"[server default]\npassword = {mark}{password}{mark} \n[server1]\n", Path("x"))
        assert raw.blocks["server default"].values["password"].text == password
        assert raw.warnings == []


SECRETS = [
    ("abc", "abc", False),
    ("a=b", "a=b", False),
    ("a#b", "a#b", False),
    ("a;b", "a;b", False),
    ("a//b", "a//b", False),
    ("it's", "it's", False),
    ("#abc", "#abc", True),
    ("a #b", "a #b", True),
    ("a //b", "a //b", True),
    ("a  #b", "a", True),
    ("a\t# b", "a", True),
    ("a   // b", "a", True),
    ("a #密码", "a", True),
    ("ä #密码", "ä #密码", True),
    ("a ; b", "a", False),
    ('abc"', 'abc"', True),
    ('"', '"', True),
    ("'abc\"", "'abc\"", True),
    ('"a #b"', "a #b", False),
    ("'a  # b'", "a  # b", False),
    ('"a" # b', "a", False),
    ('"a"b"', 'a"b', False),
    ('""', "", False),
    ("", "", False),
]


@pytest.mark.parametrize(("text", "meant", "warned"), SECRETS)
def test_what_a_password_means(text, meant, warned):
    raw = parse_ini(f"[server1]\npassword={text}\n", Path("app1.cnf"))
    assert raw.blocks["server1"].values["password"].text == meant
    assert bool(raw.warnings) is warned
    assert not any(meant in w.text for w in raw.warnings if len(meant) > 2), "a warning shows no secret"


VALUES = [
    ("/a/b # c", "/a/b", True),
    ("/a/b // c", "/a/b", True),
    ("/a/b #c ; d", "/a/b", True),
    ("/a/b ; c # d", "/a/b", False),
    ("/a/b;c", "/a/b;c", False),
    ("//share/log", "//share/log", False),
    ("// nothing", "", True),
    ("# nothing", "", True),
    ("/a --url=http://x//y", "/a --url=http://x//y", False),
    ("/a#b", "/a#b", False),
    ("/a --subject 'it # is'", "/a --subject 'it # is'", False),
    ('"/a b" # c "d"', "/a b", False),
    ('"/a b"', "/a b", False),
    ('"/a b" --to "c"', '"/a b" --to "c"', False),
    ("'/a' -s 'b'", "'/a' -s 'b'", False),
    ('"sh -c "a b""', 'sh -c "a b"', False),
    ('"/a" --to "c" # d', '"/a" --to "c"', True),
    ('/a "b"', '/a "b"', False),
    ('/a b"', '/a b"', True),
]


@pytest.mark.parametrize(("text", "meant", "warned"), VALUES)
def test_what_any_other_value_means(text, meant, warned):
    raw = parse_ini(f"[server1]\nreport_script={text}\n", Path("app1.cnf"))
    assert raw.blocks["server1"].values["report_script"].text == meant
    assert bool(raw.warnings) is warned


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("fence=ssh,power", "fence knows ssh, sql, ip, script:/path or none, not 'power'"),
        ("fence=ssh,ssh", "fence names one of 'ssh,ssh' twice"),
        ("fence=ssh\nfence_required=sql", "fence_required names sql, which is not in fence"),
        ("abort_on=promoted", "abort_on knows started, fenced or none, not 'promoted'"),
    ],
)
def test_a_policy_that_cannot_be_meant(load, line, says):
    with pytest.raises(ConfigError, match=re.escape(says)):
        load(f"[server default]\n{line}\n[server1]\nhostname=10.0.0.1\n")


def test_no_means_at_all(load):
    assert load("[server default]\nfence=none\n[server1]\nhostname=10.0.0.1\n").fence == ()
