"""Clusters whose first server encrypts its binary log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.lab.cluster import Cluster

_MARIADB = "plugin_load_add=file_key_management\nfile_key_management_filename=/etc/keys\nencrypt_binlog=1"
_KEYRING = (
    ("/usr/sbin/mysqld.my", '{"components": "file://component_keyring_file"}'),
    ("/usr/lib/mysql/plugin/component_keyring_file.cnf", '{"path": "/var/lib/mysql/keyring", "read_only": false}'),
)


@contextmanager
def encrypting(kind: str, *, gtid: bool) -> Iterator[Cluster]:
    """db1 has a key of its own, and is the primary."""
    setting = _MARIADB if kind == "mariadb" else "binlog_encryption=ON"
    with Cluster(kind, gtid=gtid, up=False, extra={1: setting}) as cluster:
        if kind == "mariadb":
            cluster[1].run(f"echo '1;{'a1' * 32}' >/etc/keys")
        else:
            for path, text in _KEYRING:
                cluster[1].run(f"echo '{text}' >{path}")
            # The component opens its file as root, before the server becomes its own user.
            cluster[1].run("install -o mysql -m 600 /dev/null /var/lib/mysql/keyring")
        for host in cluster.hosts:
            host.start_mysqld()
        cluster.replicate_from(cluster[1])
        yield cluster
