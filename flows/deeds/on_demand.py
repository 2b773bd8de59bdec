"""What a failover that a person starts does before it acts: find the dead primary, prove it dead, plan, ask."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from ...config import ClusterConfig, ServerConfig
from ...replication.cluster.pool import ConnectionPool, replaced, with_writers
from ...replication.detection.observation import SOMEBODY_ELSE
from ...replication.errors import RefusalError
from ...replication.fencing.last_look import PRIMARY_ALIVE
from ...replication.memory.last_check import LastCheck, left_behind
from ...replication.memory.open_business import dead_of_a_rescue
from ...replication.model.refusal import Refusal
from ...replication.model.state import ServerState
from ...replication.model.topology import find_primary, opened_by_another
from ...replication.planning.plan import FailoverOptions, FailoverPlan, make_plan
from ...replication.reporting.approval import ASK_AT_MOST, Answer, Ask, approved_failover, failover_question
from ...replication.reporting.at_stake import Stake, at_stake
from ...replication.rescue.tail_chain import carried, chain_of, remarks, remembered, successor
from ...replication.workload import busy
from ...tasks import detect
from ..engine.start import step
from ..runbooks.foreign_failover import interrupted_elsewhere

log = logging.getLogger("mha")


@dataclass(frozen=True)
class Decision:
    """What is to be done about which dead primary. ``approval`` is None when nobody was asked.

    ``states`` are the servers as they were looked at.
    ``somebody_else``: its host shows that what answers on its port is not it.
    """

    dead: ServerConfig
    plan: FailoverPlan
    options: FailoverOptions
    ssh_reachable: bool | None
    approval: Answer | None = None
    somebody_else: bool = False
    states: tuple[ServerState, ...] = ()

    def stake(self, sessions: ConnectionPool) -> Stake:
        """What hangs on it, looked at now."""
        received = {each.key: each.received for each in self.plan.levelings}
        furthest = next((received[key] for key in self.plan.latest if key in received), None)
        return at_stake(sessions, self.dead, self.states, furthest, self.ssh_reachable is not False)


def decide(
    config: ClusterConfig,
    sessions: ConnectionPool,
    dead_host: str | None,
    dead_port: int | None,
    options: FailoverOptions,
    ask: Ask | None,
    before: Answer | None = None,
    *,
    ours: bool = False,
) -> Decision:
    """Look, plan, ask; then look and plan again, for a person takes time: what is done is what was approved last.

    ``before`` is an answer that was given to a failover which was interrupted: it holds while it is about the same
    server. ``ours``: the journal of such a one is here. Raises RefusalError.
    """
    decision = _look(config, sessions, dead_host, dead_port, options, ours)
    if ask is None:
        return decision
    if before is not None and before.go_on and before.new_primary == decision.plan.new_primary:
        log.info("Not asked again: %s.", before)
        return replace(decision, options=options, approval=before)
    changed: tuple[str, ...] = ()
    for _ in range(ASK_AT_MOST):
        policy = options.salvage_policy or config.salvage_policy
        question = failover_question(decision.plan, policy, changed, decision.stake(sessions))
        answer = ask(question)
        log.info("%s.", answer)
        if not answer.go_on:
            return Decision(decision.dead, decision.plan, options, None, answer)
        options = approved_failover(config, options, question, answer)
        newer = _look(config, sessions, dead_host, dead_port, options, ours)
        if newer.plan.new_primary == answer.new_primary:
            return replace(newer, options=options, approval=answer)
        changed, decision = decision.plan.difference(newer.plan), newer
    raise RefusalError.of(
        "cluster-changed",
        f"{config.name} changed while the question stood, {ASK_AT_MOST} times: {'; '.join(changed)}.",
        "Look at the cluster, then start again.",
    )


def _look(
    config: ClusterConfig,
    sessions: ConnectionPool,
    host: str | None,
    port: int | None,
    options: FailoverOptions,
    ours: bool,
) -> Decision:
    dead = _dead_primary(config, sessions, host, port)
    verdict = step(detect.confirm_dead, config, dead, sessions)
    if not verdict.dead:
        raise RefusalError(_alive(dead, verdict.why))
    cluster = with_writers(sessions, sessions.observe([s for s in config.servers if s != dead]))
    # Receivers that our own had stopped say nothing: some sites leave their replicas writable.
    if not ours and (opened := opened_by_another(dead, cluster)) is not None:
        raise RefusalError(interrupted_elsewhere(config, dead, opened))
    chain = chain_of(remembered(config), dead.address)
    first = remarks(config, cluster, chain)
    cluster = carried(config, cluster, chain)
    decided = make_plan(config, dead, cluster, options)
    if isinstance(decided, Refusal):
        raise RefusalError(decided)
    channels = {each.key: each.channel for each in decided.levelings}
    drains = busy.remarks(sessions, cluster, channels)
    decided = replace(decided, remarks=(*first, *drains, *left_behind(LastCheck(config).read())))
    else_there = verdict.row == SOMEBODY_ELSE
    return Decision(dead, decided, options, verdict.ssh_reachable, somebody_else=else_there, states=cluster.up)


def _dead_primary(config: ClusterConfig, sessions: ConnectionPool, host: str | None, port: int | None) -> ServerConfig:
    """The server that is said to be dead, or the one that the replicas follow. Raises RefusalError."""
    if host is None:
        cluster = sessions.observe()
        found = find_primary(config, cluster)
        if not isinstance(found, Refusal):
            return successor(config, cluster, found)
        if (turned := dead_of_a_rescue(config, cluster)) is not None:
            return turned
        raise RefusalError(found)
    named = config.server_at(host, port)
    if named is None:
        servers = ", ".join(s.name for s in config.servers)
        raise RefusalError.of(
            "unknown-server", f"{host} is not a server of {config.name}.", f"Its servers are: {servers}."
        )
    if named.address not in {each.key for each in replaced(config)}:
        return named
    following = successor(config, sessions.observe(), named)
    if following != named:
        log.warning("%s was replaced by %s, which is dead, too: failing over the latter.", named.name, following.name)
    return following


def _alive(dead: ServerConfig, why: str) -> Refusal:
    return Refusal(
        PRIMARY_ALIVE,
        f"The primary {dead.name} may be alive, so nothing was touched: {why}. Stop failover.",
        "To move a living primary, make a planned switch; one that hangs has to be ended first.",
    )
