"""A host of a cluster whose mysqld is a unit of systemd: its own root and disk, booted in a container.

Debian's MariaDB image has no systemd: that of this machine, of the same release, is a layer over it.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from tests.lab.booted import UnderSystemd
from tests.lab.cluster import Cluster
from tests.lab.network import sh

UNIT = "mariadb.service"
_PACKAGES = ("systemd", "libsystemd-shared", "libapparmor1", "libkmod2", "libip4tc2")
#: As a package has it: in /usr, so that it can be masked. What was killed stays down, as it does in a crash loop.
_UNITS = {
    UNIT: """\
[Service]
Type=notify
User=mysql
RuntimeDirectory=mysqld
ExecStart=/usr/sbin/mariadbd --defaults-file=/etc/my.cnf
Restart=no
""",
    "sshd.service": """\
[Service]
RuntimeDirectory=sshd
ExecStart=/usr/sbin/sshd -D -o PermitRootLogin=yes -o UseDNS=no -o UsePAM=no -o MaxStartups=100 -E /var/log/sshd.log
""",
}
_SCRIPT = """\
set -e
{groups}
mount -t overlay overlay -o lowerdir={lower},upperdir={dir}/upper,workdir={dir}/work {dir}/root
exec systemd-nspawn -q --boot --register=no --keep-unit --network-namespace-path=/run/netns/{netns} -D {dir}/root \\
  --hostname={name} --console=pipe --link-journal=no systemd.unit=basic.target
"""


class DatabaseUnderSystemd(UnderSystemd):
    """``with DatabaseUnderSystemd(cluster, 1) as machine``: db1 as before, its mysqld not started yet."""

    def __init__(self, cluster: Cluster, number: int) -> None:
        self.host = cluster[number]
        super().__init__(self.host.directory)
        self._netns = cluster.subnet.host(number)

    def _script(self) -> str:
        host = self.host
        host.power_off()
        layer = host.directory / "systemd"
        _copy_systemd(layer)
        system = layer / "usr" / "lib" / "systemd" / "system"
        for name, text in _UNITS.items():
            (system / name).write_text(text)
        wanted = host.upper / "etc" / "systemd" / "system" / "basic.target.wants"
        wanted.mkdir(parents=True)
        (wanted / "sshd.service").symlink_to("/lib/systemd/system/sshd.service")
        # Debian's package has systemd itself listen on the port, and start what was killed at the next connection.
        (wanted.parent / "mariadb.socket").symlink_to("/dev/null")
        host.mend_cable()
        lower = f"{layer}:{host.lower}"
        return _SCRIPT.format(
            groups=self._into_groups, lower=lower, dir=host.directory, netns=self._netns, name=host.name
        )

    def _is_up(self) -> bool:
        if not super()._is_up():
            return False
        self.host.adopt(self._pid)
        return ":22 " in self.host.run("ss -ltn")


def _copy_systemd(layer: Path) -> None:
    for name in sh(f"dpkg -L {' '.join(_PACKAGES)}").splitlines():
        path = Path(name)
        if (path.is_file() or path.is_symlink()) and not name.startswith(("/usr/share/", "/etc/")):
            # The image's /bin and /lib are links into /usr, which a layer must not cover.
            target = layer / re.sub(r"^/(bin|lib|sbin)/", r"/usr/\1/", name).lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target, follow_symlinks=False)
