"""When and in what session somebody wants something: terms by category, from this device's events.

The weight of category c is ``strength * log((n_c + prior p_c) / ((n + prior) p_c))`` with n_c the
events' shares of c in the context, n their number and p_c the category's share in the whole history:
the log ratio of a Dirichlet-smoothed share to the usual one. It is 0 for a context without events
and for one that is like any other. The unit is the model's score, so ``strength`` is the caller's.
"""

import numpy as np
from numpy.typing import NDArray

from privet.client.ranking.categories import Categories
from privet.privacy.errors import InputError

SESSION_GAP_S = 1800
_HOUR, _DAY = 3600, 86_400
_PARTS_OF_DAY = (0, 6, 12, 18)
_FIRST_DAY = 3  # 1970-01-01 was a Thursday; Monday is 0


def same_part_of_day(times: NDArray[np.int64], now: int, *, utc_offset_s: int) -> NDArray[np.bool_]:
    """Events of the same quarter of the day (night, morning, afternoon, evening), local time.

    Args:
        times: Unix seconds, 0 for unknown, which is in no context.
        now: Unix seconds.
        utc_offset_s: Local time less UTC.
    """
    hours, hour = (times + utc_offset_s) % _DAY // _HOUR, (now + utc_offset_s) % _DAY // _HOUR
    part = np.digitize(hours, _PARTS_OF_DAY) == np.digitize(hour, _PARTS_OF_DAY)
    return np.asarray((times != 0) & part)


def same_kind_of_day(times: NDArray[np.int64], now: int, *, utc_offset_s: int) -> NDArray[np.bool_]:
    """Events of a weekend (Saturday and Sunday) if it is one, else of other days; local time."""
    days = ((times + utc_offset_s) // _DAY + _FIRST_DAY) % 7
    day = ((now + utc_offset_s) // _DAY + _FIRST_DAY) % 7
    return np.asarray((times != 0) & ((days >= 5) == (day >= 5)))


def same_session(
    times: NDArray[np.int64], now: int, *, gap_s: int = SESSION_GAP_S
) -> NDArray[np.bool_]:
    """Events of the session that is going on: going back from now, none further apart than a gap.

    Events later than now (a clock that went back) are in no session.
    """
    past = (times != 0) & (times <= now)
    ordered = np.sort(times[past])[::-1]
    steps = np.diff(np.concatenate([[now], ordered]), n=1)
    gaps = np.flatnonzero(-steps > gap_s)
    length = int(gaps[0]) if len(gaps) else len(ordered)
    return np.asarray(past & (times >= (ordered[length - 1] if length else now + 1)))


def context_weights(
    categories: Categories,
    items: NDArray[np.integer],
    selected: NDArray[np.bool_],
    *,
    strength: float,
    prior: float = 20.0,
) -> NDArray[np.float64]:
    """Weight of each category in a context; an item's term is its shares times these.

    Args:
        categories: Of the catalogue.
        items: The device's events, positions in the catalogue.
        selected: Which of them are of the context, same shape.
        strength: Scales the weights, 0 or more, in units of the score.
        prior: How many events the usual shares count, above 0.

    Returns:
        Shape ``(len(categories.names),)``; 0 for categories that the history lacks.

    Raises:
        InputError: Shapes that differ, a negative strength or a prior that is not above 0.
    """
    if items.shape != selected.shape:
        raise InputError("Expected to be told of each event whether it is of the context.")
    if not 0 <= strength < np.inf or not 0 < prior < np.inf:
        raise InputError(f"Expected strength >= 0 and prior > 0, found {strength} and {prior}.")
    usual = categories.distribution(items)
    here = categories.shares[items[selected]].sum(axis=0)
    held = usual > 0
    weights = np.zeros(len(usual))
    smooth = (here[held] + prior * usual[held]) / (here.sum() + prior)
    weights[held] = strength * np.log(smooth / usual[held])
    return weights
