"""`init_conf_load_script`: a user's command that prints parameters, so that secrets need not lie in a file."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile

from ..values import Values, wrong
from .ini import unquoted
from .raw import SECRET_KEYS, Value

INIT_SCRIPT_SECONDS = 30.0
_KEY = "init_conf_load_script"


def run_init_script(script: Value, seconds: float = INIT_SCRIPT_SECONDS) -> Values:
    """The ``name=value`` lines that it prints; what follows the first ``=`` is the value.

    Raises ConfigError when it fails, unlike MHA, which went on with whatever the file held; and when it
    does not end within ``seconds``. Its output may hold secrets: it is never shown, and lies in no named file.
    """
    with tempfile.TemporaryFile() as output:
        # A file, not a pipe: a child left running in the background would keep a pipe open.
        try:
            process = subprocess.Popen(  # noqa: S602 - the operator wrote this line for a shell
                script.text,
                shell=True,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            raise wrong(script, _KEY, f"cannot be started: {error.strerror}") from None
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise wrong(script, _KEY, f"did not end within {seconds:g} s") from None
        output.seek(0)
        printed = output.read()
    if code:
        raise wrong(script, _KEY, f"ended with exit code {code}")
    try:
        lines = printed.decode("utf-8").split("\n")
    except UnicodeDecodeError:
        raise wrong(script, _KEY, "printed what is not UTF-8 text") from None
    values: Values = {}
    for line in lines:
        key, equals, text = (part.strip() for part in line.partition("="))
        if equals and not key.startswith(("#", ";")):
            inner = unquoted(text, secret=key in SECRET_KEYS)
            values[key] = Value(text if inner is None else inner, script.file, script.line)
    return values
