"""A device's own ledger: what it was asked and what left, in an append-only chain.

The chain is that of :mod:`privet.privacy.ledger`, and everything that a device must remember about
taking part is in it: the policy that it opened, each claim to take part, each admission, each
message that leaves, each round that it helped to unmask, each denial. Its user can read all of it.
Nothing in it comes from a history, except hashes of messages as they were sent.

:class:`EgressLedger` decides; where entries are kept is an :class:`EntryStore`'s business. On a
device it is durable (``privet.client.device_store``), and then so is every promise here.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from threading import RLock
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from privet.privacy.canonical import canonical_bytes
from privet.privacy.errors import InputError, IntegrityError, PrivacyError, PrivetError
from privet.privacy.ledger import Entry, EntryKind, next_entry
from privet.privacy.minimization.agreement import Claim, Limits
from privet.privacy.minimization.denials import Denial, is_written
from privet.privacy.minimization.device_state import DeviceState
from privet.privacy.minimization.egress_line import EgressLine
from privet.privacy.minimization.entries import EntryStore, MemoryEntries, read_entry
from privet.privacy.minimization.merkle import leaf_hash
from privet.privacy.minimization.policy import EgressPolicy
from privet.privacy.minimization.sending import Sent, Slot

MAX_LEDGER_BYTES = 1 << 26

_Wanted: TypeAlias = "Iterable[tuple[EntryKind, dict[str, Any]]]"


class EgressLedger:
    """A device's chain, and the decisions that rest on it.

    It is a `Participations` for its gate and an ``UnmaskRecord`` for secure aggregation.

    Args:
        store: Where the entries are; in memory if not given.

    Raises:
        IntegrityError: The chain was changed, cut off or put together wrongly.

    Formal Guarantees:
        A method that returns has appended what it says, as durably as the store is; one that
        raises has appended nothing. Each decision is made on the whole chain, whoever appended to
        it, in the same step in which it is written down. So over a durable store no order of
        calls, crashes and processes gets more claims than the limits, a round unmasked twice, or
        two different messages for one place.
    """

    def __init__(self, store: EntryStore | None = None) -> None:
        """Read the chain and check it."""
        self._store: EntryStore = MemoryEntries() if store is None else store
        self._lock = RLock()
        self._read_again()

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All of it, in order."""
        return tuple(self._store.read())

    @property
    def head(self) -> str | None:
        """Hash of the last entry: whoever keeps it and the length notices truncation."""
        return None if self._state.last is None else self._state.last.hash

    @property
    def length(self) -> int:
        """Number of entries."""
        return self._state.length

    @property
    def lines(self) -> tuple[EgressLine, ...]:
        """Every admission, in order."""
        return tuple(EgressLine.from_dict(e.body) for e in self._of(EntryKind.EGRESS))

    @property
    def sent(self) -> tuple[Sent, ...]:
        """Every message that left, in order."""
        return tuple(Sent.from_dict(e.body) for e in self._of(EntryKind.SENT))

    @property
    def claims(self) -> tuple[Claim, ...]:
        """Every participation that was counted, in order."""
        return tuple(Claim.from_dict(e.body) for e in self._of(EntryKind.CLAIM))

    @property
    def denials(self) -> tuple[Denial, ...]:
        """Every denial that was written down, in order; alike ones with rising counts."""
        return tuple(Denial.from_dict(e.body) for e in self._of(EntryKind.DENIAL))

    def open(self, policy: EgressPolicy) -> None:
        """Record a policy under which something may leave, unless it was recorded before."""

        def entries() -> _Wanted:
            known = policy.hash in self._state.opened
            return [] if known else self._opening(policy.plan_hash, policy.hash)

        self._append(entries)

    def append(self, line: EgressLine, *, most: int | None = None) -> None:
        """Record an admission, and its policy before it if another one is open.

        Args:
            line: Of the admission.
            most: `Limits.max_messages`, where claims are in this ledger as well.

        Raises:
            PrivacyError: There were as many since the device last took part in the plan.
        """

        def entries() -> _Wanted:
            if most is not None:
                self._state.check_messages(line.plan_hash, most)
            opening = self._opening(line.plan_hash, line.policy_hash)
            return [*opening, (EntryKind.EGRESS, line.to_dict())]

        self._append(entries)

    def deny(self, denial: Denial) -> None:
        """Count a denial, and write it down if its count is a power of 2.

        Counts between two powers of 2 are lost in a restart.
        """
        once = replace(denial, count=1)
        with self._lock:
            count = self._state.denials[once] + 1
            if not is_written(count):
                self._state.denials[once] = count
                return
            body = replace(denial, count=count).to_dict()
            self._append(lambda: [(EntryKind.DENIAL, body)])

    def claim(
        self,
        *,
        plan_hash: str,
        step: str,
        devices: NDArray[np.int64],
        limits: Limits,
        series: str | None = None,
        round_number: int = 0,
    ) -> None:
        """Count one more participation of every device, or of none; see `Participations`."""
        claim = Claim(
            plan_hash=plan_hash,
            step=step,
            devices=tuple(devices.tolist()),
            series=series,
            round_number=round_number,
        )

        def entries() -> _Wanted:
            self._state.participations.check(claim, limits)
            return [(EntryKind.CLAIM, claim.to_dict())]

        self._append(entries)

    def record_unmasked(self, roster_hash: bytes, round_id: bytes) -> None:
        """Mark a round of secure aggregation before its shares are revealed.

        Raises:
            PrivacyError: Either value was marked before.
        """
        body = {"roster_hash": roster_hash.hex(), "round_id": round_id.hex()}

        def entries() -> _Wanted:
            self._state.check_unmask(tuple(body.values()))
            return [(EntryKind.UNMASK, body)]

        self._append(entries)

    def record_sent(self, slot: Slot, message: bytes) -> None:
        """Record a message before it leaves; the same bytes may be recorded again.

        The bytes of the last message are kept, so that they can be sent again.

        Raises:
            PrivacyError: Another message has this place.
        """
        sent = Sent(slot=slot, leaf=leaf_hash(message).hex())

        def entries() -> _Wanted:
            before = self._state.sent.get(slot)
            if before is None:
                return [(EntryKind.SENT, sent.to_dict())]
            if before[1] != sent.leaf:
                raise PrivacyError(
                    "Another message was sent in this stage of this round: two would differ in "
                    "their noise. Nothing was sent."
                )
            return []

        with self._lock:
            self._append(entries, answer=message)

    def resend(self, slot: Slot) -> bytes | None:
        """The bytes that were sent before, to be sent again; None if nothing was.

        Raises:
            PrivacyError: Something was sent, and its bytes are no longer kept.
            IntegrityError: The bytes kept are not the ones that were sent.
        """
        with self._lock:
            self._append(list)  # sees what other processes recorded
            found = self._state.sent.get(slot)
            if found is None:
                return None
            message = self._store.answer(found[0])
        if message is None:
            raise PrivacyError(
                "This device answered before, and does not keep that answer any more: it says "
                "nothing, since another answer would have fresh noise."
            )
        if leaf_hash(message).hex() != found[1]:
            raise IntegrityError("The answer that a device keeps is not the one that it sent.")
        return message

    def forget_answer(self) -> None:
        """Drop the bytes of the last message; that it was sent stays known."""
        self._store.forget_answer()

    def check_contains(self, *, head: str, length: int) -> None:
        """Check that the chain goes on from a head and length that were kept elsewhere.

        Raises:
            IntegrityError: It does not: it was cut off, rewritten or taken from a backup.
        """
        for entry in self._store.read():
            if entry.seq == length - 1 and entry.hash == head:
                return
        raise IntegrityError(
            "The device's ledger does not go on from the head and length that were kept: it was "
            "cut off, rewritten or restored from a backup. Let this device take part no more."
        )

    def _of(self, kind: EntryKind) -> Iterator[Entry]:
        return (entry for entry in self._store.read() if entry.kind is kind)

    def _opening(self, plan_hash: str, policy_hash: str) -> list[tuple[EntryKind, dict[str, Any]]]:
        if policy_hash == self._state.policy_hash:
            return []
        return [(EntryKind.POLICY, {"plan_hash": plan_hash, "policy_hash": policy_hash})]

    def _read_again(self) -> None:
        self._state = DeviceState()
        for entry in self._store.read():
            self._state.keep(entry)

    def _append(self, wanted: Callable[[], _Wanted], *, answer: bytes | None = None) -> None:
        made: list[Entry] = []

        def build(others: Iterable[Entry]) -> list[Entry]:
            for entry in others:
                self._state.keep(entry)
            for kind, body in wanted():
                made.append(next_entry(self._state.last, kind, body))
                self._state.keep(made[-1])
            return made

        with self._lock:
            try:
                self._store.extend(self._state.last, build, answer=answer)
            except BaseException:
                if made:  # the state is ahead of what the store has
                    with suppress(PrivetError):  # else the next call reads the rest
                        self._read_again()
                raise

    def to_bytes(self) -> bytes:
        """One canonical JSON line an entry."""
        return b"".join(canonical_bytes(entry.to_dict()) + b"\n" for entry in self._store.read())

    @classmethod
    def from_bytes(
        cls, data: bytes, *, head: str | None = None, length: int | None = None
    ) -> "EgressLedger":
        """Read a ledger back and check its chain, its order and every entry.

        Raises:
            InputError: It is too large, or a line is not JSON.
            IntegrityError: It was changed, cut off or put together wrongly.
        """
        if len(data) > MAX_LEDGER_BYTES:
            raise InputError(f"A device's ledger has at most {MAX_LEDGER_BYTES} bytes.")
        if data and not data.endswith(b"\n"):
            raise IntegrityError("A device's ledger ends within a line.")
        entries = [read_entry(line) for line in data.split(b"\n")[:-1]]
        if length is not None and len(entries) != length:
            raise IntegrityError(f"The ledger has {len(entries)} entries; {length} were recorded.")
        ledger = cls(MemoryEntries(entries))
        if head is not None and ledger.head != head:
            raise IntegrityError("The ledger's last entry is not the one that was recorded.")
        return ledger
