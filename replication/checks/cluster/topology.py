"""The shape of the cluster: who answers, who is the primary, who follows whom, who could take over. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ....config import ClusterConfig, ServerConfig
from ...cluster.unknown_replicas import Stranger
from ...model.check import Check, Severity
from ...model.refusal import Refusal
from ...model.state import ClusterState, ServerState
from ...model.topology import find_primary, source_of
from ...planning.selection import NO_MASTER, Candidate, followers_of, rank
from ..facts import Facts
from ..rule import Rule

ANSWERS = Rule(
    "server-answers",
    "Does every configured server take a session of `user`?",
    "start it, or fix what the error names; until then a failover goes on without this server, "
    "and a planned switch is refused",
)
PRIMARY = Rule("primary", "Is there exactly one primary, and does it answer?", "{remedy}")
ALIVE_REPLICA = Rule(
    "alive-replica", "Does at least one replica answer?", "without one nobody can take over; bring a replica back"
)
IS_REPLICA = Rule(
    "is-replica",
    "Does every other server replicate?",
    "make it a replica of {primary}, or take it out of the configuration",
)
KNOWN_SOURCE = Rule(
    "source-configured",
    "Does every replica follow a server of the configuration, by its name, its address, or another name for that?",
    "point it at {primary}, or write `hostname={source}` into the block of that server",
)
RESOLVES = Rule(
    "source-resolves",
    "Does the name of every replica's source have an address?",
    "add {source} to DNS or /etc/hosts of this machine, or let the replica use an address",
)
TIERS = Rule(
    "tier",
    "Does every replica follow the primary itself?",
    "point it at {primary}, or set `multi_tier_slave=1` to leave replicas of replicas alone",
)
ONE_SOURCE = Rule(
    "one-source",
    "Does every replica follow one source only?",
    "a failover moves the channel that follows the primary and leaves the others as they are, on a promoted server "
    "too: see that this is what you want of {server}",
    Severity.WARNING,
)
STRANGERS = Rule(
    "replica-configured",
    "Is every replica of these servers in the configuration?",
    "a failover would leave it behind with the old primary: add it with `masterha_conf_host --command=add "
    '--conf={conf} --hostname={host} --params="port={port}"`, with no_master=1 if it is never to be promoted',
    Severity.WARNING,
)
CANDIDATE = Rule(
    "candidate",
    "Could at least one replica be promoted?",
    "fix what keeps one of them from being promoted",
)
PROMOTABLE = Rule(
    "promotable",
    "Could this replica be promoted?",
    "fix the reason, or set `no_master=1` when it is never to be promoted",
    Severity.INFO,
)
RULES = (
    ANSWERS,
    PRIMARY,
    ALIVE_REPLICA,
    IS_REPLICA,
    KNOWN_SOURCE,
    RESOLVES,
    TIERS,
    ONE_SOURCE,
    STRANGERS,
    CANDIDATE,
    PROMOTABLE,
)


def checks(facts: Facts) -> Iterator[Check]:
    """Every check of the shape."""
    config, cluster = facts.config, facts.cluster
    yield from of_servers(config, cluster)
    yield of_primary(config, cluster)
    yield from _replicas(facts, facts.primary)
    yield from of_strangers(config, facts.strangers)
    if facts.primary is not None:
        yield from _candidates(facts, facts.primary)


def of_servers(config: ClusterConfig, cluster: ClusterState) -> Iterator[Check]:
    """Whether each answers."""
    gone = {down.key: down for down in cluster.down}
    for server in config.servers:
        down = gone.get(server.address)
        if down is None:
            state = cluster.get(server.address)
            yield ANSWERS.yes(server.name, f"answers, version {state.version_text if state else ''}")
        else:
            yield ANSWERS.no(server.name, down.reason.removeprefix(f"{server.name}: "))


def of_primary(config: ClusterConfig, cluster: ClusterState) -> Check:
    """Whether there is one, alive."""
    found = find_primary(config, cluster)
    if isinstance(found, Refusal):
        evidence = f" ({'; '.join(found.evidence)})" if found.evidence else ""
        return PRIMARY.no(config.name, f"{found.sentence}{evidence}", remedy=_lower(found.remedy))
    if cluster.get(found.address) is None:
        return PRIMARY.no(
            config.name, f"the primary {found.name} is dead", remedy=f"`mha failover --conf {config.path}` fails over"
        )
    return PRIMARY.yes(config.name, f"{found.name} is the primary")


def of_strangers(config: ClusterConfig, found: Sequence[Stranger]) -> Iterator[Check]:
    """One check for each of them."""
    if not found:
        yield STRANGERS.yes(config.name, "every replica is configured")
    for each in found:
        where = {"conf": config.path, "host": each.host or "HOST", "port": each.port}
        yield STRANGERS.no(config.name, str(each), **where)


def _replicas(facts: Facts, primary: ServerConfig | None) -> Iterator[Check]:
    config = facts.config
    replicas = facts.replicas
    yield ALIVE_REPLICA.judge(config.name, bool(replicas), f"{len(replicas)} alive replicas")
    name = primary.name if primary else "the primary"
    sources = [source_of(config, state) for state in facts.cluster.up]
    followed = {source.address for source in sources if source is not None}
    for state in facts.cluster.up:
        if primary is not None and state.key == primary.address:
            continue
        if not state.channels:
            if primary is None and state.key in followed:
                continue  # it is one of those that may be the primary, as the check before says
            yield IS_REPLICA.no(state.name, "replicates from nobody", primary=name)
            continue
        yield IS_REPLICA.yes(state.name, f"replicates from {state.sources}")
        several = len(state.channels) > 1
        text = f"has {len(state.channels)} channels, from {state.sources}" if several else "has one source"
        yield ONE_SOURCE.judge(state.name, not several, text, server=state.hostname)
        source = source_of(config, state)
        if source is None:
            yield from _unknown_source(facts, state, name)
        else:
            yield KNOWN_SOURCE.yes(state.name, f"its source is {source.name}")
            if primary is not None and source.address != primary.address:
                text = f"replicates from {source.name}, which is not the primary"
                yield TIERS.judge(state.name, config.multi_tier_slave, text, primary=name)
            elif primary is not None:
                yield TIERS.yes(state.name, "replicates from the primary itself")


def _unknown_source(facts: Facts, state: ServerState, primary: str) -> Iterator[Check]:
    channel = state.channels[0]
    source = f"{channel.source_host}:{channel.source_port}"
    address = facts.resolved.get(channel.source_host)
    alias = next((s for s in facts.config.servers if (s.ip, s.port) == (address, channel.source_port)), None)
    if channel.source_host in facts.resolved and address is None:
        yield RESOLVES.no(state.name, f"the name of its source, {source}, has no address", source=channel.source_host)
    what = f"is {alias.name}, but not by that name" if alias else "is no server of the configuration"
    if channel.of_a_rescue:
        what = "is what a failover had saved that did not end: go on with it (mha failover --resume)"
    yield KNOWN_SOURCE.no(state.name, f"its source {source} {what}", primary=primary, source=channel.source_host)


def _candidates(facts: Facts, primary: ServerConfig) -> Iterator[Check]:
    followers = followers_of(primary, facts.config, facts.cluster)
    if not followers:
        return
    absent = {down.key: "it does not answer" for down in facts.cluster.down}
    selection = rank(facts.config, primary, followers, absent)
    chosen = selection.chosen
    if chosen is None:
        reasons = "; ".join(f"{c.name}: {', '.join(c.barred)}" for c in selection.candidates)
        yield CANDIDATE.no(facts.config.name, f"None of slaves can be master: {reasons}")
    else:
        yield CANDIDATE.yes(facts.config.name, f"{chosen.name} would be promoted now")
    for candidate in selection.candidates:
        if facts.cluster.get(candidate.key) is not None:
            yield _promotable(candidate)


def _promotable(candidate: Candidate) -> Check:
    if candidate.eligible:
        return PROMOTABLE.yes(candidate.name, f"place {candidate.rank} of the candidates")
    if candidate.barred[0] == NO_MASTER:
        return PROMOTABLE.yes(candidate.name, f"is never promoted, as it is meant: {NO_MASTER}")
    return PROMOTABLE.no(candidate.name, ", ".join(candidate.barred))


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:].rstrip(".")
