"""Every named check: a cluster that is well passes all, and for each check there is one that makes it speak."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from prefect_mha.replication.checks import RULES, of_replication, of_ssh
from prefect_mha.replication.checks.facts import (
    Facts,
    Program,
)
from prefect_mha.replication.checks.start import forbidding, refusal
from prefect_mha.replication.model.check import Check, Severity
from prefect_mha.replication.model.errant import strays
from prefect_mha.replication.model.gtid import MariadbGtid
from prefect_mha.replication.model.state import ClusterState, Filters, Vendor
from prefect_mha.replication.mysql.dialects.accounts import AccountLife
from tests.reference import check_row
from tests.unit.replication.build import channel, server
from tests.unit.replication.checks.building import (
    ASKED,
    INFO,
    WARNING,
    all_replicas,
    block,
    demanded,
    facts,
    granted,
    host,
    on,
    on_channel,
    on_host,
    said,
    tried,
)
from tests.unit.replication.checks.cases import CASES


def found(checks: tuple[Check, ...], name: str, subject: str) -> list[Check]:
    return [c for c in checks if c.name == name and c.subject.split("(")[0] == subject and not c.ok]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{case[4][:20]}")
def test_a_check_speaks(case: tuple[str, Callable[[], Facts], str, Severity, str, str]) -> None:
    name, make, subject, severity, text, hint = case
    spoken = found(of_replication(make()), name, subject)
    assert len(spoken) == 1, spoken
    assert spoken[0].severity is severity
    assert text in spoken[0].text
    assert hint in spoken[0].hint
    assert not re.search(r"[{}]", spoken[0].hint), "a field of the hint was left empty"


def test_every_check_has_a_cluster_that_makes_it_speak() -> None:
    assert {case[0] for case in CASES} == {rule.name for rule in ASKED}


def test_names_are_unique_and_for_programs() -> None:
    names = [rule.name for rule in RULES]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"[a-z][a-z-]+", name) for name in names)


def test_a_cluster_that_is_well_passes_every_check() -> None:
    checks = of_replication(facts())
    assert [c for c in checks if not c.ok] == []
    # What only GTIDs, filters, a dead server, a strange source or a plain user lets be asked is not among them.
    asked = {c.name for c in checks}
    optional = {
        "host-helper",
        "secondary-route",
        "witness",
        "disable-log-bin",
        "source-resolves",
        "filters-agree",
        "errant-transactions",
        "gtid-purged",
    }
    assert {rule.name for rule in ASKED} - asked == optional


def test_ssh_checks_are_those_of_logins_and_files_only() -> None:
    names = {c.name for c in of_ssh(on_host(2, reader=None, connects="ERROR 1045"))}
    assert "ssh" in names
    assert names.isdisjoint({"mysqlbinlog", "client-connects", "server-answers", "lag"})
    assert not any(c.failed for c in of_ssh(on_host(2, reader=None)))


def test_without_hosts_nothing_is_said_of_them() -> None:
    names = {c.name for c in of_replication(replace(facts(), hosts={}, binlog_hosts={}, pairs=()))}
    assert names.isdisjoint({"ssh", "sftp", "mysqlbinlog", "binlog-directory", "binlog-server"})


def test_a_host_that_is_left_out_is_neither_well_nor_unwell() -> None:
    checks = of_ssh(on_host(2, skipped=True))
    (only,) = [c for c in checks if c.subject.startswith("db2")]
    assert (only.name, only.ok) == ("ssh", True)
    assert "skip_init_ssh_check" in only.text


@pytest.mark.parametrize(("seconds", "late"), [(30, True), (31, False), (0, True)])
def test_lag_is_measured_against_the_option(seconds: int, late: bool) -> None:
    behind = on_channel(2, seconds_behind=31)
    assert bool(found(of_replication(behind, seconds), "lag", "db2")) is late


def test_a_delay_on_purpose_is_no_lag() -> None:
    assert not found(of_replication(on_channel(2, seconds_behind=3605, delay=3600)), "lag", "db2")


def test_filters_that_say_the_same_differently_are_the_same() -> None:
    same = all_replicas(channels=(channel(filters=Filters(ignore_db="a,b")),))
    up = tuple(
        replace(s, channels=(channel(filters=Filters(ignore_db=" b,a ")),)) if s.hostname == "db3" else s
        for s in same.cluster.up
    )
    checks = of_replication(replace(same, cluster=ClusterState(up, ())))
    assert not [c for c in checks if c.name == "replication-filters" and not c.ok]


def test_filters_are_not_compared_when_they_are_not_to_be() -> None:
    odd = on_channel(3, filters=Filters(do_db="a"))
    quiet = replace(odd, config=odd.config.model_copy(update={"check_repl_filter": False}))
    assert not [c for c in of_replication(quiet) if "filter" in c.name]


def test_replicas_of_replicas_are_well_when_they_are_configured_so() -> None:
    tiers = on_channel(3, source_host="10.0.0.2")
    allowed = replace(tiers, config=tiers.config.model_copy(update={"multi_tier_slave": True}))
    assert not found(of_replication(allowed), "tier", "db3")


def test_a_second_copy_that_is_demanded_and_there_is_said_to_be() -> None:
    checks = [c for c in of_replication(demanded("require")) if c.name.startswith("semi-sync")]
    assert all(c.ok for c in checks), checks
    told = "; ".join(c.text for c in checks)
    assert "1 acknowledge (of binlog1)" in told
    assert "nothing acknowledged would be lost" in told


def test_one_binlog_server_that_works_makes_the_other_a_warning() -> None:
    two = facts(
        config={
            "binlog_servers": tuple(
                block(n, block=f"binlog{n}", hostname=f"a{n}", master_binlog_dir=("/srv",)) for n in (8, 9)
            )
        },
        binlog_hosts={"binlog8": host("root@10.0.0.8:22"), "binlog9": host("root@10.0.0.9:22", error="no answer")},
    )
    (spoken,) = [c for c in of_replication(two) if c.name == "binlog-server" and not c.ok]
    assert (spoken.subject, spoken.severity) == ("binlog9 on a9", WARNING)


def test_a_readers_own_number_is_no_version() -> None:
    old_style = Program("/usr/bin/mysqlbinlog", "mysqlbinlog  Ver 3.4 for Linux at x86_64")
    assert not found(of_replication(on_host(2, reader=old_style)), "mysqlbinlog", "db2")


def test_a_fence_through_the_owner_of_the_data_will_do() -> None:
    plain = on_host(2, facts(config={"shutdown_script": None}), superuser=False, owns_data=True)
    assert not found(of_replication(plain), "fence", "db2")


def test_who_never_becomes_primary_needs_less() -> None:
    servers = (block(1), block(2, no_master=True), block(3))
    few = replace(
        granted(2, "GRANT REPLICATION CLIENT, REPLICATION_SLAVE_ADMIN ON *.* TO x"),
        config=facts(config={"servers": servers}).config,
    )
    checks = of_replication(few)
    assert not [c for c in checks if c.name.startswith("privilege-") and c.subject.startswith("db2") and c.failed]
    assert not [c for c in checks if c.name == "replication-account" and c.subject.startswith("db2")]


def test_passwords_that_cannot_be_tried_are_compared_by_what_servers_keep_of_them() -> None:
    kept = [AccountLife("repl", "%", print=each) for each in ("a", "b")]
    base = replace(facts(), logins=tried(2, 3, untried="there is no mysql client").logins)
    same = said(3, said(1, base, lives=(kept[0],)), lives=(kept[0],))
    assert [c.severity for c in found(of_replication(same), "replication-login", "db2")] == [INFO]
    other = said(3, said(1, base, lives=(kept[0],)), lives=(kept[1],))
    spoken = found(of_replication(other), "replication-login", "db2")
    assert [c.severity for c in spoken] == [INFO, WARNING]
    assert "on db3" in spoken[1].text


def test_whoever_lets_the_client_in_must_be_that_server() -> None:
    assert not found(of_replication(on_host(2, answers=2)), "client-connects", "db2")
    (spoken,) = found(of_replication(on_host(2, answers=3)), "client-connects", "db2")
    assert "is another server there: one with server_id 3 answers" in spoken.text


def test_a_reader_of_another_maker_is_not_fit_whatever_its_number() -> None:
    foreign = Program("/usr/local/bin/mysqlbinlog", "mysqlbinlog Ver 3.5 for debian-linux-gnu at x86_64", "mariadb")
    (spoken,) = found(of_replication(on_host(2, reader=foreign, reads="")), "mysqlbinlog", "db2")
    assert "is of MariaDB, the server is MySQL" in spoken.text


def test_a_reader_that_cannot_read_the_log_or_of_which_nothing_is_known_is_not_fit() -> None:
    alone = Program("/opt/mysqlbinlog", "mysqlbinlog  Ver 3.4 for Linux at x86_64", "mysql")
    (spoken,) = found(of_replication(on_host(2, reader=alone)), "mysqlbinlog", "db2")
    assert "does not tell its version" in spoken.text
    assert not found(of_replication(on_host(2, reader=alone, reads="")), "mysqlbinlog", "db2")
    (spoken,) = found(of_replication(on_host(2, reads="ERROR: Could not read entry")), "mysqlbinlog", "db2")
    assert "does not read its current log: ERROR" in spoken.text


def test_what_a_session_would_need_to_replay_a_log_is_only_told_while_none_has_to() -> None:
    checks = of_replication(granted(2, "GRANT USAGE ON *.* TO 'mha'@'%'"))
    assert [c.severity for c in checks if c.name == "privilege-apply-log" and not c.ok] == [INFO]


def test_mariadb_strays_are_told_by_server_id() -> None:
    primary = server(1, vendor=Vendor.MARIADB, gtid_executed=None, gtid_binlog_state=(MariadbGtid(0, 1, 10),))
    replica = server(
        2,
        channel(),
        vendor=Vendor.MARIADB,
        gtid_executed=None,
        gtid_binlog_state=(MariadbGtid(0, 1, 9), MariadbGtid(0, 2, 10)),
    )
    assert strays(primary, replica) == "0-2-10"


# the page ------------------------------------------------------------------------------------------------------------

PAGE = Path(__file__).parents[4] / "docs" / "checks.md"


def test_the_page_has_each_check_as_it_is() -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    assert [rule.name for rule in RULES if check_row(rule) not in lines] == []


def test_the_page_names_no_check_that_does_not_exist() -> None:
    named = re.findall(r"^\| `([\w-]+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert named == [rule.name for rule in RULES]


def test_a_primary_that_cannot_be_told_is_not_called_a_replica_that_fails() -> None:
    seen = on(3, channels=(), read_only=False, super_read_only=False)
    names = [(c.name, c.subject.split("(")[0]) for c in of_replication(seen) if not c.ok and c.name == "is-replica"]
    assert names == [("is-replica", "db3")], "db1 is followed, so it is no replica that is missing"


def test_a_server_that_is_never_to_be_promoted_is_not_told_to_set_no_master() -> None:
    seen = facts(config={"servers": (block(1), block(2), block(3, no_master=True))})
    (told,) = [c for c in of_replication(seen) if c.name == "promotable" and c.subject.startswith("db3")]
    assert told.ok
    assert "no_master is set" in told.text


def test_what_forbids_a_start() -> None:
    config = facts().config
    checks = [
        Check("applier-runs", config.servers[2].name, False, "is stopped"),
        Check("lag", config.servers[1].name, False, "40 s behind"),
        Check("candidate", "app1", False, "nobody"),
        Check("read-only", config.servers[1].name, False, "off", Severity.INFO),
    ]
    assert [c.name for c in forbidding(config, checks, ignore_fail=False)] == ["applier-runs", "candidate"]
    assert [c.name for c in forbidding(config, checks, ignore_fail=True)] == ["applier-runs", "candidate"]
    waived = facts(config={"servers": (block(1), block(2), block(3, ignore_fail=True))}).config
    assert [c.name for c in forbidding(waived, checks, ignore_fail=False)] == ["applier-runs", "candidate"]
    assert [c.name for c in forbidding(waived, checks, ignore_fail=True)] == ["candidate"]
    said = refusal(config, forbidding(config, checks, ignore_fail=True), len(checks))
    assert "2 of 4 checks say" in said.sentence
    assert said.evidence[0].startswith("applier-runs: db3")
