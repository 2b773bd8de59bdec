"""The first look at a cluster: its servers are asked and its primary is pinged before what acts is even imported."""

from __future__ import annotations

import logging

from ...config import ClusterConfig
from ..errors import MhaError
from ..model.refusal import Refusal
from ..model.topology import find_primary
from ..threads import Thread
from .pool import ConnectionPool

log = logging.getLogger("mha")

#: Seconds that whoever has more to do waits for it: no longer than it takes where everybody answers.
WITHIN = 0.3


class FirstLook:
    """Beside its caller, for `WITHIN` seconds before him. ``sessions`` are kept: who goes on has them open already.

    What does not answer is no trouble yet: everybody is asked again by whoever goes on.
    """

    def __init__(self, config: ClusterConfig) -> None:
        log.info("Looking at %s..", ", ".join(server.name for server in config.servers))
        self.config, self.sessions = config, ConnectionPool(config)
        thread = Thread(target=self._look, name="first look", daemon=True)
        thread.start()
        thread.join(WITHIN)

    def _look(self) -> None:
        try:
            primary = find_primary(self.config, self.sessions.observe())
            if isinstance(primary, Refusal):
                return
            self.sessions.server(primary.address).scalar("SELECT 1", action="ping")
            log.info("%s is the primary, and answers a ping.", primary.name)
        except MhaError as error:
            log.debug("The first look: %s", error)
