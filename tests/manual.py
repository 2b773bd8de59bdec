"""Manual pages and completions, made from what `tests.reference` knows of every command: ``make docs`` writes them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Option:
    """``value`` is what stands for its value on the page, empty for a flag; ``shown`` its default in words.

    ``names`` of an argument is one in capitals. ``words`` are all values that it may have, ``path``: it is a file's.
    """

    names: tuple[str, ...]
    what: str
    value: str = ""
    shown: str = ""
    words: tuple[str, ...] = ()
    path: bool = False

    @property
    def dashed(self) -> bool:
        """It is an option, and no argument."""
        return self.names[0].startswith("-")


@dataclass(frozen=True)
class Section:
    """One command: ``about`` in paragraphs, ``codes`` its exit codes and what they mean, ``example`` in backquotes."""

    name: str
    about: tuple[str, ...]
    options: tuple[Option, ...]
    example: str
    codes: tuple[tuple[str, str], ...] = ()
    verbs: tuple[str, ...] = field(default=())

    @property
    def words(self) -> tuple[str, ...]:
        """What may stand for its first word that is no option: its verbs, or the values of its argument."""
        return (*self.verbs, *(word for option in self.options if not option.dashed for word in option.words))

    @property
    def first(self) -> str:
        """Its first sentence."""
        return re.split(r"(?<=[.;])\s", " ".join(self.about), maxsplit=1)[0].rstrip(".;")


def man_pages(sections: Sequence[Section], version: str) -> Iterator[tuple[str, str]]:
    """One page for `mha` with all its verbs, one for each other command: the file's name and its text."""
    ours = [each for each in sections if each.name.split()[0] == "mha"]
    purpose = "Master High Availability for MySQL and MariaDB, as Prefect workflows"
    yield (
        "mha.1",
        "\n".join(
            [
                *_head("mha", purpose, "VERB [OPTIONS]", version),
                ".SH VERBS",
                *(line for each in ours for line in [f".SS {_roff(each.name)}", *_body(each)]),
                *_foot([each.name for each in sections if each not in ours]),
            ]
        ),
    )
    for each in (s for s in sections if s not in ours):
        head = _head(each.name, each.first, "[OPTIONS]", version)
        yield f"{each.name}.1", "\n".join([*head, ".SH DESCRIPTION", *_body(each), *_foot(["mha"])])


def _head(name: str, purpose: str, usage: str, version: str) -> list[str]:
    return [
        r".\" `make docs` writes this page from the code.",
        f'.TH "{_roff(name.upper())}" "1" "" "prefect-mha {version}" "Master High Availability"',
        ".SH NAME",
        f"{_roff(name)} \\- {_roff(purpose)}",
        ".SH SYNOPSIS",
        f".B {_roff(name)}",
        _roff(usage),
    ]


def _body(told: Section) -> Iterator[str]:
    for number, part in enumerate(told.about):
        yield from ([".PP"] if number else [])
        yield _roff(part)
    for option in told.options:
        names = ", ".join(f"\\fB{_roff(name)}\\fR" for name in option.names)
        yield ".TP"
        yield names + (f" \\fI{_roff(option.value)}\\fR" if option.value else "")
        yield _roff(option.what + (f" Default: {option.shown}." if option.shown else "")) or "\\&"
    if told.codes:
        yield ".PP"
        yield "Exit codes:"
        for code, what in told.codes:
            yield from (".TP", f"\\fB{code}\\fR", _roff(what))
    yield from (".PP", "Example:", ".PP", ".EX", _roff(told.example.replace("`", "")), ".EE")


def _foot(others: Sequence[str]) -> list[str]:
    return [".SH SEE ALSO", ", ".join(f"\\fB{_roff(name)}\\fR(1)" for name in others), ""]


def _roff(text: str) -> str:
    """A line of text as roff has it: dashes that can be copied, and nothing that is taken for a request."""
    plain = re.sub(r"`([^`]*)`|\*\*([^*]*)\*\*", lambda m: m[1] or m[2] or "", text)
    plain = plain.replace("\\", "\\e").replace("-", "\\-").replace("…", "...").replace("—", "\\(em")
    return f"\\&{plain}" if plain.startswith((".", "'")) else plain


# completions ---------------------------------------------------------------------------------------------------

HEAD = "of mha and of the masterha_* names; `make docs` writes it from the code."


def bash(sections: Sequence[Section]) -> str:
    """Completion for bash, which breaks words at =, as its COMP_WORDBREAKS has it."""
    cases, values = [], []
    for each in sections:
        options = " ".join(sorted(name for option in each.options if option.dashed for name in option.names))
        paths = any(option.path for option in each.options if not option.dashed)
        cases.append(f"    '{each.name}') verbs='{' '.join(each.words)}' options='{options}'{' files=1' * paths} ;;")
        for option in each.options:
            if option.dashed and option.value:
                at = "|".join(f"'{each.name} {name}'" for name in option.names)
                files = "1" if option.path and not option.words else "''"
                values.append(f"    {at}) verbs='{' '.join(option.words)}' options='' files={files} ;;")
    known = "|".join(f"'{each.name}'" for each in sections if " " in each.name)
    return f"""# Completion for bash {HEAD}
_mha() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD - 1]}} last=$((COMP_CWORD - 1))
  local at=${{COMP_WORDS[0]##*/}} verbs='' options='' files='' each
  # --name=value is three words to bash.
  if [ "$current" = = ]; then
    current=''
  elif [ "$before" = = ]; then
    before=${{COMP_WORDS[COMP_CWORD - 2]}}
  fi
  for each in "${{COMP_WORDS[@]:1:last}}"; do
    case "$at $each" in {known}) at="$at $each" ;; esac
  done
  case $at in
{chr(10).join(cases)}
  esac
  case "$at $before" in
{chr(10).join(values)}
  esac
  case $current in
    -*) verbs=$options files='' ;;
    *) [ -n "$verbs$files" ] || verbs=$options ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$verbs" -- "$current"; [ -z "$files" ] || compgen -f -- "$current")
  [ -z "$files" ] || compopt -o filenames 2>/dev/null
}}
complete -F _mha {" ".join(_programs(sections))}
"""


def zsh(sections: Sequence[Section]) -> str:
    """Completion for zsh: a file `_mha` on its fpath."""
    cases = []
    for each in sections:
        specs = [_zsh_spec(option) for option in each.options if option.dashed]
        specs = [word for spec in specs for word in spec]
        if each.verbs:
            told = {s.name: s.first for s in sections}
            listed = " ".join(f"{verb}\\:{_zsh_quoted(told[f'{each.name} {verb}'])}" for verb in each.verbs)
            specs.append(f"'*:verb:(({listed}))'")
        elif each.words:
            specs.append(f"'*:word:({' '.join(each.words)})'")
        elif any(option.path for option in each.options if not option.dashed):
            specs.append("'*:file:_files'")
        cases.append(f"    ('{each.name}') _arguments -S {' '.join(specs)} ;;")
    verbs = "|".join(f"'{each.name}'" for each in sections if " " in each.name)
    return f"""#compdef {" ".join(_programs(sections))}
# Completion for zsh {HEAD}
_mha() {{
  local at=${{words[1]:t}} each
  for each in ${{words[2,CURRENT-1]}}; do
    case "$at $each" in ({verbs}) at="$at $each" ;; esac
  done
  case $at in
{chr(10).join(cases)}
  esac
}}
_mha "$@"
"""


def _zsh_spec(option: Option) -> Iterator[str]:
    what = re.sub(r"([\[\]:\\])", r"\\\1", option.what.replace("`", "").replace("'", ""))
    kind = f"({' '.join(option.words)})" if option.words else "_files" if option.path else " "
    for name in option.names:
        value = ("=" if name.startswith("--") else "") if option.value else ""
        yield f"'*{name}{value}[{what}]{f':value:{kind}' if option.value else ''}'"


def _zsh_quoted(text: str) -> str:
    return '"' + re.sub(r"([\\\":()])", r"\\\1", text.replace("`", "").replace("'", "")) + '"'


def fish(sections: Sequence[Section]) -> str:
    """Completion for fish."""
    told = {each.name: each.first for each in sections}
    verbs = " ".join(f"'{each.name}'" for each in sections if " " in each.name)
    lines = [f"complete -c {program} -f" for program in _programs(sections)]
    for each in sections:
        program = each.name.split()[0]
        where = f"complete -c {program} -n '__mha_at \"{each.name}\"'"
        lines += [f"{where} -a {verb} -d {_fish(told[f'{each.name} {verb}'])}" for verb in each.verbs]
        for option in each.options:
            if not option.dashed:
                lines += [f"{where} -F"] if option.path else []
                lines += [f"{where} -a {_fish(' '.join(option.words))}"] if option.words else []
                continue
            names = " ".join(f"-l {n[2:]}" if n.startswith("--") else f"-s {n[1:]}" for n in option.names)
            kind = ""
            if option.value:
                kind = f" -x -a {_fish(' '.join(option.words))}" if option.words else " -r -F" if option.path else " -x"
            lines.append(f"{where} {names}{kind} -d {_fish(option.what)}")
    return f"""# Completion for fish {HEAD}
function __mha_at
    set -l words (commandline -opc)
    set -l at (string replace -r '.*/' '' -- $words[1])
    for each in $words[2..-1]
        if contains -- "$at $each" {verbs}
            set at "$at $each"
        end
    end
    test "$at" = "$argv[1]"
end
{chr(10).join(lines)}
"""


def _fish(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'").replace("`", "") + "'"


def _programs(sections: Sequence[Section]) -> list[str]:
    return list(dict.fromkeys(each.name.split()[0] for each in sections))
