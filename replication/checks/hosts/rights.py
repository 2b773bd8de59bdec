"""What a host lets its SSH user do that needs the rights of root: stop mysqld, move addresses. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from ....config import ConfigError, ServerConfig
from ...maintenance.host_helper import helper, version_of
from ...model.check import Check, Severity
from ...probes.host import ServerPaths
from ...ssh.rights import helper_path, lacking
from ..facts import Facts, HostFacts
from ..rule import Rule

FENCE = Rule(
    "fence",
    "May ssh_user kill mysqld, so that a primary that hangs cannot come back?",
    "install on {server} what `mha config sudoers` writes, set `ssh_user` to root or to the user who runs mysqld, or "
    "define `shutdown_script`",
    Severity.WARNING,
)
HELPER = Rule(
    "host-helper",
    "If ssh_user is not root: may it start root's helper, and is that helper as this configuration would write it?",
    "install on {server} what `mha config sudoers` writes: {path}, and a sudoers file with lines like "
    "`{user} ALL=(root) NOPASSWD: {path} fence 0 0`",
    Severity.WARNING,
    varies="only told for a user who is neither root nor mysqld's",
)
SEEN = Rule(
    "process-seen",
    "Is the mysqld of every server that answers found on its host, as a fence and the watch look for it?",
    "see that SSH to {server} leads to the host that its mysqld runs on, and that {user} sees processes of others "
    "there (a /proc without hidepid, or what `mha config sudoers` writes): else a fence finds nothing to stop",
    Severity.WARNING,
    varies="error where nobody listens on its port there either: it would pass for dead",
)
LEADS = Rule(
    "ssh-host",
    "Does SSH to every server that answers lead to the host that its mysqld runs on, and not to another's?",
    "fix `ssh_host`, `ssh_port` or what forwards it, and run this again: until then nothing is asked or done over SSH "
    "of {server}, so at its death nothing is saved from its disk, and nothing is fenced there",
    varies="only told where it is seen either way: its process is found there, and what it says of our session",
)
#: Debian's mariadb-server enables mariadb.socket (bookworm, trixie): seen to listen on 3306 after a kill -9.
ACTIVATED = Rule(
    "socket-activation",
    "Does nobody but the server itself listen on its port?",
    "systemctl disable --now {units} on {server}, then restart the server when it suits",
    Severity.WARNING,
)
RULES = (FENCE, HELPER, SEEN, LEADS, ACTIVATED)


def fence(facts: Facts, server: ServerConfig, host: HostFacts) -> Check:
    """Whether the old primary could be stopped over SSH, or by a script."""
    may = host.superuser or host.owns_data or bool(host.helper)
    can = may or bool(facts.config.shutdown_script)
    text = f"{host.user} {'may' if may else 'may not'} kill mysqld"
    return FENCE.judge(server.name, can, text, server=server.hostname)


def process(server: ServerConfig, host: HostFacts) -> Iterator[Check]:
    """Whether who looks for its process on its host finds it while it lives."""
    if host.unseen is None:
        return
    text = f"{host.user} on its host sees: {host.unseen}" if host.unseen else "its process is seen on its host"
    severity = Severity.ERROR if host.elsewhere else None
    yield SEEN.judge(server.name, not host.unseen, text, severity, server=server.hostname, user=host.user)


def leads(server: ServerConfig, host: HostFacts) -> Iterator[Check]:
    """Whether what is found over SSH is the server that answers."""
    if host.wrong_host is not None:
        text = host.wrong_host or "it leads to the server's own host, which has our session"
        yield LEADS.judge(server.name, not host.wrong_host, f"{host.name}: {text}", server=server.hostname)


def activation(server: ServerConfig, host: HostFacts) -> Check:
    """Whether systemd would answer in place of a server that is dead."""
    units = " ".join(host.activated)
    text = f"systemd listens there, too ({units}): a dead server seems to live, and is started when somebody connects"
    text = text if units else "no socket unit of systemd does"
    return ACTIVATED.judge(server.name, not units, text, units=units, server=server.hostname)


def helpers(facts: Facts, server: ServerConfig, host: HostFacts) -> Iterator[Check]:
    """Whether a plain user's helper is there, and of this configuration and version of ours."""
    user, path = host.user, helper_path(server)
    fields = {"path": path, "user": user, "server": server.hostname}
    if host.superuser or (host.owns_data and not (host.helper or host.no_helper)):
        return
    if not host.helper:
        text = lacking(server, user, refused=bool(host.no_helper))
        yield HELPER.no(server.name, text + (f" ({host.no_helper})" if host.no_helper else ""), **fields)
        return
    state = facts.cluster.get(server.address)
    if state is None:
        return
    try:
        wanted = version_of(helper(facts.config, server, ServerPaths.of(server, state)))
    except ConfigError as error:
        yield HELPER.no(server.name, str(error), **fields)
        return
    same = host.helper == wanted
    what = "the one that this configuration would write" if same else "of another configuration or version"
    yield HELPER.judge(server.name, same, f"{path} is {what}", **fields)
