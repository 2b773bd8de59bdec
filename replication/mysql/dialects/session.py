"""What every session of ours sets before anything else, whatever the server's globals are: the one place for it.

A session inherits the server's globals, and `init_connect` may change it once more. What a statement of ours means, and
whether it takes effect at all, must not depend on either. Comments with a version are executed by servers of at least
that version (``/*!``: MySQL alone from 5.7 on, Reference Manual, Comments; ``/*M!``: MariaDB alone).
"""

from __future__ import annotations

#: What a server says of a variable that it does not know, or not so: syntax, unknown, wrong value, read-only, scope.
NOT_KNOWN = frozenset({1064, 1193, 1227, 1229, 1231, 1238})

#: One a variable: its assignment. Seconds where it is a time; 0 is no limit for the last two.
_ALWAYS = (
    "autocommit=1",
    "completion_type=0",
    "sql_select_limit=18446744073709551615",
    "sql_safe_updates=0",
)
_LIMITS = ("/*M!100101 , max_statement_time=0 */", "/*!50708 , max_execution_time=0 */")
_OURS = (
    "sql_mode='STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'",
    "sql_big_selects=1",
    "time_zone='+00:00'",
    "lc_messages='en_US'",
    "lock_wait_timeout=50",
    "innodb_lock_wait_timeout=50",
    "net_read_timeout=30",
    "net_write_timeout=60",
    "wait_timeout=28800",
)
#: Every server since 5.6 has this form, whatever it calls the variables. With another isolation a server that logs
#: statements refuses rows of InnoDB (1665).
_TRANSACTIONS = "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ WRITE"

#: The statements that begin a session of ours; its character set is the driver's to set.
STATEMENTS = (f"SET SESSION {', '.join((*_ALWAYS, *_OURS))} {' '.join(_LIMITS)}", _TRANSACTIONS)
#: The same for a server that lacks one of the variables: those it does not know are left out.
ONE_BY_ONE = (
    *(f"SET SESSION {each}" for each in (*_ALWAYS, *_OURS)),
    "SET /*M!100101 SESSION max_statement_time=0, */ /*!50708 SESSION max_execution_time=0, */ @mha_set=1",
    _TRANSACTIONS,
)
#: For the mysql client that applies a log, whose events bring the rest of what they mean with them; more assignments
#: may follow it.
CLIENT = f"SET SESSION TRANSACTION READ WRITE; SET SESSION {', '.join(_ALWAYS)} {' '.join(_LIMITS)}"
