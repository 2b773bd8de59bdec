"""`mha history` and `mha report`: what was done to a cluster, from the journals of this manager."""

from __future__ import annotations

import contextlib
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...replication.model.words import visible
from ..shared.mha_options import Conf, GlobalConf, Output, Workdir
from ..shared.options import DEFAULT_GLOBAL_CONF
from ..views.pages import refuse_an_old_file, write_html
from ..views.terminal import draw, print_document, rows_table

if TYPE_CHECKING:
    from ...config import ClusterConfig
    from ...replication.reporting.history.incident import Incident

app = typer.Typer()


class What(StrEnum):
    """Which of them."""

    ALL = "all"
    FAILOVER = "failover"
    SWITCH = "switch"
    REJOIN = "rejoin"
    DRILL = "drill"


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
    kind: Annotated[What, typer.Option(help="Only failovers, switches, rejoins or drills.")] = What.ALL,
    newest: Annotated[int, typer.Option(help="The newest so many.", min=1)] = 20,
    output: Annotated[Output, typer.Option(help="How the result is printed.")] = Output.TEXT,
    html: Annotated[
        Path | None, typer.Option(help="Write how long writes were out in each of them as a page into this new file.")
    ] = None,
    target: Annotated[
        float | None,
        typer.Option(
            help="With --html: the seconds that writes may be out (rto_target); later ones are marked.", min=0
        ),
    ] = None,
) -> None:
    """Show the failovers, switches, rejoins and drills of a cluster on this manager: when, why, how long writes were
    out, what was lost, who approved, and the steps that took time. What an old journal does not tell is unknown.
    """
    from ...replication.reporting.history.pages import rows
    from ...replication.reporting.history.text import blocks

    refuse_an_old_file(html)
    _hide_secrets(conf, global_conf)
    config, told = _told(conf, global_conf, workdir)
    cluster = config.name
    told = tuple(each for each in told if kind is What.ALL or each.kind.value == kind.value)[-newest:]
    if html is not None:
        from ...replication.memory.last_check import LastCheck
        from ...replication.reporting.incident.page import history_page

        last, wanted = LastCheck(config).read(), config.rto_target if target is None else target
        write_html(html, history_page(cluster, told, wanted, last.days if last is not None else {}), aside=False)
    elif output is Output.JSON:
        print_document("history", {"cluster": cluster, "incidents": [_hidden(each.as_dict()) for each in told]})
    elif not told:
        print(f"No failover, switch, rejoin or drill of {cluster} is recorded on this host.")
    elif output is Output.TABLE:
        draw(rows_table(_hidden(rows(told)), title=cluster))
    else:
        print(visible(_hidden(blocks(told))))


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
    """Show one failover, switch, rejoin or drill again, with all its steps: as text, Markdown or JSON; or write it as a
    page that one looks at: the time line, the topology before and after, the ledger, what remains.
    """
    from ...replication.reporting.history.journals import named
    from ...replication.reporting.history.pages import markdown
    from ...replication.reporting.history.text import report as text

    if bool(id_) == last:
        raise typer.BadParameter("name one, or --last", param_hint="'ID'")
    refuse_an_old_file(html)
    _hide_secrets(conf, global_conf)
    config, told = _told(conf, global_conf, workdir)
    found = (told[-1] if told else None) if last else named(told, id_)
    if found is None:
        which = (
            f"{id_!r} is none of {config.name}, or more than one"
            if id_
            else f"nothing of {config.name} is recorded here"
        )
        print(visible(f"{which}; mha history --conf {conf} shows all."), file=sys.stderr)
        raise typer.Exit(1)
    if html is not None:
        from ...replication.reporting.incident.page import page

        write_html(html, page(found, str(conf)), aside=output is Page.JSON)
    elif output is Page.JSON:
        print_document("report", _hidden(found.as_dict()))
    elif output is Page.MARKDOWN:
        print(_hidden(markdown(found)), end="")
    else:
        print(visible(_hidden(text(found))))


def _told(conf: Path, global_conf: Path, workdir: Path | None) -> tuple[ClusterConfig, tuple[Incident, ...]]:
    """The cluster as configured, and what its journals tell, the oldest first."""
    from ...config import load_cluster
    from ...replication.reporting.history.journals import incidents

    given = {"manager_workdir": str(workdir)} if workdir else None
    config = load_cluster(conf, global_conf, given, resolve=str, secrets=False)
    return config, incidents(config.manager_workdir, config.name)


def _hide_secrets(conf: Path, global_conf: Path) -> None:
    """What the log hides is hidden here too; where the secrets cannot be read, a journal is shown all the same."""
    from ...config import ConfigError, load_cluster
    from ...replication.notify.manager_log import register_secrets, secrets_of

    with contextlib.suppress(ConfigError, OSError):
        register_secrets(secrets_of(load_cluster(conf, global_conf, resolve=str)))


def _hidden(told: Any) -> Any:
    """Words, or plain data, without a registered secret."""
    from ...replication.notify.manager_log import redact

    if isinstance(told, dict):
        return {name: _hidden(each) for name, each in told.items()}
    if isinstance(told, list | tuple):
        return [_hidden(each) for each in told]
    return redact(told) if isinstance(told, str) else told


def newest_line(conf: Path, global_conf: Path) -> list[str]:
    """The newest failover, switch or rejoin in a line; nothing where there is none, or its journal cannot be read."""
    from ...config import ConfigError, load_cluster
    from ...replication.reporting.history.journals import newest
    from ...replication.reporting.history.text import line

    try:
        config = load_cluster(conf, global_conf, resolve=str, secrets=False)
        found = newest(config.manager_workdir, config.name)
        return [f"Last: {line(found)}"] if found is not None else []
    except (ConfigError, OSError):
        return []
    except Exception as error:  # noqa: BLE001 - the exit code tells of the manager, whatever a journal holds
        return [f"Last: the journals cannot be read: {type(error).__name__}: {error}"]
