"""For each check a cluster that makes it speak: its facts, subject, severity, words of text and hint."""

from __future__ import annotations

from tests.unit.replication.checks.cases import accounts, hosts, servers, topology

CASES = [*topology.CASES, *servers.CASES, *accounts.CASES, *hosts.CASES]
