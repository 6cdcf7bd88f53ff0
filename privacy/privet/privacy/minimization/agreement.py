"""What a user agreed to, and how often a device may take part: checked before it computes.

A server can ask for anything. A device answers only to plans that its user agreed to, under the
policy that its user saw, and no more often for one step than agreed: each answer to the same step
has fresh noise, and many of them averaged would have none.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from threading import Lock
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from privet.privacy.errors import EgressError, InputError, PrivacyError
from privet.privacy.minimization.policy import EgressPolicy


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """What a device's user agreed to.

    Attributes:
        plan_hashes: Plans that the device may follow.
        policy_hashes: Policies under which something may leave.
        max_participations: How often the device may answer to one step of a plan, at least 1.

    Raises:
        InputError: The limit is not a whole number above 0.
    """

    plan_hashes: frozenset[str]
    policy_hashes: frozenset[str]
    max_participations: int = 1

    def __post_init__(self) -> None:
        """Check the limit."""
        if type(self.max_participations) is not int or self.max_participations < 1:
            raise InputError("Expected max_participations as a whole number of at least 1.")

    @classmethod
    def to(cls, *policies: EgressPolicy, max_participations: int = 1) -> "Agreement":
        """Agreement to these policies and the plans that they are of."""
        return cls(
            plan_hashes=frozenset(p.plan_hash for p in policies if p.plan_hash),
            policy_hashes=frozenset(p.hash for p in policies),
            max_participations=max_participations,
        )

    def check(self, *, plan_hash: str, policy_hash: str) -> None:
        """Refuse what was not agreed to.

        Raises:
            EgressError: Another plan or another policy.
        """
        if plan_hash not in self.plan_hashes:
            raise EgressError("The user did not agree to this plan. Nothing was computed or sent.")
        if policy_hash not in self.policy_hashes:
            raise EgressError("The user did not agree to this policy. Nothing was sent.")


class Participations(Protocol):
    """How often each device took part, kept on the device.

    An implementation on a real device is durable: it has written the count before it returns, so
    that a restart cannot answer twice.
    """

    def claim(self, *, plan_hash: str, step: str, devices: NDArray[np.int64], limit: int) -> None:
        """Count one more participation of every device, or of none.

        Args:
            plan_hash: Of the plan.
            step: Of the plan.
            devices: Public numbers of the devices of a cohort; one that appears twice counts twice.
            limit: Most that one device may have.

        Raises:
            PrivacyError: It would be one too many for some device; nothing was counted.
        """


class MemoryParticipations:
    """Counts in memory: for simulations, whose devices forget everything when the process ends."""

    def __init__(self) -> None:
        """Nobody took part yet."""
        self._counts: dict[tuple[str, str], Counter[int]] = {}
        self._lock = Lock()

    def claim(self, *, plan_hash: str, step: str, devices: NDArray[np.int64], limit: int) -> None:
        """Count one more participation of every device, or of none; see `Participations`."""
        wanted = Counter(_numbers(devices))
        with self._lock:
            counts = self._counts.setdefault((plan_hash, step), Counter())
            if any(counts[device] + more > limit for device, more in wanted.items()):
                raise PrivacyError(
                    f"A device was asked for step {step!r} more often than the {limit} times that "
                    "its user agreed to: a repeat has fresh noise. Nothing was computed or sent."
                )
            counts.update(wanted)


def _numbers(devices: NDArray[np.int64]) -> Iterable[int]:
    return (int(device) for device in devices.tolist())
