"""What a user's habits add to scores: other categories at this time, on this device, in this session."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from privet.client.learning.situation import Situation
from privet.client.ranking.categories import Categories
from privet.client.ranking.context import context_weights, same_kind_of_day, same_part_of_day
from privet.client.vault.history import Tally

_RECENT = 1000


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Habit:
    """What a context adds.

    Attributes:
        context: Which one, in words.
        weights: Of each category, in units of the score.
    """

    context: str
    weights: NDArray[np.float64]


def habits(
    categories: Categories,
    tally: Tally,
    marks: Mapping[str, NDArray[np.bool_]],
    situation: Situation,
    *,
    strength: float,
) -> tuple[Habit, ...]:
    """What the contexts of a situation add, from the latest thousand events for items.

    A context that has none of them, or all, says nothing.

    Args:
        categories: Of the catalogue.
        tally: The events.
        marks: Further contexts by name: of each event, whether it is of the context.
        situation: Gives the time.
        strength: See `context_weights`.
    """
    spoken = np.flatnonzero(tally.strengths > 0)
    spoken = spoken[np.argsort(tally.times[spoken], kind="stable")[-_RECENT:]]
    times, items = tally.times[spoken], tally.items[spoken]
    now, offset = situation.now, situation.utc_offset_s
    contexts = {
        "at this time of day": same_part_of_day(times, now, utc_offset_s=offset),
        "on this kind of day": same_kind_of_day(times, now, utc_offset_s=offset),
        **{name: marked[spoken] for name, marked in marks.items()},
    }
    return tuple(
        Habit(
            context=name,
            weights=context_weights(categories, items, selected, strength=strength),
        )
        for name, selected in contexts.items()
        if selected.any() and not selected.all()
    )
