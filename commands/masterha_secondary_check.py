"""masterha_secondary_check: ask other hosts over SSH whether they reach the primary."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from .shared.arguments import address, described, hide
from .shared.options import OptionParser, die, run

if TYPE_CHECKING:
    from ..config import ServerConfig
    from ..replication.detection.observation import Observation


def parser() -> OptionParser:
    """The options of MHA's command."""
    made = OptionParser(
        "masterha_secondary_check",
        "Ask other hosts, over SSH and all at once, whether the primary's port answers them. For\n"
        "secondary_check_script, which the manager calls with the primary's address; what the manager adds wins.\n\n"
        "exit codes:\n   0  none of them reaches the primary: it may be failed over\n"
        "   2  half of them or more cannot be asked, or the options are wrong\n   3  at least one reaches the primary\n"
        "   1  anything else\nA silence on the primary's own host, or on this one, is not counted.",
        "secondary_check_script = masterha_secondary_check -s remote_host1 -s remote_host2",
    )
    add = made.add_argument
    add("-s", "--secondary_host", action="append", metavar="HOST", help="a host to ask; give it several times")
    add("--user", default="root", metavar="USER", help="SSH user there (root)")
    add("--port", type=int, default=22, metavar="PORT", help="SSH port there (22)")
    add("--options", default="", metavar="OPTIONS", help="as for ssh: -i, -o, -p, -l, -F")
    add("--master_host", metavar="HOST", help="the primary")
    add("--master_ip", metavar="ADDRESS", help="its address (default: resolved from its name)")
    add("--master_port", type=int, default=3306, metavar="PORT", help="its port (3306)")
    add("--timeout", type=float, default=5.0, metavar="SECONDS", help="how long each host may take (5)")
    add("--master_user", metavar="USER", help="no effect: a greeting tells that the server lives")
    add("--master_password", metavar="PASSWORD", help="no effect")
    add("--ping_type", metavar="TYPE", help="no effect")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """The command; see the module."""
    given = parser().parse(argv)
    if given.master_password:
        hide(
            given.master_password, "--master_password has no effect, and shows the password to everybody; leave it out"
        )
    if not given.secondary_host:
        die("-s=<host to ask> must be set.", 1)
    if not given.master_host and not given.master_ip:
        die("--master_host=<master's hostname> must be set.", 1)
    if given.timeout <= 0:
        die("--timeout must be more than 0 seconds.", 2)
    return run(lambda: check(given))


def check(given: Namespace) -> int:
    """Ask all hosts at once, say what each one answered, and decide."""
    from ..replication.detection.classic_rules import by_routes

    name = given.master_host or given.master_ip
    primary = described("route", name, given.master_ip or address(name, "--master_ip"), port=given.master_port)
    hosts = list(dict.fromkeys(given.secondary_host))
    with ThreadPoolExecutor(len(hosts)) as pool:
        views = list(pool.map(lambda host: ask(host, primary, given), hosts))
    for host, view in zip(hosts, views, strict=True):
        print(line(host, view, primary.hostname), flush=True)
    return by_routes(views)


def ask(host: str, primary: ServerConfig, given: Namespace) -> Observation:
    """What one host says of the primary; whatever is wrong with the host itself is no view."""
    from ..replication.deadline import Deadline, within
    from ..replication.detection.observation import Finding, Observation, Observer
    from ..replication.errors import MhaError
    from ..replication.probes.replica import independent, look_from
    from ..replication.ssh.host import SshHost

    def look() -> Observation:
        asked_config = asked_host(host, given)
        asked = SshHost(asked_config)
        try:
            asked.connect(given.timeout)
            return independent(look_from(asked, primary, timeout=given.timeout), asked_config, primary)
        finally:
            asked.close()

    try:
        return within(look, Deadline(2 * given.timeout + 2.0), f"ask {host}")
    except MhaError as error:
        view = Observation(Observer.OBSERVER, host, Finding.NO_VIEW, str(error))
    # One that goes dark together with the primary must not forbid its failover for ever.
    try:
        return independent(view, asked_host(host, given), primary)
    except MhaError:
        return view


def asked_host(host: str, given: Namespace) -> ServerConfig:
    """One of -s, as the configuration would describe it. Raises ConfigError for wrong --options."""
    from ..config import ConfigError, SshOptions

    try:
        options = SshOptions.parse(given.options)
    except ValueError as error:
        raise ConfigError(f"--options {error}") from None
    seconds = max(1, round(given.timeout))
    user = {"ssh_user": given.user, "ssh_port": given.port, "ssh_options": options}
    return described("route", host, address(host, "-s"), ssh_connection_timeout=seconds, **user)


def line(host: str, view: Observation, primary: str) -> str:
    """MHA's words for one answer."""
    from ..replication.detection.classic_rules import NO_WAY
    from ..replication.detection.observation import Finding

    if view.finding is Finding.ANSWERED:
        return f"Master is reachable from {host}!"
    if view.finding in NO_WAY:
        return f"Monitoring server {host} is reachable, Master is not reachable from {host}. OK."
    if view.finding is Finding.NO_VOICE:
        return f"Monitoring server {host} is not counted: {view.detail}, so its silence confirms nothing."
    return f"Monitoring server {host} is NOT reachable! {primary} was not looked at from there: {view.detail}"


if __name__ == "__main__":
    raise SystemExit(main())
