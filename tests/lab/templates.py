"""Data directories with the lab's accounts in them, made once a kind and laid under every host's disk."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from tests.lab import images
from tests.lab.host import PROCESS, Host
from tests.lab.kinds import Kind
from tests.lab.network import Subnet, sh


def layer(kind: Kind) -> Path:
    """A directory that holds /var/lib/mysql as it is after installation; made when it is not there."""
    base = images.ensure(kind.image)
    recipe = f"{base.name}\0{kind.install}\0{kind.accounts()}\0{kind.settings}\0{kind.gtid_off}"
    key = hashlib.sha256(recipe.encode()).hexdigest()[:12]
    target = images.CACHE / "templates" / f"{kind.name}-{key}"
    with images.building():
        if not target.exists():
            target.parent.mkdir(exist_ok=True)
            _make(kind, base, target)
    return target


def _make(kind: Kind, base: Path, target: Path) -> None:
    subnet = Subnet()
    try:
        subnet.label({"cluster": f"the template {target.name}", "hosts": 1})
        subnet.make(1)
        host = Host(1, subnet, kind, str(base), kind.config(gtid=False) + "server-id=1\n")
        host.furnish("127.0.0.1 localhost\n")
        host.boot()
        host.run("rm -rf /var/lib/mysql && mkdir -p /var/lib/mysql && chown mysql:mysql /var/lib/mysql")
        host.run(kind.install)
        host.run("cat >/run/mysqld/accounts.sql && chmod 644 /run/mysqld/accounts.sql", data=kind.accounts())
        host.start_mysqld("--skip-log-bin", "--init-file=/run/mysqld/accounts.sql")
        host.run(
            f"pkill -x '{PROCESS}'; "
            f"for i in $(seq 200); do pgrep -x '{PROCESS}' >/dev/null || exit 0; sleep 0.05; done; exit 1"
        )
        host.run("rm -f /var/lib/mysql/auto.cnf /var/lib/mysql/mysql-bin.*")
        host.power_off()
        made = target.with_name(f".{target.name}.making")
        shutil.rmtree(made, ignore_errors=True)
        (made / "var" / "lib").mkdir(parents=True)
        sh(f"cp -a {host.upper}/var/lib/mysql {made}/var/lib/mysql")
        made.rename(target)
    finally:
        subnet.release()
