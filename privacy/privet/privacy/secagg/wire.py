"""Reading and writing bytes: a marker, a version, a kind, and fields of known sizes.

All numbers are big-endian; vectors are little-endian, as devices hold them. A reader is told how
many bytes to expect before it loops over anything, refuses what is short, long or not the one
spelling of its value, and raises `InputError` only. Its messages name formats, never contents.
"""

from collections.abc import Collection
from enum import IntEnum
from itertools import pairwise

from privet.privacy.errors import InputError

MAGIC = b"PVSA"
VERSION = 1
HEADER_BYTES = 6


class Kind(IntEnum):
    """The nine messages, in their order."""

    ADVERT = 1
    ROSTER = 2
    SHARING = 3
    DELIVERY = 4
    MASKED = 5
    SURVIVORS = 6
    COSIGNATURE = 7
    UNMASK_REQUEST = 8
    SHARES = 9


def header(kind: Kind) -> bytes:
    """The first bytes of a message."""
    return MAGIC + bytes((VERSION, kind))


def u16(value: int) -> bytes:
    """Two bytes."""
    return value.to_bytes(2, "big")


def u32(value: int) -> bytes:
    """Four bytes."""
    return value.to_bytes(4, "big")


def bitmap(positions: Collection[int], devices: int) -> bytes:
    """A set of positions, one bit a device, the first in the lowest bit of the first byte."""
    out = bytearray((devices + 7) // 8)
    for position in positions:
        out[position >> 3] |= 1 << (position & 7)
    return bytes(out)


class Reader:
    """Takes fields off a message, in order."""

    def __init__(self, data: bytes, kind: Kind) -> None:
        """Check the marker, the version and the kind.

        Raises:
            InputError: It is not such a message, or of another version.
        """
        if not isinstance(data, bytes) or data[:4] != MAGIC or len(data) < HEADER_BYTES:
            raise InputError("Expected a message of secure aggregation, found other bytes.")
        if data[4] != VERSION:
            raise InputError(f"Expected version {VERSION} of the messages, found {data[4]}.")
        if data[5] != kind:
            raise InputError(f"Expected a message of kind {kind.name}, found kind {data[5]}.")
        self._data = data
        self._at = HEADER_BYTES
        self._kind = kind

    def expect(self, size: int) -> None:
        """Require that exactly this many bytes are left."""
        left = len(self._data) - self._at
        if left != size:
            raise InputError(
                f"Expected {size} more bytes in a message of kind {self._kind.name}, found {left}."
            )

    def take(self, size: int) -> bytes:
        """The next bytes."""
        end = self._at + size
        if end > len(self._data):
            raise InputError(f"A message of kind {self._kind.name} ends early.")
        out = self._data[self._at : end]
        self._at = end
        return out

    def u16(self) -> int:
        """The next two bytes."""
        return int.from_bytes(self.take(2), "big")

    def u32(self) -> int:
        """The next four bytes."""
        return int.from_bytes(self.take(4), "big")

    def position(self, devices: int) -> int:
        """The next four bytes, a position in the roster."""
        value = self.u32()
        if value >= devices:
            raise InputError(f"A position in a message of kind {self._kind.name} is out of range.")
        return value

    def positions(self, devices: int) -> frozenset[int]:
        """A bitmap, whose spare bits must be zero."""
        raw = self.take((devices + 7) // 8)
        value = int.from_bytes(raw, "little")
        if value >> devices:
            raise InputError(f"A list in a message of kind {self._kind.name} is too long.")
        return frozenset(i for i, bit in enumerate(reversed(f"{value:b}")) if bit == "1")


def check_ascending(values: list[int], what: str) -> None:
    """Refuse a list that names a device twice or out of order.

    Raises:
        InputError: It does.
    """
    if any(b <= a for a, b in pairwise(values)):
        raise InputError(f"The {what} are not in ascending order, each once.")
