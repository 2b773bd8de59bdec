"""The kinds of server that the lab can boot: how each is set up and what it is called."""

from __future__ import annotations

from dataclasses import dataclass

ADMIN, ADMIN_PASSWORD = "mha", "lab-admin-pw"
REPL, REPL_PASSWORD = "repl", "lab-repl-pw"
APP, APP_PASSWORD = "app", "lab-app-pw"

_COMMON = """\
[mysqld]
port=3306
bind-address=0.0.0.0
datadir=/var/lib/mysql
socket=/run/mysqld/mysqld.sock
pid-file=/run/mysqld/mysqld.pid
log-bin=mysql-bin
relay-log=relay-bin
relay-log-purge=0
skip-name-resolve
innodb_buffer_pool_size=64M
innodb_flush_log_at_trx_commit=1
sync_binlog=1
max_connections=300
"""


@dataclass(frozen=True)
class Kind:
    """One kind of server. ``modern`` ones speak of replicas and sources."""

    name: str
    image: str
    mysqld: str
    install: str
    settings: str
    gtid_on: str
    gtid_off: str
    modern: bool = False
    mariadb: bool = False

    def config(self, *, gtid: bool) -> str:
        """What goes into every server's my.cnf."""
        return _COMMON + self.settings + (self.gtid_on if gtid else self.gtid_off)

    def accounts(self) -> str:
        """Statements that make the accounts and the schema, run without a binary log."""
        everything = "GRANT ALL ON *.* TO {user} WITH GRANT OPTION;\n"
        replicate = "GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO {user};\n"
        rows = "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX ON app.* TO {user};\n"
        text = ""
        for name, password, grant in (
            (ADMIN, ADMIN_PASSWORD, everything),
            (REPL, REPL_PASSWORD, replicate),
            (APP, APP_PASSWORD, rows),
        ):
            user = f"'{name}'@'%'"
            text += f"CREATE USER {user} IDENTIFIED BY '{password}';\n" + grant.format(user=user)
        # An anonymous account of an old server would shadow the others on its own host.
        drop = "" if self.modern else "DELETE FROM mysql.user WHERE user='';\nFLUSH PRIVILEGES;\n"
        return f"CREATE DATABASE IF NOT EXISTS app;\n{text}{drop}"

    def word(self, modern: str, classic: str) -> str:
        """The word this server understands."""
        return modern if self.modern else classic


KINDS = {
    kind.name: kind
    for kind in (
        Kind(
            "mysql56",
            "mysql97",
            "/opt/mysql56/mysqld",
            "cp -r /opt/mysql56/data/mysql/. /var/lib/mysql/ && "
            "rm -f /var/lib/mysql/auto.cnf /var/lib/mysql/ib_logfile* && chown -R mysql:mysql /var/lib/mysql",
            "basedir=/opt/mysql56\nlc-messages-dir=/opt/mysql56/share\nskip-slave-start\nlog-slave-updates\n"
            "binlog_format=ROW\nperformance_schema=OFF\ninnodb_log_file_size=16M\n",
            "gtid-mode=ON\nenforce-gtid-consistency\n",
            "",
        ),
        Kind(
            "mysql97",
            "mysql97",
            "/usr/sbin/mysqld",
            "mysqld --no-defaults --initialize-insecure --user=mysql --datadir=/var/lib/mysql",
            "skip-replica-start\nlog-replica-updates\nmysqlx=OFF\nperformance_schema=OFF\n"
            "innodb_redo_log_capacity=32M\nsecure-file-priv=\n",
            "gtid-mode=ON\nenforce-gtid-consistency=ON\n",
            "gtid-mode=OFF\nenforce-gtid-consistency=OFF\n",
            modern=True,
        ),
        *(
            Kind(
                name,
                image,
                "/usr/sbin/mariadbd",
                "mariadb-install-db --no-defaults --user=mysql --datadir=/var/lib/mysql "
                "--auth-root-authentication-method=normal >/dev/null",
                "skip-slave-start\nlog-slave-updates\nbinlog_format=ROW\n",
                "gtid_strict_mode=ON\n",
                "",
                mariadb=True,
            )
            for name, image in (("mariadb", "bookworm"), ("mariadb105", "bullseye"), ("mariadb118", "trixie"))
        ),
    )
}
