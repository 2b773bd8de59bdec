"""What happens to a cluster that people and programs are told of, by name, and the parameters that say where."""

from __future__ import annotations

#: Every event there is, in the order of a failover, and when it happens.
EVENTS = {
    "suspect": "the primary missed two pings in a row, looks dead at once, or lives and refuses two of our pings",
    "recovered": "the suspicion came to nothing, or it takes our pings again",
    "dead": "the primary is dead, by what the manager and the others see of it",
    "started": "a failover has its plan and its lock; nothing is changed yet",
    "fenced": "every means against the old primary was tried, and the policy lets the failover go on",
    "promoted": "the new primary takes writes; other replicas may still follow the old one",
    "completed": "the failover ended with a new primary; exit code 10 when something is left to do",
    "refused": "the failover refused to go on, and why",
    "failed": "the failover, or a planned switch, ended without a new primary",
    "switched": "a planned switch moved the primary's role; exit code 10 when something is left to do",
    "returned": "a server that was replaced came back: it took writes and was closed, or it is read-only and held so",
    "released": "a server that was replaced is no longer held read-only",
    "rejoined": "a server that was replaced, and came back, is a replica of the new primary",
    "not_rejoined": "a server that came back was not made a replica, and why",
    "check_failed": "a health check found something new that is wrong, or an account will soon be refused",
    "check_passed": "a health check found nothing wrong any more",
    "took_over": "a manager that stood by watches the cluster now, because the one that did is gone",
    "read_only": "the primary answers and takes no writes, and nobody else does: it is left as it is, and why",
    "reopened": "a primary that took no writes takes them again: by the manager after its restart, or by hand",
}
#: The parameters that hold URLs.
URL_KEYS = frozenset({"notify", *(f"notify_{event}" for event in EVENTS)})
