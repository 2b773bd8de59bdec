"""What may be written about the address, and what goes together."""

from __future__ import annotations

import pytest

from prefect_mha.config import ConfigError

SERVERS = "[server1]\nhostname=10.0.0.1\n[server2]\nhostname=10.0.0.2\n"


def settings(text: str) -> str:
    return f"[server default]\n{text}\n{SERVERS}"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("vip_provider=keepalive", "did you mean 'keepalived'?"),
        ("vip_provider=ip", "names ip, which needs vip_addresses"),
        ("vip_provider=haproxy", "names haproxy, which needs haproxy_sockets"),
        ("vip_provider=proxysql", "names proxysql, which needs proxysql_admins"),
        ("proxysql_admins=px1", "must be host:port, not 'px1'"),
        ("proxysql_admins=u@px1:6032", "must be host:port, not 'u@px1:6032'"),
        ("proxysql_writer=20", "proxysql_writer is the group of readers, too; each needs one of its own"),
        ("proxysql_reader=10", "proxysql_reader is the group of writers, too; each needs one of its own"),
        ("vip_provider=ip, ip\nvip_addresses=10.0.0.9/24", "names ip twice"),
        ("vip_provider=ip, keepalived\nvip_addresses=10.0.0.9/24", "would both move the same addresses"),
        ("vip_provider=ip\nvip_addresses=10.0.0.2/24", "10.0.0.2/24, which is a server's own address"),
        ("vip_addresses=10.0.0.9", "needs the prefix length behind 10.0.0.9, as in 10.0.0.9/24"),
        ("vip_addresses=fd00::9", "as in fd00::9/64"),
        ("vip_addresses=10.0.0.900/24", "holds what is no address"),
        ("haproxy_sockets=tcp://lb1", "must be tcp://host:port or ssh://"),
        ("haproxy_sockets=ssh://lb1", "must be tcp://host:port or ssh://"),
        ("haproxy_sockets=tcp://lb1:x", "must be tcp://host:port or ssh://"),
        ("vip_duplicate=perhaps", "must be one of refuse or go_on"),
        ("vip_on_failure=retry", "must be one of abort or go_on"),
    ],
)
def test_what_is_wrong_names_the_line_and_the_key(load, text, words):
    with pytest.raises(ConfigError) as error:
        load(settings(text))
    assert words in str(error.value)
    assert "app1.cnf:2" in str(error.value) or "app1.cnf:3" in str(error.value)


def test_the_order_of_providers_is_kept(load):
    text = "vip_provider = haproxy , script,ip\nvip_addresses=10.0.0.9/24\nhaproxy_sockets=tcp://lb1:9999"
    assert load(settings(text)).vip_provider == ("haproxy", "script", "ip")


def test_addresses_that_nobody_moves_are_told(load):
    (warning,) = load(settings("vip_addresses=10.0.0.9/24")).warnings
    assert "vip_addresses has no effect" in str(warning)


def test_another_packages_provider_is_known(load, tmp_path, monkeypatch):
    info = tmp_path / "other" / "other-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[prefect_mha.address_providers]\ndns = other:Provider\n")
    monkeypatch.syspath_prepend(str(tmp_path / "other"))
    assert load(settings("vip_provider=dns")).vip_provider == ("dns",)
