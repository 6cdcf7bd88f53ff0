"""Three of the four messages that the server sends: delivery, survivors and unmask request.

The fourth, the roster, has a module of its own. These three carry no signature of the server:
what a device must be able to rely on in them is signed by other devices.
"""

import hashlib
from dataclasses import dataclass, field

from privet.privacy.secagg.device_messages import ENVELOPE_BYTES
from privet.privacy.secagg.primitives import KEY_BYTES, SIGNATURE_BYTES
from privet.privacy.secagg.wire import Kind, Reader, bitmap, check_ascending, header, u16, u32

_DELIVERED_BYTES = 4 + KEY_BYTES + ENVELOPE_BYTES
_COSIGNED_BYTES = 4 + SIGNATURE_BYTES
_STATED_BYTES = 4 + 32 + SIGNATURE_BYTES


@dataclass(frozen=True, kw_only=True)
class Delivered:
    """One envelope for a device, from one that chose it.

    Attributes:
        source: Position of the sender.
        nonce: The sender's, which shows that it chose this device.
        envelope: The sealed shares.
    """

    source: int
    nonce: bytes
    envelope: bytes = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """Who has shared, and the envelopes for one device.

    Attributes:
        roster_hash: Hash of the roster.
        destination: The device.
        devices: Size of the roster.
        sharers: All devices that have shared.
        delivered: Envelopes by ascending source.
    """

    roster_hash: bytes
    destination: int
    devices: int
    sharers: frozenset[int]
    delivered: tuple[Delivered, ...]

    def encode(self) -> bytes:
        """The message."""
        lines = [u32(d.source) + d.nonce + d.envelope for d in self.delivered]
        parts = (
            self.roster_hash,
            u32(self.destination),
            bitmap(self.sharers, self.devices),
            u16(len(lines)),
            *lines,
        )
        return header(Kind.DELIVERY) + b"".join(parts)

    @classmethod
    def parse(cls, data: bytes, devices: int) -> "Delivery":
        """Read it; each source is named once."""
        reader = Reader(data, Kind.DELIVERY)
        roster_hash, destination = reader.take(32), reader.position(devices)
        sharers, count = reader.positions(devices), reader.u16()
        reader.expect(count * _DELIVERED_BYTES)
        delivered = tuple(
            Delivered(
                source=reader.position(devices),
                nonce=reader.take(KEY_BYTES),
                envelope=reader.take(ENVELOPE_BYTES),
            )
            for _ in range(count)
        )
        check_ascending([d.source for d in delivered], "envelopes")
        return cls(
            roster_hash=roster_hash,
            destination=destination,
            devices=devices,
            sharers=sharers,
            delivered=delivered,
        )


@dataclass(frozen=True, kw_only=True)
class Survivors:
    """Who is in the sum, and who shared but did not send a vector.

    Attributes:
        roster_hash: Hash of the roster.
        devices: Size of the roster.
        active: In the sum.
        dead: Not in the sum, though they have shared.
    """

    roster_hash: bytes
    devices: int
    active: frozenset[int]
    dead: frozenset[int]

    def encode(self) -> bytes:
        """The message."""
        lists = bitmap(self.active, self.devices) + bitmap(self.dead, self.devices)
        return header(Kind.SURVIVORS) + self.roster_hash + lists

    @classmethod
    def parse(cls, data: bytes, devices: int) -> "Survivors":
        """Read it."""
        reader = Reader(data, Kind.SURVIVORS)
        reader.expect(32 + 2 * ((devices + 7) // 8))
        return cls(
            roster_hash=reader.take(32),
            devices=devices,
            active=reader.positions(devices),
            dead=reader.positions(devices),
        )


@dataclass(frozen=True, kw_only=True)
class UnmaskRequest:
    """The proof that a quorum agrees on the survivors, and that they masked with the same set.

    Attributes:
        survivors: As they were announced.
        cosignatures: Position and signature, ascending.
        statements: Of each survivor that chose the device: position, the hash of its vector and
            the signature of its masked vector, ascending.
    """

    survivors: Survivors
    cosignatures: tuple[tuple[int, bytes], ...]
    statements: tuple[tuple[int, bytes, bytes], ...]

    def encode(self) -> bytes:
        """The message."""
        s = self.survivors
        lists = bitmap(s.active, s.devices) + bitmap(s.dead, s.devices)
        counts = u16(len(self.cosignatures)) + u16(len(self.statements))
        cosigned = b"".join(u32(i) + signature for i, signature in self.cosignatures)
        stated = b"".join(u32(i) + digest + sig for i, digest, sig in self.statements)
        return header(Kind.UNMASK_REQUEST) + s.roster_hash + lists + counts + cosigned + stated

    @classmethod
    def parse(cls, data: bytes, devices: int) -> "UnmaskRequest":
        """Read it; each device is named once a list."""
        reader = Reader(data, Kind.UNMASK_REQUEST)
        survivors = Survivors(
            roster_hash=reader.take(32),
            devices=devices,
            active=reader.positions(devices),
            dead=reader.positions(devices),
        )
        cosigned, stated = reader.u16(), reader.u16()
        reader.expect(cosigned * _COSIGNED_BYTES + stated * _STATED_BYTES)
        cosignatures = tuple(
            (reader.position(devices), reader.take(SIGNATURE_BYTES)) for _ in range(cosigned)
        )
        statements = tuple(
            (reader.position(devices), reader.take(32), reader.take(SIGNATURE_BYTES))
            for _ in range(stated)
        )
        check_ascending([c[0] for c in cosignatures], "signatures")
        check_ascending([s[0] for s in statements], "statements")
        return cls(survivors=survivors, cosignatures=cosignatures, statements=statements)


def sharers_digest(sharers: frozenset[int], devices: int) -> bytes:
    """SHA-256 of the set of devices that have shared."""
    return hashlib.sha256(bitmap(sharers, devices)).digest()
