"""A port that speaks the protocol and means harm, or makes no sense: `Way` lists how.

In a test's own process ``with HostileServer(Way.CLEAR) as server:``; on a cluster's host
``python -m tests.lab.hostile WAY ADDRESS PORT RECORD`` (see `squat`), where RECORD gets every byte that it was told,
decrypted as far as it has the keys. ``told`` is the same: a password that is readable in it has been given away.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import os
import random
import signal
import socketserver
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import IO

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from tests.lab.host import Host
from tests.lab.stub_servers import answer

_CAPABILITIES = 0x0200 | 0x8000 | 0x80000 | 0x2000 | 0x8 | 0x1  # 4.1, secure connection, plug-ins, transactions, db
_SSL, _MORE = 0x800, 8
_OK = b"\x00\x00\x00" + struct.pack("<H", 2) + b"\x00\x00"
_EOF = b"\xfe\x00\x00" + struct.pack("<H", 2)
_SALT = b"12345678123456789012"
#: What a name may hold that somebody then puts into a command, a page or a log.
NASTY = "-rf '\"`$(touch /tmp/gained)`\n; DROP TABLE x; --\u202e\u2028\x1b[31m</script>[x](http://x)@all"
UNPRIVILEGED = 65534


class Way(StrEnum):
    """What it does."""

    # asks for the password
    CLEAR = "greets with mysql_clear_password"
    CLEAR_SWITCH = "switches to mysql_clear_password"
    CLEAR_TLS = "switches to mysql_clear_password within TLS of its own"
    DIALOG = "switches to dialog and asks for the Password"
    DIALOG_AGAIN = "switches to dialog and asks again and again"
    SHA256 = "greets with sha256_password and gives a key of its own"
    SHA256_SWITCH = "switches to sha256_password and gives a key of its own"
    SHA256_TLS = "greets with sha256_password within TLS of its own"
    SHA2 = "does not know the account in its cache and gives a key of its own"
    SHA2_TLS = "does not know the account in its cache, within TLS of its own"
    OLD = "switches to mysql_old_password"
    UNKNOWN = "switches to a plug-in of tomorrow"
    SWITCHES = "switches again and again"
    MORE_AUTH = "has always one more thing to ask in the login"
    # does not speak the protocol
    GARBAGE = "greets with noise"
    SSH = "greets as sshd"
    ANCIENT = "greets as a server of 3.20"
    SILENT = "takes connections and says nothing"
    HANGS_UP = "takes connections and closes them"
    SLOW = "sends its greeting a byte a second"
    # takes every login, and then
    SLOW_ANSWER = "answers a byte a second"
    NO_ANSWER = "answers no statement"
    LOCAL_INFILE = "asks for a file at each statement"
    HUGE = "sends strings of 16 MB without end"
    COLUMNS = "says that there are 1,000,000 columns, and sends them"
    ROWS = "sends rows without end"
    RESULTS = "has always one more result"
    OVERRUN = "says lengths that are beyond its packet"
    SEQUENCE = "numbers its packets wrong"
    EMPTY = "sends empty packets"
    TORN = "ends in the middle of a packet"
    NOT_TEXT = "sends what is no UTF-8"
    CHARSET = "sends columns of a type and a character set that there are not"
    ERROR = "says an error of three bytes"
    FINE = "says OK to everything"
    ODD = "has variables that are no numbers, sets, versions or paths"
    NASTY = "has names with quotes, line breaks, commands and marks"


#: Who are told nothing: they do not speak, or not for long enough to be answered.
MUTE = (Way.SILENT, Way.HANGS_UP, Way.GARBAGE, Way.SSH, Way.SLOW, Way.ANCIENT)
WITH_TLS = (Way.CLEAR_TLS, Way.SHA256_TLS, Way.SHA2_TLS)
ASKS = tuple(way for way in Way if way.name.startswith(("CLEAR", "DIALOG", "SHA", "OLD")))


@functools.cache
def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@functools.cache
def _tls() -> ssl.SSLContext:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "MySQL_Server_9.7_Auto_Generated_Server_Certificate")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(_key().public_key())
        .serial_number(2)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=9))
        .sign(_key(), hashes.SHA256())
    )
    private = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as file:
        file.write(_key().private_bytes(*private) + made.public_bytes(serialization.Encoding.PEM))
        file.flush()
        context.load_cert_chain(file.name)
    return context


def _pem() -> bytes:
    public = _key().public_key()
    return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


class HostileServer(socketserver.ThreadingTCPServer):
    """One way, on a port of its own of the loopback unless another address is named."""

    allow_reuse_address = daemon_threads = True
    request_queue_size = 128

    def __init__(self, way: Way, address: tuple[str, int] = ("127.0.0.1", 0), record: IO[bytes] | None = None) -> None:
        self.way, self.told, self.asked, self.over = way, b"", 0, threading.Event()
        self._record = record
        _key(), _tls()
        super().__init__(address, _Talk)
        self.port: int = self.server_address[1]
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def hear(self, said: bytes) -> None:
        """What it was told; what was encrypted for its key is read, too."""
        with contextlib.suppress(ValueError):
            scheme = padding.OAEP(mgf=padding.MGF1(algorithm=hashes.SHA1()), algorithm=hashes.SHA1(), label=None)  # noqa: S303 - as the servers do it
            hidden = _key().decrypt(said, scheme)
            said += b"|" + bytes(each ^ _SALT[n % len(_SALT)] for n, each in enumerate(hidden))
        self.told += said + b"\n"
        if self._record is not None:
            self._record.write(said + b"\n")
            self._record.flush()

    def handle_error(self, request: object, client_address: object) -> None:
        """Whoever was told this has hung up."""

    def server_close(self) -> None:
        """No more of it."""
        self.over.set()
        self.shutdown()
        super().server_close()


class _Talk(socketserver.BaseRequestHandler):
    server: HostileServer
    _next = 0

    def handle(self) -> None:
        """One session."""
        self._sock = self.request
        with contextlib.suppress(OSError, EOFError):
            self._talk(self.server.way)

    def _talk(self, way: Way) -> None:
        self.server.asked += 1
        if way is Way.HANGS_UP:
            return
        if way is Way.SILENT:
            self.server.over.wait(120.0)
            return
        if way in (Way.GARBAGE, Way.SSH):
            noise = random.Random(7).randbytes(70_000)
            self._sock.sendall(noise if way is Way.GARBAGE else b"SSH-2.0-OpenSSH_9.2p1\r\n")
            self.server.over.wait(5.0)
            return
        plugin = {
            Way.CLEAR: b"mysql_clear_password",
            Way.SHA256: b"sha256_password",
            Way.SHA256_TLS: b"sha256_password",
            Way.SHA2: b"caching_sha2_password",
            Way.SHA2_TLS: b"caching_sha2_password",
        }.get(way, b"mysql_native_password")
        version = b"3.20.1" if way is Way.ANCIENT else b"9.7.0"
        capabilities = _CAPABILITIES | (_SSL if way in WITH_TLS else 0)
        greeting = (b"\x09" if way is Way.ANCIENT else b"\x0a") + version + b"\x00" + struct.pack("<I", 7)
        greeting += _SALT[:8] + b"\x00" + struct.pack("<HBHH", capabilities & 0xFFFF, 33, 2, capabilities >> 16)
        greeting += bytes([21]) + bytes(10) + _SALT[8:] + b"\x00" + plugin + b"\x00"
        if way is Way.SLOW:
            self._slowly(_packed([greeting], 0))
            return
        self._say([greeting], 0)
        self._hear()
        if way in WITH_TLS:
            self._sock = _tls().wrap_socket(self._sock, server_side=True)
            self._hear()
        self._login(way)
        while True:
            command = self._hear()
            if command[:1] == b"\x01":
                return
            self._answer(way, command)

    def _login(self, way: Way) -> None:
        asks = {
            Way.CLEAR: b"\xfemysql_clear_password\x00",
            Way.CLEAR_SWITCH: b"\xfemysql_clear_password\x00",
            Way.CLEAR_TLS: b"\xfemysql_clear_password\x00",
            Way.DIALOG: b"\xfedialog\x00\x05Password: ",
            Way.DIALOG_AGAIN: b"\xfedialog\x00\x04Password: ",
            Way.SHA256: b"\xfesha256_password\x00" + _SALT + b"\x00",
            Way.SHA256_SWITCH: b"\xfesha256_password\x00" + _SALT + b"\x00",
            Way.SHA256_TLS: b"\xfesha256_password\x00" + _SALT + b"\x00",
            Way.OLD: b"\xfemysql_old_password\x00" + _SALT + b"\x00",
            Way.UNKNOWN: b"\xfeauthentication_of_tomorrow\x00" + _SALT + b"\x00",
            Way.SWITCHES: b"\xfemysql_native_password\x00" + _SALT + b"\x00",
        }
        number = self._next
        if way in (Way.SHA2, Way.SHA2_TLS):
            self._say([b"\x01\x04"], number)
        elif way is Way.MORE_AUTH:
            for _ in range(1_000_000):
                self._say([b"\x01\x03"], self._next)
                self._next = (self._next + 1) % 256
        elif way in asks:
            self._say([asks[way]], number)
        else:
            self._say([_OK], number)
            return
        while True:
            said = self._hear()
            if said in (b"\x01", b"\x02") and way.name.startswith("SHA"):
                self._say([b"\x01" + _pem()], self._next)
            elif way is Way.SWITCHES:
                self._say([asks[way]], self._next)
            elif way is Way.DIALOG_AGAIN:
                self._say([b"\x04Password: "], self._next)
            else:
                self._say([_OK], self._next)
                return

    def _answer(self, way: Way, command: bytes) -> None:
        sql = command[1:].decode(errors="replace")
        reads = sql.upper().startswith(("SELECT", "SHOW"))
        if not reads and way not in (Way.SEQUENCE, Way.TORN):
            self._say([_OK], 1)
            return
        column = b"\x03def\x00\x00\x00\x01r\x00\x0c" + struct.pack("<HIBHB", 33, 1, 253, 0, 0) + b"\x00\x00"
        match way:
            case Way.NO_ANSWER:
                self.server.over.wait(120.0)
            case Way.SLOW_ANSWER:
                self._slowly(answer([{"r": "0"}]))
            case Way.LOCAL_INFILE:
                self._say([b"\xfb/etc/shadow"], 1)
            case Way.HUGE:
                self._say([b"\x01", column, _EOF], 1)
                text = b"\xfd" + struct.pack("<I", 0xFFFFF0)[:3] + bytes(0xFFFFF0)
                for number in range(4, 1000):
                    self._say([text], number % 256)
            case Way.COLUMNS:
                self._say([b"\xfd" + struct.pack("<I", 1_000_000)[:3]], 1)
                for number in range(0, 1_000_000, 200):
                    self._say([column] * 200, 2 + number)
            case Way.ROWS:
                self._say([b"\x01", column, _EOF], 1)
                for number in range(0, 10_000_000, 200):
                    self._say([b"\x010"] * 200, 4 + number)
            case Way.RESULTS:
                more = _OK[:3] + struct.pack("<H", 2 | _MORE) + _OK[5:]
                for number in range(0, 10_000_000, 200):
                    self._say([more] * 200, 1 + number)
            case Way.OVERRUN:
                self._say([b"\x01", column, _EOF, b"\xfe" + b"\xff" * 8 + b"0", _EOF], 1)
            case Way.SEQUENCE:
                self._say([_OK], 77)
            case Way.EMPTY:
                self._say([b"", b"", b"", b""], 1)
            case Way.TORN:
                self._sock.sendall(b"\xff\x00\x00\x01halved")
                raise EOFError
            case Way.NOT_TEXT:
                self._say([b"\x01", column, _EOF, b"\x04\xff\xfe\x80\x81", _EOF], 1)
            case Way.CHARSET:
                odd = b"\x03def\x00\x00\x00\x01r\x00\x0c" + struct.pack("<HIBHB", 65000, 1, 200, 0, 77) + b"\x00\x00"
                self._say([b"\x01", odd, _EOF, b"\x010", _EOF], 1)
            case Way.ERROR:
                self._say([b"\xff\x01"], 1)
            case Way.ODD | Way.NASTY:
                self._sock.sendall(answer(_rows(way, sql)))
            case _:
                self._say([_OK], 1)

    def _slowly(self, data: bytes) -> None:
        for byte in data:
            self._sock.sendall(bytes([byte]))
            if self.server.over.wait(1.0):
                return

    def _say(self, payloads: Sequence[bytes], first: int) -> None:
        self._sock.sendall(_packed(payloads, first))

    def _hear(self) -> bytes:
        head = self._exactly(4)
        self._next = (head[3] + 1) % 256
        said = self._exactly(int.from_bytes(head[:3], "little"))
        self.server.hear(said)
        return said

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = self._sock.recv(count - len(data))
            if not more:
                raise EOFError
            data += more
        return data


def _packed(payloads: Sequence[bytes], first: int) -> bytes:
    return b"".join(struct.pack("<I", len(p))[:3] + bytes([(first + n) % 256]) + p for n, p in enumerate(payloads))


def _rows(way: Way, sql: str) -> list[dict[str, object]]:
    """Answers with the columns that are asked for, and values that nobody expects."""
    said = NASTY if way is Way.NASTY else "1e999"
    if "VARIABLES" in sql.upper():
        names = "server_id version server_uuid read_only datadir log_bin_basename gtid_mode gtid_purged pid_file"
        return [{"Variable_name": name, "Value": said} for name in names.split()]
    if "STATUS" in sql.upper():
        columns = (
            "File Position Executed_Gtid_Set Source_Host Source_Port Replica_IO_Running Retrieved_Gtid_Set "
            "Source_Log_File Read_Source_Log_Pos Value"
        )
        return [dict.fromkeys(columns.split(), said)]
    return [{"x": said}]


@contextlib.contextmanager
def squat(host: Host, way: Way, port: int = 3306, *, user: int = UNPRIVILEGED) -> Iterator[Path]:
    """On a host of a cluster, as a user without rights there; yields the file with what it was told."""
    record = host.directory / f"hostile-{way.name.lower()}"
    record.touch()
    record.chmod(0o666)
    words = ["nsenter", "-t", str(host.pid), "-n", "-p", sys.executable, "-m", "tests.lab.hostile"]
    process = subprocess.Popen(
        [*words, way.name, host.ip, str(port), str(record), str(user)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield record
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


def _main(way: str, address: str, port: str, record: str, user: str) -> None:
    # The file is the test's: it is opened before this process is somebody without rights.
    file = Path(record).open("ab")  # noqa: SIM115 - as long as it lives
    os.setgid(int(user))
    os.setuid(int(user))
    ends = time.monotonic() + 20.0
    while True:
        try:
            HostileServer(Way[way], (address, int(port)), file)
            break
        except OSError:
            if time.monotonic() > ends:
                raise
            time.sleep(0.01)
    print("ready", flush=True)
    signal.pause()


if __name__ == "__main__":
    _main(*sys.argv[1:])
