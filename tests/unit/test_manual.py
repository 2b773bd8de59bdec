"""Manual pages are such to those who read them, and completions complete: each in its own shell, where that is here."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.reference import DOCS, project

PAGES = sorted((DOCS / "man").iterdir())
BASH, ZSH, FISH = (DOCS / "completion" / name for name in ("mha.bash", "_mha", "mha.fish"))


def here(*programs: str) -> pytest.MarkDecorator:
    lacks = [name for name in programs if shutil.which(name) is None]
    return pytest.mark.skipif(bool(lacks), reason=f"no {', '.join(lacks)} here")


def run(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def test_every_command_has_a_page() -> None:
    assert {page.name for page in PAGES} == {f"{name}.1" for name in project()["scripts"]}


@here("mandoc")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_reader_of_manual_pages_finds_nothing_wrong(page: Path) -> None:
    done = subprocess.run(["mandoc", "-Tlint", "-Wwarning", str(page)], capture_output=True, text=True, check=False)
    # A date would make every page new with each release of the same commands.
    assert [line for line in done.stdout.splitlines() if "missing date" not in line] == []


@here("groff")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_other_reader_neither(page: Path) -> None:
    run("groff", "-man", "-ww", "-z", "-Tutf8", str(page))


@here("groff")
def test_options_can_be_copied_from_a_page() -> None:
    shown = run("groff", "-man", "-Tutf8", "-P-cbou", str(DOCS / "man" / "mha.1"))
    assert "mha init /etc/mha --name app1 --from db1 --scan" in shown
    assert "--keep-old-as-replica" in shown


@here("bash")
@pytest.mark.parametrize(
    ("line", "first"),
    [
        ("mha con", "config"),
        ("mha config ''", "check convert show sudoers"),
        ("/opt/mha/bin/mha init --sc", "--scan"),
        ("mha check ''", "all repl ssh"),
        ("mha check --output = j", "json"),
        ("masterha_check_repl --output ''", "text table json"),
        ("masterha_manager --conf = /etc/hostn", "/etc/hostname"),
        ("masterha_manager --ignore_l", "--ignore_last_failover"),
    ],
)
def test_bash_completes(line: str, first: str) -> None:
    words = f"COMP_WORDS=({line}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _mha; echo ${{COMPREPLY[@]}}"
    # Outside of a completion compopt says so.
    assert run("bash", "-c", f"compopt() {{ :; }}; source {shlex.quote(str(BASH))}; {words}").strip() == first


@here("zsh")
@pytest.mark.parametrize(
    ("line", "some"),
    [
        ("mha ''", "failover\\:"),
        ("mha config ''", "sudoers\\:"),
        ("mha check ''", "(all repl ssh)"),
        ("masterha_check_repl ''", "--output=[lines"),
    ],
)
def test_zsh_is_told_what_there_is(line: str, some: str) -> None:
    asked = f"_arguments() {{ print -rl -- $@; }}; words=({line}); CURRENT=$#words; source {shlex.quote(str(ZSH))}"
    assert some in run("zsh", "-f", "-c", asked)


@here("fish")
@pytest.mark.parametrize(
    ("line", "some"),
    [
        ("mha con", {"config"}),
        ("mha config ", {"check", "convert", "show", "sudoers"}),
        ("mha check ", {"all", "repl", "ssh"}),
        ("mha check --output ", {"text", "table", "json"}),
        ("masterha_check_repl --outp", {"--output"}),
    ],
)
def test_fish_completes(line: str, some: set[str]) -> None:
    said = run("fish", "--no-config", "-c", f"source {FISH}; complete -C {shlex.quote(line)}")
    assert {each.split("\t")[0] for each in said.splitlines()} == some
