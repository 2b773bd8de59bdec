"""Management boards of hosts that do not exist: Redfish over HTTPS, and an `ipmitool` that talks to a file.

Each has one system with power, may take its time to switch off, refuse, or hang.
"""

from __future__ import annotations

import base64
import datetime
import ipaddress
import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

USER, PASSWORD = "mha", "b0ard pw"
SYSTEM = "/redfish/v1/Systems/1"


class Redfish:
    """What a board does: ``takes`` seconds until it is off after an order (None: never), ``hangs`` and never answers.

    ``deaf`` orders are refused before one is taken. `orders` are those that came.
    """

    def __init__(self) -> None:
        self.takes: float | None = 0.3
        self.hangs = False
        self.deaf = 0
        self.orders: list[dict[str, str]] = []
        self._off_at: float | None = None

    def order(self, body: dict[str, str]) -> bool:
        """Whether the order was taken."""
        self.orders.append(body)
        if len(self.orders) <= self.deaf:
            return False
        if self._off_at is None and self.takes is not None:
            self._off_at = time.monotonic() + self.takes
        return True

    @property
    def power(self) -> str:
        """As its system's PowerState says."""
        return "Off" if self._off_at is not None and time.monotonic() >= self._off_at else "On"


@contextmanager
def redfish(directory: Path) -> Iterator[tuple[Redfish, str, Path]]:
    """A board that serves: what it does, the address of its system, and the file of its CA."""
    board = Redfish()
    wanted = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self, code: int, document: object) -> None:
            data = json.dumps(document, indent=2).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def _refused(self) -> bool:
            while board.hangs:
                time.sleep(0.1)
            if self.headers.get("Authorization") == wanted:
                return False
            self._answer(401, {"error": "who are you"})
            return True

        def do_GET(self) -> None:
            if not self._refused():
                known = self.path == SYSTEM
                self._answer(200 if known else 404, {"Id": "1", "PowerState": board.power} if known else {})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if not self._refused():
                taken = self.path == f"{SYSTEM}/Actions/ComputerSystem.Reset" and board.order(json.loads(body))
                self._answer(200 if taken else 503, {})

        def log_message(self, *_: object) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate = _certificate(directory)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield board, f"https://127.0.0.1:{server.server_port}{SYSTEM}", certificate
    finally:
        board.hangs = False
        server.shutdown()
        server.server_close()


def _certificate(directory: Path) -> Path:
    """A key and a certificate that signs itself, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "board")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = directory / "board.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


#: Keeps the power in a file beside it, and notes its arguments; ``mood`` is obedient, stubborn or silent.
IPMITOOL = """\
#!/bin/sh
here=$(dirname "$0")
echo "$*" >>"$here/arguments"
while [ $# -gt 0 ]; do
  case $1 in -f) password=$(cat "$2"); shift ;; -I | -H | -U | -R | -N) shift ;; *) break ;; esac
  shift
done
mood=$(cat "$here/mood")
[ "$mood" = silent ] && { echo "Error: Unable to establish IPMI v2 / RMCP+ session" >&2; exit 1; }
[ "$password" = "b0ard pw" ] || { echo "Error: wrong password" >&2; exit 1; }
case "$3" in
  status) echo "Chassis Power is $(cat "$here/power")" ;;
  off) echo "Chassis Power Control: Down/Off"; [ "$mood" = obedient ] && echo off >"$here/power" ;;
esac
exit 0
"""


def ipmitool(directory: Path) -> Path:
    """A directory for PATH with such an `ipmitool`, the power on."""
    there = directory / "bin"
    there.mkdir()
    (there / "ipmitool").write_text(IPMITOOL)
    (there / "ipmitool").chmod(0o755)
    (there / "power").write_text("on\n")
    (there / "mood").write_text("obedient\n")
    return there
