"""A message as it would leave a device, and who has a say in whether it does."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from privet.models.federation import Stage
from privet.privacy.canonical import Json
from privet.privacy.minimization.messages import Value, decode_message
from privet.privacy.minimization.policy import EgressPolicy, FieldRule


@dataclass(frozen=True, kw_only=True, eq=False)
class Preview:
    """What would leave: the bytes, and what is in them.

    Attributes:
        run: Of the federation.
        round_number: Of the run.
        step: Name of the message: a step of the plan, or a stage of the protocol.
        payload: The bytes, all of them, as the gate would admit them. A transport adds its own
            header, with nothing in it that the server did not send.
        fields: What the bytes say, by name; arrays are read-only.
        rules: What the policy says of each field: type, purpose, what was done to it, how long it
            is kept, who sees it.
        plan_hash: Of the plan.
        policy_hash: Of the policy.
    """

    run: str
    round_number: int
    step: str
    payload: bytes = field(repr=False)
    fields: Mapping[str, Value] = field(repr=False)
    rules: tuple[FieldRule, ...] = field(repr=False)
    plan_hash: str
    policy_hash: str

    @property
    def from_history(self) -> bool:
        """Whether it follows from the history; else it is keys, signatures and the like."""
        return self.step not in set(Stage)

    def to_dict(self) -> dict[str, Json]:
        """Plain JSON values, for an app to show: all of it, payload in hexadecimal."""
        fields: list[Json] = [
            {
                "field": rule.field,
                "type": str(rule.type),
                "purpose": rule.purpose,
                "mechanism": rule.mechanism,
                "retention": rule.retention,
                "seen_by": [str(who) for who in rule.adversaries],
                "value": _plain(self.fields[rule.field]),
            }
            for rule in self.rules
        ]
        return {
            "run": self.run,
            "round": self.round_number,
            "step": self.step,
            "from_history": self.from_history,
            "plan_hash": self.plan_hash,
            "policy_hash": self.policy_hash,
            "fields": fields,
            "payload": self.payload.hex(),
        }

    @classmethod
    def of(cls, policy: EgressPolicy, payload: bytes, *, run: str, round_number: int) -> "Preview":
        """Read a message as its receiver would.

        Raises:
            InputError: It is none of this policy.
        """
        message = decode_message(policy, payload)
        return cls(
            run=run,
            round_number=round_number,
            step=message.step,
            payload=payload,
            fields=message.fields,
            rules=policy.of_step(message.step),
            plan_hash=policy.plan_hash,
            policy_hash=policy.hash,
        )


def _plain(value: Value) -> Json:
    return value.tolist() if isinstance(value, np.ndarray) else value


class Release(Protocol):
    """Who has a say in what a device answers, beyond what its user agreed to once.

    Only ``True`` is a yes; whatever is raised is a no, and reaches nobody.
    """

    def open(self) -> bool:
        """Whether the device answers at all, asked before each answer and again before it leaves."""

    def allows(self, preview: Preview) -> bool:
        """Whether these very bytes may leave."""


class Unasked:
    """Nobody has more to say than the agreement does."""

    def open(self) -> bool:
        """Yes."""
        return True

    def allows(self, preview: Preview) -> bool:
        """Yes."""
        return True
