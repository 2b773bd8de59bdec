"""`mha history` and `mha report`: what was done to a cluster, from the journals of this manager."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...replication.model.words import visible
from ..shared.mha_options import Conf, GlobalConf, Output, Workdir
from ..shared.options import DEFAULT_GLOBAL_CONF
from ..views.terminal import draw, print_document, rows_table

if TYPE_CHECKING:
    from ...replication.reporting.history.incident import Incident

app = typer.Typer()


class What(StrEnum):
    """Which of them."""

    ALL = "all"
    FAILOVER = "failover"
    SWITCH = "switch"
    REJOIN = "rejoin"


class Page(StrEnum):
    """How one of them is shown."""

    TEXT = "text"
    MARKDOWN = "markdown"
    JSON = "json"


@app.command(epilog="Example: `mha history --conf /etc/mha/app1.cnf`")
def history(
    conf: Conf,
    global_conf: GlobalConf = DEFAULT_GLOBAL_CONF,
    workdir: Workdir = None,
    kind: Annotated[What, typer.Option(help="Only failovers, switches or rejoins.")] = What.ALL,
    last: Annotated[int, typer.Option(help="The newest so many.", min=1)] = 20,
    output: Annotated[Output, typer.Option(help="How the result is printed.")] = Output.TEXT,
) -> None:
    """Show the failovers, switches and rejoins of a cluster that this manager did: when, why, how long writes were out,
    what was lost, who approved, and the steps that took time. What an old journal does not tell is unknown.
    """
    from ...replication.reporting.history.pages import rows
    from ...replication.reporting.history.text import blocks

    cluster, told = _told(conf, global_conf, workdir)
    told = tuple(each for each in told if kind is What.ALL or each.kind.value == kind.value)[-last:]
    if output is Output.JSON:
        print_document("history", {"cluster": cluster, "incidents": [each.as_dict() for each in told]})
    elif not told:
        print(f"No journal on this host tells of one of {cluster}.")
    elif output is Output.TABLE:
        draw(rows_table(rows(told), title=cluster))
    else:
        print(visible(blocks(told)))


@app.command(epilog="Example: `mha report --conf /etc/mha/app1.cnf --last`")
def report(
    conf: Conf,
    id_: Annotated[str, typer.Argument(metavar="[ID]", help="As `mha history` shows it, or a part of it.")] = "",
    global_conf: GlobalConf = DEFAULT_GLOBAL_CONF,
    workdir: Workdir = None,
    last: Annotated[bool, typer.Option("--last", help="The newest.")] = False,
    output: Annotated[Page, typer.Option(help="How it is shown.")] = Page.TEXT,
    html: Annotated[Path | None, typer.Option(help="Write it as a page of HTML into this new file, mode 0600.")] = None,
) -> None:
    """Show one failover, switch or rejoin again, with all its steps: as text, Markdown or JSON; or write it as a page
    that one looks at: the time line, the topology before and after, the ledger, what remains.
    """
    from ...replication.reporting.history.journals import named
    from ...replication.reporting.history.pages import markdown
    from ...replication.reporting.history.text import report as text

    if bool(id_) == last:
        raise typer.BadParameter("name one, or --last", param_hint="'ID'")
    cluster, told = _told(conf, global_conf, workdir)
    found = (told[-1] if told else None) if last else named(told, id_)
    if found is None:
        which = f"{id_!r} is none of {cluster}, or more than one" if id_ else f"no journal tells of one of {cluster}"
        print(f"{which}; mha history --conf {conf} shows all.")
        raise typer.Exit(1)
    if html is not None:
        from ...replication.local.own_files import written
        from ...replication.reporting.incident.page import page

        with written(html, 0o600) as file:
            file.write(page(found, str(conf)))
        print(f"Wrote {html} .")
    elif output is Page.JSON:
        print_document("report", found.as_dict())
    elif output is Page.MARKDOWN:
        print(markdown(found), end="")
    else:
        print(visible(text(found)))


def _told(conf: Path, global_conf: Path, workdir: Path | None) -> tuple[str, tuple[Incident, ...]]:
    """The cluster's name, and what its journals tell, the oldest first."""
    from ...config import load_cluster
    from ...replication.reporting.history.journals import incidents

    given = {"manager_workdir": str(workdir)} if workdir else None
    config = load_cluster(conf, global_conf, given, resolve=str, secrets=False)
    return config.name, incidents(config.manager_workdir, config.name)


def newest_line(conf: Path, global_conf: Path) -> list[str]:
    """The newest failover, switch or rejoin in a line; nothing where there is none, or its journal cannot be read."""
    from ...config import ConfigError
    from ...replication.reporting.history.text import line

    try:
        _, told = _told(conf, global_conf, None)
    except (ConfigError, OSError):
        return []
    return [f"Last: {line(told[-1])}"] if told else []
