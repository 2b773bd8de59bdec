"""The user's own script as a provider, called exactly as the predecessor calls it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from config import ClusterConfig, ServerConfig
from replication.address.provider import Half, Place
from replication.check import Check
from replication.errors import HookError
from replication.hooks import failover_args, password_environment, run_hook

log = logging.getLogger("mha")


@dataclass(frozen=True)
class Call:
    """One call of a script. ``command`` names it in messages, ``secrets`` are hidden in what it prints."""

    command: str
    arguments: Sequence[str]
    secrets: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


class ScriptCalls(Protocol):
    """Which script is called, and with what: a failover and a planned switch have different ones."""

    #: The parameter that names the script, and its value.
    setting: str
    script: str | None

    def status(self) -> Call:
        """Ask whether it is ready."""
        ...

    def stop(self, old: ServerConfig, *, reachable: bool) -> Call:
        """The old primary loses the address."""
        ...

    def start(self, new: ServerConfig) -> Call:
        """The new one gets it."""
        ...


class FailoverCalls:
    """`master_ip_failover_script`, for a failover from ``old``."""

    setting = "master_ip_failover_script"

    def __init__(self, config: ClusterConfig, old: ServerConfig) -> None:
        self.script = config.master_ip_failover_script
        self._old, self._show = old, config.hook_passwords

    def status(self) -> Call:
        return Call("status", failover_args("status", self._old))

    def stop(self, old: ServerConfig, *, reachable: bool) -> Call:
        if reachable:
            return Call("stopssh", failover_args("stopssh", old))
        return Call("stop", failover_args("stop", old))

    def start(self, new: ServerConfig) -> Call:
        return Call(
            "start",
            failover_args("start", self._old, new, pass_password=self._show),
            (new.password.get_secret_value(),),
            {} if self._show else password_environment(new),
        )


class ScriptProvider:
    """A script that a site wrote. Exit 0 is done, 10 not done but go on, anything else raises HookError."""

    name = "script"

    def __init__(self, config: ClusterConfig, calls: ScriptCalls) -> None:
        self._timeout, self._calls = config.hook_timeout, calls

    def check(self) -> tuple[Check, ...]:
        """`--command=status`, as the predecessor asks at its start."""
        if not self._calls.script:
            return ()
        try:
            done = self._run(self._calls.status())
        except HookError as error:
            return (Check("vip-script", "", False, str(error)),)
        return (Check("vip-script", "", done.done, done.text),)

    def release(self, old: ServerConfig, *, reachable: bool = True) -> Half:
        """`stopssh`, or `stop` without SSH."""
        if not self._calls.script:
            return self._skipped("release", "invalidating dead master IP address")
        log.info("Executing master IP deactivation script:")
        done = self._run(self._calls.stop(old, reachable=reachable), "release")
        log.info("Master IP deactivation script: %s.", done.text)
        return done

    def acquire(self, new: ServerConfig) -> Half:
        """`start`."""
        if not self._calls.script:
            return self._skipped("acquire", "taking over new master IP address")
        log.info("Executing master IP activation script:")
        done = self._run(self._calls.start(new), "acquire")
        log.info("Master IP activation script: %s.", done.text)
        return done

    def verify(self) -> tuple[Place, ...]:
        """What a script did, only its author can know."""
        return ()

    def close(self) -> None:
        """It has no sessions of its own."""

    def _run(self, call: Call, verb: str = "check") -> Half:
        script = self._calls.script or ""
        done = run_hook(
            script,
            call.arguments,
            command=call.command,
            timeout=self._timeout,
            secrets=call.secrets,
            env=call.environment,
        )
        if not (done.ok or done.go_on):
            raise HookError(script, f"--command={call.command}", f"exit code {done.exit_code}", done.exit_code)
        return Half(self.name, verb, done.ok, f"exit code {done.exit_code}")

    def _skipped(self, verb: str, what: str) -> Half:
        log.warning("%s is not set. Skipping %s.", self._calls.setting, what)
        return Half(self.name, verb, False, f"{self._calls.setting} is not set")
