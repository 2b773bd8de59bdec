"""How a channel connects to its source: read from what a server shows, written for another channel or for a client.

A server shows most of it in its replication status. MySQL 8 keeps the rest in
performance_schema.replication_connection_configuration (Reference Manual); `more_of_channels` asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from posixpath import join
from typing import Any

from ...model.state import Vendor

#: What a source's account needs to be asked for its password by: the plugins that give it only to who is private.
PRIVATE_PLUGINS = frozenset({"caching_sha2_password", "sha256_password"})


#: MariaDB's words, with error 1236, when a source logged what one server did before and behind the replica's place, and
#: not what it did there: temporary tables where binlog_format is ROW, what is filtered out.
_HOLE = "even though both a prior and a subsequent sequence number does exist"


def in_a_hole(receiver_error: str) -> bool:
    """Whether a replica's place is a hole in its source's log, which only gtid_strict_mode keeps it from passing."""
    return _HOLE in receiver_error


def more_of_channels(vendor: Vendor, version: tuple[int, ...]) -> str:
    """Asks for what the status does not show, a row a channel with its name; empty where there is nothing more."""
    if vendor is Vendor.MARIADB or version < (8,):
        return ""
    columns = "CHANNEL_NAME, HEARTBEAT_INTERVAL"
    if version >= (8, 0, 18):
        columns += ", COMPRESSION_ALGORITHM, ZSTD_COMPRESSION_LEVEL"
    if version >= (8, 0, 19):
        columns += ", TLS_CIPHERSUITES"
    return f"SELECT {columns} FROM performance_schema.replication_connection_configuration"  # noqa: S608 - no word of others


@dataclass(frozen=True)
class Connecting:
    """What a channel has beside host, port, user, password and place. Paths are of the replica's own host.

    ``heartbeat``, ``retry`` and ``delay`` are seconds; None is what is not shown. ``options`` are further ones, by the
    name that a CHANGE has for them behind its MASTER_ or SOURCE_: files of TLS, the address to come from, compression.
    Numbers of servers and domains that it leaves out, or takes alone, are ``ignored_ids``, ``ignored_domains`` and
    ``only_domains``.
    """

    tls: bool | None = None
    verify: bool | None = None
    public_key: bool = False
    retry: int | None = None
    retries: int | None = None
    heartbeat: float | None = None
    delay: int = 0
    options: tuple[tuple[str, str], ...] = ()
    zstd_level: int | None = None
    ignored_ids: tuple[int, ...] = ()
    ignored_domains: tuple[int, ...] = ()
    only_domains: tuple[int, ...] = ()

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Connecting:
        """From a status row, with the columns of `more_of_channels` where a server has them."""

        def raw(*names: str) -> Any:
            return next((row[name] for name in names if row.get(name) is not None), None)

        def text(name: str) -> str:
            value = raw(f"Source_{name}", f"Master_{name}", name)
            return value.decode() if isinstance(value, bytes) else str(value or "")

        def yes(name: str) -> bool | None:
            return text(name) == "Yes" if text(name) else None

        def numbers(name: str) -> tuple[int, ...]:
            return tuple(int(part) for part in text(name).replace(",", " ").split() if part.isdigit())

        retry, retries = raw("Connect_Retry"), raw("Source_Retry_Count", "Master_Retry_Count")
        heartbeat = raw("Slave_heartbeat_period", "HEARTBEAT_INTERVAL")
        options = {name: text(column) for name, column in _SHOWN.items()}
        compression = text("COMPRESSION_ALGORITHM")
        if compression not in ("", "uncompressed"):
            options["COMPRESSION_ALGORITHMS"] = compression
        return cls(
            tls=yes("SSL_Allowed"),
            verify=yes("SSL_Verify_Server_Cert"),
            public_key=bool(int(raw("Get_Source_public_key", "Get_master_public_key") or 0)),
            retry=None if retry is None else int(retry),
            retries=None if retries is None else int(retries),
            heartbeat=None if heartbeat is None else float(heartbeat),
            delay=int(raw("SQL_Delay") or 0),
            options=tuple((name, value) for name, value in options.items() if value),
            zstd_level=int(raw("ZSTD_COMPRESSION_LEVEL") or 0) or None if "zstd" in compression else None,
            ignored_ids=numbers("Replicate_Ignore_Server_Ids"),
            ignored_domains=numbers("Replicate_Ignore_Domain_Ids"),
            only_domains=numbers("Replicate_Do_Domain_Ids"),
        )

    @property
    def private(self) -> bool:
        """A server that asks for the password in private gets it: by TLS, or enciphered with its RSA key."""
        return bool(self.tls) or self.public_key or "PUBLIC_KEY_PATH" in dict(self.options)

    @property
    def certificate(self) -> bool:
        """It shows a certificate of its own."""
        return bool(self.tls) and "SSL_CERT" in dict(self.options)

    def parts(self, p: str) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """Each option that is known, as text of a CHANGE and its parameters. ``p``: SOURCE or MASTER."""
        named: list[tuple[str, Any]] = [
            (f"{p}_CONNECT_RETRY", self.retry),
            (f"{p}_RETRY_COUNT", self.retries),
            (f"{p}_HEARTBEAT_PERIOD", self.heartbeat),
            (f"{p}_DELAY", self.delay or None),
        ]
        # Newer servers ask for TLS, and MariaDB's for the source's name, unless they are told otherwise.
        switches = ((f"{p}_SSL", self.tls), (f"{p}_SSL_VERIFY_SERVER_CERT", self.verify))
        named += [(name, None if value is None else int(value)) for name, value in switches]
        named += [(f"{p}_{name}", value) for name, value in self.options]
        named += [
            (f"{p}_ZSTD_COMPRESSION_LEVEL", self.zstd_level),
            (f"GET_{p}_PUBLIC_KEY", 1 if self.public_key else None),
        ]
        for name, value in named:
            if value is not None:
                yield f"{name}=%s", (value,)
        for name, several in (
            ("IGNORE_SERVER_IDS", self.ignored_ids),
            ("IGNORE_DOMAIN_IDS", self.ignored_domains),
            ("DO_DOMAIN_IDS", self.only_domains),
        ):
            if several:
                yield f"{name}=({', '.join(['%s'] * len(several))})", several

    def client_lines(self, vendor: Vendor, datadir: str = "") -> list[str]:
        """The same for that vendor's client, as lines of an option file; values are ``name=value`` without quotes.

        A relative path is one in ``datadir``, where the server works.

        Where the channel asks for neither TLS nor the key, the key is asked for: a failover adds it where it lacks.
        """
        named, lines = dict(self.options), []
        if vendor is Vendor.MARIADB:
            lines += ["loose-ssl" if self.tls else "loose-skip-ssl"]
            lines += [f"loose-{'' if self.tls and self.verify else 'skip-'}ssl-verify-server-cert"]
        else:
            authority = "SSL_CA" in named or "SSL_CAPATH" in named
            mode = "VERIFY_IDENTITY" if self.verify else "VERIFY_CA" if authority else "REQUIRED"
            lines += [f"loose-ssl-mode={mode if self.tls else 'DISABLED'}"]
            if not self.tls:
                lines += ["loose-get-server-public-key"]
        for name, value in named.items():
            option = _CLIENT.get(name)
            value = join(datadir, value) if name in _PATHS else value
            if option and (self.tls or not option.startswith(("ssl-", "tls-"))):
                lines.append(f"loose-{option}={value}")
        return lines


#: Options of a CHANGE by the columns that show them.
_SHOWN = {
    "SSL_CA": "SSL_CA_File",
    "SSL_CAPATH": "SSL_CA_Path",
    "SSL_CERT": "SSL_Cert",
    "SSL_KEY": "SSL_Key",
    "SSL_CIPHER": "SSL_Cipher",
    "SSL_CRL": "SSL_Crl",
    "SSL_CRLPATH": "SSL_Crlpath",
    "TLS_VERSION": "TLS_Version",
    "TLS_CIPHERSUITES": "TLS_CIPHERSUITES",
    "PUBLIC_KEY_PATH": "public_key_path",
    "BIND": "Bind",
    "NETWORK_NAMESPACE": "Network_Namespace",
}
#: Those of them that are files and directories.
_PATHS = frozenset({"SSL_CA", "SSL_CAPATH", "SSL_CERT", "SSL_KEY", "SSL_CRL", "SSL_CRLPATH", "PUBLIC_KEY_PATH"})
#: What a client calls them.
_CLIENT = {
    "SSL_CA": "ssl-ca",
    "SSL_CAPATH": "ssl-capath",
    "SSL_CERT": "ssl-cert",
    "SSL_KEY": "ssl-key",
    "SSL_CIPHER": "ssl-cipher",
    "SSL_CRL": "ssl-crl",
    "SSL_CRLPATH": "ssl-crlpath",
    "TLS_VERSION": "tls-version",
    "TLS_CIPHERSUITES": "tls-ciphersuites",
    "PUBLIC_KEY_PATH": "server-public-key-path",
    "BIND": "bind-address",
    "COMPRESSION_ALGORITHMS": "compression-algorithms",
}
