"""The edge to PyMySQL: a session as ours have to be, and its errors as ours. Nothing else catches the driver's.

What matters most of an error is who says it: the server in its own protocol, which then lives (design rule 12), or the
driver, because nothing came.
"""

from __future__ import annotations

import ssl
import time
from typing import TYPE_CHECKING, Any

import pymysql
from pymysql.constants import CR
from pymysql.protocol import MysqlPacket

from ...config import ServerConfig
from ..errors import (
    AccessDenied,
    PrivilegeMissing,
    ServerBusy,
    ServerError,
    ServerOdd,
    ServerUnreachable,
    StatementFailed,
)
from ..local.addresses import address_of
from .admin_port import AdminPort
from .authentication import PLUGINS, Proof, context, key_of
from .decoding import CODEC
from .dialects import session as settings

BUSY_ERRORS = frozenset({1040, 1041, 1135, 1203, 1226})
DENIED_ERRORS = frozenset(
    {1042, 1043, 1044, 1045, 1129, 1130, 1251, 1275, 1524, 1698, 1820, 1862, 2059, 2061, 3032, 3118, 3159, 3955, 4151}
)
PRIVILEGE_ERRORS = frozenset({1142, 1143, 1227, 1370, 3530})
#: The session is over, or will be: shutdown, killed, idle for too long, packets that broke on the way.
_SESSION_OVER = frozenset({1053, 1077, 1079, 1080, 1152, 1158, 1159, 1160, 1161, 1184, 1927, 3169, 4031})
#: The driver's own numbers for nothing that came, or came to its end (Reference Manual, Client Error Messages).
_NOTHING_CAME = frozenset({CR.CR_CONN_HOST_ERROR, CR.CR_SERVER_GONE_ERROR, CR.CR_SERVER_LOST})
_CLIENT_ERRORS = range(2000, 2100)
#: What one answer may hold at most, and what all of a login may take, in the seconds of one of its exchanges.
MOST_BYTES, MOST_PACKETS, LOGIN = 64 << 20, 100_000, 3.0
#: Bytes that are read at once.
_CHUNK = 1 << 16

_EXPIRED = (
    "the account's password has expired: on the primary, ALTER USER … IDENTIFIED BY …, and PASSWORD EXPIRE NEVER "
    "for an account of programs"
)
_PLUGIN = (
    "this client does not know the account's authentication plugin; let the account use caching_sha2_password, "
    "mysql_native_password or ed25519"
)
_HINTS = {
    1040: "every connection is taken; raise max_connections, or let the server keep a port for administrators "
    "(extra_port of MariaDB, admin_address of MySQL) and name it in admin_port",
    1041: "that host has no memory left for a session",
    1045: "check user and password in the configuration, and that the account may connect from this host; one that "
    "must show a certificate (REQUIRE X509, SUBJECT, ISSUER) needs ssl_cert and ssl_key",
    1129: "run FLUSH HOSTS on that server: it has blocked this host after failed connections",
    1130: "create the account for this host, e.g. 'user'@'this host'",
    1135: "that host lets mysqld have no further thread; raise its limit of processes",
    1203: "the account has as many sessions as it may have; raise max_user_connections",
    1226: "the account has used up what it may use; ALTER USER … WITH MAX_USER_CONNECTIONS 0 and the like",
    1227: "grant the missing privilege to the configured user",
    1251: _PLUGIN,
    1524: "the server has not loaded the account's authentication plugin",
    1820: _EXPIRED,
    1862: _EXPIRED,
    2003: "is mysqld running there, and does the port let this host through?",
    2026: "look at the server's certificate and at ssl_mode, ssl_ca, ssl_cert and ssl_key in the configuration",
    2059: _PLUGIN,
    2061: _PLUGIN,
    3032: "SET GLOBAL offline_mode=0 there, when it is over",
    3118: "ALTER USER … ACCOUNT UNLOCK",
    3159: "the server demands TLS; set ssl_ca in the configuration",
    3955: "ALTER USER … ACCOUNT UNLOCK: too many logins with a wrong password have locked it",
    4151: "ALTER USER … ACCOUNT UNLOCK",
}


def new_session(config: ServerConfig, timeout: float, way: AdminPort | None = None) -> SqlSession:
    """A session to be connected, as ``ssl_mode`` says: by default TLS when the server offers it.

    ``way`` is the port that it keeps for administrators, if that is to be taken. Who is told what: see
    `authentication`. Raises PyMySQL's and the operating system's errors; `map_error` makes them ours.
    """
    return SqlSession(config, timeout, way, defer_connect=True)


if TYPE_CHECKING:
    _Connection = pymysql.Connection[Any]
else:
    _Connection = pymysql.Connection  # generic to type checkers alone


class SqlSession(_Connection):
    """PyMySQL's, which sets all that it depends on, and whose errors tell whether the server said them (``answered``).

    ``timeout`` (seconds) bounds each exchange of the login, which as a whole takes `LOGIN` times that at most.
    Whatever comes is bounded: bytes, packets and seconds; a file of this host is never sent.
    All sessions for which no TLS is demanded share what they need to have it where it is offered: PyMySQL makes it
    anew for each and reads the system's certificate authorities for it, 0.9 MB and some 20 ms of processor time a
    session, for a check that is not made.
    """

    _shared: Any = None
    _greeted = False
    #: What the account logged in with, once it has.
    plugin = ""
    salt: bytes
    _auth_plugin_name: str

    def __init__(
        self, config: ServerConfig, timeout: float, way: AdminPort | None = None, *, defer_connect: bool = False
    ) -> None:
        self.proof = Proof(config)
        self.server_key: bytes | None = None
        self._config = config
        self._buffer, self._read_from = bytearray(), None
        self.allow(timeout, whole=max(LOGIN * timeout, timeout + 8.0))
        super().__init__(
            host=way.address if way is not None and way.address else address_of(config),
            port=config.port if way is None else way.port,
            unix_socket=config.unix_socket,
            user=config.user,
            # Bytes, because PyMySQL encodes text as latin-1 and a password may hold anything.
            password=config.password.get_secret_value().encode(),
            charset="utf8mb4",
            # PyMySQL believes what a server says of it when it greets; `dialects.session` says it outright.
            autocommit=None,
            connect_timeout=timeout,
            read_timeout=timeout,
            write_timeout=timeout,
            program_name="prefect-mha",
            auth_plugin_map=PLUGINS,
            local_infile=False,
            ssl_disabled=config.tls_mode == "disabled",
            # Its files are read once the server has greeted: what is wrong with them is no silence of its.
            ssl=None if config.tls_mode in ("disabled", "preferred") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            defer_connect=True,
        )
        self.encoding = CODEC
        if not defer_connect:
            self.connect()

    def allow(self, timeout: float, *, whole: float | None = None) -> None:
        """What comes next may take ``timeout`` seconds for each packet, ``whole`` for all of them (twice as long).

        Seconds of waiting: a process that stood still meanwhile finds what has come.
        """
        self._exchange, self._left_for_packet = timeout, timeout
        self._left = whole if whole is not None else timeout + max(1.0, timeout)
        self._packets = self._bytes = 0

    @property
    def unread(self) -> bool:
        """Whether more has come than was asked for."""
        return bool(self._buffer)

    def connect(self, sock: Any = None) -> None:
        """Connect, and set what the session depends on."""
        try:
            super().connect(sock)
            self._set_all()
            self.proof.keep(self.plugin)
        except (pymysql.Error, OSError) as error:
            self._force_close()  # type: ignore[attr-defined]
            raise _marked(error, self._greeted) from None
        except Exception as error:  # noqa: BLE001  # whatever a server makes of the driver is that server's error
            self._force_close()  # type: ignore[attr-defined]
            words = f"this client cannot speak with it: {str(error) or type(error).__name__}"
            raise _marked(pymysql.OperationalError(CR.CR_AUTH_PLUGIN_ERR, words), self._greeted) from None

    @property
    def over_tls(self) -> bool:
        """Whether the session is encrypted."""
        return isinstance(self._sock, ssl.SSLSocket)  # type: ignore[attr-defined]

    def _get_server_information(self) -> None:
        super()._get_server_information()  # type: ignore[misc]
        self._greeted = True
        try:
            self.server_key = key_of(self._config.ssl_server_key)
            if self._config.tls_mode not in ("disabled", "preferred"):
                self.ctx = context(self._config)
        except OSError as error:
            raise pymysql.OperationalError(CR.CR_SSL_CONNECTION_ERROR, f"TLS cannot be prepared: {error}") from None
        if self._auth_plugin_name == "sha256_password":
            # To this greeting PyMySQL answers with the password; to another one the server says what it wants.
            self._auth_plugin_name = "caching_sha2_password"

    def _get_auth_plugin_handler(self, plugin_name: Any) -> Any:
        # The server's next word is about the password: from here on it counts who is at the other end.
        self.proof.of_session(self._sock)  # type: ignore[attr-defined]
        self.plugin = plugin_name.decode("ascii") if isinstance(plugin_name, bytes) else str(plugin_name)
        return super()._get_auth_plugin_handler(plugin_name)  # type: ignore[misc]

    def _set_all(self) -> None:
        try:
            for sql in settings.STATEMENTS:
                self.query(sql)
        except pymysql.Error as error:
            if not (error.args and error.args[0] in settings.NOT_KNOWN):
                raise
            for sql in settings.ONE_BY_ONE:
                self._set_if_known(sql)

    def _set_if_known(self, sql: str) -> None:
        try:
            self.query(sql)
        except pymysql.Error as error:
            if not (error.args and error.args[0] in settings.NOT_KNOWN):
                raise

    def _read_packet(self, packet_type: Any = MysqlPacket) -> Any:
        whole: list[bytes] = []

        def made(data: bytes, encoding: str) -> Any:
            whole.append(data)
            return packet_type(data, encoding)

        self._packets += 1
        self._left_for_packet = self._exchange
        try:
            if self._packets > MOST_PACKETS:
                raise _odd(f"it sends more than {MOST_PACKETS} rows and columns")
            packet = super()._read_packet(made)  # type: ignore[no-untyped-call]
        except pymysql.Error as error:
            # A packet that came whole and is an error: its text is the server's, whatever its number.
            error.answered = bool(whole) or getattr(error, "answered", False)  # type: ignore[attr-defined]
            raise
        except Exception:
            if not whole or whole[0][:1] != b"\xff":
                raise
            number = int.from_bytes(whole[0][1:3], "little")
            failed = pymysql.OperationalError(number, "it gives no reason")
            failed.answered = True  # type: ignore[attr-defined]
            raise failed from None
        return packet

    def _read_query_result(self, unbuffered: bool = False) -> Any:
        try:
            return super()._read_query_result(unbuffered)  # type: ignore[misc]
        except RuntimeError:
            # PyMySQL's word for LOAD DATA LOCAL, which it leaves unanswered: local_infile is off.
            self._force_close()  # type: ignore[attr-defined]
            raise _odd("it asks for a file of this host, which no server gets") from None

    def _read_bytes(self, num_bytes: int) -> bytes:
        """As PyMySQL's, which waits anew for each byte that comes."""
        sock = self._sock  # type: ignore[attr-defined]
        if sock is not self._read_from:
            # What came in clear before TLS began is nobody's word.
            self._read_from, self._buffer = sock, bytearray()
        self._bytes += num_bytes
        try:
            if self._bytes > MOST_BYTES:
                raise _odd(f"it sends more than {MOST_BYTES >> 20} MB")
            while len(self._buffer) < num_bytes:
                if (given := min(self._left, self._left_for_packet)) <= 0:
                    raise TimeoutError("timed out")
                sock.settimeout(given)
                self._current_timeout = None
                began = time.monotonic()
                data = sock.recv(max(_CHUNK, num_bytes - len(self._buffer)))
                waited = min(given, time.monotonic() - began)
                self._left, self._left_for_packet = self._left - waited, self._left_for_packet - waited
                if not data:
                    raise pymysql.OperationalError(CR.CR_SERVER_LOST, "Lost connection to MySQL server during query")
                self._buffer += data
        except OSError as error:
            self._force_close()  # type: ignore[attr-defined]
            text = f"Lost connection to MySQL server during query ({error})"
            raise pymysql.OperationalError(CR.CR_SERVER_LOST, text) from None
        except BaseException:
            self._force_close()  # type: ignore[attr-defined]
            raise
        taken = bytes(self._buffer[:num_bytes])
        del self._buffer[:num_bytes]
        return taken

    def _create_ssl_ctx(self, sslp: dict[str, Any]) -> Any:
        if sslp:
            return super()._create_ssl_ctx(sslp)  # type: ignore[misc]
        if SqlSession._shared is None:
            SqlSession._shared = super()._create_ssl_ctx(sslp)  # type: ignore[misc]
        return SqlSession._shared


def _odd(what: str) -> pymysql.Error:
    error = pymysql.OperationalError(CR.CR_MALFORMED_PACKET, what)
    error.answered = True  # type: ignore[attr-defined]
    return error


def _marked(error: Exception, greeted: bool) -> Exception:
    """A failed connect with ``answered``: it greeted as a server does, and what failed then is no silence."""
    cause = getattr(error, "original_exception", error)
    if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        error = pymysql.OperationalError(CR.CR_SSL_CONNECTION_ERROR, f"TLS cannot be agreed on: {cause}")
        error.answered = greeted  # type: ignore[attr-defined]
    elif not hasattr(error, "answered"):
        silent = isinstance(cause, OSError) or (error.args and error.args[0] in _NOTHING_CAME)
        error.answered = greeted and not silent  # type: ignore[attr-defined]
    return error


def map_error(server: str, action: str, error: BaseException, *, greeted: bool = False) -> ServerError:
    """Whatever a session or a socket raised as ours, once, at the edge.

    ``greeted``: it was in the middle of a session, so what nobody understands comes from a server.
    """
    if not isinstance(error, OSError | pymysql.Error):
        said = f"its answer makes no sense: {type(error).__name__}: {error}"[:_LONGEST]
        return ServerOdd(server, action, said, 0, _ODD, answered=greeted)
    code = error.args[0] & 0xFFFF if error.args and isinstance(error.args[0], int) else 0
    text = str(error.args[1]) if len(error.args) > 1 else str(error) or type(error).__name__
    if isinstance(error, OSError):
        code, text = 0, str(error) or type(error).__name__
    ours = bool(code) and code not in _CLIENT_ERRORS
    answered = bool(getattr(error, "answered", ours))
    hint = getattr(error, "hint", "") or _HINTS.get(code, "")
    if code in PRIVILEGE_ERRORS:
        hint = hint or _HINTS[1227]
    return _kind(error, code, answered)(server, action, text[:_LONGEST], code, hint, answered=answered)


#: Characters of a server's words that are kept.
_LONGEST = 2000
_ODD = "is it a server that listens there? If it is one, its version may be one that nobody has tried"


def _kind(error: BaseException, code: int, answered: bool) -> type[ServerError]:
    if code == CR.CR_MALFORMED_PACKET:
        return ServerOdd
    if code in BUSY_ERRORS:
        return ServerBusy
    if code in DENIED_ERRORS and (answered or code not in _CLIENT_ERRORS):
        return AccessDenied
    if code in PRIVILEGE_ERRORS:
        return PrivilegeMissing
    nothing = code == 0 or code in _CLIENT_ERRORS or code in _SESSION_OVER
    if nothing and isinstance(error, OSError | pymysql.Error):
        return ServerUnreachable
    return StatementFailed
