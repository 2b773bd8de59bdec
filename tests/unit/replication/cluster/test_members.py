"""Who belongs to a cluster, by the word of its servers: without a server, the answers are given."""

from __future__ import annotations

from pathlib import Path

import pytest

from prefect_mha.commands.verbs.set_up.from_server import found_in, hosts_of, secret
from prefect_mha.config import ConfigError, ServerConfig
from prefect_mha.config.editing.starter import Wanted, accounts, configuration
from prefect_mha.replication.cluster import members as room
from prefect_mha.replication.cluster.members import Member, Members, find_members
from prefect_mha.replication.cluster.unknown_replicas import READER_PORT, Readers, Registered
from prefect_mha.replication.errors import RefusalError, ServerOdd, ServerUnreachable
from prefect_mha.replication.model.state import Vendor
from prefect_mha.replication.mysql.server import Server
from tests.unit.replication.build import channel, server

SERVER = ServerConfig(block="asked", hostname="db1", ip="10.0.0.1", ssh_host="db1", ssh_ip="10.0.0.1")
OURS = (("repl", "10.0.0.2"), ("repl", "10.0.0.3"))
PRIMARY = Member(
    "db1",
    server(1, read_only=False),
    "10.0.0.9",
    Readers((Registered(2, "db2", 3306), Registered(3, "", 3306), Registered(9, "archive", READER_PORT)), OURS),
)
SECOND = Member("db2", server(2, channel()), "manager.example.com")
THIRD = Member("10.0.0.3", server(3, channel(), log_bin=False), "10.0.0.9")


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> dict[str, Member]:
    """Who answers where; nobody else does."""
    answers = {"db1": PRIMARY, "10.0.0.1": PRIMARY, "db2": SECOND, "10.0.0.2": SECOND, "10.0.0.3": THIRD}

    def ask(_: ServerConfig, host: str) -> Member:
        if host not in answers:
            raise ServerUnreachable(host, "connect", "nobody is there")
        return answers[host]

    monkeypatch.setattr(room, "ask", ask)
    return answers


def find(host: str, *, agreed: bool = True) -> tuple[Members, list[str]]:
    asked: list[str] = []

    def login(host: str, port: int) -> ServerConfig:
        return ServerConfig.model_construct(hostname=host, port=port)

    def may(places: str) -> bool:
        asked.append(places)
        return agreed

    return find_members(host, 3306, login, may), asked


@pytest.mark.parametrize("asked", ["db1", "db2", "10.0.0.3"])
def test_whoever_is_asked_the_primary_and_its_replicas_are_found(there: dict[str, Member], asked: str) -> None:
    members, _ = find(asked)
    assert members.primary is PRIMARY
    assert members.replicas == (SECOND, THIRD)
    assert members.replication_user == "repl"
    assert not members.unasked
    assert not members.strangers


def test_a_replica_without_an_address_of_its_own_that_nobody_answers_for_is_told(there: dict[str, Member]) -> None:
    del there["10.0.0.3"]
    members, _ = find("db1")
    assert members.replicas == (SECOND,)
    (why,) = members.strangers
    assert "server_id 3 tells no report_host" in why


def test_a_server_that_does_not_answer_stands_in_the_configuration_and_is_told(there: dict[str, Member]) -> None:
    del there["db2"], there["10.0.0.2"]
    members, _ = find("db1")
    assert [place for place, _ in members.unasked] == [("db2", 3306)]
    assert hosts_of(members) == (("db1", None), ("10.0.0.3", None), ("db2", None))


def test_nobody_gets_the_login_before_a_person_has_seen_where_it_goes(there: dict[str, Member]) -> None:
    members, asked = find("db1", agreed=False)
    assert asked == ["Servers that replicate from it are at db2:3306, 10.0.0.2:3306, 10.0.0.3:3306."]
    assert members.replicas == ()


def test_a_name_that_is_none_goes_nowhere(there: dict[str, Member]) -> None:
    evil = Registered(7, "db9\n[server default]\npassword=x", 3306)
    there["db1"] = Member("db1", PRIMARY.state, "10.0.0.9", Readers((evil,), ()))
    members, asked = find("db1")
    assert (members.unasked, asked) == ((), [])
    assert "[server" not in members.strangers[0]


def test_no_source_gets_the_login_before_a_person_has_seen_where_it_goes(there: dict[str, Member]) -> None:
    away = Member("db2", server(2, channel(source_host="198.51.100.7")), "10.0.0.9")
    there["db2"] = away
    with pytest.raises(RefusalError, match=r"replicates from 198\.51\.100\.7:3306, and nobody logged in there"):
        find("db2", agreed=False)


@pytest.mark.parametrize("name", ["db9\nssh_user=x", "-oProxyCommand=x", "", "a b", "%"])
def test_a_source_whose_name_is_none_is_that_servers_error(there: dict[str, Member], name: str) -> None:
    there["db2"] = Member("db2", server(2, channel(source_host=name)), "10.0.0.9")
    with pytest.raises(ServerOdd, match="is no host"):
        find("db2")


@pytest.mark.parametrize("told", ["root@%", "root@10.0.0._", "root@f_::1", "root@x'@'%", "root@db\n1", ""])
def test_no_server_says_that_the_managers_account_is_for_whoever_comes(
    monkeypatch: pytest.MonkeyPatch, told: str
) -> None:
    monkeypatch.setattr(Server, "connect", lambda *_: None)
    monkeypatch.setattr(Server, "scalar", lambda *_, **__: told)
    with pytest.raises(ServerOdd, match="is no host"):
        room.ask(SERVER, "db1")


def test_two_that_replicate_from_each_other_are_a_primary_and_a_replica(there: dict[str, Member]) -> None:
    first = Member("db1", server(1, channel(source_host="db2"), read_only=False), "10.0.0.9")
    there["db1"] = there["10.0.0.1"] = first
    assert find("db2")[0].primary is first
    assert find("db1")[0].primary is first


def wanted(tmp_path: Path, members: Members, repl_password: str = "") -> Wanted:
    made = Wanted(tmp_path, "app1", (("db1", None),), "manager", tmp_path, tmp_path / "log")
    found = found_in(members, made, repl_password, None)
    return Wanted(tmp_path, "app1", hosts_of(members), "manager", tmp_path, tmp_path / "log", found=found)


def test_what_was_found_stands_in_the_files(there: dict[str, Member], tmp_path: Path) -> None:
    text = configuration(wanted(tmp_path, find("db1")[0]))
    assert "\nmaster_binlog_dir=/var/lib/mysql\n" in text
    assert "[server3]\nhostname=10.0.0.3\n# It writes no binary log.\nno_master=1\n" in text
    assert "\n#repl_password=" in text
    assert "\nrepl_password=" in configuration(wanted(tmp_path, find("db1")[0], "x"))


@pytest.mark.parametrize(
    ("vendor", "version", "has", "has_not"),
    [
        (Vendor.MYSQL, (5, 6, 24), "SUPER", "SYSTEM_USER"),
        (Vendor.MYSQL, (9, 7, 0), "SYSTEM_VARIABLES_ADMIN", "SUPER"),
        (Vendor.MARIADB, (10, 4, 1), "SUPER", "READ_ONLY ADMIN"),
        (Vendor.MARIADB, (11, 8, 2), "READ_ONLY ADMIN", "CONNECTION_ADMIN"),
    ],
)
def test_the_accounts_are_in_the_words_of_that_server(
    there: dict[str, Member], tmp_path: Path, vendor: Vendor, version: tuple[int, ...], has: str, has_not: str
) -> None:
    state = server(1, version=version, vendor=vendor)
    text = accounts(wanted(tmp_path, Members(Member("db1", state, "10.0.0.9"), (SECOND,), (), ())))
    assert f" {has}," in text
    assert has_not not in text
    assert "ALL PRIVILEGES ON *.*" not in text
    for host in ("10.0.0.9", "manager.example.com", "10.0.0.1", "10.0.0.2"):
        assert f"CREATE USER 'mha'@'{host}' IDENTIFIED BY '" in text


def test_a_password_on_the_command_line_is_refused() -> None:
    with pytest.raises(ConfigError, match="takes env:NAME or file:/path"):
        secret("--password", "hunter2", "")
