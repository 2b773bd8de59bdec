"""keepalived on the database hosts: it holds `vip_addresses` on whichever of them wins its election (VRRP, RFC 5798).

Left alone it would let another host have the address than the new primary. So the old primary's is stopped, the others'
are paused for as long as the new primary's needs to take the address, and then started again: as BACKUP with nopreempt
they leave it where it is.
"""

from __future__ import annotations

import shlex
import time

from ...config import ServerConfig
from ..cluster.pool import reachable
from ..deadline import Deadline
from ..errors import AddressError, DeadlineExceeded, HostError
from ..model.check import Check, Severity
from ..scripts import script
from ..ssh.rights import as_root
from .host_addresses import on_host, one_a_host, sudo_of
from .ip import OnHosts, placed
from .provider import AddressStep

#: Seconds between two looks at whether the new primary has the address. An election takes up to three of keepalived's
#: advertisement intervals and nothing tells its end to others than its own host.
LOOK_AGAIN = 0.1
#: Seconds for another host to answer over SSH before it is left as it is.
REACHED_WITHIN = 1.0


class KeepalivedProvider(OnHosts):
    """`vip_addresses`, held by keepalived. See `AddressProvider`."""

    name = "keepalived"

    def check(self) -> tuple[Check, ...]:
        """It runs on every host, as BACKUP with nopreempt, and one of them has the address."""
        found = self._census()
        return (
            *(check for server in self._hosts() for check in self._check_host(server)),
            *(placed(address, holders) for address, holders in found.holders.items()),
        )

    def release(self, old: ServerConfig, *, reachable: bool = True) -> AddressStep:
        """Stop it on the old primary's host, and take off what it left there."""
        if not reachable:
            text = f"keepalived on {old.name} could not be stopped, because SSH does not reach its host"
            return AddressStep(self.name, "release", False, text, failed=True)
        told = self._run(old, "stop")
        seen = on_host(self._sessions.host(old.address), old, self._config, "release", "take the address off")
        if left := seen.addresses("has"):
            raise AddressError(self.name, old.name, f"{', '.join(sorted(left))} stays although keepalived is stopped")
        what = "stopped" if "stopped" in told else "not running"
        rest = f"; it had left {', '.join(sorted(seen.addresses('removed')))}" if seen.addresses("removed") else ""
        return AddressStep(
            self.name, "release", True, f"keepalived on {old.name} {what}{rest}; start it when it is fixed"
        )

    def acquire(self, new: ServerConfig) -> AddressStep:
        """Leave the new primary's as the only one until it has the address."""
        deadline = Deadline(self._config.vip_timeout)
        others = [s for s in self._hosts() if (s.ssh_ip, s.ssh_port) != (new.ssh_ip, new.ssh_port)]
        told = self._run(new, "start")
        if "running" not in told:
            why = told.get("failed") or told.get("missing") or "it ended at once"
            raise AddressError(self.name, new.name, f"keepalived does not run: {why}", "see its log on that host")
        notes = []
        if not self._has_all(new):
            self._sessions.each(self._pause, others, timeout=deadline.left)
        try:
            self._wait(new, deadline)
        finally:
            resumed = self._sessions.each(self._resume, others, timeout=self._config.vip_timeout)
        for server, result in resumed:
            if isinstance(result, dict) and "kept" in result:
                notes.append(f"; keepalived on {server.name} stays stopped: {result['kept']}")
            elif isinstance(result, dict) and "failed" in result:
                notes.append(f"; keepalived on {server.name} does not start again: {result['failed']}")
        return AddressStep(self.name, "acquire", True, f"{', '.join(self._wanted)} is on {new.name}{''.join(notes)}")

    def _hosts(self) -> list[ServerConfig]:
        return [servers[0] for servers in one_a_host(self._config.servers).values()]

    def _pause(self, server: ServerConfig) -> None:
        """A host that does not answer is no rival, or one that nobody can reach: it is not waited for."""
        if reachable(self._sessions.host(server.address), REACHED_WITHIN):
            self._run(server, "pause")

    def _resume(self, server: ServerConfig) -> dict[str, str]:
        if not reachable(self._sessions.host(server.address), REACHED_WITHIN):
            return {}
        return self._run(server, "resume")

    def _wait(self, new: ServerConfig, deadline: Deadline) -> None:
        while not self._has_all(new):
            if deadline.over:
                cause = f"keepalived did not take {', '.join(self._wanted)} within {deadline.seconds:g} s"
                raise AddressError(self.name, new.name, cause, "does its check script fail, or does a peer still run?")
            time.sleep(LOOK_AGAIN)

    def _has_all(self, server: ServerConfig) -> bool:
        return self._on(server, "look", "see what it has").addresses("has") >= set(self._wanted)

    def _check_host(self, server: ServerConfig) -> tuple[Check, ...]:
        try:
            told = self._run(server, "look")
        except AddressError as error:
            return (Check("vip-host", server.name, False, str(error)),)
        if "missing" in told:
            return (Check("keepalived", server.name, False, told["missing"]),)
        hint = f"write 'state BACKUP' and 'nopreempt' into {server.keepalived_config}"
        text = "starts as BACKUP and does not preempt" if "backup" in told else "takes the address when it starts"
        return (
            Check("keepalived", server.name, "running" in told, "keepalived runs", hint="start it"),
            Check("keepalived-backup", server.name, "backup" in told, text, Severity.WARNING, hint),
        )

    def _run(self, server: ServerConfig, verb: str) -> dict[str, str]:
        words = (verb, sudo_of(server), server.keepalived_config, server.keepalived_pid_file)
        seconds = self._config.vip_timeout
        plain = f"env LC_ALL=C timeout -k 1 {seconds:g} sh -s -- {' '.join(map(shlex.quote, words))}"
        action = f"{verb} keepalived" if verb != "look" else "look at keepalived"
        try:
            result = self._sessions.host(server.address).run(
                as_root(server, f"keepalived {verb}", plain),
                action=action,
                timeout=seconds + 2.0,
                stdin=script("keepalived.sh").encode(),
                ok=range(256),
            )
        except (HostError, DeadlineExceeded) as error:
            raise AddressError(self.name, server.name, str(error)) from error
        told = {key: value.strip() for key, _, value in (line.partition(" ") for line in result.stdout.splitlines())}
        if "done" not in told:
            said = result.stderr.strip().splitlines()[-1:] or ["it did not come to its end"]
            raise AddressError(self.name, server.name, f"{action}: {said[0]}")
        return told
