"""The ledger's format: an append-only chain of hashed entries, wherever it is stored.

Each entry's hash covers the one before it, so a changed entry breaks the chain from there on. A
chain alone does not show truncation or a full rewrite: whoever relies on it keeps its head and
length elsewhere (a run's report does).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from privet.privacy.accounting.adversaries import ReleaseTerms
from privet.privacy.canonical import sha256
from privet.privacy.errors import InputError, IntegrityError

GENESIS = "0" * 64


class EntryKind(StrEnum):
    """What an entry records; a ledger of one sort refuses the kinds of the others."""

    PLAN = "plan"
    BUDGET = "budget"
    CHARGE = "charge"
    CLOSE = "close"
    ABORT = "abort"
    END = "end"
    POLICY = "policy"
    EGRESS = "egress"
    DENIAL = "denial"
    CLAIM = "claim"
    UNMASK = "unmask"
    SENT = "sent"
    POPULATION = "population"
    LIMIT = "limit"
    RUN = "run"
    SPEND = "spend"
    REGISTRY = "registry"
    MODEL = "model"
    ROLLOUT = "rollout"
    ROLLBACK = "rollback"


RUN_KINDS = frozenset(
    {
        EntryKind.PLAN,
        EntryKind.BUDGET,
        EntryKind.CHARGE,
        EntryKind.CLOSE,
        EntryKind.ABORT,
        EntryKind.END,
    }
)
POPULATION_KINDS = frozenset(
    {EntryKind.POPULATION, EntryKind.LIMIT, EntryKind.RUN, EntryKind.SPEND}
)
REGISTRY_KINDS = frozenset(
    {EntryKind.REGISTRY, EntryKind.MODEL, EntryKind.ROLLOUT, EntryKind.ROLLBACK}
)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One line of the ledger.

    Attributes:
        seq: Position, from 0.
        kind: What it records.
        body: Plain JSON values.
        previous_hash: Hash of the entry before, zeros for the first.
        hash: SHA-256 over all of the above.
    """

    seq: int
    kind: EntryKind
    body: dict[str, Any]
    previous_hash: str
    hash: str

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**vars(self), "kind": str(self.kind)}

    @classmethod
    def from_dict(cls, body: dict[str, Any]) -> "Entry":
        """Read an entry back; its hash is checked by :func:`check_chain`.

        Raises:
            IntegrityError: Not an entry.
        """
        try:
            return cls(**{**body, "kind": EntryKind(body["kind"])})
        except (TypeError, KeyError, ValueError) as error:
            raise IntegrityError("A ledger entry is malformed.") from error


def next_entry(previous: Entry | None, kind: EntryKind, body: dict[str, Any]) -> Entry:
    """The entry that follows ``previous`` (None for the first)."""
    seq = 0 if previous is None else previous.seq + 1
    before = GENESIS if previous is None else previous.hash
    return Entry(
        seq=seq,
        kind=kind,
        body=body,
        previous_hash=before,
        hash=_entry_hash(seq, kind, body, before),
    )


def _entry_hash(seq: int, kind: EntryKind, body: dict[str, Any], previous_hash: str) -> str:
    return sha256([seq, str(kind), body, previous_hash])


def check_chain(
    entries: Sequence[Entry],
    *,
    head: str | None = None,
    length: int | None = None,
    after: Entry | None = None,
) -> None:
    """Check every hash, and that nothing was cut off where head or length are known.

    Args:
        entries: The whole ledger, in order, or what follows ``after``.
        head: Hash that the last entry must have.
        length: Number of entries that there must be.
        after: The last entry that was checked already.

    Raises:
        IntegrityError: The first thing that does not match, with its position.
    """
    if length is not None and len(entries) != length:
        raise IntegrityError(f"The ledger has {len(entries)} entries; {length} were recorded.")
    for entry in entries:
        check_link(after, entry)
        after = entry
    if head is not None and (GENESIS if after is None else after.hash) != head:
        raise IntegrityError("The ledger's last entry is not the one that was recorded.")


def check_link(previous: Entry | None, entry: Entry) -> None:
    """Check that an entry follows ``previous`` (None for the first) and is unchanged.

    Raises:
        IntegrityError: It does not, or was changed.
    """
    position, before = (0, GENESIS) if previous is None else (previous.seq + 1, previous.hash)
    if entry.seq != position or entry.previous_hash != before:
        raise IntegrityError(f"The ledger's chain breaks at entry {position}.")
    if entry.hash != _entry_hash(entry.seq, entry.kind, entry.body, before):
        raise IntegrityError(f"Ledger entry {position} was changed: its hash does not match.")


@dataclass(frozen=True, kw_only=True)
class Charge:
    """One charged release.

    Attributes:
        step: Name of the plan's step.
        attempt: 0 for the first time, 1 for its first repeat with fresh noise, and so on.
        terms: What was charged.
    """

    step: str
    attempt: int
    terms: ReleaseTerms

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"step": self.step, "attempt": self.attempt, "terms": self.terms.to_dict()}


def charges(entries: Iterable[Entry]) -> tuple[Charge, ...]:
    """Every charge of a ledger, in order; open ones count like closed ones."""
    found = []
    for entry in entries:
        if entry.kind is EntryKind.CHARGE:
            try:
                step, attempt = entry.body["step"], entry.body["attempt"]
                terms = ReleaseTerms.from_dict(entry.body["terms"])
                if type(step) is not str or type(attempt) is not int:
                    raise TypeError
            except (KeyError, TypeError, ValueError, InputError) as error:
                raise IntegrityError(f"Ledger entry {entry.seq} is malformed.") from error
            found.append(Charge(step=step, attempt=attempt, terms=terms))
    return tuple(found)


def closed_steps(entries: Iterable[Entry]) -> tuple[str, ...]:
    """Names of the steps whose release was closed, in order."""
    return tuple(str(entry.body["step"]) for entry in entries if entry.kind is EntryKind.CLOSE)
