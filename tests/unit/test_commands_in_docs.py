"""Every command line of the documentation is one: its verb and options are there; what needs no server really runs."""

from __future__ import annotations

import importlib
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from prefect_mha.commands.mha import app
from tests.reference import DOCS, ROOT, parser_of, project

PAGES = (*(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")), *sorted(DOCS.glob("*.md")))
#: Whatever is before a command on its line: a prompt, a variable, a container, a shell that goes on.
_BEFORE = re.compile(r"^(?:\$ |nohup |docker compose exec \w+ |[A-Z_]+=\S* )+")
_ENDS = re.compile(r"\s*(?:&&|\|\||[;|]|&$|[<>(])\s*")
#: A place where a person puts something, or where words go on.
_HOLE = re.compile(r"…|\.\.\.|^[A-Z][A-Z0-9_]*$")
#: What needs no server, and how it may end where nothing was done yet.
RUNS = {
    "mha config show": (0,),
    "mha history": (0,),
    "mha report": (0, 1),
    "mha init": (0,),
    "masterha_check_status": (2,),
}


def lines(text: str) -> Iterator[tuple[str, bool]]:
    """Every line of a block without a language, and every piece of code within a line; True for the former."""
    blocks = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
    for language, block in blocks.findall(text):
        if language in ("", "sh", "console"):
            yield from ((line, True) for line in block.replace("\\\n", " ").splitlines())
    yield from ((each, False) for each in re.findall(r"`([^`\n]+)`", blocks.sub("", text)))


def commands(page: Path) -> Iterator[tuple[tuple[str, ...], bool]]:
    """The words of each of our commands, or of make; True for a whole line."""
    for line, whole in lines(page.read_text(encoding="utf-8")):
        for piece in _ENDS.split(re.sub(r"(^|\s)#.*", "", line)):
            try:
                words = shlex.split(_BEFORE.sub("", piece.strip()))
            except ValueError:
                continue
            if words and (name := words[0].rpartition("/")[2]) in OURS and len(words) > 1:
                yield (name, *words[1:]), whole


SCRIPTS: dict[str, str] = project()["scripts"]
OURS = {*SCRIPTS, "make"}
ALL = sorted({(page.name, words, whole) for page in PAGES for words, whole in commands(page)})


@cache
def front() -> Any:
    return typer.main.get_command(app)


def wrong(words: tuple[str, ...], *, whole: bool) -> str:
    """What is wrong with a command, in words; empty for nothing. Of a piece only what stands there is looked at."""
    name, *rest = words
    if name == "make":
        targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
        return "; ".join(f"no target {word}" for word in rest if "=" not in word and word not in targets)
    if name != "mha":
        return _of_mha(name, rest, whole=whole)
    command = front()
    while rest and (below := getattr(command, "commands", None)) is not None and not rest[0].startswith("-"):
        if _HOLE.search(rest[0]):
            return ""
        if rest[0] not in below:
            return f"no verb {rest[0]}"
        command = below[rest.pop(0)]
    if whole and not any(map(_HOLE.search, rest)):
        try:
            command.make_context(name, rest)
        except Exception as error:  # noqa: BLE001 - whatever the parser says
            return str(error) or type(error).__name__
        return ""
    known = {each for param in command.params for each in (*param.opts, *param.secondary_opts)} | {"--help"}
    return "; ".join(f"no option {word}" for word in _options(rest) if word not in known)


def _of_mha(name: str, rest: list[str], *, whole: bool) -> str:
    parser = parser_of(name, SCRIPTS[name])
    known = {each.lstrip("-").replace("-", "_") for action in parser._actions for each in action.option_strings}
    return "; ".join(
        f"no option {word}" for word in _options(rest) if not any(k.startswith(_plain(word)) for k in known)
    )


def _options(words: list[str]) -> Iterator[str]:
    yield from (word.partition("=")[0].rstrip(".,)") for word in words if re.match(r"--[a-z]", word))


def _plain(option: str) -> str:
    return option.lstrip("-").lower().replace("-", "_")


def test_there_are_many() -> None:
    assert len([each for each in ALL if each[2]]) > 50
    assert len(ALL) > 200


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_is_one(page: Path) -> None:
    found = {" ".join(words): wrong(words, whole=whole) for name, words, whole in ALL if name == page.name}
    assert {line: why for line, why in found.items() if why} == {}


def test_a_wrong_one_is_found() -> None:
    assert wrong(("mha", "histroy"), whole=False) == "no verb histroy"
    assert wrong(("mha", "history", "--config=x"), whole=False) == "no option --config"
    assert "murder" in wrong(("mha", "drill", "--conf=x", "--kind=murder"), whole=True)
    assert wrong(("masterha_manager", "--konf=x"), whole=False) == "no option --konf"
    assert wrong(("make", "tset"), whole=False) == "no target tset"


def test_what_needs_no_server_really_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it stands in a block, with its paths and hosts elsewhere; first what makes the configuration."""
    monkeypatch.chdir(tmp_path)
    etc = tmp_path / "etc"
    whole = {words for _, words, whole in ALL if whole}
    chosen = {words: codes for words in whole for start, codes in RUNS.items() if " ".join(words).startswith(start)}
    assert len(chosen) > 5
    for words in sorted(chosen, key=lambda words: "init" not in words):
        name, *rest = (re.sub(r"^db([123])$", r"192.0.2.\1", word) for word in words)
        rest = [re.sub(r"(^|=)(/etc/mha|/shared|/tmp)(?=/|$)", rf"\1{etc}", word) for word in rest]
        if name == "mha":
            done = CliRunner().invoke(app, rest)
            code, said = done.exit_code, f"{done.output} {done.exception}"
        else:
            module, _, function = SCRIPTS[name].partition(":")
            code, said = getattr(importlib.import_module(module), function)(rest), ""
        assert code in chosen[words], (rest, code, said)
        if "init" in words:
            (etc / "app1.repl.password").write_text("of-the-replicas")
            conf = etc / "app1.cnf"
            conf.write_text(conf.read_text().replace("/var/l", f"{tmp_path}/l"))
            # As a manager that was once there leaves it.
            (tmp_path / "lib" / "mha" / "app1").mkdir(parents=True)
