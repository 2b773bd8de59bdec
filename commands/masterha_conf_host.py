"""masterha_conf_host: add a server's block to a configuration file, or delete one."""

from __future__ import annotations

import re
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from .shared.arguments import hide
from .shared.options import OptionParser, SelectionError, die, require_conf, run

#: What ends a parameter of --params: a semicolon outside of quotes.
_PARAMETER = re.compile(r"((?:[^;\"']|\"[^\"]*\"|'[^']*'|[\"'])*)(?:;|$)")


def parser() -> OptionParser:
    """The options of MHA's command."""
    made = OptionParser(
        "masterha_conf_host",
        "Add a server's block to a configuration file (app1.cnf or mha.toml), or delete one. Comments, order and\n"
        "blank lines of the rest stay; the old file stays beside the new one as FILE.bak.\n\n"
        "exit codes:\n   0  done, or there was nothing to delete\n   2  the options or the configuration are wrong\n"
        "   1  anything else, such as a block that exists already",
        'masterha_conf_host --command=add --conf=/etc/mha/app1.cnf --hostname=db4 --params="port=3307;no_master=1"',
    )
    add = made.add_argument
    add("--command", choices=("add", "delete", "remove"), help="what to do; remove is delete")
    add("--conf", type=Path, metavar="FILE", help="the configuration file")
    add("--hostname", metavar="HOST", help="the server; it needs not be known to DNS")
    add("--block", metavar="NAME", help="its block: server9, or only 9 (default: server_HOST)")
    add("--params", default="", metavar='"K=V;K2=V2"', help="further parameters of the block; quotes protect ;")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """The command; see the module."""
    given = parser().parse(argv)
    if given.command is None:
        die("--command=add|delete must be set.", 1)
    require_conf(given)
    if given.command == "add" and not given.hostname:
        die("--hostname=<server's hostname> must be set.", 1)
    if not given.hostname and not given.block:
        die("--hostname=<server's hostname> or --block=<its block> must be set.", 1)
    return run(lambda: add(given) if given.command == "add" else delete(given))


def add(given: Namespace) -> int:
    """Add a block; one that exists is left as it is."""
    from ..config.editing.edit import add_block, blocks_of
    from ..config.forms.raw import SECRET_KEYS

    values = {"hostname": given.hostname, **parameters(given.params)}
    for key in SECRET_KEYS & values.keys():
        if not values[key].startswith(("env:", "file:")):
            hide(
                given.params,
                f"--params shows {key} to everybody on this host who can list processes; better write {key}=file:/path",
            )
    conf, block = given.conf, names(given)[0]
    present = blocks_of(conf)
    if taken := next((name for name in names(given) if name in present), None):
        raise SelectionError(
            f"{conf} has an entry {taken} already; delete it first, or name another block with --block."
        )
    for warning in add_block(conf, block, values):
        print(f"warning: {warning}", file=sys.stderr)
    print(f"Wrote {block} entry to {conf} .")
    return 0


def delete(given: Namespace) -> int:
    """Delete a block, by its name, or by its hostname where no block was named and none has the usual name."""
    from ..config.editing.edit import blocks_of, remove_block

    present = blocks_of(given.conf)
    found = [name for name in names(given) if name in present][:1]
    if not found and not given.block:
        found = [name for name, values in present.items() if values.get("hostname") == given.hostname]
    if len(found) > 1:
        raise SelectionError(f"{given.hostname} is the hostname of {' and '.join(found)}; name one with --block.")
    if not found:
        print(f"Entry {names(given)[0]} not found from {given.conf} .")
        return 0
    remove_block(given.conf, found[0], check=True)
    print(f"Deleted {found[0]} entry from {given.conf} .")
    return 0


def names(given: Namespace) -> list[str]:
    """What a block may be called: the name for a new one first, then how else the same is spelt.

    MHA puts ``server`` before a name without it; its manual calls the block 9 server_9, its code server9. mha.toml
    has tables [server.NAME].
    """
    wanted = given.block or f"server_{given.hostname}"
    kind = "binlog" if wanted.startswith("binlog") else "server"
    rest = wanted.removeprefix(kind)
    bare = rest.lstrip("._")
    if not bare:
        raise SelectionError(f"--block={wanted} names no server.")
    if given.conf.suffix == ".toml":
        return list(dict.fromkeys((f"{kind}.{bare}", f"{kind}.{rest}")))
    return list(dict.fromkeys((f"{kind}{rest}", f"{kind}{bare}", f"{kind}_{bare}")))


def parameters(text: str) -> dict[str, str]:
    """``k=v;k2=v2``: a value may hold ``=``, and in quotes ``;`` too. Raises ConfigError for an unknown parameter."""
    from ..config.errors import ConfigError
    from ..config.forms.ini import unquoted
    from ..config.forms.raw import SECRET_KEYS, Value
    from ..config.loader import check_parameters

    found: dict[str, Value] = {}
    for part in (match[1].strip() for match in _PARAMETER.finditer(text)):
        if not part:
            continue
        key, equals, value = (word.strip() for word in part.partition("="))
        if not equals:
            # Its text is not shown: it may be the rest of a secret.
            raise ConfigError("--params has a part without =; put a value that holds ; in quotes")
        inner = unquoted(value, secret=key in SECRET_KEYS)
        found[key] = Value(value if inner is None else inner, Path("--params"), None)
    check_parameters(found)
    return {key: value.text for key, value in found.items()}


if __name__ == "__main__":
    raise SystemExit(main())
