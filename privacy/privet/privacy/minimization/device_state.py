"""What a device's chain says, folded entry by entry into what the next decision needs."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from privet.privacy.errors import IntegrityError, PrivacyError
from privet.privacy.ledger import Entry, EntryKind, check_link
from privet.privacy.minimization.agreement import Claim, MemoryParticipations
from privet.privacy.minimization.denials import Denial
from privet.privacy.minimization.egress_line import EgressLine
from privet.privacy.minimization.sending import Sent, Slot

_HASHES = ("plan_hash", "policy_hash")


@dataclass
class DeviceState:
    """The state after a number of entries.

    Attributes:
        last: The last entry.
        policy_hash: Of the policy opened last.
        opened: All policies that were opened.
        denials: How many of each kind, by the denial with count 1, as far as written down.
        participations: All claims.
        messages: How often something left under each plan since it was last taken part in.
        unmasked: Every value of an unmasked round.
        sent: Position and hash of every message, by its place.
    """

    last: Entry | None = None
    policy_hash: str | None = None
    opened: set[str] = field(default_factory=set)
    denials: Counter[Denial] = field(default_factory=Counter)
    participations: MemoryParticipations = field(default_factory=MemoryParticipations)
    messages: Counter[str] = field(default_factory=Counter)
    unmasked: set[str] = field(default_factory=set)
    sent: dict[Slot, tuple[int, str]] = field(default_factory=dict)

    @property
    def length(self) -> int:
        """Number of entries."""
        return 0 if self.last is None else self.last.seq + 1

    def keep(self, entry: Entry) -> None:
        """Check that an entry follows and belongs there, and take it in.

        Raises:
            IntegrityError: It does not follow the last one, was changed, or is no device's.
        """
        check_link(self.last, entry)
        match entry.kind:
            case EntryKind.POLICY:
                self.policy_hash = _opened(entry.body)
                self.opened.add(self.policy_hash)
            case EntryKind.EGRESS:
                self._keep_line(EgressLine.from_dict(entry.body))
            case EntryKind.DENIAL:
                denial = Denial.from_dict(entry.body)
                self.denials[replace(denial, count=1)] = denial.count
            case EntryKind.CLAIM:
                claim = Claim.from_dict(entry.body)
                self.participations.count(claim)
                del self.messages[claim.plan_hash]
            case EntryKind.UNMASK:
                self.unmasked.update(_unmasked(entry.body))
            case EntryKind.SENT:
                sent = Sent.from_dict(entry.body)
                self.sent[sent.slot] = (entry.seq, sent.leaf)
            case _:
                raise IntegrityError("A device's ledger has an entry that does not belong there.")
        self.last = entry

    def _keep_line(self, line: EgressLine) -> None:
        if line.policy_hash != self.policy_hash:
            raise IntegrityError("A device's ledger has an upload under a policy not opened.")
        self.messages[line.plan_hash] += 1

    def check_messages(self, plan_hash: str, most: int) -> None:
        """Refuse one message more, if as many left since the device took part.

        Raises:
            PrivacyError: They did.
        """
        if self.messages[plan_hash] >= most:
            raise PrivacyError(
                f"{most} messages left since this device took part in a plan, which is as many as "
                "its user agreed to. Nothing was sent."
            )

    def check_unmask(self, values: Sequence[str]) -> None:
        """Refuse a round that was unmasked before.

        Raises:
            PrivacyError: Its roster, or its run and round, was.
        """
        if self.unmasked.intersection(values):
            raise PrivacyError(
                "This round was unmasked before: another answer could reveal one device's vector. "
                "Nothing was sent."
            )


def _opened(body: dict[str, Any]) -> str:
    if set(body) != set(_HASHES) or any(type(body[name]) is not str for name in _HASHES):
        raise IntegrityError("A device's ledger opens a policy in a malformed entry.")
    return str(body["policy_hash"])


def _unmasked(body: dict[str, Any]) -> tuple[str, str]:
    names = ("roster_hash", "round_id")
    if set(body) != set(names) or any(type(body[name]) is not str for name in names):
        raise IntegrityError("A device's ledger marks a round in a malformed entry.")
    return body["roster_hash"], body["round_id"]
