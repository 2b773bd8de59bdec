"""The manager's account and that of the replicas."""

from __future__ import annotations

from collections.abc import Callable

from prefect_mha.replication.checks.facts import (
    Facts,
)
from prefect_mha.replication.model.check import Severity
from prefect_mha.replication.mysql.dialects.accounts import AccountLife
from tests.unit.replication.checks.building import (
    ASKED,
    ERROR,
    INFO,
    WARNING,
    closed,
    granted,
    on_channel,
    said,
    tried,
)

CASES: list[tuple[str, Callable[[], Facts], str, Severity, str, str]] = [
    (
        "privilege-see-channels",
        lambda: granted(2, "GRANT SUPER ON *.* TO x"),
        "db2",
        WARNING,
        "may not read performance_schema",
        "GRANT SELECT ON performance_schema.*",
    ),
    (
        "account-lasts",
        lambda: said(2, lives=(AccountLife("mha", "%", days_left=9.5), AccountLife("repl", "%"))),
        "db2",
        WARNING,
        "the account 'mha'@'%' has a password that expires in 9.5 days",
        "`ALTER USER 'mha'@'%' PASSWORD EXPIRE NEVER`",
    ),
    ("account-lasts", lambda: said(2, lives=(AccountLife("mha", "%", days_left=2.5),)), "db2", ERROR, "2.5 days", ""),
    ("account-lasts", lambda: said(1, lives=(AccountLife("repl", "%", True),)), "db1", ERROR, "has expired", ""),
    (
        "account-lasts",
        lambda: said(2, lives=(AccountLife("repl", "%", locked=True),)),
        "db2",
        ERROR,
        "the account 'repl'@'%' is locked",
        "ACCOUNT UNLOCK`",
    ),
    ("account-lasts", lambda: said(2, lives=None), "db2", INFO, "is not known", ""),
    (
        "replication-account",
        lambda: said(2, replication_accounts=frozenset({("repl", "10.0.0.1")})),
        "db2",
        ERROR,
        "db3 may not replicate from it as repl",
        "`GRANT REPLICATION SLAVE ON *.* TO 'repl'@'%'` on the primary",
    ),
    ("replication-account", lambda: said(2, replication_accounts=None), "db2", INFO, "mysql.user cannot be read", ""),
    (
        "replication-login",
        lambda: tried(2, 3, number=1045, error="ERROR 1045 (28000): Access denied"),
        "db2",
        ERROR,
        "could not follow db3(10.0.0.3:3306) as repl, with the password of its channel: ERROR 1045",
        "for 10.0.0.2, on db3 as elsewhere",
    ),
    ("replication-login", lambda: tried(2, 3, untried="there is no mysql client"), "db2", INFO, "not tried", "mysql.u"),
    (
        "repl-password",
        lambda: tried(1, 2, number=1045, error="ERROR 1045 (28000): Access denied"),
        "db1",
        ERROR,
        "of repl_password in the configuration",
        "write the password of repl into repl_password",
    ),
    ("repl-password", lambda: tried(1, 2, number=2003, error="ERROR 2003"), "db1", WARNING, "2003", "let db1 reach"),
    (
        "replication-key",
        lambda: on_channel(2),
        "db2",
        WARNING,
        "db1, db3 would refuse it unless they remember it",
        "STOP REPLICA IO_THREAD; CHANGE REPLICATION SOURCE TO GET_SOURCE_PUBLIC_KEY=1; START REPLICA IO_THREAD` on db2",
    ),
]

# Each power of the manager's account is one check, and an account with no privilege at all lacks every one.
CASES += [
    (
        rule.name,
        lambda: closed(granted(2, "GRANT USAGE ON *.* TO 'mha'@'%'")),
        "db2",
        rule.severity,
        "may not",
        "ON *.* TO 'mha'@'%'` on db2",
    )
    for rule in ASKED
    if rule.name.startswith("privilege-") and rule.name != "privilege-see-channels"
]
