"""The federation's own certificate authority, and the server's certificate that it signs.

Devices get the authority's certificate when they enrol and trust no other, so that nobody else's
certificate authority can stand between them and the server.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from privet.privacy.errors import InputError

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

AUTHORITY_DAYS = 3650
SERVER_DAYS = 397


@dataclass(frozen=True, kw_only=True)
class KeyPair:
    """A certificate and its private key, both PEM. The key is not encrypted: keep it 0600."""

    certificate: bytes
    key: bytes


def make_authority(name: str, *, now: datetime | None = None) -> KeyPair:
    """A new certificate authority, valid for ten years.

    Args:
        name: Common name, up to 64 characters are kept.
        now: When it becomes valid; the present if not given.
    """
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    building = _builder(name, key, AUTHORITY_DAYS, authority=True, now=now)
    return _pair(building, key, issuer=name, signer=key)


def make_server_certificate(
    authority: KeyPair, names: Sequence[str], *, now: datetime | None = None
) -> KeyPair:
    """A new certificate for the server, signed by the authority, valid for 397 days.

    Args:
        authority: Who signs.
        names: Host names and addresses that devices connect to, at least one.
        now: When it becomes valid; the present if not given.

    Raises:
        InputError: No name, or one that cannot be in a certificate.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

    if not names:
        raise InputError("A server's certificate needs at least one name that devices connect to.")
    signer, issued = _authority(authority)
    key = ec.generate_private_key(ec.SECP256R1())
    building = _builder(names[0], key, SERVER_DAYS, authority=False, now=now)
    building = building.add_extension(
        x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False
    )
    return _pair(building, key, issuer=issued, signer=signer)


def check_server_certificate(
    own: KeyPair, authority: bytes, names: Sequence[str], *, now: datetime | None = None
) -> None:
    """Check that devices and the server itself will accept a certificate.

    Args:
        own: The server's.
        authority: Certificate of the authority that devices pinned, PEM.
        names: Host names and addresses that it must be for.
        now: The present if not given.

    Raises:
        InputError: Not by this authority, for another key, for other names or at another time.
            Says which.
    """
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    moment = datetime.now(UTC) if now is None else now
    try:
        leaf = x509.load_pem_x509_certificate(own.certificate)
        key = load_pem_private_key(own.key, None)
        root = x509.load_pem_x509_certificate(authority)
        found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, TypeError, x509.ExtensionNotFound) as error:
        raise InputError("The certificate or its key cannot be read.") from error
    try:
        leaf.verify_directly_issued_by(root)
    except (ValueError, TypeError, InvalidSignature) as error:
        raise InputError("It is not signed by the authority that devices pinned.") from error
    if key.public_key() != leaf.public_key():
        raise InputError("Certificate and key do not belong together.")
    if not leaf.not_valid_before_utc <= moment <= leaf.not_valid_after_utc:
        start, end = leaf.not_valid_before_utc, leaf.not_valid_after_utc
        raise InputError(f"It is valid from {start:%Y-%m-%d} to {end:%Y-%m-%d}, not now.")
    if missing := [name for name in names if _general_name(name) not in found]:
        raise InputError(f"It is not for {missing[0]}, which is connected to.")


def valid_until(certificate: bytes) -> datetime:
    """When a PEM certificate ends.

    Raises:
        InputError: Not a certificate.
    """
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificate(certificate).not_valid_after_utc
    except ValueError as error:
        raise InputError("Expected a certificate in PEM form.") from error


def _authority(authority: KeyPair) -> "tuple[ec.EllipticCurvePrivateKey, str]":
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(authority.key, None)
        subject = x509.load_pem_x509_certificate(authority.certificate).subject
        name = subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value
    except (ValueError, TypeError, IndexError) as error:
        raise InputError("The authority's certificate or key cannot be read.") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise InputError("Expected an elliptic-curve key as the authority's.")
    return key, str(name)


def _general_name(name: str) -> "x509.GeneralName":
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    try:
        return x509.DNSName(name)
    except ValueError as error:
        raise InputError("A server's names must be host names or addresses in ASCII.") from error


def _builder(
    name: str,
    key: "ec.EllipticCurvePrivateKey",
    days: int,
    *,
    authority: bool,
    now: datetime | None,
) -> "x509.CertificateBuilder":
    from cryptography import x509

    start = (datetime.now(UTC) if now is None else now) - timedelta(hours=1)  # for slow clocks
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    constraints = x509.BasicConstraints(ca=authority, path_length=0 if authority else None)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(_common_name(name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=days))
        .add_extension(constraints, critical=True)
        .add_extension(usage, critical=True)
        .add_extension(identifier, critical=False)
    )


def _common_name(text: str) -> "x509.Name":
    from cryptography import x509

    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text[:64])])


def _pair(
    building: "x509.CertificateBuilder",
    key: "ec.EllipticCurvePrivateKey",
    *,
    issuer: str,
    signer: "ec.EllipticCurvePrivateKey",
) -> KeyPair:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    certificate = (
        building.issuer_name(_common_name(issuer))
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
        .sign(signer, hashes.SHA256())
    )
    return KeyPair(
        certificate=certificate.public_bytes(Encoding.PEM),
        key=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )
