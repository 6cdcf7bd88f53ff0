"""What an adversary knows of somebody's history: a few items, some wrong, others imprecise."""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from privet.privacy.anonymization.histories import Floats, Histories
from privet.privacy.errors import InputError

DAY = 86_400.0


@dataclass(frozen=True, kw_only=True)
class Knowledge:
    """What the adversary knows of a target.

    Attributes:
        known_items: Drawn at random from the target's history.
        wrong: How many of these are replaced by items that the target does not have.
        time_tolerance: Seconds by which known times are off at most, uniformly.
        rating_tolerance: By how much known ratings are off at most, uniformly over whole steps.
    """

    known_items: int = 8
    wrong: int = 2
    time_tolerance: float = 14 * DAY
    rating_tolerance: int = 0

    def __post_init__(self) -> None:
        """Refuse knowledge of nothing."""
        if not 0 <= self.wrong < self.known_items:
            raise InputError(f"Expected wrong={self.wrong} below known_items={self.known_items}.")
        if not 0 <= self.time_tolerance < math.inf or self.rating_tolerance < 0:
            raise InputError("Expected tolerances to be finite and at least 0.")


@dataclass(frozen=True, kw_only=True, eq=False)
class Known:
    """Items of one target as the adversary recalls them.

    Attributes:
        items: The right ones and the wrong ones.
        ratings: Of each, if the data have any.
        times: Of each, if the data have any.
    """

    items: NDArray[np.intp] = field(repr=False)
    ratings: Floats | None = field(repr=False)
    times: Floats | None = field(repr=False)


def draw(
    histories: Histories, target: int, knowledge: Knowledge, rng: np.random.Generator
) -> Known:
    """Draws what is known of a target.

    Raises:
        InputError: If the target has too few items, or lacks too few for the wrong ones.
    """
    if histories.lengths[target] < knowledge.known_items:
        raise InputError(f"Expected a target with {knowledge.known_items} items.")
    start, stop = histories.indptr[target], histories.indptr[target + 1]
    chosen = start + rng.choice(stop - start, knowledge.known_items, replace=False)
    items = histories.items[chosen]
    lacking = np.ones(histories.items.max() + 1, np.bool_)
    lacking[histories.items[start:stop]] = False
    others = np.flatnonzero(lacking)
    if len(others) < knowledge.wrong:
        raise InputError("Expected targets who lack some items, of which the wrong ones are drawn.")
    items[: knowledge.wrong] = rng.choice(others, knowledge.wrong, replace=False)
    tolerance = knowledge.rating_tolerance
    ratings = _recalled(histories.ratings, chosen, knowledge.wrong, rng)
    if ratings is not None:
        ratings += rng.integers(-tolerance, tolerance, len(chosen), endpoint=True)
    times = _recalled(histories.times, chosen, knowledge.wrong, rng)
    if times is not None:
        times += rng.uniform(-1, 1, len(chosen)) * knowledge.time_tolerance
    return Known(items=items, ratings=ratings, times=times)


def _recalled(
    values: Floats | None, chosen: NDArray[np.intp], wrong: int, rng: np.random.Generator
) -> Floats | None:
    """True values, and for wrong items those of random events."""
    if values is None:
        return None
    found = values[chosen]
    found[:wrong] = rng.choice(values, wrong)
    return found
