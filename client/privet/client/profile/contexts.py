"""Contexts that somebody may have habits in, with the names under which these are kept."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from privet.client.ranking.categories import Categories
from privet.client.ranking.context import same_kind_of_day, same_part_of_day
from privet.client.vault.history import Tally

_HOUR, _DAY = 3600, 86_400
_THURSDAY_NIGHT, _SATURDAY = 0, 2 * _DAY  # 1970-01-01 was a Thursday

CONTEXTS: Mapping[str, int] = MappingProxyType(
    {
        "night": _THURSDAY_NIGHT,
        "morning": 6 * _HOUR,
        "afternoon": 12 * _HOUR,
        "evening": 18 * _HOUR,
        "weekday": _THURSDAY_NIGHT,
        "weekend": _SATURDAY,
    }
)
"""Name of each context, and a local time within it, in Unix seconds."""

FEWEST_EVENTS = 10
"""With fewer in a context nothing is said of it."""

_DAYS = ("weekday", "weekend")
_PRIOR_EVENTS = 20.0  # as in `context_weights`


def within(times: NDArray[np.int64], context: str, *, utc_offset_s: int) -> NDArray[np.bool_]:
    """Of each time, in Unix seconds, whether it is in a context; local time less UTC is given."""
    example = CONTEXTS[context] - utc_offset_s
    same = same_kind_of_day if context in _DAYS else same_part_of_day
    return same(times, example, utc_offset_s=utc_offset_s)


def contexts_at(now: int, *, utc_offset_s: int) -> frozenset[str]:
    """The contexts of a moment: a part of the day and a kind of day."""
    time = np.array([now], np.int64)
    return frozenset(name for name in CONTEXTS if within(time, name, utc_offset_s=utc_offset_s)[0])


def unclear(
    tally: Tally,
    categories: Categories,
    columns: NDArray[np.int64],
    head: NDArray[np.int64],
    *,
    utc_offset_s: int,
) -> Iterator[tuple[str, int, float]]:
    """How unclear it is what somebody likes in each context, where there are habits at all.

    The log of a share p among n events, smoothed as in `context_weights`, has a variance of about
    ``(1 - p) / (p (n + prior))``; the items of a list carry it by their squared shares, and a context
    counts by its part of the events.

    Args:
        tally: The user's events.
        categories: Of the catalogue.
        columns: Categories that may be spoken of.
        head: Items of the list.
        utc_offset_s: Local time less UTC.

    Yields:
        Context, column and variance, 0 or more.
    """
    liked = np.flatnonzero(tally.strengths > 0)
    items, times = tally.items[liked], tally.times[liked]
    usual = categories.distribution(items)
    carried = (categories.shares[head] ** 2).mean(axis=0)
    for context in CONTEXTS:
        count = int(within(times, context, utc_offset_s=utc_offset_s).sum())
        if FEWEST_EVENTS <= count < len(times):
            for at in columns[(usual[columns] > 0) & (usual[columns] < 1)].tolist():
                spread = (1 - usual[at]) / (usual[at] * (count + _PRIOR_EVENTS))
                yield context, at, float(count / len(times) * spread * carried[at])
