"""One admission of a device's ledger, as counts and sizes that are public anyway."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from privet.privacy.errors import IntegrityError


class NoLeaf(StrEnum):
    """Why a line has no hash of what left; a closed list.

    ``COHORT``: a simulated cohort passed the gate in one piece; its devices' messages, each with
    noise of its own, were not formed one by one, so there is nothing to hash.
    """

    COHORT = "cohort in one piece"


@dataclass(frozen=True, kw_only=True)
class EgressLine:
    """One admission.

    Attributes:
        step: Of the plan.
        fields: What each message had, by name.
        messages: How many devices sent one: 1 on a device of one's own.
        bytes_per_message: The same for every device.
        plan_hash: Of the plan.
        policy_hash: Of the policy.
        leaf: Hash of the message, for its receipt; None if there is none.
        no_leaf: Why there is none; None if there is one.
    """

    step: str
    fields: tuple[str, ...]
    messages: int
    bytes_per_message: int
    plan_hash: str
    policy_hash: str
    leaf: str | None = None
    no_leaf: NoLeaf | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        reason = None if self.no_leaf is None else str(self.no_leaf)
        return {**asdict(self), "fields": list(self.fields), "no_leaf": reason}

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
            and _one_of(body["leaf"], body["no_leaf"])
        )
        if not fitting:
            raise IntegrityError("A line of a device's ledger is malformed.")
        reason = None if body["no_leaf"] is None else NoLeaf(body["no_leaf"])
        return cls(**{**body, "fields": tuple(body["fields"]), "no_leaf": reason})


def _one_of(leaf: object, reason: object) -> bool:
    """Whether there is a hash, or else a reason why there is none."""
    if leaf is None:
        return type(reason) is str and reason in set(NoLeaf)
    return type(leaf) is str and reason is None
