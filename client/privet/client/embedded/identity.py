"""A device's key at the transport, and the clock by which it signs.

A SuperLink with node authentication knows a device by an elliptic-curve key that its operator
registered. Every request carries the public key, a time, and the time's signature (ECDSA with
SHA-256). What the request says is not signed; it rests on TLS. This key names the device to the
SuperLink and protects nothing else: secure aggregation has keys of its own.
"""

import time
from base64 import b64encode
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Self

from privet.privacy.errors import InputError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

CLOCK_TOLERANCE_SECONDS = 2.0


@dataclass(frozen=True, eq=False)
class NodeIdentity:
    """A device's key at the transport; made by :meth:`generate` or :meth:`from_pem`."""

    _key: "EllipticCurvePrivateKey" = field(repr=False)

    @classmethod
    def generate(cls) -> Self:
        """A new key on P-384, the curve that Flower's own tools make."""
        from cryptography.hazmat.primitives.asymmetric import ec

        return cls(ec.generate_private_key(ec.SECP384R1()))

    @classmethod
    def from_pem(cls, private_pem: bytes) -> Self:
        """Read what :meth:`private_pem` wrote.

        Raises:
            InputError: It is no unencrypted private key on P-256, P-384 or P-521 in PEM.
        """
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        try:
            key = load_pem_private_key(private_pem, password=None)
        except (ValueError, TypeError):
            key = None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(
            key.curve, (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
        ):
            raise InputError(
                "A node's identity is an unencrypted private key on P-256, P-384 or P-521 in PEM; "
                "this is something else. NodeIdentity.generate() makes one."
            )
        return cls(key)

    def private_pem(self) -> bytes:
        """The secret key for the host to keep, in PEM (PKCS 8), not encrypted."""
        from cryptography.hazmat.primitives.serialization import (
            Encoding,
            NoEncryption,
            PrivateFormat,
        )

        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def public_pem(self) -> bytes:
        """What the operator registers with the SuperLink, in PEM."""
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        return self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def headers(self, now: float) -> dict[str, str]:
        """The headers that authenticate one request.

        Args:
            now: Unix seconds by the server's clock.
        """
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.hashes import SHA256

        timestamp = datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds")
        signature = self._key.sign(timestamp.encode(), ec.ECDSA(SHA256()))
        return {
            "flwr-public-key": b64encode(self.public_pem()).decode(),
            "flwr-timestamp": timestamp,
            "flwr-signature": b64encode(signature).decode(),
        }


class ServerClock:
    """The server's time, as far as the device can tell.

    A SuperLink turns away a timestamp that is five seconds ahead or five minutes behind. A phone's
    clock may well be, so the device follows the ``Date`` header of a server that it already trusts
    by its certificate, and only after that server turned it away.

    Args:
        limit: How many seconds the device's clock may be off; beyond that it is the user's to set.
    """

    def __init__(self, *, limit: float = 86_400.0) -> None:
        """Believe the device's own clock at first."""
        self.limit = limit
        self.offset = 0.0

    def now(self) -> float:
        """Unix seconds by the server's clock."""
        return time.time() + self.offset

    def follow(self, date: str | None) -> bool:
        """Take over the time in a ``Date`` header.

        Returns:
            Whether it differs from what the device believed, so that another try makes sense. False
            also if it is missing, malformed or beyond the limit.
        """
        try:
            told = parsedate_to_datetime(date or "").timestamp()
        except (ValueError, TypeError, OverflowError):
            return False
        offset = told - time.time()
        if abs(offset - self.offset) <= CLOCK_TOLERANCE_SECONDS or abs(offset) > self.limit:
            return False
        self.offset = offset
        return True
