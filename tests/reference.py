"""The reference pages of docs/, made from the code: ``make docs`` writes them, a unit test compares.

``commands.md`` is made whole: every verb of `mha` and every ``masterha_*`` name, from their own parsers; so are the
manual pages and the completions (`manual`). Of ``configuration.md`` and ``checks.md`` the rows are made, from the
models' descriptions and the checks' rules; the order of the rows, and what is told around them, is written by hand, for
neither stands in the code.
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
from tests.manual import Option, Section, bash, fish, man_pages, zsh

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
    sections = list(commands())
    front = Section(
        "mha", (), (HELP, Option(("--version",), "Show the version and exit.")), "", (), children("mha", sections)
    )
    known = [front, *sections]
    return {
        **{DOCS / "man" / name: text for name, text in man_pages(sections, version())},
        DOCS / "completion" / "mha.bash": bash(known),
        DOCS / "completion" / "_mha": zsh(known),
        DOCS / "completion" / "mha.fish": fish(known),
        DOCS / "commands.md": commands_page(sections),
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


def project() -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return found


def version() -> str:
    return str(project()["version"])


def commands() -> Iterator[Section]:
    """Every command, the verbs of `mha` first."""
    front = typer.main.get_command(app)
    yield from verbs("mha", front.commands)
    yield from (
        masterha(name, parser_of(name, target)) for name, target in project()["scripts"].items() if name != "mha"
    )


def commands_page(sections: list[Section]) -> str:
    index = "".join(f"| [`{each.name}`](#{each.name.replace(' ', '-')}) | {each.first} |\n" for each in sections)
    body = "\n".join(markdown(each) for each in sections)
    return f"{HEAD}| command | what it does |\n|---|---|\n{index}\n{body}"


#: What every command has, and the page does not repeat.
HELP = Option(("--help",), "Show this help and exit.")


def children(whole: str, sections: list[Section]) -> tuple[str, ...]:
    """The verbs right below one."""
    return tuple(each.name.split()[-1] for each in sections if each.name.split()[:-1] == whole.split())


def verbs(front: str, commands: dict[str, Any]) -> Iterator[Section]:
    for name, command in sorted(commands.items()):
        whole = f"{front} {name}"
        below = list(verbs(whole, getattr(command, "commands", {})))
        options, example = tuple(verb_options(command)), example_of(command.epilog)
        yield section(whole, command.help or "", options, example, children(whole, below))
        yield from below


def verb_options(command: Any) -> Iterator[Option]:
    hints = typing.get_type_hints(inspect.unwrap(command.callback))
    for option in command.params:
        if option.name == "help":
            continue
        kind = plain_type(hints[option.name])
        words = (
            tuple(str(each.value) for each in kind) if isinstance(kind, type) and issubclass(kind, enum.Enum) else ()
        )
        argument = option.opts == [option.name]
        shown = option.default.value if isinstance(option.default, enum.Enum) else option.default
        yield Option(
            names=(option.name.upper(),) if argument else (*option.opts, *option.secondary_opts),
            what=option.help or "",
            value="" if argument or kind is bool else "|".join(f"`{word}`" for word in words) or METAVARS[kind],
            shown="" if shown is None or shown == "" or isinstance(shown, (bool, list)) else f"`{shown}`",
            words=words,
            path=kind is Path,
        )


def plain_type(hint: Any) -> Any:
    """The type of one value: of ``list[Path] | None`` it is Path."""
    inner = [each for each in typing.get_args(hint) if each is not type(None)]
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) in (list, typing.Union):
        return plain_type(inner[0])
    return hint


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
        words = tuple(map(str, action.choices or ()))
        value = "" if action.nargs == 0 else str(action.metavar or "|".join(words or ("VALUE",)))
        path = action.type is Path
        options.append(Option(tuple(action.option_strings), action.help or "", value, words=words, path=path))
    example = (parser.epilog or "").removeprefix("example:").strip()
    return section(name, parser.description or "", tuple(options), f"`{example}`")


def section(name: str, told: str, options: tuple[Option, ...], example: str, verbs: tuple[str, ...] = ()) -> Section:
    """What a command says of itself, taken apart."""
    about, codes = told.strip(), ()
    if found := re.search(r"\n*exit codes:\n((?:  .*\n?)+)", about):
        rows = re.sub(r"\n {6,}(?=\S)", " ", found[1])
        about = about[: found.start()] + "\n\n" + about[found.end() :]
        listed = re.findall(r"^ *(\d+) +(.*)$", rows, re.MULTILINE)
        codes = tuple((code, what.strip()) for code, what in listed)
    parts = tuple(" ".join(part.split()) for part in about.split("\n\n") if part.strip())
    return Section(name, parts, options, example, codes, verbs)


def markdown(told: Section) -> str:
    """Its part of the page."""
    codes = "; ".join(f"**{code}** {what}" for code, what in told.codes)
    codes = f"Exit codes: {codes}.\n\n" if codes else ""
    table = ""
    if told.options:
        with_default = any(each.shown for each in told.options)
        table = "| option | default | |\n|---|---|---|\n" if with_default else "| option | |\n|---|---|\n"
        for each in told.options:
            names = ", ".join(f"`{name}`" for name in each.names) + (f" {each.value}" if each.value else "")
            cells = (names, each.shown, each.what) if with_default else (names, each.what)
            table += f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"
        table += "\n"
    about = "\n\n".join(told.about)
    return f"## {told.name}\n\n{about}\n\n{codes}{table}Example: {told.example}\n"


def main() -> int:
    for page, text in pages().items():
        page.parent.mkdir(exist_ok=True)
        if not page.exists() or page.read_text(encoding="utf-8") != text:
            page.write_text(text, encoding="utf-8")
            print(f"wrote {page.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
