"""The password goes to a proven server only: what a login may tell to whom, and the TLS that proves it.

What a server asks for is its own choice (Protocol::AuthSwitchRequest), and so is what whoever listens on its port asks
for. Scrambles (mysql_native_password, ed25519, the fast path of caching_sha2_password) hold nothing that lets anybody
in later. The password itself is asked for by mysql_clear_password, by dialog, and by both sha2 plug-ins when the server
has not cached the account: after each of its starts. Who gets it:

- mysql_clear_password and dialog: a server whose certificate was verified (ssl_mode=verify_ca, verify_identity), and a
  socket of this host;
- the sha2 plug-ins: these, and the holder of a configured key (ssl_server_key); else the server with the certificate
  that was seen when it was first logged in to, or, where it offers no TLS, with the RSA key of then (`known_servers`).
  So a server without any files goes on working, and who takes its place later gets nothing: nor where the server
  offers no TLS and its account logs in with a scramble, so that it never asked for the password.
"""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pymysql
from cryptography import x509
from cryptography.x509.oid import ExtensionOID, NameOID
from pymysql import _auth
from pymysql.constants import CR

from ...config import ServerConfig
from .known_servers import Key, known, remember

_FAST_OK, _FULL = 3, 4
#: Plug-ins that ask for the password where the server has not cached the account.
ASK_WITHOUT_CACHE = ("caching_sha2_password", "sha256_password")


class PasswordKept(pymysql.OperationalError):
    """The server asked for the password itself, and has not proven who it is; ``hint`` is what to do."""

    def __init__(self, why: str, hint: str) -> None:
        super().__init__(CR.CR_AUTH_PLUGIN_ERR, f"it was not given the password: {why}")
        self.hint = hint


_VERIFY = "set ssl_ca and ssl_mode=verify_ca"


class Proof:
    """What a session knows of who is at its other end."""

    def __init__(self, config: ServerConfig) -> None:
        self._config = config
        self._seen: Key | None = None
        self._verified = False

    def of_session(self, sock: Any) -> None:
        """TLS has begun, or there is none."""
        self._verified = self._config.unix_socket is not None
        if isinstance(sock, ssl.SSLSocket):
            self._seen = Key.of("tls", sock.getpeercert(binary_form=True) or b"")
            self._verified = self._verified or self._config.tls_mode.startswith("verify_")
            if self._config.tls_mode == "verify_identity":
                check_name(sock.getpeercert(binary_form=True) or b"", (self._config.hostname, self._config.ip))

    def of_rsa_key(self, pem: bytes) -> None:
        """Without TLS: the key that the server says is its own."""
        self._seen = Key.of("rsa", pem.strip())

    @property
    def verified(self) -> bool:
        """A certificate that somebody vouches for, or a socket of this host."""
        return self._verified

    def demand(self) -> None:
        """Raise PasswordKept unless the server is proven, or is the one that was seen first."""
        if self._verified:
            return
        first = known(self._config.known_servers, self._config.address)
        if first is None or first == self._seen or (first.kind == "none" and first != self._nothing):
            return
        what = {"tls": "certificate", "rsa": "RSA key"}
        if first == self._nothing:
            why = "it did not ask for it when it was first seen, and nothing proves who asks now"
        elif self._seen is None or self._seen.kind != first.kind:
            why = f"it has not shown the {what.get(first.kind, first.kind)} that it had when it was first seen"
        else:
            why = f"its {what.get(first.kind, first.kind)} is not the one that it had when it was first seen"
        hint = (
            "somebody else may listen there; if the server was installed anew, has a new certificate, or its account "
            f"another plugin, remove the line of {self._config.address} from {self._config.known_servers}, or {_VERIFY}"
        )
        raise PasswordKept(why, hint)

    def __str__(self) -> str:
        """Empty where it is verified, else what is not, as a check tells it."""
        if self._verified:
            return ""
        first = known(self._config.known_servers, self._config.address)
        if self._seen is None:
            return "it offers no TLS, so nothing proves who it is" + (
                ", and it did before" if first is not None and first.kind == "tls" else ""
            )
        if first is not None and first.kind == "none":
            return "its certificate is not verified, and it showed none when it was first seen"
        if first not in (None, self._seen):
            return "its certificate is not the one that it had when it was first seen"
        return "its certificate is not verified, only compared with the one that it had when it was first seen"

    @property
    def _nothing(self) -> Key:
        return Key.nothing(self._config.user)

    def keep(self, plugin: str) -> None:
        """The login with that plug-in is over: whose key it was is remembered, or that there was none.

        A sha2 plug-in that knew the account has shown no key, and may the next time.
        """
        seen = self._seen or (None if plugin in ASK_WITHOUT_CACHE or not plugin else self._nothing)
        if seen is not None and not self._verified:
            remember(self._config.known_servers, self._config.address, seen)


class _Plugin:
    def __init__(self, session: Any) -> None:
        self._session = session

    def _exchange(self, data: bytes) -> Any:
        self._session.write_packet(data)
        return self._session._read_packet()

    @property
    def _password(self) -> bytes:
        return bytes(self._session.password)


class Sha2(_Plugin):
    """caching_sha2_password and sha256_password: a scramble where the server knows the account, else the password."""

    cached = True

    def authenticate(self, packet: Any) -> Any:
        """Answer the server's request; the packet that ends the exchange."""
        if packet.is_auth_switch_request():
            salt = packet.read_all()
            self._session.salt = salt[:-1] if salt.endswith(b"\0") else salt
            if not self._password:
                return self._exchange(b"" if self.cached else b"\0")
            if not self.cached:
                return self._tell()
            packet = self._exchange(_auth.scramble_caching_sha2(self._password, self._session.salt))
        if not packet.is_extra_auth_data():
            return packet
        packet.advance(1)
        asked = packet.read_uint8()
        if asked == _FAST_OK:
            return self._session._read_packet()
        if asked == _FULL and self._password:
            return self._tell()
        raise pymysql.OperationalError(CR.CR_AUTH_PLUGIN_ERR, f"it asks for {asked}, which no server does")

    def _tell(self) -> Any:
        session = self._session
        if session.proof.verified:
            return self._exchange(self._password + b"\0")
        if session.server_key is not None:
            return self._exchange(self._sealed(session.server_key))
        if session.over_tls:
            session.proof.demand()
            return self._exchange(self._password + b"\0")
        packet = self._exchange(b"\2" if self.cached else b"\1")
        if not packet.is_extra_auth_data():
            raise pymysql.OperationalError(CR.CR_AUTH_PLUGIN_ERR, "it sends no public key")
        pem = bytes(packet._data[1:])
        session.proof.of_rsa_key(pem)
        session.proof.demand()
        return self._exchange(self._sealed(pem))

    def _sealed(self, pem: bytes) -> bytes:
        return bytes(_auth.sha2_rsa_encrypt(self._password, self._session.salt, pem))


class Sha256(Sha2):
    """sha256_password has no cache: each login asks for the password."""

    cached = False


class Clear(_Plugin):
    """mysql_clear_password, and dialog's one question: never without a verified certificate."""

    def authenticate(self, _packet: Any) -> Any:
        """Answer with the password, or refuse."""
        if not self._session.proof.verified:
            raise PasswordKept("it asks for it in clear", _VERIFY)
        return self._exchange(self._password + b"\0")


class Old(_Plugin):
    """mysql_old_password of 4.0: what it tells is as good as the password."""

    def authenticate(self, _packet: Any) -> Any:
        """Refuse."""
        raise PasswordKept("it asks for a scramble of before 4.1", "let the account use another plugin")


PLUGINS: dict[str, Callable[[Any], Any]] = {
    "caching_sha2_password": Sha2,
    "sha256_password": Sha256,
    "mysql_clear_password": Clear,
    "dialog": Clear,
    "mysql_old_password": Old,
}


def context(config: ServerConfig) -> ssl.SSLContext:
    """The TLS of a session that demands it. Raises OSError (ssl.SSLError) for files that cannot be used."""
    for path in (config.ssl_ca, config.ssl_cert, config.ssl_key):
        if path is not None:
            Path(path).open("rb").close()  # ssl does not name the file
    verified = config.tls_mode.startswith("verify_")
    # Where nothing is verified the system's authorities are not read: 30 ms of processor time a session.
    made = ssl.create_default_context(cafile=config.ssl_ca) if verified else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # The name is compared by `check_name`: a certificate may carry the server's address instead.
    made.check_hostname = False
    made.verify_flags &= ~ssl.VERIFY_X509_STRICT
    made.verify_mode = ssl.CERT_REQUIRED if verified else ssl.CERT_NONE
    if config.ssl_cert:
        made.load_cert_chain(config.ssl_cert, keyfile=config.ssl_key)
    return made


def key_of(path: str | None) -> bytes | None:
    """The configured public key. Raises OSError."""
    return Path(path).read_bytes() if path else None


def check_name(der: bytes, wanted: tuple[str, ...]) -> None:
    """Raise ssl.SSLCertVerificationError unless the certificate carries one of these names or addresses (RFC 6125)."""
    certificate = x509.load_der_x509_certificate(der)
    names: list[str] = []
    try:
        found = certificate.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
        assert isinstance(found, x509.SubjectAlternativeName)
        names += found.get_values_for_type(x509.DNSName)
        names += [str(each) for each in found.get_values_for_type(x509.IPAddress)]
    except x509.ExtensionNotFound:
        names += [str(each.value) for each in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if not any(_carries(name.lower(), want.lower()) for name in names for want in wanted if want):
        raise ssl.SSLCertVerificationError(1, f"its certificate is {' or '.join(names) or 'nobody'}'s")


def _carries(name: str, wanted: str) -> bool:
    if name == wanted:
        return True
    try:
        ipaddress.ip_address(wanted)
    except ValueError:
        return name.startswith("*.") and name[2:] == wanted.partition(".")[2] != ""
    return False
