"""`mha deploy` and `mha serve`: every flow of every configured cluster, offered in Prefect."""

from __future__ import annotations

import os
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from ..shared.mha_options import Plain, PlainOutput
from ..views.terminal import print_document

if TYPE_CHECKING:
    from ...flows.deployments.deploying import Deployed

app = typer.Typer()

ConfDir = Annotated[Path | None, typer.Option(help="Where the clusters are configured (MHA_CONF_DIR, else /etc/mha).")]
Watch = Annotated[bool, typer.Option(help="Watch every cluster; --no-monitor where managers do already.")]


@app.command(epilog="Example: `PREFECT_API_URL=http://prefect:4200/api mha deploy --conf-dir /etc/mha`")
def deploy(
    conf_dir: ConfDir = None,
    pool: Annotated[str, typer.Option(help="The work pool; made, of type process, when there is none.")] = "mha",
    queue: Annotated[str, typer.Option(help="Its queue for all but the binlog servers.")] = "default",
    monitor: Watch = True,
    binlog_servers: Annotated[
        bool, typer.Option("--binlog-servers", help="For each [binlogN] as well, in a queue that is its host's alone.")
    ] = False,
    git: Annotated[
        str | None, typer.Option(help="A repository that workers clone for each run, where it is not installed.")
    ] = None,
    branch: Annotated[str | None, typer.Option(help="Its branch or tag.")] = None,
    git_secret: Annotated[str, typer.Option(help="The Secret block in Prefect that has its access token.")] = "",
    remove_gone: Annotated[
        bool, typer.Option("--remove-gone", help="Remove the deployments of clusters that are no longer configured.")
    ] = False,
    output: PlainOutput = Plain.TEXT,
) -> None:
    """Create the deployments of every configured cluster in a work pool, or update them.

    Each is named for its cluster, has its tag, and takes no other. Run it again after a change of the configuration.
    """
    if git is None and (branch or git_secret):
        raise typer.BadParameter("is for --git", param_hint="'--branch', '--git-secret'")
    if git is not None and "@" in urlsplit(git).netloc and urlsplit(git).password is not None:
        raise typer.BadParameter(
            "has a password, which everybody who sees the deployment would read; keep it in a Secret block and name "
            "that with --git-secret",
            param_hint="'--git'",
        )
    _configured_in(conf_dir)
    from ...flows.deployments.deploying import deploy as deploy_all
    from ...flows.deployments.of_cluster import Clone, Pool

    clone = Clone(git, branch, git_secret) if git is not None else None
    done = deploy_all(Pool(pool, queue, clone), watch=monitor, copies=binlog_servers, remove=remove_gone)
    if output is Plain.JSON:
        made = [
            {"flow": m.flow, "name": m.name, "cluster": m.cluster, "queue": m.queue, "new": m.new} for m in done.made
        ]
        left = [{"name": each.name, "cluster": each.cluster} for each in done.left_over]
        print_document("deploy", {"pool": done.pool.name, "pool_is_new": done.pool_is_new, "made": made, "left": left})
        return
    print(told(done))


def told(done: Deployed) -> str:
    """What was made, a line a cluster, what is left over, and how it is begun. Pure."""
    lines = [f"Work pool {done.pool.name}: new, of type process."] if done.pool_is_new else []
    for cluster, group in groupby(done.made, key=lambda each: each.cluster):
        both = list(group)
        for what, made in (("new", [m for m in both if m.new]), ("up to date", [m for m in both if not m.new])):
            if made:
                lines.append(f"{cluster}: {what}: {', '.join(each.name for each in made)}")
    from ...flows.deployments.deploying import removable

    gone = removable(done.left_over)
    for each in done.left_over:
        told_of = f"{each.name} of {each.cluster}, which is configured no more"
        if each not in gone:
            lines.append(f"Left as it is: {told_of} here; runs of {each.cluster} go on, end them first.")
        else:
            lines.append(f"Removed: {told_of}." if done.removed else f"Left as it is: {told_of} (--remove-gone).")
    queues = sorted({each.queue for each in done.made})
    lines += [f"Runs are begun by: prefect worker start --pool {done.pool.name} --work-queue {each}" for each in queues]
    new = [each for each in done.made if each.new and each.flow in ("monitor", "binlog-server")]
    lines += [f"It begins within ten minutes, or now: prefect deployment run {each.flow}/{each.name}" for each in new]
    return "\n".join(lines)


@app.command(epilog="Example: `PREFECT_API_URL=http://prefect:4200/api mha serve --conf-dir /etc/mha`")
def serve(conf_dir: ConfDir = None, monitor: Watch = True) -> None:
    """Offer every flow of every configured cluster in Prefect from this one process, without a work pool."""
    _configured_in(conf_dir)
    from ...flows.deployments.serving import serve_all

    serve_all(watch=monitor)


def _configured_in(conf_dir: Path | None) -> None:
    if conf_dir is not None:
        os.environ["MHA_CONF_DIR"] = str(conf_dir)
