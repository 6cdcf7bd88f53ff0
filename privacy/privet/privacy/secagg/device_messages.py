"""The five messages that a device sends: advert, sharing, masked vector, co-signature, shares.

Every one is signed by the device's identity key over a purpose of its own and the roster's hash
(the advert: the terms), so that none can stand for another, in another round or from another
device.
"""

import hashlib
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from privet.privacy.errors import InputError
from privet.privacy.secagg.primitives import KEY_BYTES, SIGNATURE_BYTES, TAG_BYTES
from privet.privacy.secagg.shamir import SHARE_BYTES
from privet.privacy.secagg.wire import Kind, Reader, check_ascending, header, u16, u32

ENVELOPE_BYTES = 2 * SHARE_BYTES + TAG_BYTES
SEED_SHARE, KEY_SHARE = 1, 2  # of the self mask's seed, of the key-agreement secret
REVEALED_BYTES = 4 + 1 + SHARE_BYTES


@dataclass(frozen=True, kw_only=True)
class Advert:
    """A device's keys for one round; an entry of the roster.

    Attributes:
        identity: Ed25519 public key.
        mask_key: X25519 public key for pairwise masks, whose secret is shared.
        envelope_key: X25519 public key for envelopes, whose secret is not.
        commitment: To the nonce that chooses the neighbours.
        certificate: The certifier's signature over the identity, empty without a certifier.
        signature: By the identity over the terms and the keys.
    """

    identity: bytes
    mask_key: bytes
    envelope_key: bytes
    commitment: bytes
    certificate: bytes
    signature: bytes = b""

    @property
    def signed(self) -> tuple[bytes, ...]:
        """What the signature covers, after the digest of the terms."""
        return (self.identity, self.mask_key, self.envelope_key, self.commitment)

    def entry(self) -> bytes:
        """Its bytes in a roster."""
        return b"".join((*self.signed, self.certificate, self.signature))

    def encode(self, terms_digest: bytes) -> bytes:
        """The message."""
        return header(Kind.ADVERT) + terms_digest + self.entry()

    @staticmethod
    def entry_bytes(certified: bool) -> int:
        """Size in a roster."""
        return 4 * KEY_BYTES + SIGNATURE_BYTES * (2 if certified else 1)

    @classmethod
    def read(cls, reader: Reader, certified: bool) -> "Advert":
        """The next entry."""
        keys = [reader.take(KEY_BYTES) for _ in range(4)]
        return cls(
            identity=keys[0],
            mask_key=keys[1],
            envelope_key=keys[2],
            commitment=keys[3],
            certificate=reader.take(SIGNATURE_BYTES if certified else 0),
            signature=reader.take(SIGNATURE_BYTES),
        )

    @classmethod
    def parse(cls, data: bytes, certified: bool) -> tuple[bytes, "Advert"]:
        """The digest of the terms and the advert."""
        reader = Reader(data, Kind.ADVERT)
        reader.expect(KEY_BYTES + cls.entry_bytes(certified))
        return reader.take(KEY_BYTES), cls.read(reader, certified)


@dataclass(frozen=True, kw_only=True)
class Sharing:
    """A device's opened nonce and one envelope for each neighbour that it chooses.

    Attributes:
        roster_hash: Hash of the roster.
        sender: Its position.
        nonce: Opens its commitment.
        envelopes: In the order of `graph.choose_neighbours`.
        signature: By the sender.
    """

    roster_hash: bytes
    sender: int
    nonce: bytes
    envelopes: tuple[bytes, ...]
    signature: bytes = b""

    @property
    def signed(self) -> tuple[bytes, ...]:
        """What the signature covers."""
        return (self.roster_hash, u32(self.sender), self.nonce, b"".join(self.envelopes))

    def encode(self) -> bytes:
        """The message."""
        return header(Kind.SHARING) + b"".join(self.signed) + self.signature

    @classmethod
    def parse(cls, data: bytes, devices: int, neighbours: int) -> "Sharing":
        """Read it."""
        reader = Reader(data, Kind.SHARING)
        reader.expect(36 + KEY_BYTES + neighbours * ENVELOPE_BYTES + SIGNATURE_BYTES)
        return cls(
            roster_hash=reader.take(32),
            sender=reader.position(devices),
            nonce=reader.take(KEY_BYTES),
            envelopes=tuple(reader.take(ENVELOPE_BYTES) for _ in range(neighbours)),
            signature=reader.take(SIGNATURE_BYTES),
        )


@dataclass(frozen=True, kw_only=True)
class Masked:
    """A device's masked vector, and its statement of whom it masked with.

    Attributes:
        roster_hash: Hash of the roster.
        sender: Its position.
        sharers_digest: SHA-256 of the set of devices that had shared when it masked.
        seed_commitment: To the seed of its own mask, so that wrong shares are noticed.
        vector: Masked integers, shape ``(dimension,)``.
        signature: By the sender over all of the above, the last two as one hash.
    """

    roster_hash: bytes
    sender: int
    sharers_digest: bytes
    seed_commitment: bytes
    vector: NDArray[np.uint32] = field(repr=False)
    signature: bytes = b""

    @property
    def content_digest(self) -> bytes:
        """SHA-256 of the commitment and the vector."""
        vector = self.vector.astype("<u4").tobytes()
        return hashlib.sha256(self.seed_commitment + vector).digest()

    @property
    def signed(self) -> tuple[bytes, ...]:
        """What the signature covers."""
        return (self.roster_hash, u32(self.sender), self.sharers_digest, self.content_digest)

    def encode(self) -> bytes:
        """The message."""
        return header(Kind.MASKED) + b"".join(
            (
                self.roster_hash,
                u32(self.sender),
                self.sharers_digest,
                self.seed_commitment,
                self.vector.astype("<u4").tobytes(),
                self.signature,
            )
        )

    @classmethod
    def parse(cls, data: bytes, devices: int, dimension: int) -> "Masked":
        """Read it."""
        reader = Reader(data, Kind.MASKED)
        reader.expect(36 + 64 + 4 * dimension + SIGNATURE_BYTES)
        return cls(
            roster_hash=reader.take(32),
            sender=reader.position(devices),
            sharers_digest=reader.take(32),
            seed_commitment=reader.take(32),
            vector=np.frombuffer(reader.take(4 * dimension), "<u4").astype(np.uint32),
            signature=reader.take(SIGNATURE_BYTES),
        )


@dataclass(frozen=True, kw_only=True)
class Cosignature:
    """A device's signature over roster, sharers and survivors; it gives one a roster.

    Attributes:
        roster_hash: Hash of the roster.
        sender: Its position.
        signature: By the sender over the roster's hash, the sharers' digest and the survivors.
    """

    roster_hash: bytes
    sender: int
    signature: bytes

    def encode(self) -> bytes:
        """The message."""
        return header(Kind.COSIGNATURE) + self.roster_hash + u32(self.sender) + self.signature

    @classmethod
    def parse(cls, data: bytes, devices: int) -> "Cosignature":
        """Read it."""
        reader = Reader(data, Kind.COSIGNATURE)
        reader.expect(36 + SIGNATURE_BYTES)
        return cls(
            roster_hash=reader.take(32),
            sender=reader.position(devices),
            signature=reader.take(SIGNATURE_BYTES),
        )


@dataclass(frozen=True, kw_only=True)
class Shares:
    """The shares that a device reveals: for each device that chose it one, never both.

    Attributes:
        roster_hash: Hash of the roster.
        sender: Its position.
        revealed: Of whom, of which secret (`SEED_SHARE` or `KEY_SHARE`), the share.
        signature: By the sender.
    """

    roster_hash: bytes
    sender: int
    revealed: tuple[tuple[int, int, int], ...] = field(repr=False)
    signature: bytes = b""

    @property
    def signed(self) -> tuple[bytes, ...]:
        """What the signature covers."""
        lines = [
            u32(owner) + bytes((secret,)) + share.to_bytes(SHARE_BYTES, "big")
            for owner, secret, share in self.revealed
        ]
        return (self.roster_hash, u32(self.sender), u16(len(lines)), b"".join(lines))

    def encode(self) -> bytes:
        """The message."""
        return header(Kind.SHARES) + b"".join(self.signed) + self.signature

    @classmethod
    def parse(cls, data: bytes, devices: int) -> "Shares":
        """Read it; each device is named once."""
        reader = Reader(data, Kind.SHARES)
        roster_hash, sender, count = reader.take(32), reader.position(devices), reader.u16()
        reader.expect(count * REVEALED_BYTES + SIGNATURE_BYTES)
        revealed = tuple(
            (reader.position(devices), reader.take(1)[0], _share(reader)) for _ in range(count)
        )
        check_ascending([owner for owner, _, _ in revealed], "shares")
        if any(secret not in (SEED_SHARE, KEY_SHARE) for _, secret, _ in revealed):
            raise InputError("A share is of an unknown secret.")
        return cls(
            roster_hash=roster_hash,
            sender=sender,
            revealed=revealed,
            signature=reader.take(SIGNATURE_BYTES),
        )


def _share(reader: Reader) -> int:
    return int.from_bytes(reader.take(SHARE_BYTES), "big")
