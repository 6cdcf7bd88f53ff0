"""A device's own ledger: what left, in an append-only chain that its user can read and check.

The chain is that of :mod:`privet.privacy.ledger`. In a device's ledger a ``plan`` entry opens what
leaves under one policy and names it, and a ``close`` entry records one admission. Nothing in it
comes from a history, except the hash of a message as it was sent.
"""

from dataclasses import asdict, dataclass
from typing import Any

from privet.privacy.canonical import canonical_bytes, parse_canonical
from privet.privacy.errors import InputError, IntegrityError
from privet.privacy.ledger import Entry, EntryKind, check_chain, next_entry
from privet.privacy.minimization.policy import EgressPolicy

MAX_LEDGER_BYTES = 1 << 26
_OPENED, _LEFT = EntryKind.POLICY, EntryKind.EGRESS


@dataclass(frozen=True, kw_only=True)
class EgressLine:
    """One admission, as counts and sizes that are public anyway.

    Attributes:
        step: Of the plan.
        fields: What each message had, by name.
        messages: How many devices sent one: 1 on a device of one's own.
        bytes_per_message: The same for every device.
        plan_hash: Of the plan.
        policy_hash: Of the policy.
        leaf: Hash of the message, for its receipt; None for a simulated cohort.
    """

    step: str
    fields: tuple[str, ...]
    messages: int
    bytes_per_message: int
    plan_hash: str
    policy_hash: str
    leaf: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "fields": list(self.fields)}

    @classmethod
    def from_dict(cls, body: dict[str, Any]) -> "EgressLine":
        """Read a line back.

        Raises:
            IntegrityError: Not a line.
        """
        names = ("step", "plan_hash", "policy_hash")
        counts = ("messages", "bytes_per_message")
        fitting = (
            set(body) == set(cls.__dataclass_fields__)
            and all(type(body[name]) is str for name in names)
            and all(type(body[name]) is int and body[name] > 0 for name in counts)
            and isinstance(body["fields"], list)
            and all(type(name) is str for name in body["fields"])
            and (body["leaf"] is None or type(body["leaf"]) is str)
        )
        if not fitting:
            raise IntegrityError("A line of a device's ledger is malformed.")
        return cls(**{**body, "fields": tuple(body["fields"])})


class EgressLedger:
    """An append-only chain of what left."""

    def __init__(self) -> None:
        """Start empty."""
        self._entries: list[Entry] = []
        self._policy_hash: str | None = None

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All of it, in order."""
        return tuple(self._entries)

    @property
    def head(self) -> str | None:
        """Hash of the last entry: whoever keeps it and the length notices truncation."""
        return self._entries[-1].hash if self._entries else None

    @property
    def lines(self) -> tuple[EgressLine, ...]:
        """Every admission, in order."""
        return tuple(EgressLine.from_dict(e.body) for e in self._entries if e.kind is _LEFT)

    def open(self, policy: EgressPolicy) -> None:
        """Record the policy under which the next lines leave, unless it is the last one's."""
        if policy.hash != self._policy_hash:
            hashes = {"plan_hash": policy.plan_hash, "policy_hash": policy.hash}
            self._append(_OPENED, hashes)
            self._policy_hash = policy.hash

    def append(self, line: EgressLine) -> None:
        """Record an admission.

        Raises:
            IntegrityError: It is under another policy than the one opened last.
        """
        if line.policy_hash != self._policy_hash:
            raise IntegrityError("An upload was to be recorded under a policy that is not open.")
        self._append(_LEFT, line.to_dict())

    def _append(self, kind: EntryKind, body: dict[str, Any]) -> None:
        previous = self._entries[-1] if self._entries else None
        self._entries.append(next_entry(previous, kind, body))

    def to_bytes(self) -> bytes:
        """One canonical JSON line an entry."""
        return b"".join(canonical_bytes(entry.to_dict()) + b"\n" for entry in self._entries)

    @classmethod
    def from_bytes(
        cls, data: bytes, *, head: str | None = None, length: int | None = None
    ) -> "EgressLedger":
        """Read a ledger back and check its chain, its order and every line.

        Raises:
            InputError: It is too large, or a line is not JSON.
            IntegrityError: It was changed, cut off or put together wrongly.
        """
        if len(data) > MAX_LEDGER_BYTES:
            raise InputError(f"A device's ledger has at most {MAX_LEDGER_BYTES} bytes.")
        if data and not data.endswith(b"\n"):
            raise IntegrityError("A device's ledger ends within a line.")
        ledger = cls()
        entries = [_entry(line) for line in data.split(b"\n")[:-1]]
        check_chain(entries, head=head, length=length)
        for entry in entries:
            ledger._check_and_keep(entry)
        return ledger

    def _check_and_keep(self, entry: Entry) -> None:
        if (
            entry.kind is _OPENED
            and set(entry.body) == {"plan_hash", "policy_hash"}
            and all(type(found) is str for found in entry.body.values())
        ):
            self._policy_hash = entry.body["policy_hash"]
        elif entry.kind is not _LEFT or EgressLine.from_dict(entry.body).policy_hash != (
            self._policy_hash
        ):
            raise IntegrityError("A device's ledger has an entry that does not belong there.")
        self._entries.append(entry)


def _entry(line: bytes) -> Entry:
    try:
        body = parse_canonical(line)
    except RecursionError:
        raise InputError("A ledger entry is nested too deeply.") from None
    if not isinstance(body, dict):
        raise IntegrityError("A ledger entry is malformed.")
    entry = Entry.from_dict(body)
    if type(entry.seq) is not int or not isinstance(entry.body, dict):
        raise IntegrityError("A ledger entry is malformed.")
    return entry
