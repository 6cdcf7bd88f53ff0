"""From a data set to what a simulation trains and tests on."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from privet.models.catalogue import Catalogue
from privet.models.cohort import Cohort
from privet.privacy.errors import InputError
from privet.simulations.data.dataset import Dataset, Split
from privet.simulations.data.splits import (
    drop_positives,
    leave_one_out,
    merge,
    random_split,
    time_split,
)
from privet.simulations.evaluation.metrics import SAMPLED_K

_DAY = 86_400


class SplitKind(StrEnum):
    """How events are held out where the source ships no split of its own."""

    RANDOM = "random"
    LEAVE_ONE_OUT = "leave-one-out"
    TIME = "time"


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """What a simulation trains on and is tested on.

    Attributes:
        name: Of the data set.
        catalogue: The items.
        train: What is on the devices.
        test: Held-out events of the same users.
        negatives: Candidates for sampled metrics, -1 where there is none, or None.
        split: How the test events were held out, in words.
        attributes: What is known of users, a value each, empty where unknown: for audits and for
            quality by group. No model and no device sees it.
    """

    name: str
    catalogue: Catalogue
    train: Cohort
    test: Cohort
    negatives: NDArray[np.int32] | None
    split: str
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def period(self) -> tuple[int, int]:
        """First day of training, and the day after its last, in Unix seconds; 0, 0 if unknown.

        A deployment's calendar is its operator's. Here it is taken from the data, and assumed to
        be public.
        """
        known = self.train.times[self.train.times > 0]
        if len(known) == 0:
            return 0, 0
        return int(known.min()) // _DAY * _DAY, (int(known.max()) // _DAY + 1) * _DAY

    @property
    def fingerprint(self) -> str:
        """Hash of devices' data and split, to resume on the same.

        It never leaves the run's folder: whoever guesses the data could confirm the guess by it.
        """
        digest = hashlib.sha256(self.catalogue.hash.encode())
        for cohort in (self.train, self.test):
            for array in (cohort.indptr, cohort.items, cohort.weights, cohort.times):
                digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def prepare(
    dataset: Dataset, *, seed: int, split: SplitKind | None = None, validate: bool = False
) -> Task:
    """Choose training and test events.

    Args:
        dataset: Of any importer.
        seed: For splits made here.
        split: How to hold out; None for the source's own split, or random if it ships none.
        validate: Train on ``train`` and score on ``valid``, to tune without seeing the test.

    Raises:
        InputError: A negative seed, ``validate`` without a validation part, or nothing held out.
    """
    if seed < 0:
        raise InputError(f"Expected seed={seed} >= 0.")
    made = dataset.split if split is None and dataset.split is not None else None
    if made is None:
        made = _split(dataset, split or SplitKind.RANDOM, np.random.default_rng(seed))
    if validate and made.valid is None:
        raise InputError(f"The {made.name} split has no validation part; leave --validate away.")
    if validate and made.valid is not None:
        train, test, negatives, name = made.train, made.valid, None, f"{made.name}, validation"
    else:
        train = made.train if made.valid is None else merge(made.train, made.valid)
        test, negatives, name = made.test, made.negatives, made.name
    if len(test.items) == 0:
        raise InputError(f"The {name} split holds nothing out: users need at least 2 events each.")
    return Task(
        name=dataset.name,
        catalogue=dataset.catalogue,
        train=train,
        test=test,
        negatives=None if negatives is None else _candidates(negatives, train, test),
        split=name,
        attributes=dataset.attributes,
    )


def _candidates(
    negatives: NDArray[np.int32], train: Cohort, test: Cohort
) -> NDArray[np.int32] | None:
    """Negatives less what each user has, held out or not; None where too few are left.

    They are drawn without looking at the held-out item, so it may be among its own negatives. It
    must not stay there, nor may anything mark its place: ranked against itself, it ties.
    """
    kept = drop_positives(drop_positives(negatives, test), train)
    fewest = int((kept[test.sizes > 0] >= 0).sum(axis=1).min())
    return kept if fewest >= SAMPLED_K else None


def _split(dataset: Dataset, kind: SplitKind, rng: np.random.Generator) -> Split:
    match kind:
        case SplitKind.RANDOM:
            return random_split(dataset.cohort, rng=rng)
        case SplitKind.LEAVE_ONE_OUT:
            return leave_one_out(dataset.cohort, rng=rng)
        case SplitKind.TIME:
            return time_split(dataset.cohort)
