"""What the ``masterha_*`` commands share: their option syntax, their selectors, and how they end.

Nothing here imports Prefect, a database driver, SSH or the configuration models before it must: these commands
run from cron every minute on small machines.
"""

from __future__ import annotations

import argparse
import difflib
import logging
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from ...replication.local.core_files import leave_none
from ...replication.model.words import visible

if TYPE_CHECKING:
    from ...replication.memory.manager_view import Places

DEFAULT_GLOBAL_CONF = Path("/etc/masterha_default.cnf")
CONF_DIRECTORY = Path("/usr/local/masterha/conf")
SERVICE_DIRECTORY = Path("/service")
DEFAULT_PING_LIMIT = 10

_OPTION = re.compile(r"--?(?P<name>[A-Za-z][\w-]*)(?P<value>=.*)?", re.DOTALL)


class OptionParser(argparse.ArgumentParser):
    """Options as MHA takes them: ``--name=value``, ``--name value``, ``-name``, any case, abbreviated.

    ``_`` and ``-`` in names are the same. Unlike there, an unknown option is an error (exit 2) and names the
    nearest valid one. ``--help`` ends with an example, ``--version`` prints ``<command> version X.``.
    """

    def __init__(self, command: str, summary: str, example: str) -> None:
        super().__init__(
            prog=command,
            usage=f"{command} [options]",
            description=summary,
            epilog=f"example:\n  {example}",
            formatter_class=_HelpFormatter,
            add_help=False,
            allow_abbrev=False,
        )
        self.add_argument("--help", "-h", action="help", help="show this help and exit")
        self.add_argument("--version", action="store_true", default=False, help="show the version and exit")

    def parse(self, argv: Sequence[str] | None = None) -> argparse.Namespace:
        """The options of ``argv`` (default: of this process). Exits 0 for help and version, 2 for a wrong option."""
        options = self.parse_args(self._normal(list(sys.argv[1:] if argv is None else argv)))
        if options.version:
            print(f"{self.prog} version {package_version()}.")
            raise SystemExit(0)
        return options

    def error(self, message: str) -> NoReturn:
        """One line on standard error, exit 2."""
        die(f"{self.prog}: {message} (see {self.prog} --help)", 2)

    def _normal(self, words: list[str]) -> list[str]:
        """Every option in the spelling that argparse knows, its value in the same word."""
        result: list[str] = []
        while words:
            word = words.pop(0)
            match = _OPTION.fullmatch(word)
            if match is None:
                self.error(f"{word!r} is not an option")
            action = self._named(match["name"])
            value = match["value"] or ""
            if action.nargs is None and not value:
                if not words or words[0].startswith("--"):
                    self.error(f"{_spelling(action)} needs a value")
                value = "=" + words.pop(0)
            if action.nargs == 0 and value:
                self.error(f"{_spelling(action)} takes no value")
            result.append(_spelling(action) + value)
        return result

    def _named(self, given: str) -> argparse.Action:
        """The option of this name, or the only one that begins so."""
        wanted = given.lower().replace("-", "_")
        names = {
            option.lstrip("-").replace("-", "_"): action for action in self._actions for option in action.option_strings
        }
        beginnings = {id(action): action for name, action in names.items() if name.startswith(wanted)}
        possible = [names[wanted]] if wanted in names else list(beginnings.values())
        if not possible:
            nearest = difflib.get_close_matches(wanted, names, n=1, cutoff=0.5)
            self.error(f"unknown option --{given}" + (f"; did you mean --{nearest[0]}?" if nearest else ""))
        if len(possible) > 1:
            self.error(f"--{given} may mean {' or '.join(map(_spelling, possible))}")
        return possible[0]


@dataclass(frozen=True)
class Target:
    """One application whose manager is looked at: where its files are, and its log if that is known.

    ``ping_limit`` in seconds: how old the last good ping of a healthy manager may be.
    """

    app: str
    workdir: Path
    log: Path | None
    ping_limit: float


class SelectionError(Exception):
    """The selectors name no application, or one whose files cannot be found."""


def add_conf(parser: argparse.ArgumentParser) -> None:
    """``--conf`` and ``--global_conf``, which every command has."""
    parser.add_argument("--conf", type=Path, metavar="FILE", help="the application's configuration file")
    parser.add_argument(
        "--global_conf",
        type=Path,
        metavar="FILE",
        default=DEFAULT_GLOBAL_CONF,
        help=f"defaults for all applications (default: {DEFAULT_GLOBAL_CONF})",
    )


def require_conf(options: argparse.Namespace) -> Path:
    """The file of ``--conf``; ends the command with exit 1 when it was not given."""
    if options.conf is None:
        die("--conf=<server config file> must be set.", 1)
    conf: Path = options.conf
    return conf


def add_selectors(parser: argparse.ArgumentParser) -> None:
    """Which application: ``--conf``, ``--app`` or ``--all``, and where its files are."""
    add_conf(parser)
    parser.add_argument("--app", metavar="NAME", help=f"the application {CONF_DIRECTORY}/NAME.cnf")
    parser.add_argument("--all", action="store_true", help=f"every application that has {SERVICE_DIRECTORY}/masterha_*")
    parser.add_argument("--basedir", type=Path, metavar="DIR", help="state files are in DIR/NAME (no --conf needed)")
    parser.add_argument("--baselog", type=Path, metavar="DIR", help="with --basedir: logs are DIR/NAME/NAME.log")
    parser.add_argument(
        "--status_dir",
        "--manager_workdir",
        "--workdir",
        type=Path,
        metavar="DIR",
        help="where the state files are (default: manager_workdir of the configuration)",
    )
    parser.add_argument("--manager_log", "--log_output", type=Path, metavar="FILE", help="the manager's log")
    parser.add_argument(
        "--ping_limit",
        type=int,
        default=DEFAULT_PING_LIMIT,
        metavar="SECONDS",
        help=f"the last good ping is too old after this long (default: {DEFAULT_PING_LIMIT}; where ping_interval "
        "is longer than 3 seconds, at least three times that)",
    )


def selected_apps(options: argparse.Namespace) -> list[str | None]:
    """The applications to look at one after the other; None stands for the one that ``--conf`` names."""
    if not options.all:
        return [options.app]
    try:
        names = sorted(entry.name for entry in SERVICE_DIRECTORY.iterdir())
    except OSError as error:
        raise SelectionError(f"--all looks for {SERVICE_DIRECTORY}/masterha_*: {error.strerror}.") from None
    apps: list[str | None] = [name.removeprefix("masterha_") for name in names if name.startswith("masterha_")]
    if not apps:
        raise SelectionError(f"--all looks for {SERVICE_DIRECTORY}/masterha_*, and there is none.")
    return apps


def target(options: argparse.Namespace, app: str | None) -> Target:
    """Where one application's files are. Raises SelectionError, or the configuration's ConfigError."""
    conf, workdir, log = options.conf, options.status_dir, options.manager_log
    if options.all:
        conf, workdir = None, None
    if app and not conf and options.basedir:
        workdir = workdir or options.basedir / app
        log = log or (options.baselog / app / f"{app}.log" if options.baselog else None)
    if app and not conf and not workdir:
        conf = CONF_DIRECTORY / f"{app}.cnf"
    limit = float(options.ping_limit)
    if conf:
        known = _places(conf, options.global_conf)
        app = app or conf.stem
        workdir = workdir or known.workdir
        log = log or known.log
        if known.ping_interval > 3:
            limit = max(limit, 3.0 * known.ping_interval)
    if not app:
        raise SelectionError("--conf=<server config file> must be set (or --app=<name>, or --all).")
    if not workdir.is_dir():
        raise SelectionError(f"{app}: directory {workdir} not found.")
    return Target(app, workdir, log, limit)


def _places(conf: Path, global_conf: Path) -> Places:
    """Where the files of an application are. Raises ConfigError; what its manager has read is not read once more."""
    from ...replication.memory.manager_view import Places

    if (noted := Places.noted(conf, global_conf)) is not None:
        return noted
    from ...config import load_cluster

    # To find files neither addresses nor secrets are needed: a name server that is down, a script that hangs, or
    # an environment that only the manager has, must not hide the manager's state.
    cluster = load_cluster(conf, global_conf, resolve=str, secrets=False)
    return Places(cluster.manager_workdir, cluster.manager_log, cluster.ping_interval)


def for_each_app(options: argparse.Namespace, action: Callable[[Target], int]) -> int:
    """Do the same for every selected application, whatever becomes of the others.

    The result is the action's own for one application, and with ``--all`` 1 if any of them was not 0.
    """
    codes = []
    for app in selected_apps(options):
        try:
            codes.append(action(target(options, app)))
        except BrokenPipeError:
            raise
        except expected_errors() as error:
            print(one_line(error), file=sys.stderr)
            codes.append(exit_code(error))
    return int(any(codes)) if options.all else codes[0]


def say_without_effect(given: argparse.Namespace, names: Sequence[str]) -> None:
    """One line on standard error for those of these options that were given; their default is None."""
    if used := [f"--{name}" for name in names if getattr(given, name) is not None]:
        print(f"No effect any more, accepted: {', '.join(used)}", file=sys.stderr)


def die(message: str, code: int) -> NoReturn:
    """End the command with one line on standard error."""
    print(message, file=sys.stderr, flush=True)
    raise SystemExit(code)


def run(command: Callable[[], int]) -> int:
    """The exit code of a command; what an operator can cause becomes one line on standard error.

    Errors of the configuration: 2. Errors of cluster and files: 1. Interrupted: 130. Its output's reader gone: 141.
    """
    leave_none()
    print_anything()
    try:
        code = command()
        sys.stdout.flush()
    except SystemExit:
        # Said and done; the errors below need not be imported for it.
        raise
    except KeyboardInterrupt:
        return ended(130)
    except BrokenPipeError:
        # The interpreter flushes standard output once more on its way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except expected_errors() as error:
        from ...replication.notify.manager_log import in_file, on_terminal

        if in_file():
            logging.getLogger("mha").error("%s", one_line(error))
        if not (in_file() and on_terminal()):
            print(one_line(error), file=sys.stderr, flush=True)
        return ended(exit_code(error))
    return code


def print_anything() -> None:
    """A terminal that has no sign for a character gets its number: no exit code of what was done is lost for a word."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")


def ended(code: int) -> int:
    """The exit code. Where a run stands by in Prefect the process ends here: with its thread the interpreter aborts."""
    standing = sys.modules.get("prefect_mha.flows.engine.standing.run")
    if standing is not None and standing.at_work():
        standing.prefect_env.leave(code)
    return code


def tell_end(words: str, log_file: Path | None) -> None:
    """How it ended and where the log is, on standard error; nothing where the log itself is on the terminal."""
    from ...replication.notify.manager_log import in_file, on_terminal

    if in_file() and not on_terminal():
        print(f"{words}\nThe log is {log_file}." if words else f"The log is {log_file}.", file=sys.stderr, flush=True)


def exit_code(error: Exception) -> int:
    """2 for what is wrong with a configuration, as for a wrong option; 1 for every other expected error."""
    from ...config import ConfigError

    return 2 if isinstance(error, ConfigError) else 1


def expected_errors() -> tuple[type[Exception], ...]:
    """The errors that are answers and not faults of the program; asked for only when something was raised."""
    from ...config import ConfigError
    from ...replication.errors import MhaError

    return ConfigError, MhaError, SelectionError, OSError


def one_line(error: Exception) -> str:
    """The text of an expected error, without the number and brackets of an OSError; a terminal may have it."""
    if isinstance(error, OSError) and error.strerror:
        return visible(f"{error.filename}: {error.strerror}" if error.filename else error.strerror)
    return visible(" ".join(str(error).split()))


def package_version() -> str:
    """The version of the installed distribution."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("prefect-mha")
    except PackageNotFoundError:
        return "unknown (run from a source tree)"


def _spelling(action: argparse.Action) -> str:
    return next((o for o in action.option_strings if o.startswith("--")), action.option_strings[0])


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Names first, the value once: ``--status_dir, --workdir DIR``."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=100)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        names = ", ".join(action.option_strings)
        if action.nargs is not None:
            return names
        value = action.metavar or ("|".join(map(str, action.choices)) if action.choices else action.dest.upper())
        return f"{names} {value}"
