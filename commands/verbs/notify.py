"""`mha notify test`: tell the configured services of an event that did not happen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from ..shared.mha_options import Conf, GlobalConf, Plain, PlainOutput
from ..shared.options import DEFAULT_GLOBAL_CONF
from ..views.terminal import print_said

app = typer.Typer()
notify = typer.Typer()
app.add_typer(notify, name="notify")


@notify.callback(invoke_without_command=True, epilog="Example: `mha notify test --conf /etc/mha/app1.cnf`")
def front(context: typer.Context) -> None:
    """Test that notifications arrive."""
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit


@notify.command(epilog="Example: `mha notify test --conf /etc/mha/app1.cnf --event completed`")
def test(
    conf: Conf,
    global_conf: GlobalConf = DEFAULT_GLOBAL_CONF,
    event: Annotated[list[str] | None, typer.Option(help="Only this event; may be given more than once.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the texts and who would get them.")] = False,
    output: PlainOutput = Plain.TEXT,
) -> None:
    """Send every configured service one message, marked as a test; exits with 1 when one of them did not take it.

    A service of several events gets the first of them, or those that --event names.
    """

    def work() -> int:
        return run_test(conf, global_conf, event or [], dry_run=dry_run)

    raise SystemExit(work() if output is Plain.TEXT else print_said("notify-test", {"conf": conf}, work))


def run_test(conf: Path, global_conf: Path, events: list[str], *, dry_run: bool) -> int:
    """See `test`. URLs are not shown: a line names a service by its kind and its place in the configuration."""
    from ...config import ConfigError, load_cluster
    from ...config.forms.event_names import EVENTS
    from ...replication.notify.dispatcher import letters
    from ...replication.notify.events import sample
    from ...replication.notify.manager_log import redact, secrets_of, setup_logging
    from ...replication.notify.worker import Notification, attempt_apart

    if unknown := [event for event in events if event not in EVENTS]:
        raise ConfigError(f"no event is called {unknown[0]!r}; there are: {', '.join(EVENTS)}")
    config = load_cluster(conf, global_conf)
    setup_logging(None, config.log_level, secrets_of(config))
    wanted: dict[tuple[str, str], Notification] = {}
    for event in events or EVENTS:
        for letter in letters(config, sample(config, event)):
            # In the first words, of an operator's own text as well, and in no alarm's colour: it must wake nobody.
            marked = replace(letter, title=f"TEST: {letter.title}", kind="info")
            wanted.setdefault((letter.url, event if events else ""), marked)
    if not wanted:
        what = f"of {', '.join(events)}" if events else "of anything"
        print(f"Nobody is told {what}: {conf} has no notify or notify_EVENT for it.")
        return 1
    code = 0
    for letter in wanted.values():
        if dry_run:
            print(f"{letter.where} would be told of {letter.event}:\n\n# {letter.title}\n\n{letter.body}\n")
            continue
        why = redact(attempt_apart(letter))
        print(f"{letter.where}: {letter.event}: {f'FAILED: {why}' if why else 'ok'}", flush=True)
        code = 1 if why else code
    return code
