"""Variables that are called otherwise by older servers, or by MariaDB."""

from __future__ import annotations

from collections.abc import Container, Iterable

from ...model.state import Vendor

#: Variables that got a new name: the old one, and since which version whose servers have the new one.
RENAMED: dict[str, tuple[str, dict[Vendor, tuple[int, ...]]]] = {
    "log_replica_updates": ("log_slave_updates", {Vendor.MYSQL: (8, 0, 26)}),
    "rpl_semi_sync_source_enabled": ("rpl_semi_sync_master_enabled", {Vendor.MYSQL: (8, 0, 26)}),
    "rpl_semi_sync_replica_enabled": ("rpl_semi_sync_slave_enabled", {Vendor.MYSQL: (8, 0, 26)}),
    "rpl_semi_sync_source_timeout": ("rpl_semi_sync_master_timeout", {Vendor.MYSQL: (8, 0, 26)}),
    "rpl_semi_sync_source_wait_point": ("rpl_semi_sync_master_wait_point", {Vendor.MYSQL: (8, 0, 26)}),
    "rpl_semi_sync_source_wait_no_replica": ("rpl_semi_sync_master_wait_no_slave", {Vendor.MYSQL: (8, 0, 26)}),
    "rpl_semi_sync_source_wait_for_replica_count": (
        "rpl_semi_sync_master_wait_for_slave_count",
        {Vendor.MYSQL: (8, 0, 26)},
    ),
    "binlog_encryption": ("encrypt_binlog", {Vendor.MYSQL: (8, 0, 14)}),
    "binlog_expire_logs_seconds": ("expire_logs_days", {Vendor.MYSQL: (8, 0, 1), Vendor.MARIADB: (10, 6, 1)}),
    "transaction_read_only": ("tx_read_only", {Vendor.MYSQL: (5, 7, 20), Vendor.MARIADB: (11, 1)}),
}


def spelled(variable: str, known: Container[str]) -> str:
    """How a server that knows these variables spells one of them; the newest name when it knows none."""
    names = spellings((variable,))
    return next((name for name in names if name in known), variable)


def spellings(variables: Iterable[str]) -> tuple[str, ...]:
    """Every name that any server has for these variables."""
    return tuple(
        name
        for variable in variables
        for name in ((variable, RENAMED[variable][0]) if variable in RENAMED else (variable,))
    )
