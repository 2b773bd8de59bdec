"""What `mha binlog-server` does, and the lines about binlog servers in `mha status`."""

from __future__ import annotations

import logging
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NoReturn

from ...config import ConfigError, load_cluster
from ...replication.maintenance.binlog_server.block import CopyOptions
from ...replication.maintenance.binlog_server.health import status_line
from ...replication.maintenance.binlog_server.server import BinlogServer
from ...replication.notify.manager_log import secrets_of, setup_logging
from ...replication.watch.garbage import spare_what_is_loaded
from ..shared.failover_options import watch_parent_signals
from ..shared.options import exit_code, expected_errors, one_line


def serve(conf: Path, global_conf: Path, log_file: Path | None, name: str, options: CopyOptions) -> NoReturn:
    """Copy until SIGTERM, SIGINT or SIGHUP, or with ``once`` until everything is here; Prefect is not needed for it."""
    load = partial(load_cluster, conf, global_conf)
    config = load()
    # Not manager_log: that path is meant for the manager's host.
    setup_logging(log_file, config.log_level, secrets_of(config))
    for warning in config.warnings:
        logging.getLogger("mha").warning("%s", warning)
    stop = threading.Event()
    watch_parent_signals(stop)
    spare_what_is_loaded()
    try:
        code = BinlogServer(load, name, options, stop).run()
    except expected_errors() as error:
        print(one_line(error), file=sys.stderr, flush=True)
        code = exit_code(error)
    logging.shutdown()
    sys.stdout.flush()
    # A look at a server that hangs may be under way in a thread, and the interpreter would wait for it.
    os._exit(code)


def status_lines(conf: Path, global_conf: Path) -> list[str]:
    """One line for each [binlogN] block, asked all at once; nothing that goes wrong is an error."""
    try:
        blocks = load_cluster(conf, global_conf, secrets=False).binlog_servers
    except ConfigError as error:
        return [f"The binlog servers are not looked at: {one_line(error)}"]
    if not blocks:
        return []
    with ThreadPoolExecutor(len(blocks)) as pool:
        return list(pool.map(status_line, blocks))
