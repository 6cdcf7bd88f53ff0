"""A Merkle tree over a round's messages, with receipts that a user can check.

The tree is that of RFC 6962, section 2.1: SHA-256 with a zero byte before a leaf and a one byte
before an inner node, so that no message can pass for a node. A receipt shows that one's own message
is among those of a root. Its path has the hash of the message beside it, so a round's receipts are
made of salted messages (:mod:`privet.privacy.minimization.published`).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from privet.privacy.errors import InputError, IntegrityError

MAX_PATH = 64


def leaf_hash(message: bytes) -> bytes:
    """The hash of one message."""
    return hashlib.sha256(b"\x00" + message).digest()


def merkle_root(messages: Sequence[bytes]) -> bytes:
    """The root over a round's messages, in order; of none it is the hash of nothing."""
    return MerkleTree([leaf_hash(message) for message in messages]).root


def inclusion_proof(messages: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """The hashes beside the way from a message up to the root.

    Raises:
        InputError: There is no message at this position.
    """
    return MerkleTree([leaf_hash(message) for message in messages]).proof(index)


class MerkleTree:
    """The whole tree, for one root and a receipt for everybody.

    Takes about 64 bytes a leaf, one hash a leaf to build, and a look-up a level for a receipt.

    Args:
        leaves: Hashes of the messages, in order.
    """

    def __init__(self, leaves: Sequence[bytes]) -> None:
        """Hash all levels."""
        self._levels = [list(leaves)]
        while len(self._levels[-1]) > 1:
            self._levels.append(_above(self._levels[-1]))

    @property
    def size(self) -> int:
        """Number of leaves."""
        return len(self._levels[0])

    @property
    def root(self) -> bytes:
        """The root; of no leaves it is the hash of nothing."""
        return self._levels[-1][0] if self.size else hashlib.sha256(b"").digest()

    def proof(self, index: int) -> tuple[bytes, ...]:
        """The hashes beside the way from a leaf up to the root.

        Raises:
            InputError: There is no leaf at this position.
        """
        if not 0 <= index < self.size:
            raise InputError(f"Expected a position below {self.size}, found {index}.")
        beside = [(level, (index >> height) ^ 1) for height, level in enumerate(self._levels[:-1])]
        return tuple(level[place] for level, place in beside if place < len(level))

    def receipt(self, index: int) -> "Receipt":
        """The receipt for one leaf.

        Raises:
            InputError: There is no leaf at this position.
        """
        return Receipt(index=index, size=self.size, path=self.proof(index), root=self.root)


def verify_inclusion(
    message: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> None:
    """Check that a message is at a position of a tree with this root and size.

    Raises:
        IntegrityError: It is not, or the proof is malformed.
    """
    verify_leaf(leaf_hash(message), index, size, proof, root)


def verify_leaf(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Check inclusion of a leaf that is hashed already.

    Raises:
        IntegrityError: It is not included, or the proof is malformed.
    """
    refused = IntegrityError("The receipt does not show that the message is in the round.")
    if not 0 <= index < size or len(proof) > MAX_PATH:
        raise refused
    rest, found = list(proof), leaf
    last = size - 1
    while last > 0:
        if index & 1 or index < last:  # otherwise alone at the right edge: nothing beside it
            if not rest:
                raise refused
            beside = rest.pop(0)
            found = _node(beside, found) if index & 1 else _node(found, beside)
        index, last = index >> 1, last >> 1
    if rest or found != root:
        raise refused


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """What a user keeps to check that a message was in a round.

    Attributes:
        index: The message's position.
        size: Messages in the round.
        path: Hashes beside the way to the root.
        root: What the server published.
    """

    index: int
    size: int
    path: tuple[bytes, ...]
    root: bytes

    @staticmethod
    def of(messages: Sequence[bytes], index: int) -> "Receipt":
        """The receipt for one of a round's messages.

        Raises:
            InputError: There is no message at this position.
        """
        return MerkleTree([leaf_hash(message) for message in messages]).receipt(index)

    def check(self, message: bytes, published_root: bytes) -> None:
        """Check it against the root as published, not as the receipt says.

        Raises:
            IntegrityError: The message is not in that round.
        """
        self.check_leaf(leaf_hash(message), published_root)

    def check_leaf(self, leaf: bytes, published_root: bytes) -> None:
        """The same from the hash that the device's own ledger holds.

        Raises:
            IntegrityError: The message is not in that round.
        """
        if self.root != published_root:
            raise IntegrityError("The receipt is for another root than the one published.")
        verify_leaf(leaf, self.index, self.size, self.path, published_root)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "version": 1,
            "index": self.index,
            "size": self.size,
            "path": [step.hex() for step in self.path],
            "root": self.root.hex(),
        }

    @classmethod
    def from_dict(cls, body: object) -> "Receipt":
        """Read a receipt back.

        Raises:
            InputError: Not a receipt.
        """
        refused = InputError("Expected a receipt: version 1, index, size, path and root.")
        if not isinstance(body, dict) or set(body) != {"version", "index", "size", "path", "root"}:
            raise refused
        path, numbers = body["path"], (body["version"], body["index"], body["size"])
        if any(type(n) is not int or n >> MAX_PATH for n in numbers) or numbers[0] != 1:
            raise refused
        if not isinstance(path, list) or len(path) > MAX_PATH or not 0 <= numbers[1] < numbers[2]:
            raise refused
        hashes = [digest_of(text) for text in (*path, body["root"])]
        if any(digest is None for digest in hashes):
            raise refused
        *steps, root = [digest for digest in hashes if digest is not None]
        return cls(index=numbers[1], size=numbers[2], path=tuple(steps), root=root)


def digest_of(text: object) -> bytes | None:
    """32 bytes from their one spelling in hexadecimal."""
    if not isinstance(text, str) or len(text) != 64:
        return None
    try:
        digest = bytes.fromhex(text)
    except ValueError:
        return None
    return digest if digest.hex() == text else None


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def _above(level: list[bytes]) -> list[bytes]:
    """The level above: pairs from the left; one that is left over moves up as it is.

    This is the tree of RFC 6962, whose left half is always the largest power of two.
    """
    pairs = [_node(a, b) for a, b in zip(level[::2], level[1::2], strict=False)]
    return pairs + level[len(pairs) * 2 :]
