"""One host of a cluster: its own network, processes, file system and name, over an image that stays untouched."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pymysql
from pymysql.cursors import DictCursor

from tests.lab import images
from tests.lab.kinds import ADMIN, ADMIN_PASSWORD, Kind
from tests.lab.network import Subnet, inside, sh
from tests.lab.sessions import ServerSession

_BOOT = """\
set -e
mount --make-rprivate /
mount -t overlay overlay -o lowerdir={lower},upperdir={dir}/upper,workdir={dir}/work {dir}/root
if [ -f {dir}/disk ]; then
  mount -o loop {dir}/disk {dir}/root/var/lib/mysql
  # Redo logs without holes, as they are on a real disk: a server that finds no room for one it has already made dies.
  [ -d {dir}/root/var/lib/mysql/mysql ] || cp -a --sparse=never {data}/. {dir}/root/var/lib/mysql/
  rm -rf {dir}/root/var/lib/mysql/lost+found
  chroot {dir}/root chown mysql:mysql /var/lib/mysql
fi
mount -t proc proc {dir}/root/proc
mount -t tmpfs tmpfs {dir}/root/dev
for n in null zero random urandom tty; do cp -a /dev/$n {dir}/root/dev/; done
mkdir -p {dir}/root/dev/pts {dir}/root/dev/shm
mount -t devpts devpts {dir}/root/dev/pts -o newinstance,ptmxmode=0666
ln -sf pts/ptmx {dir}/root/dev/ptmx; ln -sf /proc/self/fd {dir}/root/dev/fd
mount -t tmpfs tmpfs {dir}/root/dev/shm
hostname {name}
exec chroot {dir}/root /lab-init
"""

_INIT = """\
#!/bin/sh
mkdir -p /run/sshd /run/mysqld && chown mysql:mysql /run/mysqld
/usr/sbin/sshd -o PermitRootLogin=yes -o UseDNS=no -o UsePAM=no -o MaxStartups=100 -E /var/log/sshd.log
trap : CHLD
while :; do sleep 3600 & wait $!; done
"""

PROCESS = "mysqld|mariadbd"
SMALLEST_DISK = 300  # MiB: a new data directory of any kind, and room to work


class Host:
    """``db1``, ``db2``, …: boots in about a second, dies as a host dies."""

    def __init__(self, number: int, subnet: Subnet, kind: Kind, lower: str, my_cnf: str, disk: int = 0) -> None:
        self.number, self.name, self.ip = number, f"db{number}", subnet.address(number)
        self.kind, self.directory, self.disk = kind, subnet.directory / f"db{number}", disk
        self.password, self.port = ADMIN_PASSWORD, 3306
        self._subnet, self._lower, self._my_cnf = subnet, lower, my_cnf
        self._init: subprocess.Popen[bytes] | None = None
        self._pid = 0

    # the host --------------------------------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        """Its init, as the machine numbers it: whose namespaces are the host's."""
        return self._pid

    @property
    def upper(self) -> Path:
        """What this host changed of its image: its disk."""
        return self.directory / "upper"

    def furnish(self, hosts_file: str) -> None:
        """Write its names, keys and settings to its disk."""
        for part in ("upper", "work", "root"):
            (self.directory / part).mkdir(parents=True, exist_ok=True)
        keys, etc, ssh = images.ssh_keys(), self.upper / "etc", self.upper / "root" / ".ssh"
        for folder in (etc / "ssh", etc / "mysql", ssh):
            folder.mkdir(parents=True, exist_ok=True)
        ssh.parent.chmod(0o700)
        ssh.chmod(0o700)
        shutil.copy(keys / "id_ed25519.pub", ssh / "authorized_keys")
        for key in keys.glob("ssh_host_*"):
            shutil.copy(key, etc / "ssh" / key.name)
            (etc / "ssh" / key.name).chmod(0o600)
        (etc / "hosts").write_text(hosts_file)
        (etc / "hostname").write_text(self.name + "\n")
        (etc / "my.cnf").write_text(self._my_cnf)
        init = self.upper / "lab-init"
        init.write_text(_INIT)
        init.chmod(0o755)
        if self.disk:
            self._make_disk()

    def _make_disk(self) -> None:
        """A file system of ``disk`` MiB for the data directory; it is filled at the first boot."""
        image = self.directory / "disk"
        assert self.disk >= SMALLEST_DISK, f"a data directory does not fit into {self.disk} MiB"
        with image.open("wb") as file:
            file.truncate(self.disk << 20)
        sh(f"mkfs.ext4 -q -m 0 {image}")

    def boot(self) -> None:
        """Start the host; returns when its sshd listens. Its disk is as it was left."""
        script = _BOOT.format(
            lower=self._lower, data=f"{self._lower.split(':')[0]}/var/lib/mysql", dir=self.directory, name=self.name
        )
        with (self.directory / "boot.log").open("ab") as out:
            self._init = subprocess.Popen(
                f"exec ip netns exec {self._subnet.host(self.number)} "
                f"unshare --mount --uts --pid --fork --kill-child sh -c {shlex.quote(script)}",
                shell=True,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        ends = time.monotonic() + 20
        while time.monotonic() < ends:
            children = sh(f"pgrep -P {self._init.pid}", check=False).split()
            if children:
                self._pid = int(children[0])
                if ":22 " in sh(f"nsenter -t {self._pid} -n ss -ltn", check=False):
                    return
            time.sleep(0.03)
        raise RuntimeError(f"{self.name} did not boot:\n{(self.directory / 'boot.log').read_text()[-2000:]}")

    def power_off(self) -> None:
        """Everything on it stops at once, and nobody gets an answer, as after a power cut."""
        self._subnet.link(self.number, up=False)
        assert self._init is not None
        os.kill(self._pid, signal.SIGKILL)
        self._init.wait(10)
        self._pid = 0
        self._subnet.forget(self.number)

    def power_on(self) -> None:
        """Boot again from the same disk; mysqld is not started."""
        shutil.rmtree(self.upper / "run" / "mysqld", ignore_errors=True)
        self._subnet.link(self.number, up=True)
        self.boot()

    def reinstall(self, my_cnf: str) -> None:
        """Boot with the data directory that an installation makes; what it held is gone. mysqld is not started."""
        if self._pid:
            self.power_off()
        if self.disk:
            self._make_disk()
        else:
            shutil.rmtree(self.upper / "var" / "lib" / "mysql", ignore_errors=True)
        self._my_cnf = my_cnf
        (self.upper / "etc" / "my.cnf").write_text(my_cnf)
        self.power_on()

    def cut_cable(self) -> None:
        """Nobody reaches it, and it reaches nobody; it runs on."""
        self._subnet.link(self.number, up=False)

    def mend_cable(self) -> None:
        """Take `cut_cable` back."""
        self._subnet.link(self.number, up=True)

    def slow_cable(self, mbit: int, *, incoming: bool = False) -> None:
        """What this host sends, or what is sent to it, takes its time: so many million bits a second."""
        end, device = self._cable(incoming)
        sh(f"tc -n {end} qdisc replace dev {device} root tbf rate {mbit}mbit burst 32kb limit 1mb")

    def fast_cable(self, *, incoming: bool = False) -> None:
        """Take `slow_cable` back."""
        end, device = self._cable(incoming)
        sh(f"tc -n {end} qdisc del dev {device} root")

    def _cable(self, incoming: bool) -> tuple[str, str]:
        """The namespace and the device at that end of its cable from which these packets come."""
        return (self._subnet.manager, f"v{self.number}") if incoming else (self._subnet.host(self.number), "eth0")

    def blackhole(self, address: str) -> None:
        """Packets from this host to that address vanish."""
        self.run(f"ip route add blackhole {address}/32")

    def run(self, command: str, *, check: bool = True, data: str | None = None, timeout: float = 120.0) -> str:
        """Run a shell command on the host, ``timeout`` seconds at most, and return what it printed."""
        words = f"nsenter -t {self._pid} -m -u -p -n -r sh -c 'cd /; exec sh -s'"
        if data is not None:
            # A new name each time: what changes under a mounted overlay may be seen with its former length.
            name = f"lab-input-{time.monotonic_ns()}"
            (self.upper / name).write_text(data)
            command = f"{{ {command}; }} </{name}; code=$?; rm -f /{name}; exit $code"
        return sh(words, check=check, data=command + "\n", timeout=timeout)

    def start(self, command: str) -> None:
        """Start something on the host that outlives this call; the host's init adopts it.

        Were nsenter its parent, it would stop and stay stopped with a frozen child, and never reap it once killed.
        """
        words = f"cd /; exec setsid --fork {command}"
        subprocess.run(
            ["nsenter", "-t", str(self._pid), "-m", "-u", "-p", "-n", "-r", "sh", "-c", words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
            timeout=20,
        )

    def fill_disk(self) -> None:
        """Leave no room where the data is; only for a host with a ``disk`` of its own."""
        assert self.disk, f"{self.name} has no disk of its own"
        # In one step, for a failover is quicker than a busy disk; then dd fails when it is full, and that is the point.
        free = "$(df -B1 --output=avail /var/lib/mysql | tail -n 1)"
        self.run(f"fallocate -l {free} /var/lib/mysql/ballast", check=False)
        self.run("dd if=/dev/zero of=/var/lib/mysql/ballast.rest bs=64k 2>/dev/null || true; sync")

    def free_disk(self) -> None:
        """Take `fill_disk` back."""
        self.run("rm -f /var/lib/mysql/ballast /var/lib/mysql/ballast.rest")

    # its server ------------------------------------------------------------------------------------------------

    def start_mysqld(self, *options: str, wait: bool = True) -> None:
        """Start the server, and wait until it takes sessions."""
        words = " ".join(options)
        self.start(f"{self.kind.mysqld} --defaults-file=/etc/my.cnf --user=mysql {words} >>/var/log/mysqld.err 2>&1")
        if wait:
            self.wait_for_mysqld()

    def wait_for_mysqld(self, seconds: float = 60.0) -> None:
        """Wait until it takes sessions; RuntimeError with the end of its log when it died or is not in time."""
        began, error = time.monotonic(), ""
        ends = began + seconds
        while time.monotonic() < ends:
            try:
                self.sql("SELECT 1")
                return
            except pymysql.MySQLError as failure:
                error = str(failure)
                if time.monotonic() > began + 2 and not self.mysqld_pids():
                    break
                time.sleep(0.05)
        raise RuntimeError(f"mysqld on {self.name}: {error}\n{self.run('tail -30 /var/log/mysqld.err', check=False)}")

    def stop_mysqld(self, seconds: float = 40.0) -> None:
        """Shut the server down, and wait for its end; RuntimeError when it is not in time."""
        self.signal_mysqld(signal.SIGTERM)
        ends = time.monotonic() + seconds
        while self.mysqld_pids():
            if time.monotonic() > ends:
                raise RuntimeError(f"mysqld on {self.name} does not end within {seconds:g} s")
            time.sleep(0.05)

    def mysqld_pids(self) -> list[int]:
        """Process ids of every mysqld that lives, in the host's own numbering."""
        return [int(p) for p in self.run(f"pgrep -r R,S,D,T -x '{PROCESS}'", check=False).split()]

    def signal_mysqld(self, number: signal.Signals) -> None:
        """SIGKILL, SIGSTOP, SIGCONT, …"""
        self.run(f"pkill -{int(number)} -x '{PROCESS}'")

    def connect(self, *, user: str = ADMIN, password: str | None = None, **options: Any) -> pymysql.Connection[Any]:
        """A session from the manager's seat, as the administrator when nobody else is named."""
        with inside(self._subnet.manager):
            return ServerSession(
                host=self.ip,
                user=user,
                password=(self.password if password is None else password).encode(),
                autocommit=True,
                **{"port": self.port, "connect_timeout": 3, "read_timeout": 60, "cursorclass": DictCursor, **options},
            )

    def sql(self, statement: str, args: tuple[Any, ...] = ()) -> list[dict[str, Any]]:
        """Run one statement as the administrator and return its rows."""
        connection = self.connect()
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement, args or None)
                return list(cursor.fetchall())
        finally:
            connection.close()

    def replica_status(self) -> dict[str, Any]:
        """The only row of SHOW … STATUS, with the columns' modern names; empty for a server that follows nobody."""
        rows = self.sql(f"SHOW {self.kind.word('REPLICA', 'SLAVE')} STATUS")
        renamed = (("Slave", "Replica"), ("Master", "Source"))
        status = {}
        for name, value in (rows[0] if rows else {}).items():
            for old, new in renamed:
                name = name.replace(old, new)
            status[name] = value
        return status
