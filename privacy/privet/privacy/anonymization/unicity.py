"""Unicity: the share of users whom a few known items of their history single out.

After de Montjoye et al. 2013 ("Unique in the Crowd", section Results): draw p events of a user at
random and ask whether anybody else has all of them. It is why k-anonymity of histories fails by
construction: what remains after generalising until nobody is unique is of no use.

The figure is a measurement on the data at hand, with someone who knows p events exactly. It is a
lower bound on what is possible, since rare items or a whole history say more, and no guarantee for
anybody. Its draws come from a generator of the caller's: they protect nothing.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from privet.privacy.anonymization.classes import group
from privet.privacy.anonymization.histories import Histories, Proportion
from privet.privacy.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Unicity:
    """What p known events say.

    Attributes:
        unique: Users whom their p events single out, of those who have p events.
        known_items: p.
        too_short: Users with fewer than p events, who were left out.
    """

    unique: Proportion
    known_items: int
    too_short: int


def unicity(
    histories: Histories,
    known_items: int,
    *,
    rng: np.random.Generator,
    ratings: bool = False,
    time_bucket: float | None = None,
    max_users: int | None = None,
    confidence: float = 0.95,
) -> Unicity:
    """Measures the share of users who are unique given random items of their history.

    Args:
        histories: Whose.
        known_items: How many random items are known of a user.
        rng: Chooses them, and the users if not all are tried.
        ratings: Whether the ratings of the items are known too.
        time_bucket: Seconds to which the times of the items are known too, if they are.
        max_users: Try that many users at most.
        confidence: Of the interval.

    Raises:
        InputError: If nobody has enough items, or ratings or times are missing.
    """
    if known_items < 1 or (max_users is not None and max_users < 1):
        raise InputError("Expected at least 1 known item and 1 user.")
    tokens = _tokens(histories, ratings=ratings, time_bucket=time_bucket)
    candidates = np.flatnonzero(histories.lengths >= known_items)
    if not len(candidates):
        raise InputError(f"Expected users with at least {known_items} items, found none.")
    too_short = histories.users - len(candidates)
    if max_users is not None and max_users < len(candidates):
        candidates = np.sort(rng.choice(candidates, max_users, replace=False))
    order = np.argsort(tokens, kind="stable")
    owners = histories.owners()[order]
    starts = np.concatenate([[0], np.cumsum(np.bincount(tokens))])
    unique = 0
    for user in candidates.tolist():
        own = tokens[histories.indptr[user] : histories.indptr[user + 1]]
        known = rng.choice(own, known_items, replace=False)
        unique += _is_unique(known, owners, starts)
    return Unicity(
        unique=Proportion.of(unique, len(candidates), confidence),
        known_items=known_items,
        too_short=too_short,
    )


def _tokens(histories: Histories, *, ratings: bool, time_bucket: float | None) -> NDArray[np.intp]:
    """What is known of each event, as one code."""
    parts = [histories.items]
    if ratings:
        if histories.ratings is None:
            raise InputError("Expected histories with ratings, found none.")
        parts.append(np.unique(histories.ratings, return_inverse=True)[1])
    if time_bucket is not None:
        if histories.times is None:
            raise InputError("Expected histories with times, found none.")
        if not 0 < time_bucket < math.inf:
            raise InputError(f"Expected time_bucket={time_bucket} to be finite and above 0.")
        buckets = np.floor_divide(histories.times, time_bucket)
        parts.append(np.unique(buckets, return_inverse=True)[1])
    return group(parts).labels


def _is_unique(known: NDArray[np.intp], owners: NDArray[np.intp], starts: NDArray[np.intp]) -> bool:
    """Whether one user alone has all these tokens; rare ones are looked at first."""
    rarest = known[np.argsort(starts[known + 1] - starts[known], kind="stable")]
    having = owners[starts[rarest[0]] : starts[rarest[0] + 1]]
    for token in rarest[1:].tolist():
        if len(having) == 1:
            break
        others = owners[starts[token] : starts[token + 1]]
        having = having[np.isin(having, others, assume_unique=True)]
    return len(having) == 1
