"""How a server tells what its applier is at: since when, and who keeps it waiting."""

from __future__ import annotations

from ...model.state import Vendor


def age_query(vendor: Vendor, version: tuple[int, ...]) -> tuple[str, bool]:
    """A question for the seconds since the applier began what it is at; its answer may be NULL. Empty: nothing tells.

    Its parameter is a channel's name, as the second of the pair says, or else the number of a thread.

    The process list's Time counts from when the primary began it. MariaDB's TIME_MS counts from here (seen on 10.11);
    MySQL 8.0 and newer keep the time for each worker.
    """
    if vendor is Vendor.MARIADB:
        return "SELECT TIME_MS / 1000 AS age FROM information_schema.PROCESSLIST WHERE ID = %s", False
    if version >= (8,):
        return (
            "SELECT MAX(TIMESTAMPDIFF(MICROSECOND, APPLYING_TRANSACTION_START_APPLY_TIMESTAMP, NOW(6))) / 1000000 "
            "AS age FROM performance_schema.replication_applier_status_by_worker "
            "WHERE APPLYING_TRANSACTION <> '' AND CHANNEL_NAME = %s"
        ), True
    return "", False


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


#: A question with the number of a thread: the sessions whose locks on tables, or on the whole server, it waits for.
#: Only who certainly is in its way: FLUSH TABLES WITH READ LOCK, LOCK TABLES, and anybody at all where the applier
#: wants a table for itself. MariaDB's appliers have no number there, but a name (seen on 10.11). Needs the instrument
#: ``wait/lock/metadata/sql/mdl``.
METADATA_LOCKS = (
    "SELECT DISTINCT ht.PROCESSLIST_ID AS process FROM performance_schema.metadata_locks w "
    "JOIN performance_schema.threads wt ON wt.THREAD_ID = w.OWNER_THREAD_ID AND (wt.PROCESSLIST_ID = %s "
    "OR wt.NAME REGEXP 'sql/(slave|replica)_(sql|worker)|sql/rpl_parallel') "
    "JOIN performance_schema.metadata_locks h ON h.OBJECT_TYPE = w.OBJECT_TYPE "
    "AND h.OBJECT_SCHEMA <=> w.OBJECT_SCHEMA AND h.OBJECT_NAME <=> w.OBJECT_NAME "
    "AND h.LOCK_STATUS = 'GRANTED' AND h.OWNER_THREAD_ID <> w.OWNER_THREAD_ID "
    "JOIN performance_schema.threads ht ON ht.THREAD_ID = h.OWNER_THREAD_ID "
    "WHERE w.LOCK_STATUS = 'PENDING' AND ht.PROCESSLIST_ID IS NOT NULL AND (h.LOCK_DURATION = 'EXPLICIT' "
    "OR (w.OBJECT_TYPE = 'TABLE' AND (w.LOCK_TYPE = 'EXCLUSIVE' "
    "OR h.LOCK_TYPE IN ('SHARED_READ_ONLY', 'SHARED_NO_WRITE', 'SHARED_NO_READ_WRITE', 'EXCLUSIVE'))))"
)
