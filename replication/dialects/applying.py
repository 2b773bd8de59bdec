"""How a server tells what its applier is at: since when, and who keeps it waiting."""

from __future__ import annotations

from replication.snapshots import Vendor


def age_query(vendor: Vendor, version: tuple[int, ...]) -> str:
    """A question for the seconds since the applier began what it is at; its answer may be NULL. Empty: nothing tells.

    The process list's Time counts from when the primary began it. MariaDB's TIME_MS counts from here (seen on 10.11);
    MySQL 8.0 and newer keep the time for each worker.
    """
    if vendor is Vendor.MARIADB:
        return "SELECT TIME_MS / 1000 AS age FROM information_schema.PROCESSLIST WHERE ID = %s"
    if version >= (8,):
        return (
            "SELECT MAX(TIMESTAMPDIFF(MICROSECOND, APPLYING_TRANSACTION_START_APPLY_TIMESTAMP, NOW(6))) / 1000000 "
            "AS age FROM performance_schema.replication_applier_status_by_worker "
            "WHERE APPLYING_TRANSACTION <> '' AND %s > 0"
        )
    return ""


def row_lock_query(vendor: Vendor, version: tuple[int, ...]) -> str:
    """A question with the number of a thread: the sessions that hold rows which it waits for."""
    waits = "b.trx_mysql_thread_id AS process FROM {waits} JOIN information_schema.INNODB_TRX b ON {held} "
    waits += "JOIN information_schema.INNODB_TRX r ON {wanted} WHERE r.trx_mysql_thread_id = %s"
    if vendor is Vendor.MYSQL and version >= (8,):
        names = {
            "waits": "performance_schema.data_lock_waits w",
            "held": "b.trx_id = w.BLOCKING_ENGINE_TRANSACTION_ID",
            "wanted": "r.trx_id = w.REQUESTING_ENGINE_TRANSACTION_ID",
        }
    else:
        names = {
            "waits": "information_schema.INNODB_LOCK_WAITS w",
            "held": "b.trx_id = w.blocking_trx_id",
            "wanted": "r.trx_id = w.requesting_trx_id",
        }
    return "SELECT DISTINCT " + waits.format(**names)
