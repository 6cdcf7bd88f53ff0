"""A certificate authority of a test's own, and what it signs."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat


@dataclass(frozen=True, kw_only=True)
class Certificates:
    """PEM files: an authority, a server certificate that it signed, and the server's key."""

    authority: Path
    server: Path
    key: Path


def make_certificates(
    folder: Path, hosts: Sequence[str] = ("localhost", "127.0.0.1")
) -> Certificates:
    """Write a new authority and a certificate for `hosts`, valid for a day, into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    root, leaf = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    files = Certificates(
        authority=folder / "ca.pem", server=folder / "server.pem", key=folder / "server.key"
    )
    names = x509.SubjectAlternativeName([_name(host) for host in hosts])
    authority = _certificate("authority", root, x509.BasicConstraints(ca=True, path_length=None))
    server = _certificate("server", leaf, x509.BasicConstraints(ca=False, path_length=None))
    for file, building in (
        (files.authority, authority),
        (files.server, server.add_extension(names, critical=False)),
    ):
        file.write_bytes(_signed(building, root).public_bytes(Encoding.PEM))
    files.key.touch(mode=0o600)
    files.key.write_bytes(leaf.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return files


def _name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _common_name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def _certificate(
    name: str, key: ec.EllipticCurvePrivateKey, constraints: x509.BasicConstraints
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(_common_name(name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(constraints, critical=True)
        .add_extension(identifier, critical=False)
    )


def _signed(
    building: x509.CertificateBuilder, root: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(root.public_key())
    return (
        building.issuer_name(_common_name("authority"))
        .add_extension(issuer, critical=False)
        .sign(root, hashes.SHA256())
    )
