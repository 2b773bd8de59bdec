"""Whatever listens on a server's port, a session ends in time with that server's error, and the password stays here."""

from __future__ import annotations

import resource
import time
from pathlib import Path

import pytest

from prefect_mha.config import ServerConfig
from prefect_mha.replication.errors import AccessDenied, ServerError, ServerOdd
from prefect_mha.replication.mysql.known_servers import Key, known, remember
from prefect_mha.replication.mysql.server import Server
from tests.lab.hostile import ASKS, HostileServer, Way

PASSWORD = "readable-secret"
#: Seconds for one packet here, what a busy machine may add to a look, and megabytes that one hostile server may cost.
TIMEOUT, SLACK, MEGABYTES = 0.6, 25.0, 400
#: Who says OK to a login and everything afterwards is no error before it is asked something.


def config_of(port: int, tmp_path: Path | None = None, **settings: object) -> ServerConfig:
    made = ServerConfig(
        block="server1",
        hostname="127.0.0.1",
        ip="127.0.0.1",
        ssh_host="127.0.0.1",
        ssh_ip="127.0.0.1",
        port=port,
        password=PASSWORD,  # type: ignore[arg-type]
        **settings,  # type: ignore[arg-type]
    )
    if tmp_path is not None:
        made.known_in(tmp_path / "app1.known_servers")
    return made


class Hasty(Server):
    TIMEOUT = TIMEOUT


def looked_at(config: ServerConfig) -> ServerError:
    """What comes of connecting and observing."""
    server = Hasty(config)
    try:
        server.connect(TIMEOUT)
        state = server.observe()
    except ServerError as error:
        return error
    finally:
        server.close()
    raise AssertionError(f"it was believed: {state}")


@pytest.mark.parametrize("way", list(Way), ids=lambda way: way.name.lower())
def test_each_hostile_server_is_that_servers_error_in_time(way: Way, tmp_path: Path) -> None:
    with HostileServer(way) as hostile:
        config = config_of(hostile.port, tmp_path)
        # It takes the place of a server that was seen before.
        remember(config.known_servers, config.address, Key("tls", "0" * 64))
        began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        error = looked_at(config)
        took = time.monotonic() - began
        grew = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        assert took < 3 * TIMEOUT + SLACK, (took, error)
        assert grew < MEGABYTES, (grew, error)
        assert PASSWORD.encode() not in hostile.told, error
        assert PASSWORD not in str(error)
        assert len(str(error)) < 3000


@pytest.mark.parametrize("way", ASKS, ids=lambda way: way.name.lower())
def test_who_asks_for_the_password_lives_and_does_not_get_it(way: Way, tmp_path: Path) -> None:
    with HostileServer(way) as hostile:
        config = config_of(hostile.port, tmp_path)
        remember(config.known_servers, config.address, Key("rsa", "0" * 64))
        error = looked_at(config)
        assert isinstance(error, AccessDenied), error
        assert error.answered
        assert "it was not given the password" in error.cause, error
        assert "ssl_ca" in error.hint or way is Way.OLD
        assert PASSWORD.encode() not in hostile.told


@pytest.mark.parametrize("way", ASKS, ids=lambda way: way.name.lower())
def test_who_takes_the_place_of_a_server_that_never_asked_for_the_password_does_not_get_it(
    way: Way, tmp_path: Path
) -> None:
    """MySQL 5.6 and MariaDB as installed: no TLS, and accounts whose plug-in is a scramble."""
    with HostileServer(Way.FINE) as former:
        config = config_of(former.port, tmp_path)
        looked_at(config)
        assert known(config.known_servers, config.address) == Key.nothing(config.user)
    with HostileServer(way, ("127.0.0.1", config.port)) as hostile:
        assert "it was not given the password" in str(looked_at(config))
        assert PASSWORD.encode() not in hostile.told
    assert known(config.known_servers, config.address) == Key.nothing(config.user)


@pytest.mark.parametrize("way", [Way.SHA2_TLS, Way.SHA256_TLS, Way.SHA2], ids=lambda way: way.name.lower())
def test_who_is_met_first_is_told_and_remembered_and_nobody_else_later(way: Way, tmp_path: Path) -> None:
    with HostileServer(way) as first:
        config = config_of(first.port, tmp_path)
        looked_at(config)
        assert PASSWORD.encode() in first.told
        key = known(config.known_servers, config.address)
        assert key is not None
        assert key.kind == ("rsa" if way is Way.SHA2 else "tls")
    assert config.known_servers is not None
    assert config.known_servers.stat().st_mode & 0o777 == 0o600
    # The other kind of key is no proof either: who takes TLS away has nothing to show.
    for other in {Way.SHA2, Way.SHA2_TLS} - {way}:
        if (other is Way.SHA2) == (way is Way.SHA2):
            continue
        with HostileServer(other, ("127.0.0.1", first.port)) as second:
            assert "not given the password" in str(looked_at(config))
            assert PASSWORD.encode() not in second.told


def test_a_verified_mode_lets_nobody_but_the_verified_even_begin(tmp_path: Path) -> None:
    for mode in ("verify_ca", "verify_identity", "required"):
        for way in (Way.CLEAR, Way.SHA2, *((Way.SHA2_TLS, Way.CLEAR_TLS) if mode != "required" else ())):
            with HostileServer(way) as hostile:
                error = looked_at(config_of(hostile.port, tmp_path, ssl_mode=mode))
                assert "TLS" in str(error) or "SSL" in str(error), error
                assert hostile.told.count(b"root") == 0, "not even the name"


def test_a_file_is_never_sent_and_the_sentence_says_so() -> None:
    with HostileServer(Way.LOCAL_INFILE) as hostile:
        error = looked_at(config_of(hostile.port))
    assert isinstance(error, ServerOdd)
    assert error.answered
    assert "it asks for a file of this host" in str(error)


def test_a_file_of_keys_that_others_may_write_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "known"
    remember(path, "10.0.0.1:3306", Key("tls", "a"))
    remember(path, "10.0.0.1:3306", Key("tls", "b"))
    assert known(path, "10.0.0.1:3306") == Key("tls", "a")
    path.chmod(0o666)
    assert known(path, "10.0.0.1:3306") is None
    link = tmp_path / "link"
    link.symlink_to(path)
    remember(link, "10.0.0.2:3306", Key("tls", "c"))
    assert "10.0.0.2" not in path.read_text()


def test_a_file_of_ours_that_is_gone_is_no_silence_of_the_server(tmp_path: Path) -> None:
    for setting in ({"ssl_ca": "/nowhere.pem"}, {"ssl_server_key": "/nowhere.pem"}):
        with HostileServer(Way.FINE) as server:
            error = looked_at(config_of(server.port, tmp_path, **setting))
        assert error.answered, error
        assert "/nowhere.pem" in str(error)
        config = config_of(server.port, tmp_path, **setting)
        assert not looked_at(config).answered, "nobody listens there any more"
