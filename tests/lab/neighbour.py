"""Another application's server on a host of the cluster, on another port or in a network of its own."""

from __future__ import annotations

from tests.lab.host import Host
from tests.lab.waiting import until

#: The address in the network of its own.
CONTAINER = "172.17.0.2"


class Neighbour:
    """A second server on a host whose own is down or up; nobody of the cluster knows it.

    ``apart``: it has a network of its own, as in a container, and may have any port there. ``safe``: mariadbd-safe
    starts it again. Its option file may be ``closed`` to everybody but root. It listens at ``address``.
    """

    def __init__(
        self,
        host: Host,
        port: int = 3307,
        *,
        apart: bool = False,
        safe: bool = False,
        closed: bool = False,
        address: str = "0.0.0.0",  # noqa: S104 - within a network of its own
    ) -> None:
        self.host, self.port = host, port
        self.place, self.cnf = f"/srv/neighbour{port}{int(apart)}", f"/etc/neighbour{port}{int(apart)}.cnf"
        installed = host.kind.install.replace("/var/lib/mysql", self.place)
        host.run(f"rm -rf {self.place}; mkdir -p {self.place} && chown mysql:mysql {self.place} && {installed}")
        text = (
            f"[mysqld]\nport={port}\nbind-address={address}\ndatadir={self.place}\nsocket={self.place}/sock\npid-file={self.place}/pid\n"
            "skip-log-bin\ninnodb_buffer_pool_size=32M\nserver-id=77\n"
        )
        own = ("basedir", "lc-messages-dir", "mysqlx", "secure-file-priv")
        text += "".join(f"{line}\n" for line in host.kind.settings.splitlines() if line.split("=")[0] in own)
        host.run(f"cat >{self.cnf} && chmod {600 if closed else 644} {self.cnf}", data=text)
        program = "mariadbd-safe" if safe else host.kind.mysqld
        words = f"{program} --defaults-file={self.cnf} --user=mysql"
        if apart:
            words = f"unshare --net sh -c 'ip link set lo up; ip address add {CONTAINER}/32 dev lo; exec {words}'"
        host.start(f"{words} >>/var/log/neighbour.err 2>&1")
        until(lambda: self.alive, lambda: host.run("tail -20 /var/log/neighbour.err"), 40)

    @property
    def pid(self) -> int:
        """Its process, as the host counts; 0 when it does not run."""
        said = self.host.run(f"cat {self.place}/pid 2>/dev/null", check=False).strip()
        return int(said) if said and self.host.run(f"[ -d /proc/{said} ] && echo yes", check=False) else 0

    @property
    def alive(self) -> bool:
        """Whether it runs and has its socket."""
        return bool(self.pid) and "yes" in self.host.run(f"[ -S {self.place}/sock ] && echo yes", check=False)
