"""A server with an encrypted log comes back: what only it has is named, and it is said what to do."""

from __future__ import annotations

import pytest

from tests.scenarios.encrypted_logs import encrypting
from tests.scenarios.test_late_rescue import TABLE, Apart

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("kind", "gtid"),
    [
        pytest.param("mariadb", True, id="mariadb-gtid"),
        pytest.param("mysql97", True, id="9.7-gtid"),
        pytest.param("mysql97", False, id="9.7-position"),
    ],
)
def test_a_tail_in_an_encrypted_log_is_refused_with_what_to_do(kind: str, gtid: bool) -> None:
    with encrypting(kind, gtid=gtid) as cluster:
        apart = Apart(cluster, [TABLE], ["INSERT INTO app.t VALUES (1, 'only there')"])
        before = apart.old.sql("SELECT * FROM app.t")
        for how in ("rescue", "rewind"):
            done = apart.rejoin(f"--how={how}")
            assert (done.code, "Refused (log-encrypted)" in done.output) == (1, True), done
            assert "mysqlbinlog --read-from-remote-server" in done.output, done
            assert apart.old.sql("SELECT * FROM app.t") == before
            assert apart.old.replica_status() == {}
        if kind == "mariadb":
            apart.conf.write_text(apart.conf.read_text().replace("[server1]", "keep_old_data=0\n\n[server1]", 1))
            done = apart.rejoin("--how=rebuild")
            assert done.code == 0, done
            apart.assert_equal("app.t")
            kept = apart.old.run("ls -d /var/lib/mysql.before-*").strip()
            assert kept in done.output, done
            assert "mysql-bin.000001" in apart.old.run(f"ls {kept}")
