"""Who issued a report: an Ed25519 signature (RFC 8032) over its canonical JSON.

The signature covers every field of the report but its own value. It proves that whoever holds the
key issued the report as it is; it does not prove that devices added noise, nor who holds the key.
"""

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from privet.privacy.canonical import canonical_bytes
from privet.privacy.errors import InputError, IntegrityError

if TYPE_CHECKING:
    from privet.privacy.report.document import Report

KEY_BYTES = 32
SIGNATURE_BYTES = 64
_CONTEXT = b"privet report signature\n"
"""Before what is signed, so that the key's signatures on other things are none on reports."""

PROVES = (
    "The signature proves that the holder of this key issued the report as it is. It does not "
    "prove that devices clipped and added noise, nor who holds the key."
)


@dataclass(frozen=True, kw_only=True)
class Signature:
    """A signature over the report's canonical JSON, with an empty ``value``.

    Attributes:
        algorithm: Ed25519.
        public_key: Of the signer, 32 bytes in hexadecimal.
        fingerprint: SHA-256 of the public key; also in the report's identity.
        proves: What the signature proves, and what not, in words.
        value: 64 bytes in hexadecimal.
    """

    algorithm: Literal["Ed25519"] = "Ed25519"
    public_key: str
    fingerprint: str
    proves: str = PROVES
    value: str


def fingerprint_of(public_key: bytes) -> str:
    """The SHA-256 of a public key, in hexadecimal."""
    return hashlib.sha256(public_key).hexdigest()


def public_key_of(secret: bytes) -> bytes:
    """The public key of a secret one.

    Raises:
        InputError: Not 32 bytes.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if len(secret) != KEY_BYTES:
        raise InputError(f"Expected a signing key of {KEY_BYTES} bytes, found {len(secret)}.")
    return Ed25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()


def sign(report: "Report", secret: bytes) -> "Report":
    """The report, signed; a signature that it has is replaced.

    Raises:
        InputError: The key is not 32 bytes.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    public = public_key_of(secret)
    identity = replace(report.identity, signer=fingerprint_of(public))
    empty = Signature(public_key=public.hex(), fingerprint=fingerprint_of(public), value="")
    unsigned = replace(report, identity=identity, signature=empty)
    value = Ed25519PrivateKey.from_private_bytes(secret).sign(_signed_bytes(unsigned))
    return replace(unsigned, signature=replace(empty, value=value.hex()))


def check_signature(report: "Report") -> Signature | None:
    """The report's signature, checked; None if it is not signed.

    Raises:
        IntegrityError: It is signed, but not by the key that it names, or not as it is.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    found = report.signature
    if found is None:
        return None
    empty = replace(report, signature=replace(found, value=""))
    try:
        public, value = bytes.fromhex(found.public_key), bytes.fromhex(found.value)
        if value.hex() != found.value:  # there is one spelling of a signature
            raise ValueError("not canonical")
        Ed25519PublicKey.from_public_bytes(public).verify(value, _signed_bytes(empty))
    except (InvalidSignature, ValueError) as error:
        raise IntegrityError(
            "The signature does not match: the report was changed after it was signed, or signed "
            "with another key than it names."
        ) from error
    return found


def check_signed_by(report: "Report") -> None:
    """A report that names its signer carries that signer's signature.

    Raises:
        IntegrityError: It does not, or what it says of its key contradicts itself.
    """
    found, signer = report.signature, report.identity.signer
    if found is None:
        if signer is not None:
            raise IntegrityError("The report names a signer, but its signature was taken away.")
        return
    try:
        public = bytes.fromhex(found.public_key)
    except ValueError as error:
        raise InputError("Expected signature.public_key in hexadecimal.") from error
    known = fingerprint_of(public)
    if found.public_key != public.hex() or not known == found.fingerprint == signer:
        raise IntegrityError("The signature's key is not that of the signer whom the report names.")
    if found.proves != PROVES:
        raise IntegrityError("The report says something else of what its signature proves.")


def _signed_bytes(report: "Report") -> bytes:
    return _CONTEXT + canonical_bytes(report.to_dict())
