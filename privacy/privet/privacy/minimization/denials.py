"""What a device denied, as its ledger records it: names that the policy knows, and a reason.

A denial holds nothing of what was denied. A flood of them does not fill the disk: those that are
alike are written down the 1st, 2nd, 4th, 8th time and so on, with their number.
"""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from privet.privacy.errors import EgressError, IntegrityError


class Reason(StrEnum):
    """Why something was denied; a closed list.

    ``AGREEMENT``: the user did not agree to it, or it is not what the plan says.
    ``PARTICIPATION``: the device took part as often, or as lately, as was agreed.
    ``MESSAGES``: as many messages left since the device took part as was agreed.
    ``FIELDS``: other fields than the policy has for the step, or a step that it does not have.
    ``FORM``: another type, shape or length.
    ``RANGE``: a value of more bits, or a word that is not in the list.
    ``CANCELLED``: the policy allows it, and the user or the host app did not.
    """

    AGREEMENT = "agreement"
    PARTICIPATION = "participation"
    MESSAGES = "messages"
    FIELDS = "fields"
    FORM = "form"
    RANGE = "range"
    CANCELLED = "cancelled"


def denied(what: str, reason: Reason) -> EgressError:
    """The error of an upload that the policy does not allow; ``what`` never names its content."""
    return EgressError(
        f"The egress policy does not allow {what}. Nothing was sent.", reason=reason.value
    )


@dataclass(frozen=True, kw_only=True)
class Denial:
    """Attempts that were denied alike.

    Attributes:
        reason: Why.
        step: Of the plan; empty if the policy has no such step.
        fields: Those of the attempt that the policy names for the step.
        plan_hash: Of the gate's plan.
        policy_hash: Of the gate's policy.
        count: How many there were so far, at least 1; a power of 2 where it is written down.
    """

    reason: Reason
    step: str
    fields: tuple[str, ...]
    plan_hash: str
    policy_hash: str
    count: int = 1

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "reason": str(self.reason), "fields": list(self.fields)}

    @classmethod
    def from_dict(cls, body: dict[str, Any]) -> "Denial":
        """Read a denial back.

        Raises:
            IntegrityError: Not a denial.
        """
        fitting = (
            set(body) == set(cls.__dataclass_fields__)
            and all(type(body[name]) is str for name in ("step", "plan_hash", "policy_hash"))
            and type(body["reason"]) is str
            and body["reason"] in set(Reason)
            and type(body["fields"]) is list
            and all(type(name) is str for name in body["fields"])
            and type(body["count"]) is int
            and is_written(body["count"])
        )
        if not fitting:
            raise IntegrityError("A denial in a device's ledger is malformed.")
        changes = {"reason": Reason(body["reason"]), "fields": tuple(body["fields"])}
        return cls(**{**body, **changes})


def is_written(count: int) -> bool:
    """Whether a denial with this count is written down: the powers of 2."""
    return count > 0 and count & (count - 1) == 0
