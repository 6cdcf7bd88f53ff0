"""The cryptography of secure aggregation, all from the ``cryptography`` package.

Keys are derived by HKDF-SHA256 with ``info`` made of the protocol's version, the purpose and
length-prefixed parts (the roster's hash, which covers run, round and cohort, and both identities),
so that no key serves two purposes, pairs, rosters or rounds.
"""

import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from privet.privacy.errors import IntegrityError
from privet.privacy.randomness import Randomness

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PROTOCOL = b"privet.secagg/1"
KEY_BYTES = 32
SIGNATURE_BYTES = 64
TAG_BYTES = 16
_BLOCK_WORDS = 1 << 14
_ZEROS = memoryview(bytes(4 * _BLOCK_WORDS))


def hkdf(secret: bytes, purpose: bytes, *parts: bytes) -> bytes:
    """32 bytes derived from a secret for one purpose and context."""
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(SHA256(), KEY_BYTES, None, context(purpose, *parts)).derive(secret)


def context(purpose: bytes, *parts: bytes) -> bytes:
    """Protocol version, purpose and parts, each with its length in front."""
    return b"".join(len(p).to_bytes(4, "big") + p for p in (PROTOCOL, purpose, *parts))


def equal(one: bytes, other: bytes) -> bool:
    """Compare without telling where they differ."""
    return hmac.compare_digest(one, other)


def random_bytes(rng: Randomness, *labels: str | int) -> bytes:
    """32 bytes for one purpose."""
    return rng.stream("secagg", *labels).words64(4).tobytes()


def public_key(secret: bytes) -> bytes:
    """The X25519 public key of a secret key."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()


def agree(secret: bytes, public: bytes) -> bytes:
    """The X25519 shared secret.

    Raises:
        IntegrityError: The public key is of low order, so that the secret would be known to all.
    """
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

    try:
        theirs = X25519PublicKey.from_public_bytes(public)
        return X25519PrivateKey.from_private_bytes(secret).exchange(theirs)
    except ValueError as error:
        raise IntegrityError("A device's public key is not usable for key agreement.") from error


def pairwise_key(
    secret: bytes, public: bytes, roster_hash: bytes, round_number: int, ids: tuple[bytes, bytes]
) -> bytes:
    """The key of the mask that two devices share; the order of the ids does not matter."""
    first, second = sorted(ids)
    parts = (roster_hash, round_number.to_bytes(4, "big"), first, second)
    return hkdf(agree(secret, public), b"pairwise mask", *parts)


def self_key(seed: bytes, roster_hash: bytes, round_number: int, identity: bytes) -> bytes:
    """The key of a device's own mask."""
    return hkdf(seed, b"self mask", roster_hash, round_number.to_bytes(4, "big"), identity)


def apply_mask(total: NDArray[np.uint32], key: bytes, *, subtract: bool) -> None:
    """Add or subtract the ChaCha20 stream of a 256-bit key modulo 2**32, in place.

    Args:
        total: Integers, shape ``(dimension,)``.
        key: 32 secret bytes, whose stream masks this one vector and nothing else; it is the same
            stream as `WordStream`'s, made in blocks that stay in the processor's cache.
        subtract: Take the mask off, or be the second of a pair.
    """
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

    encryptor = Cipher(algorithms.ChaCha20(key, bytes(16)), mode=None).encryptor()
    change = np.subtract if subtract else np.add
    block = np.empty(min(_BLOCK_WORDS, len(total)), "<u4")
    for start in range(0, len(total), _BLOCK_WORDS):
        part = total[start : start + _BLOCK_WORDS]
        stream = block[: len(part)]
        encryptor.update_into(_ZEROS[: 4 * len(part)], stream.data.cast("B"))
        change(part, stream, out=part)


def seal(key: bytes, plaintext: bytes, associated: bytes) -> bytes:
    """ChaCha20-Poly1305 under a key that seals one envelope only, hence the constant nonce."""
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    return ChaCha20Poly1305(key).encrypt(bytes(12), plaintext, associated)


def unseal(key: bytes, envelope: bytes, associated: bytes) -> bytes:
    """The plaintext of an envelope.

    Raises:
        IntegrityError: The envelope, its key or its associated data are not what was sealed.
    """
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    try:
        return ChaCha20Poly1305(key).decrypt(bytes(12), envelope, associated)
    except InvalidTag as error:
        raise IntegrityError("An envelope does not open.") from error


@dataclass(frozen=True)
class SigningKey:
    """An Ed25519 key: a device's identity, a server's or a certifier's.

    Attributes:
        public: Its public key, 32 bytes.
    """

    _key: "Ed25519PrivateKey" = field(repr=False)
    public: bytes

    @classmethod
    def from_secret(cls, secret: bytes) -> "SigningKey":
        """The key with these 32 secret bytes."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        key = Ed25519PrivateKey.from_private_bytes(secret)
        return cls(key, key.public_key().public_bytes_raw())

    @classmethod
    def generate(cls) -> "SigningKey":
        """A fresh key from the operating system's randomness."""
        return cls.from_secret(random_bytes(Randomness.secret(), "signing key"))

    def sign(self, purpose: bytes, *parts: bytes) -> bytes:
        """Sign parts for one purpose."""
        return self._key.sign(context(purpose, *parts))

    def certify(self, identity: bytes) -> bytes:
        """A certificate over a device's identity key, for a certifier who knows the device."""
        return self.sign(b"certificate", identity)


def verify(public: bytes, signature: bytes, purpose: bytes, *parts: bytes) -> None:
    """Check a signature over parts for one purpose.

    Raises:
        IntegrityError: It is not by that key over these parts for that purpose.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, context(purpose, *parts))
    except (InvalidSignature, ValueError) as error:
        raise IntegrityError(f"The signature of a {purpose.decode()} is not valid.") from error
