"""Sealing of single values: AES-256-GCM, bound to the place where the value lies.

Every value has a key of its own, derived from the data key and 16 random bytes (HMAC-SHA-256 as a
pseudorandom function, NIST SP 800-108), and a random nonce of 96 bits. The limit of 2^32 values
under one key with random nonces (NIST SP 800-38D, section 8.3) is thus never near: two of 2^32
values share key and nonce with probability below 2^-160, whatever was rolled back or lost.
"""

import hmac
import os
from hashlib import blake2b
from typing import TYPE_CHECKING

from privet.privacy.errors import IntegrityError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
SALT_BYTES = 16
NONCE_BYTES = 12
TAG_BYTES = 16
OVERHEAD_BYTES = SALT_BYTES + NONCE_BYTES + TAG_BYTES
SMALLEST_BYTES = 128
"""Values are padded to this size, or the next power of two that holds them."""
_LENGTH_BYTES = 4


class Sealer:
    """Seals and opens the values of one store under one data key.

    Args:
        key: The data key, 32 random bytes.
        store: The store's random identifier.
        version: Version of the store's schema.

    Formal Guarantees:
        A sealed value tells its size class (a power of two) and nothing else of its content. It
        opens only in the store, version, table, row and column for which it was sealed: AES-GCM's
        associated data name them, each with its length, so that no two places read alike.
    """

    def __init__(self, key: bytes, *, store: bytes, version: int) -> None:
        """Derive the keys for sealing and for marks."""
        self._seal_key = hmac.digest(key, b"privet vault: seal", "sha256")
        self._mark_key = hmac.digest(key, b"privet vault: mark", "sha256")
        self._store = store
        self._version = version
        self._names: dict[tuple[str, str], bytes] = {}

    def seal(self, plain: bytes, *, table: str, row: int, column: str = "sealed") -> bytes:
        """Pad and encrypt a value for its place."""
        salt, nonce = os.urandom(SALT_BYTES), os.urandom(NONCE_BYTES)
        place = self._place(table, row, column)
        return salt + nonce + self._cipher(salt).encrypt(nonce, pad(plain), place)

    def open(self, sealed: object, *, table: str, row: int, column: str = "sealed") -> bytes:
        """Decrypt a value.

        Raises:
            IntegrityError: It was changed, or was not sealed for this place under this key.
        """
        from cryptography.exceptions import InvalidTag

        if type(sealed) is not bytes or len(sealed) < OVERHEAD_BYTES + SMALLEST_BYTES:
            raise IntegrityError("A sealed value is damaged: it is too short to be one.")
        salt, nonce, rest = sealed[:16], sealed[16:28], sealed[28:]
        try:
            padded = self._cipher(salt).decrypt(nonce, rest, self._place(table, row, column))
        except InvalidTag:
            raise IntegrityError(
                "A sealed value does not open: it was changed, or moved from another place."
            ) from None
        return unpad(padded)

    def mark(self, sealed: bytes, *, table: str, row: int) -> int:
        """A keyed mark of a sealed row, for sums over all rows of a table.

        Sums of such marks are the multiset hash MSet-Add-Hash of Clarke et al. (ASIACRYPT 2003),
        here with 256 bits and kept sealed.
        """
        data = self._place(table, row, "mark") + sealed
        return int.from_bytes(blake2b(data, key=self._mark_key, digest_size=32).digest(), "big")

    def _cipher(self, salt: bytes) -> "AESGCM":
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        return AESGCM(hmac.digest(self._seal_key, salt, "sha256"))

    def _place(self, table: str, row: int, column: str) -> bytes:
        """Associated data: store, version, table and column with lengths, then 8 bytes of row."""
        names = self._names.get((table, column))
        if names is None:
            version = self._version.to_bytes(4, "big")
            names = associated(self._store, version, table.encode(), column.encode())
            self._names[table, column] = names
        return names + row.to_bytes(8, "big")


def associated(*parts: bytes) -> bytes:
    """Associated data from parts, each with its length before it."""
    return b"".join(len(part).to_bytes(8, "big") + part for part in (b"privet vault", *parts))


def pad(plain: bytes) -> bytes:
    """Length, value, zeros: up to 128 bytes, or the next power of two."""
    size = _class_of(len(plain) + _LENGTH_BYTES)
    return (len(plain).to_bytes(_LENGTH_BYTES, "big") + plain).ljust(size, b"\0")


def _class_of(size: int) -> int:
    return max(SMALLEST_BYTES, 1 << (size - 1).bit_length())


def unpad(padded: bytes) -> bytes:
    """The value that was padded.

    Raises:
        IntegrityError: The bytes were not made by `pad`.
    """
    end = _LENGTH_BYTES + int.from_bytes(padded[:_LENGTH_BYTES], "big")
    rest = len(padded) - end
    if rest < 0 or len(padded) != _class_of(end) or padded.count(0, end) != rest:
        raise IntegrityError("A sealed value is damaged: its padding is none.")
    return padded[_LENGTH_BYTES:end]
