"""Each half of a move fails, hangs, is interrupted or meets a duplicate, with every provider; and what a failover makes
of it."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from prefect_mha.config import ClusterConfig, ServerConfig, load_cluster
from prefect_mha.replication.address import AddressChain, FailoverCalls, chain_of
from prefect_mha.replication.cluster.pool import ConnectionPool
from prefect_mha.replication.errors import AddressError, AddressTaken, HookError
from tests.lab.checker import account
from tests.lab.cluster import Cluster
from tests.lab.host import Host
from tests.lab.observer import AddressObserver
from tests.lab.writer import Writer
from tests.scenarios.failing_over import finish
from tests.scenarios.moving import bare, give, mac_of, wait_until

#: Instead of the host's own program: one that fails or hangs for some arguments.
_FAILS = (
    "#!/bin/sh\ncase \"$*\" in *'{words}'*) echo 'Operation not permitted' >&2; exit 2 ;; esac\nexec {real} \"$@\"\n"
)
_HANGS = '#!/bin/sh\ncase "$*" in *\'{words}\'*) sleep {seconds} ;; esac\nexec {real} "$@"\n'


@pytest.fixture(scope="module")
def hosts() -> Iterator[Cluster]:
    """Four hosts with sshd and nothing else; the fourth is none of the cluster's."""
    with Cluster("mariadb", n=4, up=False) as cluster:
        yield cluster


@pytest.fixture(autouse=True)
def tidy(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "hosts" in request.fixturenames:
        cluster: Cluster = request.getfixturevalue("hosts")
        for host in cluster.hosts:
            host.run(
                "rm -f /usr/local/sbin/ip /usr/local/sbin/keepalived; pkill -x sleep; pkill -9 -x 'keepalived|haproxy'",
                check=False,
            )
            cluster.subnet.forget(host.number)


@contextmanager
def moving(cluster: Cluster, default: str) -> Iterator[tuple[AddressChain, tuple[ServerConfig, ...]]]:
    """The chain of a configuration, and its servers, for a thread in the manager's network."""
    config = _config(cluster, default)
    with cluster.in_manager_net():
        sessions = ConnectionPool(config)
        chain = chain_of(config, sessions, FailoverCalls(config, config.servers[0]))
        try:
            yield chain, config.servers
        finally:
            chain.close()
            sessions.close()


def _config(cluster: Cluster, default: str) -> ClusterConfig:
    apart = (4,) if cluster.n > 3 else ()
    return load_cluster(cluster.write_cnf(default=f"{default}\nmaster_ip_failover_script=", apart=apart), None)


def ip(cluster: Cluster, more: str = "") -> str:
    return f"vip_provider=ip\nvip_addresses={cluster.subnet.virtual(1)}, {cluster.subnet.virtual6(1)}\n{more}"


def instead_of_ip(host: Host, text: str, words: str, seconds: int = 60) -> None:
    program = text.format(words=words, seconds=seconds, real="/usr/sbin/ip")
    host.run("ls /usr/sbin/ip >/dev/null 2>&1 || ln -s /bin/ip /usr/sbin/ip")
    host.run("cat >/usr/local/sbin/ip && chmod 755 /usr/local/sbin/ip", data=program)


def holders(cluster: Cluster, address: str) -> set[int]:
    return {h.number for h in cluster.hosts if h.run(f"/bin/ip -o addr show to {bare(address)}").strip()}


# ip -------------------------------------------------------------------------------------------------------------


def test_both_families_move_and_moving_again_changes_nothing(hosts: Cluster) -> None:
    four, six = hosts.subnet.virtual(1), hosts.subnet.virtual6(1)
    give(hosts, 1, four)
    give(hosts, 1, six)
    with moving(hosts, ip(hosts)) as (chain, (old, new, _)):
        for _ in range(2):
            assert all(half.done for half in chain.release(old, reachable=True).halves)
            assert not holders(hosts, four) | holders(hosts, six)
        for _ in range(2):
            assert all(half.done for half in chain.acquire(new).halves)
            assert holders(hosts, four) == holders(hosts, six) == {2}
        assert [check.ok for check in chain.verify(new)] == [True, True]
        assert [check.ok for check in chain.verify(old)] == [False, False]
        assert all(check.ok for check in chain.check())


def test_the_hosts_own_address_stays_when_the_virtual_one_came_first(hosts: Cluster) -> None:
    """The first address of a subnet takes the others with it when it is removed, and with them the way to the host."""
    four = hosts.subnet.virtual(1)
    hosts[1].run(f"ip addr flush dev eth0; ip addr add {four} dev eth0; ip addr add {hosts[1].ip}/24 dev eth0")
    with moving(hosts, ip(hosts)) as (chain, (old, _, _)):
        assert chain.release(old, reachable=True).halves[0].done
        assert not holders(hosts, four)
        assert hosts[1].ip in hosts[1].run("ip -o addr show dev eth0")


@pytest.mark.parametrize("six", [False, True], ids=["IPv4", "IPv6"])
def test_a_duplicate_on_a_third_host_is_named_and_the_policy_decides(hosts: Cluster, six: bool) -> None:
    vip = hosts.subnet.virtual6(1) if six else hosts.subnet.virtual(1)
    give(hosts, 4, vip)
    with moving(hosts, ip(hosts, "vip_on_failure=abort")) as (chain, (_, new, _)):
        with pytest.raises(AddressTaken, match=mac_of(hosts, 4)):
            chain.acquire(new)
        assert not holders(hosts, hosts.subnet.virtual(1)) - {4}
        assert not holders(hosts, hosts.subnet.virtual6(1)) - {4}
    with moving(hosts, ip(hosts, "vip_duplicate=go_on")) as (chain, (_, new, _)):
        done = chain.acquire(new).halves[0]
        assert done.done
        assert mac_of(hosts, 4) in done.text
        assert holders(hosts, vip) == {2, 4}


def test_a_duplicate_on_one_of_our_own_is_called_by_its_name(hosts: Cluster) -> None:
    vip = hosts.subnet.virtual(1)
    give(hosts, 3, vip)
    with moving(hosts, ip(hosts)) as (chain, (_, new, third)):
        half = chain.acquire(new).halves[0]
        assert not half.done
        assert f"{mac_of(hosts, 3)}, which is {third.name}" in half.text
        checks = chain.verify(new)
        assert not checks[0].ok
        assert third.address in checks[0].text


def test_without_perl_the_other_programs_do_it(hosts: Cluster) -> None:
    vip = hosts.subnet.virtual(1)
    give(hosts, 4, vip)
    hosts[2].run("mv /usr/bin/perl /usr/bin/perl.away")
    try:
        with moving(hosts, f"vip_provider=ip\nvip_addresses={vip}\nvip_duplicate_wait=0.5") as (chain, (_, new, _)):
            half = chain.acquire(new).halves[0]
            assert not half.done
            assert mac_of(hosts, 4).lower() in half.text.lower()
            hosts[4].run(f"ip addr del {vip} dev eth0")
            assert chain.acquire(new).halves[0].done
        with moving(hosts, ip(hosts)) as (chain, (_, new, _)):
            half = chain.acquire(new).halves[0]
            assert "nobody could be asked whether" in half.text
    finally:
        hosts[2].run("mv /usr/bin/perl.away /usr/bin/perl")


def test_a_release_that_fails_is_told_and_seen_at_the_other_half(hosts: Cluster) -> None:
    vip = hosts.subnet.virtual(1)
    give(hosts, 1, vip)
    instead_of_ip(hosts[1], _FAILS, "addr del")
    with moving(hosts, ip(hosts)) as (chain, (old, new, _)):
        released = chain.release(old, reachable=True).halves[0]
        assert not released.done
        assert "Operation not permitted" in released.text
        acquired = chain.acquire(new).halves[0]
        assert not acquired.done
        assert f"{mac_of(hosts, 1)}, which is {old.name}" in acquired.text
        assert holders(hosts, vip) == {1}


def test_an_unreachable_old_host_is_told_at_once(hosts: Cluster) -> None:
    with moving(hosts, ip(hosts)) as (chain, (old, _, _)):
        began = time.monotonic()
        half = chain.release(old, reachable=False).halves[0]
        assert not half.done
        assert "could not be taken from" in half.text
        assert time.monotonic() - began < 0.5


@pytest.mark.parametrize(("text", "words"), [(_FAILS, "addr add"), (_HANGS, "addr add"), (_HANGS, "addr show")])
def test_an_acquisition_that_fails_or_hangs_ends_in_time(hosts: Cluster, text: str, words: str) -> None:
    instead_of_ip(hosts[2], text, words)
    with moving(hosts, ip(hosts, "vip_timeout=2\nvip_on_failure=abort")) as (chain, (_, new, _)):
        began = time.monotonic()
        with pytest.raises(AddressError):
            chain.acquire(new)
        assert time.monotonic() - began < 6.0
    hosts[2].run("rm /usr/local/sbin/ip")
    # Nothing that was stopped comes back later, and the next try is as good as the first.
    with moving(hosts, ip(hosts)) as (chain, (_, new, _)):
        assert chain.acquire(new).halves[0].done
        assert holders(hosts, hosts.subnet.virtual(1)) == {2}


def test_what_is_half_done_is_finished(hosts: Cluster) -> None:
    """The manager died when one address of two had been put on."""
    give(hosts, 2, hosts.subnet.virtual(1))
    with moving(hosts, ip(hosts)) as (chain, (_, new, _)):
        half = chain.acquire(new).halves[0]
        assert half.done
        assert "was on" in half.text
        assert holders(hosts, hosts.subnet.virtual6(1)) == {2}


def test_a_user_without_rights_is_told_which_are_missing(hosts: Cluster) -> None:
    hosts[2].run(
        "id mha >/dev/null 2>&1 || useradd -m mha; mkdir -p ~mha/.ssh; cp /root/.ssh/authorized_keys ~mha/.ssh/"
    )
    hosts[2].run("chown -R mha ~mha/.ssh; usermod -p x mha")
    with moving(hosts, ip(hosts, "ssh_user=mha")) as (chain, (_, new, _)):
        half = chain.acquire(new).halves[0]
        assert not half.done
        assert "or 'sudo -n' for ip, perl and sysctl without a password" in half.text


def test_an_interface_that_is_down_or_not_there(hosts: Cluster) -> None:
    for interface in ("eth7", "lo0"):
        with moving(hosts, ip(hosts, f"vip_interface={interface}")) as (chain, (_, new, _)):
            half = chain.acquire(new).halves[0]
            assert not half.done
            assert "not there or not up" in half.text


# script ---------------------------------------------------------------------------------------------------------


def test_a_script_decides_by_its_exit_code_whatever_the_policy_is(
    hosts: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> None:
    script = tmp_path_factory.mktemp("script") / "vip"
    config = load_cluster(
        hosts.write_cnf(default=f"vip_provider=script\nmaster_ip_failover_script={script}\nhook_timeout=1", apart=(4,)),
        None,
    )
    sessions = ConnectionPool(config)
    chain = chain_of(config, sessions, FailoverCalls(config, config.servers[0]))
    for code, done in ((0, True), (10, False)):
        script.write_text(f"#!/bin/sh\nexit {code}\n")
        script.chmod(0o755)
        assert chain.release(config.servers[0], reachable=True).halves[0].done is done
        assert chain.acquire(config.servers[1]).halves[0].done is done
    for text in ("#!/bin/sh\nexit 1\n", "#!/bin/sh\nsleep 60\n"):
        script.write_text(text)
        with pytest.raises(HookError):
            chain.acquire(config.servers[1])
    sessions.close()


# keepalived -----------------------------------------------------------------------------------------------------


def keepalived(cluster: Cluster, more: str = "") -> str:
    return f"vip_provider=keepalived\nvip_addresses={cluster.subnet.virtual(1)}\nvip_interface=eth0\n{more}"


def start_keepalived(cluster: Cluster, *numbers: int) -> None:
    conf = cluster.write_cnf(default=keepalived(cluster), apart=(4,))
    done = cluster.command(
        "mha", "keepalived-config", "--conf", str(conf), "--to", str(cluster.seat), "--no-check-script"
    )
    assert done.code == 0, done
    for number in (1, 2, 3):
        text = (cluster.seat / cluster[number].ip / "etc/keepalived/keepalived.conf").read_text()
        cluster[number].run("mkdir -p /etc/keepalived; cat >/etc/keepalived/keepalived.conf", data=text)
    for number in numbers:
        cluster[number].start("keepalived -f /etc/keepalived/keepalived.conf -p /run/keepalived.pid")
        wait_until(lambda: holders(cluster, cluster.subnet.virtual(1)) == {numbers[0]}, f"db{numbers[0]} has it", 15)


def test_keepalived_is_made_to_take_it_where_another_would_win(hosts: Cluster) -> None:
    vip = hosts.subnet.virtual(1)
    start_keepalived(hosts, 1, 2, 3)
    with moving(hosts, keepalived(hosts)) as (chain, (old, _, third)):
        assert all(check.ok for check in chain.check()), chain.check()
        assert chain.release(old, reachable=True).halves[0].done
        assert chain.release(old, reachable=True).halves[0].done
        for _ in range(2):
            half = chain.acquire(third).halves[0]
            assert half.done, half
        assert chain.verify(third)[0].ok
        assert hosts[2].run("pgrep -x keepalived"), "db2's was only paused"
        time.sleep(4.5)
        assert holders(hosts, vip) == {3}, "who was started again left it where it is"


def test_keepalived_that_does_not_start_or_leaves_its_address_behind(hosts: Cluster) -> None:
    vip = hosts.subnet.virtual(1)
    start_keepalived(hosts, 1)
    # Its child would take the address off when it sees its parent die.
    hosts[1].run("pkill -STOP keepalived; pkill -9 keepalived")
    assert holders(hosts, vip) == {1}
    hosts[2].run("cat >/etc/keepalived/keepalived.conf", data="vrrp_instance x {\n  interface nothing\n}\n")
    with moving(hosts, keepalived(hosts, "vip_timeout=3")) as (chain, (old, new, _)):
        half = chain.release(old, reachable=True).halves[0]
        assert half.done
        assert "it had left" in half.text
        assert not holders(hosts, vip)
        began = time.monotonic()
        half = chain.acquire(new).halves[0]
        assert not half.done
        assert time.monotonic() - began < 12.0


# haproxy --------------------------------------------------------------------------------------------------------


def test_a_proxy_that_is_away_and_one_that_does_not_know_the_server(hosts: Cluster) -> None:
    proxy = hosts[4]
    text = (
        "global\n stats socket /run/admin.sock mode 600 level admin\n stats socket ipv4@0.0.0.0:9999 level admin\n"
        "defaults\n mode tcp\n timeout connect 1s\n timeout client 1m\n timeout server 1m\n"
        f"listen mha_writer\n bind :3307\n server a {hosts[1].ip}:3306\n server b {hosts[2].ip}:3306 disabled\n"
    )
    proxy.run("cat >/etc/haproxy/haproxy.cfg; haproxy -D -f /etc/haproxy/haproxy.cfg", data=text)
    ssh, tcp = f"ssh://root@{proxy.ip}/run/admin.sock", f"tcp://{proxy.ip}:9999"
    for url in (ssh, tcp):
        with moving(hosts, f"vip_provider=haproxy\nhaproxy_sockets={url}") as (chain, (old, new, third)):
            assert chain.release(old, reachable=False).halves[0].done, "the old host is not needed for it"
            assert not chain.verify(new)[0].ok
            for _ in range(2):
                assert chain.acquire(new).halves[0].done
            assert chain.verify(new)[0].ok
            half = chain.acquire(third).halves[0]
            assert not half.done
            assert f"has no server at {third.address}" in half.text
            assert chain.verify(new)[0].ok, "who cannot be given it takes it from nobody"
            assert chain.acquire(old).halves[0].done
    away = f"vip_provider=haproxy\nvip_timeout=2\nhaproxy_sockets={tcp}, tcp://{proxy.ip}:9998"
    with moving(hosts, away) as (chain, (_, new, _)):
        half = chain.acquire(new).halves[0]
        assert not half.done
        assert ":9998" in half.text
        assert not all(check.ok for check in chain.check())
    with moving(hosts, f"vip_provider=haproxy\nhaproxy_sockets={tcp}") as (chain, (_, new, _)):
        assert chain.verify(new)[0].ok, "the other proxy was switched nevertheless"


# a whole failover -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["go_on", pytest.param("abort", marks=pytest.mark.slow)])
def test_a_failover_whose_new_primary_cannot_have_the_address(policy: str) -> None:
    """A third host has it: the new primary is opened without it and the report says so, or it is not opened."""
    with Cluster("mariadb", gtid=True, n=4) as cluster:
        vip = cluster.subnet.virtual(1)
        give(cluster, 4, vip)
        default = f"vip_provider=ip\nvip_addresses={vip}\nvip_on_failure={policy}"
        manager = cluster.start_manager(cluster.write_cnf(candidate=2, default=default, apart=(4,)))
        writer = Writer(cluster)
        cluster[1].signal_mysqld(signal.SIGKILL)
        code, _ = finish(manager, writer)
        log = manager.log()
        assert code == (10 if policy == "go_on" else 1), log
        assert f"{bare(vip)} is answered for by {mac_of(cluster, 4)}" in log
        closed = int(cluster[2].sql("SELECT @@global.read_only AS r")[0]["r"])
        assert closed == (0 if policy == "go_on" else 1)
        assert holders(cluster, vip) == {4}


@pytest.mark.slow
def test_a_manager_killed_while_it_moves_the_address() -> None:
    """The next one finishes: the address is where writes are, and on one host."""
    with Cluster("mysql97", gtid=True) as cluster:
        vip = cluster.subnet.virtual(1)
        give(cluster, 1, vip)
        conf = cluster.write_cnf(candidate=2, default=f"vip_provider=ip\nvip_addresses={vip}")
        instead_of_ip(cluster[2], _HANGS, "addr add", seconds=4)
        manager = cluster.start_manager(conf)
        with AddressObserver(cluster, vip) as observer:
            writer = Writer(cluster, only=bare(vip))
            cluster[1].signal_mysqld(signal.SIGKILL)
            wait_until(lambda: cluster[2].run("pgrep -x sleep", check=False) != "", "it is put on", 30)
            manager.stop()
            done = cluster.command("masterha_manager", f"--conf={conf}")
            assert done.code == 0, done
            time.sleep(1.0)
            acks = writer.stop()
        assert holders(cluster, vip) == {2}
        assert observer.moves()[-1] == (2,)
        assert all(len(found) <= 1 for found in observer.moves())
        assert account(acks, [cluster[2], cluster[3]]).rows_lost == 0
        assert {
            row["server"] for row in cluster[2].sql("SELECT server FROM app.rows_written ORDER BY id DESC LIMIT 1")
        } == {102}
