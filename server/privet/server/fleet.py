"""The fleet protocol: whatever can run a round over devices and return a sum."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from privet.models.model import SharedState
from privet.models.plan import Plan, StepPlan

ChargeSum = Callable[[int], None]
"""Charges the ledger, durably, for a sum of this many survivors; raises if it must not be learnt."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Round:
    """One round, as the coordinator asks for it; all of it public."""

    plan: Plan
    step: StepPlan
    shared: SharedState


@dataclass(frozen=True, kw_only=True, eq=False)
class Aggregate:
    """What the server learns from a round.

    Attributes:
        total: Sum of the survivors' uploads modulo 2**32, shape ``(dimension,)``.
        survivors: Devices in it.
    """

    total: NDArray[np.uint32]
    survivors: int


class Fleet(Protocol):
    """Devices, in this process or far away."""

    def run(self, round_: Round, charge: ChargeSum) -> Aggregate:
        """Run a round.

        An implementation calls ``charge(survivors)`` exactly once, after the devices' (masked)
        vectors are in and before it or anyone else can learn their sum. If ``charge`` raises,
        nothing is learnt and the error passes through.
        """
