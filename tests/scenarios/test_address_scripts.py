"""A site's own Perl script moves the address, called as MHA calls it: ifconfig, a label, arping."""

from __future__ import annotations

import os
import re
import shutil
import signal
import time
from pathlib import Path

import pytest

from tests.lab.cluster import Cluster
from tests.lab.observer import AddressObserver
from tests.lab.writer import Writer, outage
from tests.scenarios.failing_over import MODES, assert_survivors_agree
from tests.scenarios.moving import bare, mac_of, meets, seen_mac, wait_until

#: Written for this test, in the way of those that sites have: it knows MHA's options and no others.
SCRIPT = r"""#!/usr/bin/env perl
use strict;
use warnings FATAL => 'all';
use Getopt::Long qw(:config no_ignore_case);

my ($vip, $dev, $gateway, $calls) = ('@VIP@', 'eth0:1', '@GATEWAY@', '@CALLS@');
open my $log, '>>', $calls or die $!;
print $log join(' ', map { s/(password=).*/$1xxx/r } @ARGV), "\n";
close $log;

my %given;
GetOptions(\%given, 'command=s', 'ssh_user=s', 'ssh_options=s',
    map { my $who = $_; ("${who}_master_host=s", "${who}_master_ip=s", "${who}_master_port=i",
        "${who}_master_user=s", "${who}_master_password=s") } qw(orig new)) or exit 2;

sub on { my ($host, $what) = @_; return system('ssh', "$given{ssh_user}\@$host", $what) == 0 }

if ($given{command} eq 'status')  { exit 0 }
if ($given{command} eq 'stop')    { exit 0 }
if ($given{command} eq 'stopssh') { exit(on($given{orig_master_host}, "/sbin/ifconfig $dev down") ? 0 : 1) }
if ($given{command} eq 'start') {
    exit(on($given{new_master_host},
        "/sbin/ifconfig $dev $vip && { arping -q -c 3 -I eth0 -s ${\ ($vip =~ s,/.*,,r)} $gateway || :; }") ? 0 : 10);
}
exit 1;
"""


def install(cluster: Cluster, text: str) -> tuple[Path, dict[str, str]]:
    """A script on the manager, and an environment in which its ssh finds keys and hosts of the lab."""
    folder, ssh = cluster.seat / "scripts", cluster.seat / ".ssh"
    folder.mkdir()
    wrapper = folder / "ssh"
    real = shutil.which("ssh")
    wrapper.write_text(
        f'#!/bin/sh\nexec {real} -F none -i {ssh}/id_ed25519 -o UserKnownHostsFile={ssh}/known_hosts "$@"\n'
    )
    script = folder / "master_ip_failover"
    script.write_text(text)
    for each in (wrapper, script):
        each.chmod(0o755)
    return script, {"PATH": f"{folder}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}


def fail_over_with(cluster: Cluster, text: str, vip: str, *, within: float = 20.0) -> str:
    """Kill the primary under a client that knows the address alone; returns the manager's log.

    Where a script does not tell the neighbours, the client's own host finds out ``within`` so many seconds.
    """
    script, env = install(cluster, text)
    conf = cluster.write_cnf(candidate=2, default=f"master_ip_failover_script={script}")
    manager = cluster.start_manager(conf, env=env)
    with AddressObserver(cluster, vip) as observer:
        writer = Writer(cluster, only=bare(vip))
        time.sleep(1.0)
        meets(cluster, 3, vip)
        killed = time.time()
        cluster[1].signal_mysqld(signal.SIGKILL)
        code = manager.wait(60)
        assert code == 0, manager.log()
        done = time.time()
        wait_until(lambda: writer.acks()[-1].at > done, "the client writes again", within)
        acks = writer.stop()
    assert_survivors_agree(cluster, acks, 2, (3,))
    pause = outage(acks)
    assert pause.last.at - 1.0 < killed < pause.first.at
    assert observer.moves() == [(1,), (), (2,)]
    print(f"\n{cluster.name}: no write for {pause.seconds:.2f} s, on no host for {observer.nowhere():.2f} s")
    return manager.log()


@pytest.mark.parametrize(
    ("kind", "gtid"), [MODES[5], pytest.param("mysql97", True, id="9.7-gtid", marks=pytest.mark.slow)]
)
def test_a_perl_script_moves_the_address(kind: str, gtid: bool) -> None:
    with Cluster(kind, gtid=gtid) as cluster:
        vip, calls = cluster.subnet.virtual(1), cluster.directory / "calls"
        cluster[1].run(f"/sbin/ifconfig eth0:1 {vip}")
        text = SCRIPT.replace("@VIP@", vip).replace("@GATEWAY@", f"{cluster.subnet.prefix}.1")
        log = fail_over_with(cluster, text.replace("@CALLS@", str(calls)), vip)
        assert "Master IP activation script: exit code 0." in log
        wait_until(lambda: seen_mac(cluster, 0, vip) == mac_of(cluster, 2), "the manager's neighbour table", 5)
        old = f"--orig_master_host={cluster[1].ip} --orig_master_ip={cluster[1].ip} --orig_master_port=3306"
        new = f"--new_master_host={cluster[2].ip} --new_master_ip={cluster[2].ip} --new_master_port=3306"
        stop, start = [line for line in calls.read_text().splitlines() if "--command=status" not in line]
        assert stop.startswith(f"{old} --command=stopssh --ssh_user=root")
        assert start.startswith(
            f"--command=start --ssh_user=root {old} {new} --new_master_user=mha --new_master_password=xxx"
        )


@pytest.mark.site
def test_the_script_of_a_site() -> None:
    """`make try-script SCRIPT=…`: its address, gateway and interface become the lab's, and nothing else is changed."""
    text = Path(os.environ["MHA_TRY_SCRIPT"]).read_text()
    with Cluster("mariadb", gtid=True) as cluster:
        vip, gateway = cluster.subnet.virtual(1), f"{cluster.subnet.prefix}.1"
        cluster[1].run(f"/sbin/ifconfig eth0:1 {vip}")
        text = re.sub(r"(\$vip\s*=\s*['\"])[\d.]+/\d+", rf"\g<1>{vip}", text)
        text = re.sub(r"(\$vip\s*=\s*['\"])[\d.]+(?=['\"])", rf"\g<1>{bare(vip)}", text)
        text = re.sub(r"(\$gateway\s*=\s*['\"])[\d.]+", rf"\g<1>{gateway}", text)
        text = re.sub(r"\b(?:eth|ens|enp|em|bond)\d\w*", "eth0", text)
        # A script that does not announce the address leaves its neighbours to find out (a minute, arp(7)).
        log = fail_over_with(cluster, text, vip, within=90.0)
        assert "Master IP activation script: exit code 0." in log
