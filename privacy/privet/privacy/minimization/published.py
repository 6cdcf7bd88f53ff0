"""What a server publishes of a round's messages, and how a device checks that its own is there.

The server adds each message as it accepts it, publishes the root with their number, and hands out
a receipt for each. A device looks up the message's hash in its own ledger. If the published roots
are where everybody sees the same ones, a server that leaves a message out, or takes one that
nobody sent in its place, is found out by the device whose message it is. It does not show that
the server summed what it received.

A receipt's path has its neighbour's hash in it. Where a message could be guessed (without noise or
masks, an empty history's is known), a plain hash would confirm the guess to the neighbour, so the
server salts each message, and tells the salt to nobody but its sender.
"""

import os
from dataclasses import dataclass
from typing import Any

from privet.privacy.errors import InputError, IntegrityError
from privet.privacy.minimization.merkle import MAX_PATH, MerkleTree, Receipt, digest_of, leaf_hash
from privet.privacy.minimization.sending import Sent, Slot

SALT_BYTES = 32
_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class SaltedReceipt:
    """What a device keeps to check that its message was in a round.

    Attributes:
        salt: Of its message, 32 bytes that only server and device know.
        receipt: For the salted hash.
    """

    salt: bytes
    receipt: Receipt

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"salt": self.salt.hex(), "receipt": self.receipt.to_dict()}

    @classmethod
    def from_dict(cls, body: object) -> "SaltedReceipt":
        """Read a receipt back.

        Raises:
            InputError: Not a receipt.
        """
        salt = None
        if isinstance(body, dict) and set(body) == {"salt", "receipt"}:
            salt = digest_of(body["salt"])
        if not isinstance(body, dict) or salt is None:
            raise InputError("Expected a receipt with its salt.")
        return cls(salt=salt, receipt=Receipt.from_dict(body["receipt"]))


@dataclass(frozen=True, kw_only=True)
class PublishedRoot:
    """The root over the messages of one stage of one round.

    Attributes:
        slot: Run, round and stage.
        size: Number of messages.
        root: Of the tree over them.
    """

    slot: Slot
    size: int
    root: bytes

    def check(self, salted: SaltedReceipt, sent: Sent) -> None:
        """Check that a message from a device's own ledger is among them.

        Raises:
            IntegrityError: It is not, or the receipt is for another round or root.
        """
        leaf = digest_of(sent.leaf)
        if leaf is None or sent.slot != self.slot or salted.receipt.size != self.size:
            raise IntegrityError("The receipt is for another round than the one published.")
        salted.receipt.check(leaf + salted.salt, self.root)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        body = {"version": _VERSION, "size": self.size, "root": self.root.hex()}
        return {**body, **vars(self.slot)}

    @classmethod
    def from_dict(cls, body: object) -> "PublishedRoot":
        """Read a published root back.

        Raises:
            InputError: Not a published root.
        """
        names = set(Slot.__dataclass_fields__)
        refused = InputError("Expected a published root: version 1, run, round, stage, size, root.")
        if not isinstance(body, dict) or set(body) != {"version", "size", "root", *names}:
            raise refused
        size, root = body["size"], digest_of(body["root"])
        whole = type(size) is int and 0 <= size < 1 << MAX_PATH
        if type(body["version"]) is not int or body["version"] != _VERSION or not whole:
            raise refused
        if root is None:
            raise refused
        return cls(slot=Slot(**{name: body[name] for name in names}), size=size, root=root)


class RoundMessages:
    """A server's side: the messages of one stage of one round as it accepts them.

    Args:
        slot: Run, round and stage.
    """

    def __init__(self, slot: Slot) -> None:
        """No message yet."""
        self.slot = slot
        self._salts: dict[bytes, bytes] = {}
        self._positions: dict[bytes, int] = {}
        self._tree: MerkleTree | None = None

    def add(self, message: bytes) -> None:
        """Add a message; one that is sent again, in the same bytes, is there once.

        Raises:
            IntegrityError: The root was published already.
        """
        if self._tree is not None:
            raise IntegrityError("The round's root was published: no message can be added to it.")
        leaf = leaf_hash(message)
        self._positions.setdefault(leaf, len(self._positions))
        self._salts.setdefault(leaf, os.urandom(SALT_BYTES))

    def publish(self) -> PublishedRoot:
        """Close the round and give the root over its messages, in the order of their arrival."""
        if self._tree is None:
            salted = (leaf_hash(leaf + self._salts[leaf]) for leaf in self._positions)
            self._tree = MerkleTree(list(salted))
        return PublishedRoot(slot=self.slot, size=self._tree.size, root=self._tree.root)

    def receipt(self, leaf: str) -> SaltedReceipt:
        """The receipt for a message, by its hash as its device's ledger has it.

        Raises:
            InputError: It is not among them.
            IntegrityError: The root is not published yet.
        """
        if self._tree is None:
            raise IntegrityError("There are receipts once the round's root is published.")
        found = digest_of(leaf)
        if found is None or found not in self._positions:
            raise InputError("This message is not among those of the round.")
        receipt = self._tree.receipt(self._positions[found])
        return SaltedReceipt(salt=self._salts[found], receipt=receipt)
