"""Erasing what a device holds, wherever it holds it, and saying what stays and why.

The store's own erasure is :meth:`privet.client.vault.vault.Vault.erase`; this reaches what was made from
the history elsewhere: local states, an answer that waits or may be sent again, whatever a program keeps
in memory, and with everything also the device's place in its federation.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from privet.client.departures import Departures
from privet.client.membership import INVITATION, Membership, destroy, leave
from privet.client.vault.receipt import Receipt
from privet.client.vault.vault import Vault
from privet.privacy.canonical import Json
from privet.privacy.errors import InputError

ERASURE_SCHEMA = "privet.client-erasure/1"


class Forgets(Protocol):
    """What a program keeps in memory of a history: a session, a transport's reply, a profile."""

    def forget(self) -> object:
        """Drop it; asked before the erasure and again after it."""


@dataclass(frozen=True, kw_only=True)
class ErasureReceipt:
    """What an erasure did, over all of a device's files, without a word of what was erased.

    Attributes:
        store: The store's receipt.
        local_states: Plans whose local states were removed.
        answer: Whether the bytes of the last answer were overwritten, or went with the ledger.
        caches: How many parts of the program forgot what they had computed.
        ledger_kept: Whether the device's ledger stays: how often it took part, with public numbers
            and hashes only. Without it the device could answer more often than was agreed.
        left: Whether the device left its federation, and its keys and ledger were destroyed.
        departures: Plans of which it stays known, by a salted hash, that the device took part.
        beyond: Whether something of this device was sent: sums that hold it, and the operator's list
            of devices, cannot be reached from here.
    """

    store: Receipt
    local_states: int
    answer: bool
    caches: int
    ledger_kept: bool
    left: bool
    departures: int
    beyond: bool

    def to_dict(self) -> dict[str, Json]:
        """For JSON."""
        return {
            "schema": ERASURE_SCHEMA,
            "store": self.store.to_dict(),
            "local_states": self.local_states,
            "answer": self.answer,
            "caches": self.caches,
            "ledger_kept": self.ledger_kept,
            "left": self.left,
            "departures": self.departures,
            "beyond": self.beyond,
        }


def erase_client(
    vault: Vault,
    *,
    items: Iterable[str] | None = None,
    before: int | None = None,
    all: bool = False,
    membership: Membership | None = None,
    departures: Departures | None = None,
    caches: Iterable[Forgets] = (),
) -> ErasureReceipt:
    """Erase for good, everywhere on the device: events of some items, before a time, or everything.

    Local states and answers follow from the history as a whole, so any erasure drops them. Erasing
    everything also leaves the federation: see `privet.client.membership.leave`.

    Args:
        vault: The store.
        items: Identifiers.
        before: Unix seconds, not included; events without a time are kept.
        all: Everything: events, entries, consents and receipts, usage, and the membership.
        membership: Of the device, if it joined a federation; closed when everything is erased.
        departures: Of the device; needed to erase everything of a device that joined.
        caches: What the program keeps in memory: each `DeviceSession` and `EmbeddedDevice` among it,
            so that nothing that waits to be sent is sent.

    Raises:
        InputError: Not exactly one of the three was given, or departures are missing; nothing was
            erased. Or something could not be written or removed; what could be is erased, and
            calling it again goes on.

    Formal Guarantees:
        When it returns, nothing that follows from what was erased is in any file of the device, its
        free pages or its log, except hashes of messages as they left, in the ledger after a partial
        erasure; they are of bytes with noise and masks, or under trust ``central`` without: the
        server has those bytes. What was contributed before stays in sums. No order of erasing,
        leaving and joining lets a device answer a step of one plan more often than was agreed.
    """
    if (items is not None) + (before is not None) + bool(all) != 1:
        raise InputError("Expected one of items, before and all. Nothing was erased.")
    if isinstance(items, str):
        raise InputError("Expected several identifiers, found a text. Nothing was erased.")
    if all and membership is not None and departures is None:
        raise InputError(
            "Expected departures: erasing everything leaves the federation, and where to note that "
            "the device took part is not known. Nothing was erased."
        )
    held = list(caches)
    for cache in held:
        cache.forget()
    sent = membership is not None and bool(membership.store.ledger.sent)
    states, member = 0, membership is not None
    try:
        if membership is not None:
            states = membership.local.forget()
            membership.store.ledger.forget_answer()
            if all:
                assert departures is not None  # checked above
                leave(membership, departures)
    finally:
        try:
            receipt = vault.erase(items=items, before=before, all=all)
        finally:
            for cache in held:  # another thread may have computed from the history meanwhile
                cache.forget()
    return ErasureReceipt(
        store=receipt,
        local_states=states,
        answer=member,
        caches=len(held),
        ledger_kept=member and not all,
        left=member and all,
        departures=0 if departures is None else departures.count,
        beyond=sent,
    )


def finish_leaving(directory: Path) -> bool:
    """Remove what a crash has left of a device's directory that was to be destroyed.

    Only a directory without an invitation is touched: no device can be opened from it.

    Returns:
        Whether there was something to remove.

    Raises:
        InputError: It could not be removed.
    """
    if not directory.is_dir() or (directory / INVITATION).exists():
        return False
    destroy(directory)
    return True
