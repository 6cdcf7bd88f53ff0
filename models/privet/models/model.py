"""The contract of a preference model: both halves of a federated algorithm in one frozen object."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from privet.models.catalogue import Catalogue
from privet.models.cohort import Cohort
from privet.models.plan import PublicFacts, Step
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.contribution import Contribution
from privet.privacy.randomness import Randomness

Array = NDArray[np.float64] | NDArray[np.int64]
SharedState = Mapping[str, Array]
"""Arrays that every device may see: the output of releases and of nothing else."""
LocalState = Mapping[str, Array]
"""Arrays that a cohort's devices keep for themselves; the first axis is the device."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Release:
    """A noisy sum that the server learnt.

    Attributes:
        step: Which one.
        total: Decoded noisy sum, or what the plan's groups were combined to in its place, shape
            ``(dimension,)``.
        noise_std: Standard deviation of the noise in each coordinate, public; 0 for none. Of groups
            that are not added up, where they agree but for their noise.
        devices: Devices in the sum, public.
    """

    step: Step
    total: NDArray[np.float64]
    noise_std: float
    devices: int


class Model(Protocol):
    """A preference model. Implementations are frozen dataclasses of public hyper-parameters.

    The device's half is ``contribute``, ``personalise`` and ``score``; the server's half is
    ``begin``, ``steps`` and ``update``. All are pure. ``contribute`` works row by row: a cohort of one gives
    the row of a cohort of many. The conformance suite in :mod:`privet.models.testing` runs
    against every model.
    """

    name: ClassVar[str]
    trusts: ClassVar[frozenset[Trust]]
    timed: ClassVar[bool]
    """Whether its steps are windows of a period, which the plan then holds and makes public."""

    def begin(self, catalogue: Catalogue) -> SharedState:
        """What the catalogue alone says, before the first release; every device gets it."""

    def steps(self, facts: PublicFacts) -> Sequence[Step]:
        """The sums that the model needs, from public facts alone."""

    def contribute(
        self,
        step: Step,
        shared: SharedState,
        local: LocalState,
        cohort: Cohort,
        rng: Randomness,
    ) -> tuple[Contribution, LocalState]:
        """Each device's bounded vector for a step, and its next local state.

        A model that draws random numbers derives them by ``rng.stream("contribute", step.name,
        device)``, so that they do not depend on who else is in the cohort.
        """

    def update(
        self, step: Step, shared: SharedState, release: Release, facts: PublicFacts
    ) -> SharedState:
        """The next shared state, from a release and public facts."""

    def personalise(self, shared: SharedState, local: LocalState, cohort: Cohort) -> LocalState:
        """What devices derive from the shared state and their own history, for themselves."""

    def score(self, shared: SharedState, local: LocalState, cohort: Cohort) -> NDArray[np.float64]:
        """Scores of all items for each device, shape ``(n, n_items)``; higher is better."""


def state_hash(shared: SharedState) -> str:
    """SHA-256 over names, types, shapes and bytes of a shared state: the model's version."""
    digest = hashlib.sha256()
    for name in sorted(shared):
        array = np.ascontiguousarray(shared[name])
        digest.update(f"{name}:{array.dtype.str}:{array.shape}:".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
