"""The fleet protocol: whatever can run a round over devices and return the sum of each group."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from privet.models.model import SharedState
from privet.models.plan import Plan, StepPlan
from privet.privacy.encoding import wrap
from privet.privacy.secagg.record import ProtocolRecord

ChargeSum = Callable[[Sequence[int]], None]
"""Charges the ledger, durably, for sums of this many survivors, one number for each group.

Raises if they must not be learnt.
"""


@dataclass(frozen=True, kw_only=True, eq=False)
class Round:
    """One round, as the coordinator asks for it; all of it public.

    Attributes:
        plan: Of the run.
        step: The step of the plan.
        shared: Shared state so far.
        attempt: How often the step was charged before, so that a repeat draws fresh noise; 0 where
            a repeat is the very same release.
        devices: Numbers of the devices that take part, sorted; None for all there are. The fleet
            tells nobody else where the plan keeps the cohort secret.
        repeats: Whether it is to be the very same release as one that was charged before: the same
            devices, vectors and noise. A fleet that cannot see to that refuses.
    """

    plan: Plan
    step: StepPlan
    shared: SharedState
    attempt: int = 0
    devices: NDArray[np.int64] | None = None
    repeats: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class GroupSum:
    """What the server learns from one group of devices.

    Attributes:
        total: Sum of the survivors' uploads modulo 2**32, shape ``(dimension,)``.
        survivors: Devices in it.
    """

    total: NDArray[np.uint32]
    survivors: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Aggregate:
    """What the server learns from a round: the sum of each group, and nothing else.

    Attributes:
        groups: In order.
        protocol: What secure aggregation did, if it was run.
    """

    groups: tuple[GroupSum, ...]
    protocol: ProtocolRecord | None = None

    @property
    def total(self) -> NDArray[np.uint32]:
        """Sum of all groups modulo 2**32, shape ``(dimension,)``."""
        return wrap(np.sum([group.total for group in self.groups], axis=0, dtype=np.int64))

    @property
    def survivors(self) -> int:
        """Devices in it."""
        return sum(group.survivors for group in self.groups)


class Fleet(Protocol):
    """Devices, in this process or far away."""

    def run(self, round_: Round, charge: ChargeSum) -> Aggregate:
        """Run a round.

        Devices are put into the plan's groups by :func:`privet.models.groups.assign_groups`. An
        implementation calls ``charge`` exactly once, with the survivors of each group, after the
        (masked) vectors of all groups are in and before it or anyone else can learn the sum of any.
        If ``charge`` raises, nothing of any group is learnt and the error passes through. Under
        local trust each vector is a release by itself: whoever receives them one by one charges all
        devices that are asked, before any is.
        """
