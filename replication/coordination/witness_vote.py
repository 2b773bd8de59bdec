"""The vote of a witness, where the servers are even in number: a lease on its disk, had and kept over SSH.

Of two servers one may die with the manager's host, and the other manager then has a majority with the one that is left
and the witness. A lease is by the witness's own clock and longer than it counts for its holder, so nobody has it twice.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import shlex
import threading
import time

from ...config import ClusterConfig, ServerConfig
from ..detection.independence import is_own, same_host
from ..errors import MhaError
from ..scripts import script
from ..ssh.host import SshHost
from ..threads import Thread
from .quorum import LockView, Ruling, Vote, Want

log = logging.getLogger("mha")

#: Seconds for the lease to be given back, when this process is about to end.
TO_GIVE_BACK = 1.0
_ACTION = "ask for its vote"
_MODES = {Want.NOTHING: "look", Want.WATCH: "take", Want.STAND_BY: "release"}
_UNSAFE = re.compile(r"[^A-Za-z0-9.-]")
#: Whose lease it is: by chance, because two hosts may have one name, and come to the witness from one address.
_THIS_MANAGER = secrets.token_hex(8)


def voting_witness(config: ClusterConfig) -> ServerConfig | None:
    """The first that lives on no server's host, where the servers are even in number; more would make a half of it."""
    if len(config.servers) % 2:
        return None
    return next((w for w in config.witnesses if not any(same_host(w, s) for s in config.servers)), None)


def lease_names(config: ClusterConfig) -> tuple[str, ...]:
    """What the lease is kept under: whoever has one server in common, by name or by address, shares it. Pure."""
    both = (f"{name}_{s.port}".lower() for s in config.servers for name in (s.hostname, s.ip))
    return tuple(dict.fromkeys(_UNSAFE.sub("_", each) for each in both))


class WitnessVote:
    """One manager's lease on the witness; asked for by one thread, or by whoever cannot wait. See `_LockSession`."""

    def __init__(self, config: ClusterConfig, witness: ServerConfig, right: Ruling) -> None:
        self.config, self._right = witness, right
        self.ballot, self.asked = LockView(witness.hostname, witness=True), False
        self._names = lease_names(config)
        self._host = SshHost(witness)
        self._asking, self._over = threading.Lock(), threading.Event()
        self._thread: threading.Thread | None = None
        self._told = ""

    def serves(self, config: ClusterConfig, witness: ServerConfig) -> bool:
        """Whether this is the voter of that configuration, too."""
        return self.config == witness and self._names == lease_names(config)

    def begin(self) -> None:
        """Ask again and again, from now on."""
        if self._thread is None:
            self._thread = Thread(target=self._run, name=f"vote {self.config.hostname}", daemon=True)
            self._thread.start()

    def end(self, *, give_back: bool = False) -> None:
        """Ask no more. Its lease runs out, for whoever takes this one's place has the same; or is given back now.

        Nobody waits for what is being asked just now.
        """
        self._over.set()
        if self._asking.acquire(blocking=False):
            try:
                if give_back and self.ballot.at(time.monotonic()) is Vote.OURS:
                    self._answer(Want.STAND_BY, TO_GIVE_BACK)
            finally:
                self._host.close()
                self._asking.release()

    def ask(self) -> None:
        """Ask once, and keep the answer."""
        with self._asking:
            if self._over.is_set():
                return
            self.ballot = self._answer(self._right.wanted())
            self.asked = True
        self._right.noted()

    def _run(self) -> None:
        while not self._over.is_set():
            self.ask()
            self._over.wait(self._right.pace)
        self._host.close()

    def _answer(self, want: Want, patience: float | None = None) -> LockView:
        began, lease = time.monotonic(), self._right.lease
        patience = patience or self._right.patience
        words = [_MODES[want], f"{lease:.0f}", _THIS_MANAGER, str(os.getpid()), *self._names]
        command = f"sh -s -- {shlex.join(words)}"
        try:
            self._host.connect(patience)
            done = self._host.run(command, action=_ACTION, timeout=patience, stdin=script("vote.sh").encode())
        except MhaError as error:
            if not self._over.is_set():
                self._tell(str(error))
            return LockView(self.config.hostname, witness=True)
        self._tell("")
        word, _, holder = done.stdout.strip().partition(" ")
        vote = {"ours": Vote.OURS, "free": Vote.FREE, "another's": Vote.ANOTHERS}.get(word, Vote.UNKNOWN)
        return LockView(
            self.config.hostname,
            vote,
            holder[:100],
            until=began + lease,
            own=is_own(self.config),
            witness=True,
        )

    def _tell(self, why: str) -> None:
        """Once, as long as it lasts."""
        if bool(why) != bool(self._told) and (why or self._told):
            log.info("The witness %s votes%s", self.config.hostname, f" for nobody: {why}" if why else " again.")
        self._told = why
