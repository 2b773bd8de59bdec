"""MySQL's clone plugin: the server itself fetches all data of the donor, beside its own."""

from __future__ import annotations

import logging
import time

from ....errors import MhaError, StatementFailed
from ....meter import Meter
from ....model.position import BinlogPosition
from ....model.state import GtidKind
from ....mysql.server import Server
from ....threads import Thread
from ..job import RebuildJob
from ..on_host import LONG
from ..place import Place

log = logging.getLogger("mha")

#: Error of a statement that a read-only server refuses, and how often it is tried while a manager closes it again.
READ_ONLY, TRIES = 1290, 50
#: Seconds between two looks at how far it is, and that a clone of a dead process is given to end.
LOOK, ENDS = 0.5, 60.0
_RUNNING = "SELECT ID FROM information_schema.PROCESSLIST WHERE INFO LIKE 'CLONE INSTANCE FROM%'"
_PROGRESS = (
    "SELECT SUM(DATA) AS done, SUM(ESTIMATE) AS total FROM performance_schema.clone_progress "
    "WHERE STAGE IN ('FILE COPY', 'PAGE COPY', 'REDO COPY')"
)


def install(server: Server) -> None:
    """The plugin, where it is not there; super_read_only is lent for the statement. Raises ServerError."""
    if server.scalar(
        "SELECT 1 FROM information_schema.PLUGINS WHERE PLUGIN_NAME = 'clone'", action="look for the plugin"
    ):
        return
    closed = str(server.scalar("SELECT @@GLOBAL.super_read_only", action="read super_read_only"))
    for left in range(TRIES - 1, -1, -1):
        try:
            if closed != "0":
                server.query("SET GLOBAL super_read_only = 0", action="lend super_read_only")
            server.query("INSTALL PLUGIN clone SONAME 'mysql_clone.so'", action="install the clone plugin")
            log.info("%s: the clone plugin was installed.", server)
            return
        except StatementFailed as error:
            # A manager that holds it sets it again within a tenth of a second.
            if error.errno != READ_ONLY or not left:
                raise
        finally:
            if closed != "0":
                server.query("SET GLOBAL super_read_only = 1", action="set super_read_only again")


def fetch(job: RebuildJob) -> None:
    """A whole copy beside the old data. Raises ServerError, HostError's children, DeadlineExceeded."""
    donor, session = job.sessions.server(job.copying.donor), job.sessions.server(job.plan.old)
    install(donor)
    install(session)
    _end_former(session)
    job.there.begin(job.whose)
    meter = job.meter("clone")
    config = donor.config
    session.query("SET GLOBAL clone_valid_donor_list = %s", (f"{config.ip}:{config.port}",), action="name the donor")
    if job.copying.rate:
        bound = max(1, job.copying.rate >> 20)
        session.query("SET GLOBAL clone_max_network_bandwidth = %s", (bound,), action="bound the rate")
    tls = "" if config.tls_mode in ("disabled", "preferred") else " REQUIRE SSL"
    statement = f"CLONE INSTANCE FROM %s@%s:{config.port} IDENTIFIED BY %s DATA DIRECTORY = %s{tls}"
    values = (config.user, config.ip, config.password.get_secret_value(), f"{job.copying.room}/clone/new")
    errors = list[MhaError]()

    def work() -> None:
        own = Server(job.old)
        try:
            own.query(statement, values, action=f"clone {donor}", timeout=LONG)
        except MhaError as error:
            errors.append(error)
        finally:
            own.close()

    thread = Thread(target=work, name="clone", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(LOOK)
        _see(job, session, meter)
    if errors:
        raise errors[0]
    meter.finish()
    job.there.step("cloned", action="take the clone", timeout=LONG)


def _see(job: RebuildJob, session: Server, meter: Meter) -> None:
    """By its own account where performance_schema is on, else by what lies there."""
    try:
        row = session.query(_PROGRESS, action="see how far the clone is")[0]
        done = int(row["done"] or 0)
        if not done:
            told = job.there.step("size", action="see how far the clone is")
            done = int(next((line.split()[1] for line in told if line.startswith("size ")), "0"))
        meter.at(done)
    except MhaError as error:
        log.debug("%s", error)


def _end_former(session: Server) -> None:
    """One that a dead process left behind writes to the same place."""
    ends = time.monotonic() + ENDS
    while rows := session.query(_RUNNING, action="see whether a clone runs"):
        if time.monotonic() > ends:
            raise StatementFailed(str(session), "end a clone that runs there", "it does not end")
        for row in rows:
            try:
                session.query(f"KILL {int(row['ID'])}", action="end a clone that was left behind")
            except StatementFailed as error:
                log.debug("%s", error)
        time.sleep(LOOK)


def stands(job: RebuildJob) -> Place:
    """Where the data stands that the server runs on now. Raises StatementFailed where nothing tells."""
    session = job.sessions.server(job.plan.old)
    if job.plan.kind is GtidKind.MYSQL:
        return Place(gtids=str(session.observe().gtid_executed or ""))
    found = [place for table in ("slave_relay_log_info", "slave_worker_info") for place in _places(session, table)]
    if not found:
        raise StatementFailed(str(session), "read where its clone stands", "its donor's tables of channels are empty")
    return Place(position=max(found))


def _places(session: Server, table: str) -> list[BinlogPosition]:
    """The donor's appliers note there what they commit, in the same transaction."""
    rows = session.query(
        f"SELECT Master_log_name AS f, Master_log_pos AS p FROM mysql.{table}",  # noqa: S608 - one of two of ours
        action="read where its clone stands",
    )
    return [BinlogPosition(_text(row["f"]), int(row["p"])) for row in rows if row["f"] and int(row["p"])]


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
