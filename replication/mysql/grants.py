"""What an account may do: SHOW GRANTS read, and what each job of this system needs of it. Pure.

The words differ by vendor and version; which of them stand for what is known to `dialects.privileges_for`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum

from ...config import ServerConfig
from ..model.state import Vendor
from .dialects.connecting import more_of_channels
from .dialects.privileges import Power, privileges_for

#: MariaDB writes what it was told with older or newer words; one spelling of each is kept.
_SAME = {
    "REPLICA MONITOR": "SLAVE MONITOR",
    "REPLICATION REPLICA": "REPLICATION SLAVE",
    "REPLICATION REPLICA ADMIN": "REPLICATION SLAVE ADMIN",
    "ALL": "ALL PRIVILEGES",
}
_GRANT = re.compile(r"(GRANT|REVOKE)\s+(.+?)\s+ON\s+(?:(TABLE|FUNCTION|PROCEDURE|PACKAGE(?: BODY)?)\s+)?(.+?)", re.I)
_COLUMNS = re.compile(r"\([^)]*\)")


@dataclass(frozen=True)
class Grants:
    """The privileges of one account, in capitals; objects are ``schema.*`` or ``schema.table`` without quotes.

    ``everywhere`` are those on ``*.*``; ``elsewhere`` are pairs of privilege and object; ``withheld`` are the
    same pairs for MySQL's partial revokes.
    """

    everywhere: frozenset[str] = frozenset()
    elsewhere: frozenset[tuple[str, str]] = frozenset()
    withheld: frozenset[tuple[str, str]] = frozenset()

    def has(self, *any_of: str) -> bool:
        """Whether the account has one of these privileges on everything."""
        return bool(self.everywhere & {"ALL PRIVILEGES", *any_of})

    def has_on(self, schema: str, *any_of: str) -> bool:
        """Whether the account has one of these privileges on a whole schema."""
        names, object_ = {"ALL PRIVILEGES", *any_of}, f"{schema}.*"
        everywhere = self.everywhere & names
        withheld = {privilege for privilege, where in self.withheld if where == object_}
        if everywhere - withheld and "ALL PRIVILEGES" not in withheld:
            return True
        return any(privilege in names and where == object_ for privilege, where in self.elsewhere)


def parse_grants(lines: Iterable[str]) -> Grants:
    """From the lines of SHOW GRANTS; grants of roles and of proxies are passed over (active roles have lines too)."""
    everywhere: set[str] = set()
    elsewhere: set[tuple[str, str]] = set()
    withheld: set[tuple[str, str]] = set()
    for line in lines:
        words, object_, verb = _parts(line)
        if verb == "REVOKE":
            withheld |= {(word, object_) for word in words}
        elif object_ == "*.*":
            everywhere |= words
        elif object_:
            elsewhere |= {(word, object_) for word in words}
    return Grants(frozenset(everywhere), frozenset(elsewhere), frozenset(withheld))


def _parts(line: str) -> tuple[set[str], str, str]:
    """Privileges, object and verb of one line; no object when it grants a role."""
    # The account follows the last TO or FROM outside of names; a greedy match finds it for any schema name.
    found = re.match(r"\s*(.*\S)\s+(?:TO|FROM)\s+['`\"\w]", line, re.IGNORECASE | re.DOTALL)
    grant = _GRANT.fullmatch(found[1]) if found else None
    if grant is None:
        return set(), "", ""
    names = (re.sub(r"\s+", " ", name).strip().upper() for name in _COLUMNS.sub("", grant[2]).split(","))
    object_ = re.sub(r"[`\"]", "", grant[4]).replace("\\_", "_").strip()
    return {_SAME.get(name, name) for name in names if name not in ("", "USAGE", "PROXY")}, object_, grant[1].upper()


class Duty(StrEnum):
    """What the manager's account is needed for."""

    WATCH = "watch"
    REPOINT = "repoint"
    FAILOVER = "failover"
    SWITCH = "switch"


_WATCH = (Power.SEE_REPLICATION, Power.SEE_LOG)
_ACT = (
    *_WATCH,
    Power.SEE_SESSIONS,
    Power.RUN_REPLICATION,
    Power.RESET_REPLICATION,
    Power.SET_READ_ONLY,
    Power.PASS_READ_ONLY,
    Power.SET_VARIABLES,
    Power.END_SESSIONS,
)
_NEEDS = {
    Duty.WATCH: _WATCH,
    Duty.REPOINT: (*_WATCH, Power.RUN_REPLICATION),
    Duty.FAILOVER: (*_ACT, Power.END_ANY_SESSION, Power.APPLY_LOG, Power.SET_LOG_VARIABLES),
    Duty.SWITCH: (*_ACT, Power.FLUSH, Power.END_ANY_SESSION, Power.MOVE_EVENTS),
}

#: Without these a job is done all the same, where nothing calls for them.
_OPTIONAL = frozenset({Power.END_ANY_SESSION, Power.MOVE_EVENTS, Power.SET_LOG_VARIABLES})

#: What each power is for, as a part of a sentence.
MEANING = {
    Power.SEE_SESSIONS: "see the sessions and transactions of others",
    Power.SEE_REPLICATION: "see the state of replication",
    Power.SEE_LOG: "see the end of the binary log",
    Power.RUN_REPLICATION: "start, stop and redirect replication",
    Power.RESET_REPLICATION: "forget an old source (RESET REPLICA)",
    Power.SET_READ_ONLY: "set and clear read_only",
    Power.PASS_READ_ONLY: "write while read_only is set",
    Power.SET_VARIABLES: "set other global variables",
    Power.SET_LOG_VARIABLES: "set sync_binlog, so that a replica executes what was saved faster",
    Power.END_SESSIONS: "end the sessions of others",
    Power.END_ANY_SESSION: "end sessions of accounts with SYSTEM_USER, and parallel appliers",
    Power.MOVE_EVENTS: "see and move events",
    Power.FLUSH: "hold the global read lock (FLUSH TABLES WITH READ LOCK)",
    Power.APPLY_LOG: "apply what mysqlbinlog writes (BINLOG, gtid_next)",
    Power.REPLICATE: "replicate from this server",
}


@dataclass(frozen=True)
class NeededGrant:
    """One thing a job needs: the power, the privileges any one of which gives it, and whether the account has one."""

    power: Power
    any_of: tuple[str, ...]
    granted: bool

    @property
    def optional(self) -> bool:
        """The job is done without it where nothing calls for it."""
        return self.power in _OPTIONAL

    @property
    def meaning(self) -> str:
        """What it is for."""
        return MEANING[self.power]


def powers_of(job: Duty) -> tuple[Power, ...]:
    """What a job needs, whatever the server calls it."""
    return _NEEDS[job]


def needs(grants: Grants, job: Duty, vendor: Vendor, version: tuple[int, ...]) -> tuple[NeededGrant, ...]:
    """Everything that a job needs on a server of that vendor and version, and whether it is granted."""
    return tuple(need(grants, power, vendor, version) for power in _NEEDS[job])


def need(grants: Grants, power: Power, vendor: Vendor, version: tuple[int, ...]) -> NeededGrant:
    """One power."""
    any_of = privileges_for(vendor, version, power)
    return NeededGrant(power, any_of, grants.has(*any_of))


def account_statements(account: str, password: str, vendor: Vendor, version: tuple[int, ...]) -> tuple[str, ...]:
    """What makes the manager's account with what failover and planned switch need there, and no more.

    ``account`` and ``password`` are quoted already. ``infra`` is the schema of the row that proves that rows get in.
    """
    powers = dict.fromkeys((*powers_of(Duty.FAILOVER), *powers_of(Duty.SWITCH)))
    privileges = dict.fromkeys(privileges_for(vendor, version, power)[0] for power in powers)
    grants = [f"{', '.join(privileges)} ON *.*", "ALL PRIVILEGES ON infra.*"]
    if more_of_channels(vendor, version):
        grants.append("SELECT ON performance_schema.*")
    return (f"CREATE USER {account} IDENTIFIED BY {password}", *(f"GRANT {each} TO {account}" for each in grants))


def may_come(accounts: Iterable[tuple[str, str]], user: str, server: ServerConfig) -> bool:
    """Whether an account's host pattern fits the server. A name is believed: how it resolves, only the server knows."""
    for name, pattern in accounts:
        if name != user:
            continue
        if "/" in pattern:
            try:
                if ipaddress.ip_address(server.ip) in ipaddress.ip_network(pattern, strict=False):
                    return True
            except ValueError:
                return True
        elif not re.fullmatch(r"[\d.%_:a-fA-F]*", pattern) or _like(pattern, (server.ip, server.hostname)):
            return True
    return False


def _like(pattern: str, texts: Collection[str]) -> bool:
    expression = "".join({"%": ".*", "_": "."}.get(letter, re.escape(letter)) for letter in pattern) or ".*"
    return any(re.fullmatch(expression, text, re.IGNORECASE) for text in texts)
