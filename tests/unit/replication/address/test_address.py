"""What providers read, what a chain makes of their failures, and the configurations that are written."""

from __future__ import annotations

import pytest

from prefect_mha.config import ConfigError
from prefect_mha.replication.address import AddressChain, AddressLocation, AddressStep, FailoverCalls, chain_of
from prefect_mha.replication.address.host_addresses import read, sudo_of
from prefect_mha.replication.address.keepalived_config import CHECK_SCRIPT, keepalived_files
from prefect_mha.replication.address.proxies.haproxy_config import haproxy_config
from prefect_mha.replication.address.proxies.haproxy_socket import parse_state
from prefect_mha.replication.cluster.pool import ConnectionPool
from prefect_mha.replication.errors import AddressError, HookError, MhaError
from tests.unit.replication.address.build import config

OLD, NEW, THIRD = config().servers


class Provider:
    """One that does what it is told to."""

    def __init__(self, name: str, fails: MhaError | None = None, at: tuple[tuple[str, ...], ...] = ()) -> None:
        self.name, self.fails, self.at, self.calls = name, fails, at, []

    def check(self):
        return ()

    def _half(self, verb: str) -> AddressStep:
        self.calls.append(verb)
        if self.fails:
            raise self.fails
        return AddressStep(self.name, verb, True, "as asked")

    def release(self, old, *, reachable=True):
        return self._half("release")

    def acquire(self, new):
        return self._half("acquire")

    def verify(self):
        return (AddressLocation("10.0.0.9", self.at, ("db1",) if len(self.at) == 1 else ()),)

    def close(self):
        self.calls.append("close")


def test_a_failing_release_stops_nobody():
    first, second = Provider("a", AddressError("a", "db1", "it stays")), Provider("b")
    halves = AddressChain([first, second], "abort").release(OLD, reachable=True).halves
    assert [(half.provider, half.done, half.failed) for half in halves] == [("a", False, True), ("b", True, False)]
    assert "it stays" in halves[0].text


def test_a_failing_acquisition_follows_the_policy():
    error = AddressError("a", "db2", "no such interface")
    second = Provider("b")
    halves = AddressChain([Provider("a", error), second], "go_on").acquire(NEW).halves
    assert [half.done for half in halves] == [False, True]
    with pytest.raises(AddressError, match="no such interface"):
        AddressChain([Provider("a", error), second], "abort").acquire(NEW)
    assert second.calls == ["acquire"]


@pytest.mark.parametrize("policy", ["go_on", "abort"])
def test_a_script_that_says_no_is_obeyed(policy):
    chain = AddressChain([Provider("script", HookError("/s", "--command=start", "exit code 1", 1))], policy)
    with pytest.raises(HookError):
        chain.acquire(NEW)
    with pytest.raises(HookError):
        chain.release(OLD, reachable=True)


@pytest.mark.parametrize(
    ("at", "ok", "words"),
    [
        (((NEW.address,),), True, "is there, and nowhere else; not asked: db1"),
        (((NEW.address, "10.0.0.2:3307"),), True, "is there"),
        ((), False, "is not there"),
        (((OLD.address,),), False, "is not there, but at 10.0.0.1:3306"),
        (((NEW.address,), (OLD.address,)), False, "is there, but also at 10.0.0.1:3306"),
    ],
)
def test_the_address_is_at_one_place_only(at, ok, words):
    (check,) = AddressChain([Provider("a", at=at)], "go_on").verify(NEW)
    assert check.ok is ok
    assert words in check.text


def test_a_chain_is_made_in_the_order_of_the_configuration(tmp_path, monkeypatch):
    info = tmp_path / "mha_dns-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mha_dns\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[prefect_mha.address_providers]\ndns = mha_dns:Dns\n")
    (tmp_path / "mha_dns.py").write_text(
        "from prefect_mha.replication.address import AddressStep\n"
        "class Dns:\n"
        "    name = 'dns'\n"
        "    def __init__(self, config, sessions):\n"
        "        self.config = config\n"
        "    def acquire(self, new):\n"
        "        return AddressStep('dns', 'acquire', True, f'{self.config.name} is {new.ip}')\n"
        "    def close(self):\n"
        "        pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    script = tmp_path / "vip"
    script.write_text("#!/bin/sh\nexit 10\n")
    script.chmod(0o755)
    made = config(vip_provider=("script", "dns"), master_ip_failover_script=str(script))
    sessions = ConnectionPool(made)
    chain = chain_of(made, sessions, FailoverCalls(made, OLD))
    assert str(chain.acquire(NEW)) == "script: exit code 10: the script did not give the address; dns: app1 is 10.0.0.2"
    # What another package does wrong is its own failure, and no exception of an unknown kind.
    (half,) = chain.release(OLD, reachable=True).failed
    assert "AttributeError: 'Dns' object has no attribute 'release'" in half.text
    chain.close()
    sessions.close()


def test_what_the_hosts_script_prints():
    seen = read(
        "taken 10.0.0.9 aa:bb:cc:dd:ee:ff\nfailed 10.0.0.9 RTNETLINK answers: File exists\nsilent fd00::9\ndone\n"
    )
    assert seen.finished
    assert seen.of("taken") == (("10.0.0.9", "aa:bb:cc:dd:ee:ff"),)
    assert seen.of("failed") == (("10.0.0.9", "RTNETLINK answers: File exists"),)
    assert seen.of("silent") == (("fd00::9", ""),)
    assert not read("has 10.0.0.9 eth0\n").finished
    assert not read("").finished


def test_root_needs_no_prefix():
    assert sudo_of(OLD) == ""
    assert sudo_of(OLD.model_copy(update={"ssh_user": "mha"})) == "sudo -n"


STATE = """\
1
# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_port
3 mha_writer 1 server1 10.0.0.1 2 0 1 3306
3 mha_writer 2 server2 10.0.0.2 0 5 1 3306
3 mha_writer 3 server3 10.0.0.3 2 4 1 3306
4 mha_reader 1 server1 10.0.0.1 0 0 1 3306
4 mha_reader 2 server2 10.0.0.2 2 8 1 3306
"""


def test_servers_of_a_proxy_are_known_by_their_address():
    servers = {s.path: s for s in parse_state(STATE)}
    assert {path for path, s in servers.items() if s.ready} == {
        "mha_writer/server1",
        "mha_writer/server3",  # disabled in its file, and made ready since
        "mha_reader/server1",
    }
    assert servers["mha_writer/server2"].address == "10.0.0.2:3306"
    assert not servers["mha_reader/server1"].up
    assert parse_state("Permission denied\n") == ()


def test_keepalived_begins_as_backup_everywhere_and_who_may_not_be_promoted_has_none():
    made = config(vip_addresses=("10.0.0.9/24", "fd00::9/64"), vip_label="1")
    files = keepalived_files(made)
    assert list(files) == ["db2", "db1"]
    text = files["db1"]["/etc/keepalived/keepalived.conf"]
    for words in (
        "state BACKUP",
        "nopreempt",
        "10.0.0.9/24 label eth0:1",
        "virtual_ipaddress_excluded",
        "priority 140",
    ):
        assert words in text
    assert "MASTER" not in text
    assert "priority 150" in files["db2"]["/etc/keepalived/keepalived.conf"]
    assert "--port=3306" in files["db1"][CHECK_SCRIPT]
    plain = keepalived_files(made, check_script=False, unicast=True)["db1"]
    assert list(plain) == ["/etc/keepalived/keepalived.conf"]
    assert "unicast_peer {\n        10.0.0.2\n" in plain["/etc/keepalived/keepalived.conf"]
    with pytest.raises(ConfigError, match="vip_addresses is needed"):
        keepalived_files(config())


def test_haproxy_lets_one_server_write_and_asks_the_manager_who_may_be_read():
    text = haproxy_config(config(health_url="http://10.0.0.99:8900/", haproxy_max_lag=7), OLD)
    writer, reader = text.split("frontend mha_reader_port")
    assert "server server1 10.0.0.1:3306\n" in writer
    assert "server server2 10.0.0.2:3306 disabled" in writer
    assert "server3" not in writer
    assert "uri-lf /replica/%[srv_name]?max_lag=7" in reader
    assert "check addr 10.0.0.99 port 8900" in reader
    assert "server server3 10.0.0.3:3306" in reader
    with pytest.raises(ConfigError, match="health_url"):
        haproxy_config(config(), OLD)
