"""Whether SSH leads to the server's own host: the far end of our session as the kernel writes it, and what is
remembered where it does not."""

from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from prefect_mha.config import ServerConfig
from prefect_mha.replication.errors import HostUnreachable, ServerUnreachable
from prefect_mha.replication.mysql.server import Server
from prefect_mha.replication.probes.same_host import _pattern, leads_elsewhere
from prefect_mha.replication.ssh.wrong_host import HOLDS, looking_again, note, refuse, wrong_host

WAY = "root@10.0.0.4:22"


class Here:
    """This machine, as a host."""

    def run(self, command: str, *, stdin: bytes, **_: object) -> SimpleNamespace:
        done = subprocess.run(["sh", "-c", command], input=stdin, capture_output=True, check=True, timeout=20)
        return SimpleNamespace(stdout=done.stdout.decode())


class Mute(Here):
    """A host whose awk says nothing, or that shows none of its connections."""

    def __init__(self, said: str) -> None:
        self.said = said

    def run(self, command: str, **_: object) -> SimpleNamespace:
        return SimpleNamespace(stdout=self.said)


class Session:
    """A server that tells where our session comes from."""

    thread_id = 7
    config = SimpleNamespace(name="db1")
    reading = Server.reading

    def __init__(self, *ends: str | bytes, proxies: str = "") -> None:
        self.ends, self.proxies = list(ends), proxies

    def query(self, sql: str, **_: object) -> list[dict[str, object]]:
        if "proxy_protocol" in sql:
            return [{"Variable_name": "proxy_protocol_networks", "Value": self.proxies}]
        if not self.ends:
            raise ServerUnreachable("db1", sql, "it is gone")
        return [{"Id": 6, "Host": "10.0.0.9:1"}, {"Id": 7, "Host": self.ends.pop(0)}]


def server(tmp_path: Path, ssh_ip: str = "10.0.0.4") -> ServerConfig:
    made = ServerConfig(block="server1", hostname="db1", ip="10.0.0.1", ssh_host=ssh_ip, ssh_ip=ssh_ip, ssh_user="root")
    made.known_in(tmp_path / "app1.known_servers")
    return made


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_our_session_is_found_where_it_is_and_nowhere_else(family: socket.AddressFamily) -> None:
    """A server that listens for IPv6 has clients by IPv4 among those, as ::ffff:127.0.0.1."""
    listener = socket.create_server(("", 0), family=family, dualstack_ipv6=family == socket.AF_INET6)
    client = socket.create_connection(("127.0.0.1", listener.getsockname()[1]))
    with listener, client, listener.accept()[0]:
        port = client.getsockname()[1]
        for end in (f"127.0.0.1:{port}", f"manager.example.com:{port}".encode()):
            assert leads_elsewhere(Here(), Session(end, end), [1], timeout=5.0) == ""  # type: ignore[arg-type]
        other = f"127.0.0.2:{port}"
        said = leads_elsewhere(Here(), Session(other, other), [1], timeout=5.0)  # type: ignore[arg-type]
        assert said and "it leads to another host: mysqld 1 there has the port" in said


@pytest.mark.parametrize("end", ["10.0.0.9:²", "10.0.0.9:" + "9" * 5000, "10.0.0.9:-1", "\n:1\n"])
def test_a_server_that_says_nonsense_of_our_session_ends_no_check(end: str) -> None:
    assert leads_elsewhere(Here(), Session(end, end), [1], timeout=5.0) in (None, "")  # type: ignore[arg-type]


def test_what_cannot_be_told_is_no_accusation() -> None:
    """No process, one whose connections are not shown, a session that is another or gone by then, none by TCP."""
    end = "10.0.0.9:40000"
    gone = 4_000_000
    for session, pids in (
        (Session(end, end), []),
        (Session(end, end), [gone]),
        (Session(end, "10.0.0.9:40001"), [1]),
        (Session(end), [1]),
        (Session("localhost"), [1]),
        (Session(), [1]),
    ):
        assert leads_elsewhere(Here(), session, pids, timeout=5.0) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "said",
    [
        "unseen\nunseen\ndone\n",
        "done\n",
        "unseen\ndone\n",
        "unseen\nunread\nunseen\ndone\n",
        "unseen\nunseen\nunread\ndone\n",
        "",
    ],
)
def test_a_look_that_was_cut_short_is_no_accusation(said: str) -> None:
    end = "10.0.0.9:40000"
    assert leads_elsewhere(Mute(said), Session(end, end), [1], timeout=5.0) is None  # type: ignore[arg-type]


def test_what_a_proxy_tells_of_our_session_is_no_accusation() -> None:
    """MariaDB and Percona Server show the client that the PROXY protocol names: no kernel has it."""
    end = "10.0.0.9:40000"
    assert leads_elsewhere(Here(), Session(end, end, proxies="*"), [1], timeout=5.0) is None  # type: ignore[arg-type]


def test_addresses_as_proc_has_them() -> None:
    assert "0900000A" in _pattern("10.0.0.9:40000") and _pattern("10.0.0.9:40000").endswith(":9C40$")
    assert "B80D0120000000000000000001000000" in _pattern("2001:db8::1:40000")
    assert _pattern("::ffff:10.0.0.9:40000") == _pattern("10.0.0.9:40000")
    assert _pattern("db.example.com:3306") == ":0CEA$"


def test_nothing_goes_the_way_that_leads_elsewhere_until_it_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = server(tmp_path)
    refuse(one, WAY)
    began = time.time() + 1.0
    note(one, WAY, "it leads to another host")
    assert wrong_host(one, WAY) == "it leads to another host"
    with pytest.raises(HostUnreachable, match=r"leads to another host.*fix ssh_host"):
        refuse(one, WAY)
    with looking_again():
        refuse(one, WAY)
    refuse(one, "root@10.0.0.1:22")
    monkeypatch.setattr("time.time", lambda: began + HOLDS)
    refuse(one, WAY)
    monkeypatch.undo()
    note(one, WAY, "")
    refuse(one, WAY)
    (tmp_path / "app1.ssh_elsewhere").write_text('{"10.0.0.1:3306": 5}')
    refuse(one, WAY)


def test_another_mysqld_of_a_docker_host_may_be_it() -> None:
    """It has a network of its own, and our session in it."""
    end = "10.0.0.9:40000"
    said = Mute("unseen\nunseen\nseen\ndone\n")
    assert leads_elsewhere(said, Session(end, end), [1], timeout=5.0) == ""  # type: ignore[arg-type]
