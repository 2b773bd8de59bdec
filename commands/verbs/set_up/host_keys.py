"""The keys of hosts that known_hosts does not have: shown by fingerprint, and written down when a person knows them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ....config import ClusterConfig

SECONDS = 10.0


def learn_host_keys(config: ClusterConfig, agreed: Callable[[str], bool]) -> str:
    """Ask every host for its key, show those that are new, and remember them when ``agreed``.

    Returns what is left to be done about keys, empty for nothing. Raises OSError where known_hosts cannot be written.
    """
    from ....replication.deadline import Deadline
    from ....replication.errors import HostError
    from ....replication.ssh.connect import unknown_key
    from ....replication.ssh.known_hosts import fingerprint, remember_key
    from ....replication.ssh.login import load_login

    found, troubles = {}, []
    for server in config.servers:
        try:
            login = load_login(server)
            key = None if login.name in found else unknown_key(login, Deadline(SECONDS))
        except HostError as error:
            troubles.append(str(error))
            continue
        if key is not None:
            found[login.name] = (login, key)
    for name, (_, key) in found.items():
        print(f"  {name.partition('@')[2]:<24} {key.get_name()} {fingerprint(key.asbytes())}")
    if found and agreed("Are these the keys of those hosts?"):
        for login, key in found.values():
            remember_key(login.known_hosts[0], login.key_names[0], key.get_name(), key.asbytes())
            print(f"  {login.key_names[0]} is in {login.known_hosts[0]}")
    elif found:
        troubles.append("the hosts' keys are not known yet")
    return "; ".join(troubles)
