"""An old server is a replica and needs to be held no longer: what kept it closed is taken back, in the right order.

First its applier may write and new sessions are as those of any replica, which read_only keeps from writing. Then what
fencing left on its host goes: until that moment a restart brings it back read-only and not replicating. Last the hold
ends, by which a manager would close it again; so a death between two of these leaves it closed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence

from ...config import ConfigError, ServerConfig
from ...config.editing.edit import add_block, blocks_of
from ...config.forms.raw import SECRET_KEYS
from ..address import FailoverCalls, chain_of
from ..errors import DeadlineExceeded, HostError, StatementFailed
from ..fencing.everyone import let_go
from ..fencing.kill import unfence
from ..memory.held_servers import HeldServers
from .job import RejoinJob

log = logging.getLogger("mha")


def release(job: RejoinJob, by: str) -> tuple[str, ...]:
    """Done, or what is left to do in sentences. Raises ServerError before anything of the hold is given up."""
    server = job.sessions.server(job.plan.old)
    if not server.observe().read_only:
        raise StatementFailed(str(server), "let it be a replica", "somebody has cleared its read_only")
    let_go(server, server.observe())
    holds = HeldServers.of(job.config)
    hold = holds.get(job.plan.old)
    left = _take_back_traces(job, hold.traces if hold is not None else job.plan.traces)
    if hold is not None:
        why = f"it replicates from {job.new.name}"
        holds.release(hold.key, by, why)
        text = f"{hold.name} is no longer held read-only: {why}."
        log.info("%s", text)
        job.events.tell("released", old=job.old, new=job.new, text=text, by=by)
    address = chain_of(job.config, job.sessions, FailoverCalls(job.config, job.old))
    address.let_read(job.old)
    address.close()
    return left


def _take_back_traces(job: RejoinJob, traces: Sequence[str]) -> tuple[str, ...]:
    if not traces:
        return ()
    by_hand = f"take back by hand on the host of {job.plan.old_name}: {', '.join(traces)}"
    try:
        told = unfence(job.sessions.host(job.plan.old), job.old, traces)
    except (HostError, DeadlineExceeded) as error:
        return (f"{error}; {by_hand}",)
    for line in told:
        log.info("%s: %s", job.plan.old_name, line)
    return (by_hand,) if any(line.startswith("kept ") for line in told) else ()


def write_block(job: RejoinJob) -> tuple[str, ...]:
    """Its block in the configuration again, as it stood in the file beside it (.bak), or as the hold remembers it.

    Returns what is left to do. Secrets are written only where the former file had them.
    """
    path, old = job.config.path, job.old
    try:
        there = blocks_of(path)
        default = usual_port(there, [s for s in job.config.servers if s.address != old.address])
        if any(_is(values, old, default) for values in there.values()):
            return ()
        former = _as_it_was(job, default)
        for warning in add_block(path, old.block, former or _as_remembered(old)):
            log.warning("%s", warning)
    except ConfigError as error:
        return (f"its block is not in {path}: {error}; put it there with masterha_conf_host --command=add",)
    log.info("Wrote %s entry to %s .", old.block, path)
    if former is not None:
        return ()
    return (
        f"its block [{old.block}] was written into {path} without no_master, candidate_master and what else it had, "
        "which nobody remembers: set what it is to have",
    )


def usual_port(blocks: Mapping[str, Mapping[str, str]], servers: Iterable[ServerConfig]) -> int:
    """The port of a block that names none, as the configuration was loaded; 3306 where each names its own. Pure."""
    loaded = {server.block: server.port for server in servers}
    return next((loaded[name] for name, values in blocks.items() if "port" not in values and name in loaded), 3306)


def _is(values: Mapping[str, str], old: ServerConfig, default: int) -> bool:
    port = values.get("port", str(default))
    return values.get("hostname", "").lower() == old.hostname.lower() and port == str(old.port)


def _as_it_was(job: RejoinJob, default: int) -> dict[str, str] | None:
    """From the file that stood there before its block was taken out."""
    former = job.config.path.with_name(f"{job.config.path.name}.bak")
    try:
        values = blocks_of(former).get(job.old.block)
    except ConfigError:
        return None
    return values if values is not None and _is(values, job.old, default) else None


def _as_remembered(old: ServerConfig) -> dict[str, str]:
    like = {"hostname": old.hostname, "port": str(old.port)}
    if old.ssh_host != old.hostname:
        like["ssh_host"] = old.ssh_host
    if old.ip != old.hostname:
        like["ip"] = old.ip
    if old.ssh_port != 22:
        like["ssh_port"] = str(old.ssh_port)
    assert not SECRET_KEYS & like.keys()
    return like
