"""The reference pages of docs/, made from the code: ``make docs`` writes them, a unit test compares.

``commands.md`` is made whole: every verb of `mha` and every ``masterha_*`` name, from their own parsers. Of
``configuration.md`` and ``checks.md`` the rows are made, from the models' descriptions and the checks' rules; the order
of the rows, and what is told around them, is written by hand, for neither stands in the code.
"""

from __future__ import annotations

import argparse
import enum
import importlib
import inspect
import re
import sys
import tomllib
import types
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import typer
from pydantic import BaseModel, SecretStr

from prefect_mha.commands.mha import app
from prefect_mha.commands.shared.options import OptionParser
from prefect_mha.config import ClusterConfig, ServerConfig, SshOptions
from prefect_mha.config.loader import CLUSTER_PARAMETERS, SERVER_PARAMETERS
from prefect_mha.config.models import _os_user
from prefect_mha.config.state import state_directory
from prefect_mha.replication.checks import RULES

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
#: Defaults that other values give.
COMPUTED = {"hostname": "required", "ip": "from hostname", "ssh_host": "hostname", "ssh_ip": "from ssh_host"}
#: What a value of a type is called in an option's name.
METAVARS: dict[Any, str] = {str: "TEXT", int: "N", float: "N", Path: "PATH"}

HEAD = """# Commands

Every command and option, as `--help` tells them; `make docs` writes this page. `mha` is one front for every job. The
`masterha_*` names and the tools of a database host take MHA's options, written as `--name=value` or `--name value`, in
any case, abbreviated where that is clear. A command that does not know an option ends with exit code 2, and names the
nearest one.

"""


def pages() -> dict[Path, str]:
    """Each page as it has to be."""
    checks = {rule.name: check_row(rule) for rule in RULES}
    parameters = {
        name: parameter_row(model, name)
        for model, names in ((ServerConfig, SERVER_PARAMETERS), (ClusterConfig, CLUSTER_PARAMETERS))
        for name in names
    }
    return {
        DOCS / "commands.md": commands_page(),
        DOCS / "checks.md": with_rows(DOCS / "checks.md", checks),
        DOCS / "configuration.md": with_rows(DOCS / "configuration.md", parameters),
    }


def with_rows(page: Path, rows: dict[str, str]) -> str:
    """A page with each row of these names as it has to be; a name that is gone loses its row.

    Raises ValueError for a name that has no row: only a person knows in which table it belongs.
    """
    lines, seen = [], set()
    for line in page.read_text(encoding="utf-8").splitlines():
        named = re.match(r"\| `([\w-]+)` \|", line)
        if named is None:
            lines.append(line)
        elif named[1] in rows:
            seen.add(named[1])
            lines.append(rows[named[1]])
    if missing := sorted(rows.keys() - seen):
        raise ValueError(
            f"{page} has no row for {', '.join(missing)}: put '| `NAME` |' into the table where it belongs"
        )
    return "\n".join(lines) + "\n"


def check_row(rule: Any) -> str:
    severity = f"{rule.severity}; {rule.varies}" if rule.varies else str(rule.severity)
    return f"| `{rule.name}` | {severity} | {rule.asks} | {rule.hint} |"


def parameter_row(model: type[BaseModel], name: str) -> str:
    return f"| `{name}` | {default(model, name)} | {model.model_fields[name].description} |"


def default(model: type[BaseModel], name: str) -> str:
    """The default of a parameter, as a person reads it."""
    field = model.model_fields[name]
    if name in COMPUTED:
        return COMPUTED[name]
    if field.default_factory is _os_user:
        return "the user who runs the command"
    if field.default_factory is state_directory:
        return "`/var/lib/mha`; `~/.local/state/mha` for users other than root"
    value = field.default
    if value is None or value in (SecretStr(""), SshOptions(), ()):
        return "not set"
    if isinstance(value, bool):
        return f"`{int(value)}`"
    return f"`{','.join(value)}`" if isinstance(value, tuple) else f"`{value:g}`" if value == 60.0 else f"`{value}`"


def commands_page() -> str:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    front = typer.main.get_command(app)
    sections = [*verbs("mha", front.commands)]
    sections += [masterha(name, parser_of(name, target)) for name, target in scripts.items() if name != "mha"]
    index = "".join(f"| [`{name}`](#{name.replace(' ', '-')}) | {what} |\n" for name, what, _ in sections)
    body = "\n".join(text for _, _, text in sections)
    return f"{HEAD}| command | what it does |\n|---|---|\n{index}\n{body}"


Section = tuple[str, str, str]


def verbs(front: str, commands: dict[str, Any]) -> Iterator[Section]:
    for name, command in sorted(commands.items()):
        whole = f"{front} {name}"
        yield section(whole, command.help or "", list(verb_options(command)), example_of(command.epilog))
        yield from verbs(whole, getattr(command, "commands", {}))


def verb_options(command: Any) -> Iterator[tuple[str, str, str]]:
    hints = typing.get_type_hints(inspect.unwrap(command.callback))
    for option in command.params:
        if option.name == "help":
            continue
        kind = plain_type(hints[option.name])
        names = ", ".join(f"`{each}`" for each in (*option.opts, *option.secondary_opts))
        flag = kind is bool
        if option.opts == [option.name]:
            names = f"`{option.name.upper()}`"
        elif not flag:
            names += f" {value_of(kind)}"
        shown = option.default
        if isinstance(shown, enum.Enum):
            shown = shown.value
        shown = "" if shown is None or shown == "" or isinstance(shown, (bool, list)) else f"`{shown}`"
        yield names, shown, option.help or ""


def plain_type(hint: Any) -> Any:
    """The type of one value: of ``list[Path] | None`` it is Path."""
    inner = [each for each in typing.get_args(hint) if each is not type(None)]
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) in (list, typing.Union):
        return plain_type(inner[0])
    return hint


def value_of(kind: Any) -> str:
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return "\\|".join(f"`{each.value}`" for each in kind)
    return METAVARS[kind]


def example_of(epilog: str | None) -> str:
    return (epilog or "").removeprefix("Example: ")


class Caught(Exception):
    """A parser that a command was about to use."""


def parser_of(name: str, target: str) -> OptionParser:
    module, _, main = target.partition(":")

    def catch(parser: OptionParser, _argv: object = None) -> None:
        raise Caught(parser)

    run: Callable[..., Any] = getattr(importlib.import_module(module), main)
    with mock.patch.object(OptionParser, "parse", catch):
        try:
            run([])
        except Caught as caught:
            parser: OptionParser = caught.args[0]
            return parser
    raise ValueError(f"{name} parses no options")


def masterha(name: str, parser: OptionParser) -> Section:
    options = []
    for action in parser._actions:
        if action.help == argparse.SUPPRESS or {"--help", "--version"} & set(action.option_strings):
            continue
        names = ", ".join(f"`{each}`" for each in action.option_strings)
        value = "" if action.nargs == 0 else " " + (action.metavar or "|".join(map(str, action.choices or ["VALUE"])))
        options.append((names + str(value).replace("|", "\\|"), "", (action.help or "").replace("|", "\\|")))
    example = (parser.epilog or "").removeprefix("example:").strip()
    return section(name, parser.description or "", options, f"`{example}`")


def section(name: str, told: str, options: list[tuple[str, str, str]], example: str) -> Section:
    """Its name, its first sentence, and its part of the page."""
    about, codes = told.strip(), ""
    if found := re.search(r"\n*exit codes:\n((?:  .*\n?)+)", about):
        rows = re.sub(r"\n {6,}(?=\S)", " ", found[1])
        about = about[: found.start()] + "\n\n" + about[found.end() :]
        listed = re.findall(r"^ *(\d+) +(.*)$", rows, re.MULTILINE)
        codes = "Exit codes: " + "; ".join(f"**{code}** {what.strip()}" for code, what in listed) + ".\n\n"
    about = "\n\n".join(" ".join(part.split()) for part in about.split("\n\n") if part.strip())
    table = ""
    if options:
        with_default = any(each for _, each, _ in options)
        table = "| option | default | |\n|---|---|---|\n" if with_default else "| option | |\n|---|---|\n"
        for names, shown, what in options:
            table += f"| {names} | {shown} | {what} |\n" if with_default else f"| {names} | {what} |\n"
        table += "\n"
    first = re.split(r"(?<=[.;])\s", about.replace("\n", " "), maxsplit=1)[0].rstrip(".;")
    return name, first, f"## {name}\n\n{about}\n\n{codes}{table}Example: {example}\n"


def main() -> int:
    for page, text in pages().items():
        if not page.exists() or page.read_text(encoding="utf-8") != text:
            page.write_text(text, encoding="utf-8")
            print(f"wrote {page.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
