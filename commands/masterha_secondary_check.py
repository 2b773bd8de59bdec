"""masterha_secondary_check: ask other hosts over SSH whether they reach the primary."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from commands.arguments import address, hide
from commands.options import OptionParser, die, run, say_without_effect

if TYPE_CHECKING:
    from config import ServerConfig
    from replication.detection import Observation

WITHOUT_EFFECT = ("master_user", "ping_type")


def parser() -> OptionParser:
    """The options of the predecessor's command."""
    made = OptionParser(
        "masterha_secondary_check",
        "Ask other hosts, over SSH and all at once, whether the primary's port answers them. For\n"
        "secondary_check_script, which the manager calls with the primary's address; what the manager adds wins.\n\n"
        "exit codes:\n   0  none of them reaches the primary: it may be failed over\n"
        "   2  half of them or more cannot be asked, or the options are wrong\n   3  at least one reaches the primary\n"
        "   1  anything else",
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
        hide(given.master_password, "--master_password has no effect, and shows the password to everybody; leave it out")
    if not given.secondary_host:
        die("-s=<host to ask> must be set.", 1)
    if not given.master_host and not given.master_ip:
        die("--master_host=<master's hostname> must be set.", 1)
    if given.timeout <= 0:
        die("--timeout must be more than 0 seconds.", 2)
    if not given.from_manager:
        say_without_effect(given, WITHOUT_EFFECT)
    return run(lambda: check(given))


def check(given: Namespace) -> int:
    """Ask all hosts at once, say what each one answered, and decide."""
    from replication.detection import by_routes

    name = given.master_host or given.master_ip
    primary = described(name, given.master_ip or address(name, "--master_ip"), given.master_port)
    hosts = list(dict.fromkeys(given.secondary_host))
    with ThreadPoolExecutor(len(hosts)) as pool:
        views = list(pool.map(lambda host: ask(host, primary, given), hosts))
    for host, view in zip(hosts, views, strict=True):
        print(line(host, view, primary.hostname), flush=True)
    return by_routes(views)
