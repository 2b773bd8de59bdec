"""`mha config`: check a configuration, show what it means, convert it to the other form."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ..shared.mha_options import Conf, GlobalConf, Plain, PlainOutput
from ..shared.options import DEFAULT_GLOBAL_CONF
from ..views.terminal import draw, print_document

app = typer.Typer()
config = typer.Typer()
app.add_typer(config, name="config")


class Shown(StrEnum):
    """How a configuration is shown."""

    TABLE = "table"
    JSON = "json"


class Form(StrEnum):
    """The two forms of a configuration file."""

    CNF = "cnf"
    TOML = "toml"


@config.callback(invoke_without_command=True, epilog="Example: `mha config check --conf /etc/mha/app1.cnf`")
def front(
    context: typer.Context,
    conf: Annotated[Path | None, typer.Option("--conf", "-c", help="Show this one.")] = None,
    global_conf: GlobalConf = DEFAULT_GLOBAL_CONF,
) -> None:
    """Check a configuration, show what it means, or convert it; without a command it is shown."""
    if context.invoked_subcommand is not None:
        return
    if conf is None:
        print(context.get_help())
        raise typer.Exit
    show(conf, global_conf)


@config.command(epilog="Example: `mha config check --conf /etc/mha/app1.cnf`")
def check(
    conf: Conf,
    global_conf: GlobalConf = DEFAULT_GLOBAL_CONF,
    offline: Annotated[
        bool, typer.Option("--offline", help="Resolve no names, follow no secrets, run no init_conf_load_script.")
    ] = False,
    output: PlainOutput = Plain.TEXT,
) -> None:
    """Read a configuration and tell whether it is right; what is wrong names file, line and key, exit 2."""
    from ...config import load_cluster

    cluster = load_cluster(conf, global_conf, resolve=str if offline else None, secrets=not offline)
    if output is Plain.JSON:
        told = {"cluster": cluster.name, "servers": len(cluster.servers), "binlog_servers": len(cluster.binlog_servers)}
        print_document("config-check", {**told, "file": conf, "warnings": [str(each) for each in cluster.warnings]})
        return
    for warning in cluster.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    others = f" and {len(cluster.binlog_servers)} binlog servers" if cluster.binlog_servers else ""
    print(f"{conf} is right: {cluster.name} has {len(cluster.servers)} servers{others}.")


@config.command(epilog="Example: `mha config show --conf /etc/mha/app1.cnf`")
def show(
    conf: Conf,
    global_conf: GlobalConf = DEFAULT_GLOBAL_CONF,
    output: Annotated[Shown, typer.Option(help="table: what is not the default; json: all that it means.")] = (
        Shown.TABLE
    ),
) -> None:
    """Show what a configuration says that is not the default, and where it says so; or all that it means, as JSON with
    every default and address. No secret is shown.
    """
    from ...config import load_cluster
    from ...config.editing.differences import differences
    from ..views.configuration import differences_json, differences_table

    cluster = load_cluster(conf, global_conf)
    for warning in cluster.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    found = differences(conf, global_conf)
    if output is Shown.JSON:
        meant = cluster.model_dump(mode="json", exclude={"warnings"})
        print_document("config", {**meant, "differences": differences_json(found)})
        return
    draw(differences_table(f"{cluster.name}: what is not the default", found))
    for file in dict.fromkeys(each.file for each in found):
        print(f"{file.name} is {file}")


@config.command(epilog="Example: `mha config convert --conf /etc/mha/app1.cnf --out /etc/mha/app1.toml`")
def convert(
    conf: Conf,
    to: Annotated[Form | None, typer.Option(help="The form to write; the other one when not given.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="The file to write, with the mode of the first; shown when not given.")
    ] = None,
) -> None:
    """Write app1.cnf as mha.toml, or the other way round: the same meaning, comments kept, references to secrets kept.

    A file that holds a secret itself is not shown; name a file with --out.
    """
    from ...config import ConfigError
    from ...config.editing.convert import converted, plain_secrets
    from ...config.editing.edit import write_like
    from ...config.forms.raw import read_text

    text = read_text(conf)
    suffix = f".{to}" if to else out.suffix if out else ".cnf" if conf.suffix == ".toml" else ".toml"
    target = out or conf.with_suffix(suffix)
    if (target.suffix == ".toml") != (suffix == ".toml"):
        raise ConfigError(f"a file of the form {suffix[1:]} cannot be called so", file=target)
    made = converted(text, conf, target)
    secrets = plain_secrets(text, conf)
    if out is None:
        if secrets:
            raise ConfigError(
                f"it holds secrets, so it is not shown ({'; '.join(secrets)}); name a file with --out", file=conf
            )
        sys.stdout.write(made)
        return
    if out.exists():
        raise ConfigError("it exists already, so it was left as it is", file=out)
    write_like(out, made.encode(), conf)
    for secret in secrets:
        print(f"warning: {conf}: {secret} is in plain text; file:/path or env:NAME keeps it apart", file=sys.stderr)
    print(f"Wrote {out} .")


@config.command(epilog="Example: `mha config sudoers --conf /etc/mha/app1.cnf --to /tmp/hosts`")
def sudoers(
    conf: Conf,
    global_conf: GlobalConf = DEFAULT_GLOBAL_CONF,
    to: Annotated[
        Path | None, typer.Option(help="A directory; each host gets a folder in it. Shown when not given.")
    ] = None,
    user: Annotated[str | None, typer.Option(help="The plain user of SSH sessions; ssh_user when not given.")] = None,
) -> None:
    """Write what lets a plain SSH user fence a server and move addresses: root's helper for each host, the sudoers file
    that allows its few words, and what to put before the manager's key in authorized_keys. The servers are asked for
    their directories.
    """
    from .host_files import write_sudoers

    raise typer.Exit(write_sudoers(conf, global_conf, to, user))
