"""A plain user for SSH on every host of a cluster, who may do what an operator was told to let him, and no more."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.lab.cluster import Cluster
from tests.lab.host import Host

USER = "mha"


def log_in(host: Host, options: str = "") -> None:
    """He has the manager's key, with these options in authorized_keys, and reads what mysqld's group reads."""
    host.run(f"id {USER} >/dev/null 2>&1 || useradd -m -G mysql -s /bin/sh {USER}; usermod -p x {USER}")
    host.run(f"mkdir -p -m 700 ~{USER}/.ssh && chown {USER} ~{USER}/.ssh")
    key = host.run("cat /root/.ssh/authorized_keys")
    host.run(f"cat >~{USER}/.ssh/authorized_keys", data=f"{options} {key}" if options else key)
    # As distributions install it; the lab's root has no key, so nobody gets in as him.
    host.run("chmod 750 /var/lib/mysql; rm -f /root/.ssh/authorized_keys")


def as_plain_user(cluster: Cluster, conf: Path) -> None:
    """The configuration names him, and what `mha config sudoers` writes for it lies on every host."""
    conf.write_text(conf.read_text().replace("ssh_user=root", f"ssh_user={USER}"))
    to = cluster.seat / "for-hosts"
    done = cluster.command("mha", "config", "sudoers", f"--conf={conf}", f"--to={to}")
    assert done.code == 0, done
    for host in cluster.hosts:
        made = to / host.ip
        log_in(host, (made / "authorized_keys.options").read_text().strip())
        for path, mode in (("usr/local/sbin/mha-host-3306", 0o755), ("etc/sudoers.d/mha-host-3306", 0o440)):
            host.run(f"cat >/{path} && chmod {mode:o} /{path}", data=(made / path).read_text())
        host.run("visudo -c")
    shutil.rmtree(to)
