"""What a server publishes of a round's messages, and how a device checks that its own is there.

The server adds each message as it accepts it, publishes the root with their number, and hands out
a receipt for each. A device looks up the message's hash in its own ledger. If the published roots
are where everybody sees the same ones, a server that leaves a message out, or takes one that
nobody sent in its place, is found out by the device whose message it is.
"""

from dataclasses import dataclass
from typing import Any

from privet.privacy.errors import InputError, IntegrityError
from privet.privacy.minimization.merkle import MAX_PATH, MerkleTree, Receipt, digest_of, leaf_hash
from privet.privacy.minimization.sending import Sent, Slot

_VERSION = 1


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

    def check(self, receipt: Receipt, sent: Sent) -> None:
        """Check that a message from a device's own ledger is among them.

        Raises:
            IntegrityError: It is not, or the receipt is for another round or root.
        """
        if sent.slot != self.slot or receipt.size != self.size:
            raise IntegrityError("The receipt is for another round than the one published.")
        receipt.check_leaf(bytes.fromhex(sent.leaf), self.root)

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
        self._positions: dict[bytes, int] = {}
        self._tree: MerkleTree | None = None

    def add(self, message: bytes) -> None:
        """Add a message; one that is sent again, in the same bytes, is there once.

        Raises:
            IntegrityError: The root was published already.
        """
        if self._tree is not None:
            raise IntegrityError("The round's root was published: no message can be added to it.")
        self._positions.setdefault(leaf_hash(message), len(self._positions))

    def publish(self) -> PublishedRoot:
        """Close the round and give the root over its messages, in the order of their arrival."""
        if self._tree is None:
            self._tree = MerkleTree(list(self._positions))
        return PublishedRoot(slot=self.slot, size=self._tree.size, root=self._tree.root)

    def receipt(self, leaf: str) -> Receipt:
        """The receipt for a message, by its hash as its device's ledger has it.

        Raises:
            InputError: It is not among them.
            IntegrityError: The root is not published yet.
        """
        if self._tree is None:
            raise IntegrityError("There are receipts once the round's root is published.")
        position = self._positions.get(digest_of(leaf) or b"")
        if position is None:
            raise InputError("This message is not among those of the round.")
        return self._tree.receipt(position)
