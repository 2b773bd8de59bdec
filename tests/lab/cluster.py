"""A replication cluster: its hosts, its network, and the manager's seat in it."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from tests.lab import backup_program, images, templates
from tests.lab.host import Host
from tests.lab.kinds import ADMIN, ADMIN_PASSWORD, KINDS, REPL, REPL_PASSWORD
from tests.lab.network import Subnet, inside
from tests.lab.waiting import until
from tests.lab.weather import Weather

HOUSE = Path(__file__).resolve().parents[2]
#: Where Python finds the product, and what tests it.
IMPORTS = f"{HOUSE / 'src'}:{HOUSE}"

LOG_LINES = 120


class Cluster:
    """``with Cluster("mariadb", gtid=True) as cluster:`` — db1 is the primary, the others replicate from it.

    ``extra`` maps a host's number to lines for its my.cnf; 0 stands for all of them. ``disk`` maps a host's number
    to the MiB that its data directory may take, at least `host.SMALLEST_DISK`; the others have the machine's disk.
    ``weather``: delay and loss can be had on its cables (`weather`). ``backup``: its hosts have mariadb-backup.
    """

    def __init__(
        self,
        kind: str,
        *,
        gtid: bool = False,
        n: int = 3,
        extra: Mapping[int, str] | None = None,
        disk: Mapping[int, int] | None = None,
        up: bool = True,
        weather: bool = False,
        backup: bool = False,
    ) -> None:
        self.kind, self.gtid, self.n = KINDS[kind], gtid, n
        self._extra = dict(extra or {})
        self._disk = dict(disk or {})
        self._up, self._weather, self._backup = up, weather, backup
        self._installed = 1
        self.hosts: list[Host] = []

    def __enter__(self) -> Cluster:
        layer = templates.layer(self.kind)
        self.subnet = Subnet()
        self.directory = self.subnet.directory
        atexit.register(self._down)
        try:
            self.subnet.label({"cluster": self.name, "hosts": self.n})
            self.subnet.make(self.n, weather=self._weather)
            lower = f"{layer}:{images.ensure(self.kind.image)}"
            if self._backup:
                lower = f"{layer}:{backup_program.layer(self.kind.image)}:{images.ensure(self.kind.image)}"
            for number in range(1, self.n + 1):
                disk = self._disk.get(number, 0)
                self.hosts.append(Host(number, self.subnet, self.kind, lower, self._my_cnf(number), disk))
            self._furnish()
            for host in self.hosts:
                host.boot()
            if self._up:
                for host in self.hosts:
                    host.start_mysqld(wait=False)
                for host in self.hosts:
                    host.wait_for_mysqld()
                self.replicate_from(self.hosts[0])
        except BaseException:
            self._down()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._tell()
        self._down()
        atexit.unregister(self._down)

    def __getitem__(self, number: int) -> Host:
        """``cluster[1]`` is db1."""
        return self.hosts[number - 1]

    @property
    def weather(self) -> Weather:
        """What its cables do to frames."""
        assert self.subnet.weather is not None, "a cluster without weather"
        return self.subnet.weather

    @property
    def name(self) -> str:
        """Kind and mode in words, for test names and tables."""
        return f"{self.kind.name} {'GTID' if self.gtid else 'file/position'}"

    # replication -----------------------------------------------------------------------------------------------

    def replicate_from(self, primary: Host) -> None:
        """Fresh logs everywhere, and every other server a read-only replica of this one."""
        reset = self.kind.word("RESET BINARY LOGS AND GTIDS", "RESET MASTER")
        for host in self.hosts:
            host.sql(reset)
        for host in self.hosts:
            if host is not primary:
                self.follow(host, primary)

    def follow(self, host: Host, primary: Host) -> None:
        """Make one server a replica from the beginning of the other's log."""
        p, what = self.kind.word("SOURCE", "MASTER"), self.kind.word("REPLICATION SOURCE", "MASTER")
        where = f"{p}_LOG_FILE='mysql-bin.000001', {p}_LOG_POS=4"
        if self.gtid:
            where = "MASTER_USE_GTID=slave_pos" if self.kind.mariadb else f"{p}_AUTO_POSITION=1"
        key = ", GET_SOURCE_PUBLIC_KEY=1" if self.kind.modern else ""
        host.sql(
            f"CHANGE {what} TO {p}_HOST=%s, {p}_PORT={primary.port}, {p}_USER=%s, {p}_PASSWORD=%s, "
            f"{p}_CONNECT_RETRY=1{key}, {where}",
            (primary.ip, REPL, REPL_PASSWORD),
        )
        host.sql("SET GLOBAL read_only=1")
        host.sql(f"START {self.kind.word('REPLICA', 'SLAVE')}")

    def rebuild(self, host: Host, primary: Host) -> None:
        """Install a host anew, and have it replicate the primary's whole log, from its beginning."""
        self.install_anew(host)
        self.follow(host, primary)

    def install_anew(self, host: Host) -> None:
        """A server without data and without a log, read-only.

        It gets another server-id: of what it wrote itself in its former life it would execute nothing.
        """
        self._installed += 1
        host.reinstall(self._my_cnf(host.number, 100 * self._installed + host.number))
        host.start_mysqld("--read-only=1")
        forget = self.kind.word("RESET BINARY LOGS AND GTIDS", "RESET MASTER")
        # A manager that holds the server ends whoever is connected at the moment in which it closes it.
        until(lambda: host.sql(forget) == [], f"{host.name} has no log of its own")

    def stop_receiver(self, host: Host) -> None:
        """The replica receives no more; what it has stays."""
        host.sql(f"STOP {self.kind.word('REPLICA', 'SLAVE')} IO_THREAD")

    def start_receiver(self, host: Host) -> None:
        """Take `stop_receiver` back."""
        host.sql(f"START {self.kind.word('REPLICA', 'SLAVE')} IO_THREAD")

    # the manager's seat ----------------------------------------------------------------------------------------

    @property
    def seat(self) -> Path:
        """The manager's home directory: keys, configuration, working directory."""
        return self.directory / "manager"

    def in_manager_net(self) -> AbstractContextManager[None]:
        """This thread as if it ran on the manager's host; see `network.inside`."""
        return inside(self.subnet.manager)

    def write_cnf(
        self,
        name: str = "app1",
        *,
        default: str = "",
        servers: Mapping[int, str] | None = None,
        candidate: int = 0,
        password: str = ADMIN_PASSWORD,
        ping_interval: int = 1,
        ssh_options: str | None = None,
        apart: Collection[int] = (),
        blocks: str = "",
    ) -> Path:
        """An MHA configuration of this cluster; ``default`` and ``servers`` add lines to its blocks.

        ``candidate`` is the server with candidate_master=1, for scenarios that say beforehand who is promoted: without
        one it is who received the most, and a primary that dies in mid-send has served one of them further.
        The hosts ``apart`` are no servers of it; ``blocks`` are further ones, as they are to stand in the file.

        The same key and known_hosts lie in the seat's .ssh, where the default names are found: ``ssh_options=""``
        leaves it to them.
        """
        workdir = self.seat / name
        key, known = self.seat / ".ssh" / "id_ed25519", self.seat / ".ssh" / "known_hosts"
        text = (
            f"[server default]\nmanager_workdir={workdir}\nmanager_log={workdir}/manager.log\n"
            f"user={ADMIN}\npassword='{password}'\nrepl_user={REPL}\nrepl_password={REPL_PASSWORD}\nssh_user=root\n"
            f"ping_interval={ping_interval}\n"
        )
        options = f"-i {key} -o UserKnownHostsFile={known}" if ssh_options is None else ssh_options
        text += f"ssh_options={options}\n{default}\n" if options else f"{default}\n"
        for host in (h for h in self.hosts if h.number not in apart):
            more = "candidate_master=1" if host.number == candidate else (servers or {}).get(host.number, "")
            text += f"\n[server{host.number}]\nhostname={host.ip}\n{more}\n"
        text += f"\n{blocks}\n"
        path = self.seat / f"{name}.cnf"
        path.write_text(text)
        path.chmod(0o600)
        return path

    def run_there(
        self,
        *words: str,
        env: Mapping[str, str] | None = None,
        out: IO[Any] | int | None = None,
        namespace: str = "",
    ) -> subprocess.Popen[str]:
        """Start a command on the manager's host, with the project on its path; no Prefect unless ``env`` says so.

        ``namespace`` is another host's network, as `Subnet.host` names it.
        """
        clean = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
        home = {"HOME": str(self.seat), "PYTHONPATH": IMPORTS, "PREFECT_HOME": str(self.seat / ".prefect")}
        return subprocess.Popen(
            ["ip", "netns", "exec", namespace or self.subnet.manager, *words],
            env={**clean, **home, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=out if out is not None else subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def command(self, name: str, *options: str, env: Mapping[str, str] | None = None, timeout: float = 90.0) -> Done:
        """Run one of the project's commands to its end: ``cluster.command("masterha_manager", "--conf=…")``."""
        process = self.run_there(sys.executable, "-m", f"prefect_mha.commands.{name}", *options, env=env)
        try:
            output, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
            raise AssertionError(f"{name} did not end within {timeout:g} s:\n{output}") from None
        return Done(process.returncode, output)

    def make_semi_synchronous(self, primary: Host, replicas: Sequence[Host]) -> None:
        """Nothing is acknowledged without one of these replicas, however long it takes."""
        source, replica = self.kind.word("source", "master"), self.kind.word("replica", "slave")
        primary.sql(f"SET GLOBAL rpl_semi_sync_{source}_timeout=600000")
        primary.sql(f"SET GLOBAL rpl_semi_sync_{source}_enabled=1")
        for host in replicas:
            host.sql(f"SET GLOBAL rpl_semi_sync_{replica}_enabled=1")
            self.stop_receiver(host)
            self.start_receiver(host)
        clients, ends = f"SHOW GLOBAL STATUS LIKE 'Rpl_semi_sync_{source}_clients'", time.monotonic() + 15.0
        while int(primary.sql(clients)[0]["Value"]) != len(replicas):
            if time.monotonic() > ends:
                raise RuntimeError("the replicas do not acknowledge")
            time.sleep(0.05)

    def start_manager(self, conf: Path, *options: str, env: Mapping[str, str] | None = None) -> Manager:
        """Start masterha_manager and wait until it pings."""
        return Manager(self, conf, options, env)

    # inside ----------------------------------------------------------------------------------------------------

    def _my_cnf(self, number: int, server_id: int = 0) -> str:
        own = f"server-id={server_id or 100 + number}\nreport-host={self.subnet.address(number)}\n"
        return (
            self.kind.config(gtid=self.gtid) + own + self._extra.get(0, "") + "\n" + self._extra.get(number, "") + "\n"
        )

    def _furnish(self) -> None:
        names = "".join(f"{h.ip} {h.name}\n" for h in self.hosts)
        for host in self.hosts:
            host.furnish(f"127.0.0.1 localhost\n{names}{self.subnet.prefix}.1 manager\n")
        ssh = self.seat / ".ssh"
        ssh.mkdir(parents=True, mode=0o700)
        shutil.copy(images.ssh_keys() / "id_ed25519", ssh / "id_ed25519")
        (ssh / "id_ed25519").chmod(0o600)
        key = " ".join((images.ssh_keys() / "known_host").read_text().split()[:2])
        (ssh / "known_hosts").write_text("".join(f"{h.ip},{h.name} {key}\n" for h in self.hosts))

    def _tell(self) -> None:
        """What somebody needs who asks why a scenario failed: the ends of the managers' logs."""
        for path in sorted(self.seat.rglob("manager.log")):
            print(f"--- {path.relative_to(self.seat)} ends:", *path.read_text().splitlines()[-LOG_LINES:], sep="\n")

    def _down(self) -> None:
        self.subnet.release()


class Done:
    """How a command ended."""

    def __init__(self, code: int, output: str) -> None:
        self.code, self.output = code, output

    def __repr__(self) -> str:
        return f"exit {self.code}\n{self.output}"


class Manager:
    """A running masterha_manager."""

    def __init__(
        self, cluster: Cluster, conf: Path, options: Sequence[str], env: Mapping[str, str] | None, seconds: float = 60.0
    ) -> None:
        self.workdir = conf.with_suffix("")
        self.workdir.mkdir(parents=True, exist_ok=True)
        self.out = self.workdir / "manager.out"
        with self.out.open("ab") as out:
            self.process = cluster.run_there(
                sys.executable,
                "-m",
                "prefect_mha.commands.masterha_manager",
                f"--conf={conf}",
                *options,
                env=env,
                out=out,
            )
        ends = time.monotonic() + seconds
        while "waiting until MySQL doesn't respond" not in self.log():
            if self.process.poll() is not None or time.monotonic() > ends:
                raise AssertionError(f"the manager does not watch:\n{self.log()}\n{self.out.read_text()}")
            time.sleep(0.05)

    def log(self) -> str:
        """Everything it logged so far."""
        path = self.workdir / "manager.log"
        return path.read_text() if path.exists() else ""

    def wait(self, seconds: float = 60.0) -> int:
        """Its exit code."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the manager still runs after {seconds:g} s:\n{self.log()[-4000:]}") from None

    def stop(self) -> None:
        """End it, whatever it does."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
