"""The user's own script as a provider, called exactly as MHA calls it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from ...config import ClusterConfig, ServerConfig
from ..errors import HookError
from ..local.site_scripts import (
    OnlineChangeCommand,
    failover_args,
    online_change_args,
    password_environment,
    run_hook,
)
from ..model.check import Check
from .provider import AddressLocation, AddressStep

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
    #: What it is called in the log when it takes the address away, and when it gives it.
    titles: tuple[str, str]

    def status(self) -> Call | None:
        """Ask whether it is ready; None when it knows no such command."""
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
    titles = ("Master IP deactivation script", "Master IP activation script")

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


class OnlineChangeCalls:
    """`master_ip_online_change_script`, for a planned switch from ``old`` to ``new``; it has no command status.

    Taken back, the switch gives the address to ``old`` as if it had come from ``new``.
    """

    setting = "master_ip_online_change_script"
    titles = ("Master IP online change script (stop)", "Master IP online change script (start)")

    def __init__(
        self, config: ClusterConfig, old: ServerConfig, new: ServerConfig, *, old_is_new_replica: bool
    ) -> None:
        self.script = config.master_ip_online_change_script
        self._old, self._new, self._show = old, new, config.hook_passwords
        self._old_is_new_replica = old_is_new_replica

    def status(self) -> None:
        return None

    def stop(self, old: ServerConfig, *, reachable: bool) -> Call:
        return self._call("stop", self._old, self._new)

    def start(self, new: ServerConfig) -> Call:
        old = self._old if new.address == self._new.address else self._new
        return self._call("start", old, new)

    def _call(self, command: OnlineChangeCommand, old: ServerConfig, new: ServerConfig) -> Call:
        return Call(
            command,
            online_change_args(
                command, old, new, old_is_new_replica=self._old_is_new_replica, pass_password=self._show
            ),
            (old.password.get_secret_value(), new.password.get_secret_value()),
            {} if self._show else password_environment(new, old),
        )


class ScriptProvider:
    """A script that a site wrote. Exit 0 is done, 10 not done but go on, anything else raises HookError."""

    name = "script"

    def __init__(self, config: ClusterConfig, calls: ScriptCalls) -> None:
        self._timeout, self._calls = config.hook_timeout, calls

    def check(self) -> tuple[Check, ...]:
        """`--command=status`, as MHA asks at its start."""
        call = self._calls.status()
        if not self._calls.script or call is None:
            return ()
        try:
            done = self._run(call)
        except HookError as error:
            return (Check("vip-script", "", False, str(error)),)
        return (Check("vip-script", "", done.done, done.text),)

    def release(self, old: ServerConfig, *, reachable: bool = True) -> AddressStep:
        """`stopssh`, or `stop` without SSH."""
        if not self._calls.script:
            return self._skipped("release", "invalidating dead master IP address")
        log.info("Executing %s:", _inside(self._calls.titles[0]))
        done = self._run(self._calls.stop(old, reachable=reachable), "release")
        log.info("%s: %s.", self._calls.titles[0], done.text)
        return done

    def acquire(self, new: ServerConfig) -> AddressStep:
        """`start`."""
        if not self._calls.script:
            return self._skipped("acquire", "taking over new master IP address")
        log.info("Executing %s:", _inside(self._calls.titles[1]))
        done = self._run(self._calls.start(new), "acquire")
        if not done.done:
            # It lets us go on, and applications do not find the new primary.
            done = replace(done, text=f"{done.text}: the script did not give the address", failed=True)
        log.info("%s: %s.", self._calls.titles[1], done.text)
        return done

    def verify(self) -> tuple[AddressLocation, ...]:
        """What a script did, only its author can know."""
        return ()

    def close(self) -> None:
        """It has no sessions of its own."""

    def _run(self, call: Call, verb: str = "check") -> AddressStep:
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
        return AddressStep(self.name, verb, done.ok, f"exit code {done.exit_code}")

    def _skipped(self, verb: str, what: str) -> AddressStep:
        log.warning("%s is not set. Skipping %s.", self._calls.setting, what)
        return AddressStep(self.name, verb, False, f"{self._calls.setting} is not set")


def _inside(title: str) -> str:
    """As it stands within a sentence."""
    return title[0].lower() + title[1:]
