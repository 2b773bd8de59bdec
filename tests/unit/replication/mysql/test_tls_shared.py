"""What a session needs for TLS is made once, but for sessions that are configured to have their own."""

from __future__ import annotations

import ssl

from prefect_mha.config import ServerConfig
from prefect_mha.replication.mysql.authentication import context
from prefect_mha.replication.mysql.session import SqlSession


def test_only_sessions_without_tls_settings_share_it() -> None:
    server = ServerConfig(block="server1", hostname="db1", ip="127.0.0.1", ssh_host="db1", ssh_ip="127.0.0.1")
    verified = server.model_copy(update={"ssl_mode": "verify_identity"})
    plain = [SqlSession(server, 1.0, defer_connect=True) for _ in range(2)]
    own = [SqlSession(verified, 1.0, defer_connect=True) for _ in range(2)]
    assert plain[0].ctx is plain[1].ctx
    assert own[0].ctx is not own[1].ctx
    assert context(verified).verify_mode is ssl.CERT_REQUIRED
    assert context(server.model_copy(update={"ssl_mode": "required"})).verify_mode is ssl.CERT_NONE
    assert plain[0].ctx not in (own[0].ctx, own[1].ctx)
    assert plain[0].ctx.verify_mode is ssl.CERT_NONE
    assert [each._ssl_required for each in (*plain, *own)] == [False, False, True, True]
    assert not SqlSession(server.model_copy(update={"ssl_mode": "disabled"}), 1.0, defer_connect=True).ssl
