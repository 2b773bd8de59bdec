"""Certificates of an authority that everybody in a cluster trusts."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from tests.lab.cluster import Cluster
from tests.lab.host import Host


def authority() -> tuple[Any, Any]:
    """A key, and the certificate of the authority that everybody here trusts."""
    key = rsa.generate_private_key(65537, 2048)
    return key, certificate(key, key.public_key(), "lab authority", [], 365, issuer="lab authority")


def certificate(key: Any, of: Any, name: str, names: list[Any], days: int, issuer: str = "lab authority") -> Any:
    """One that ``key`` signs, and that ends in so many days."""
    now = datetime.now(UTC)
    named = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, each)]) for each in (name, issuer)]
    made = x509.CertificateBuilder().subject_name(named[0]).issuer_name(named[1]).public_key(of)
    made = made.serial_number(x509.random_serial_number())
    made = made.not_valid_before(now - timedelta(days=400)).not_valid_after(now + timedelta(days=days))
    made = made.add_extension(x509.BasicConstraints(ca=not names, path_length=None), critical=True)
    if names:
        made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return made.sign(key, hashes.SHA256())


def furnish(host: Host, ca: tuple[Any, Any], days: int = 365) -> None:
    """Its own certificate as a server, which ends in so many days, and a good one as a client."""
    own = rsa.generate_private_key(65537, 2048)
    names = [x509.IPAddress(ipaddress.ip_address(host.ip)), x509.DNSName(host.name), x509.DNSName(host.ip)]
    files = {
        "ca.pem": ca[1].public_bytes(serialization.Encoding.PEM),
        "cert.pem": certificate(ca[0], own.public_key(), host.ip, names, days).public_bytes(serialization.Encoding.PEM),
        "client.pem": certificate(ca[0], own.public_key(), f"client of {host.ip}", names, 365).public_bytes(
            serialization.Encoding.PEM
        ),
        "key.pem": own.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    }
    host.run("mkdir -p /etc/tls")
    for name, data in files.items():
        host.run(f"cat >/etc/tls/{name} && chown mysql /etc/tls/{name}", data=data.decode())


def restart(cluster: Cluster, host: Host) -> None:
    """Its server begins to offer that certificate; a replica goes on."""
    host.stop_mysqld()
    host.start_mysqld("--ssl-ca=/etc/tls/ca.pem", "--ssl-cert=/etc/tls/cert.pem", "--ssl-key=/etc/tls/key.pem")
    if host.number > 1:
        host.sql("SET GLOBAL read_only=1")
        host.sql(f"START {cluster.kind.word('REPLICA', 'SLAVE')}")
