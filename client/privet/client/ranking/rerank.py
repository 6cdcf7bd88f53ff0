"""From scores to a list: diversity, calibration, caps and what must not be shown.

One greedy pass. With r the score scaled to [0, 1] over the candidates, d the diversity, l the
calibration and S the list so far, the next item is the one with the highest

    (1 - l) * ((1 - d) * r(i) - d * max_{j in S} sim(i, j)) - l * (KL(p, q(S + i)) - KL(p, q(S)))

where l = 0 is maximal marginal relevance (Carbonell and Goldstein 1998) and d = 0 is calibrated
recommendation (Steck 2018, https://doi.org/10.1145/3240323.3240372), whose greedy surrogate has the
same order: the subtracted divergence of the list so far is equal for all candidates. At d = l = 0
choice is the scores'. A cosine below 0 counts as 0.

What was chosen is shown in the order of its scores: neither how diverse nor how calibrated a list is
depends on its order, and the best first costs less relevance than the order of choice.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from privet.client.ranking.categories import Categories, calibration_error
from privet.privacy.errors import InputError


@dataclass(frozen=True, kw_only=True)
class ListRules:
    """What somebody wants of their lists.

    Attributes:
        diversity: The dial, in [0, 1]: 0 for relevance alone, 1 for the most unlike items.
        calibration: In [0, 1]: 0 for none, 1 for the history's mix of categories alone.
        caps: Most items of a category in one list, by name; an item counts in all of its categories.
        blocked: Categories of which nothing is shown.
        hidden: Items that are not shown, positions in the catalogue.
        pool: Candidates: so many of the highest scores are looked at. Exceptions of caps come out
            of the pool, so a list may be shorter than asked for.

    Raises:
        InputError: A value out of its range.
    """

    diversity: float = 0.0
    calibration: float = 0.0
    caps: Mapping[str, int] = field(default_factory=dict)
    blocked: frozenset[str] = frozenset()
    hidden: frozenset[int] = frozenset()
    pool: int = 200

    def __post_init__(self) -> None:
        """Check ranges."""
        for name in ("diversity", "calibration"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"Expected {name} in [0, 1], found {getattr(self, name)}.")
        if min(self.caps.values(), default=0) < 0 or self.pool < 1:
            raise InputError("Expected caps of 0 or more and a pool of 1 or more.")


@dataclass(frozen=True, kw_only=True)
class Placed:
    """One item of a list.

    Attributes:
        item: Position in the catalogue.
        choice: Which choice it was, from 0.
        score: The model's.
        delta: What re-ranking added when it was chosen, in units of the score. Of all candidates
            left it had the highest ``score + delta``.
    """

    item: int
    choice: int
    score: float
    delta: float


def candidates(
    scores: NDArray[np.float64],
    categories: Categories,
    rules: ListRules,
    *,
    seen: NDArray[np.integer],
) -> NDArray[np.int64]:
    """Items that may be shown, best first, at most ``rules.pool``; ties in the catalogue's order.

    Args:
        scores: Of all items; minus infinity for never.
        categories: Of the same catalogue.
        rules: Blocked categories, hidden items and the pool's size.
        seen: Items to leave out besides.

    Raises:
        InputError: Scores of another size, NaN or plus infinity, or an unknown category or item.
    """
    if scores.shape != (len(categories.shares),):
        raise InputError(
            f"Expected a score for each of {len(categories.shares)} items, found {scores.shape}."
        )
    if not (scores < np.inf).all():
        raise InputError("Expected scores that are finite, or minus infinity for never.")
    if not all(0 <= item < len(scores) for item in rules.hidden):
        raise InputError("Expected hidden items to be positions in the catalogue.")
    allowed = np.isfinite(scores)
    allowed[np.asarray(seen, np.int64)] = False
    allowed[np.array(sorted(rules.hidden), np.int64)] = False
    allowed &= ~(categories.shares[:, categories.columns(sorted(rules.blocked))] > 0).any(axis=1)
    items = np.flatnonzero(allowed)
    if len(items) > rules.pool:
        bound = np.partition(scores[items], len(items) - rules.pool)[len(items) - rules.pool]
        items = items[scores[items] >= bound]
    return items[np.argsort(-scores[items], kind="stable")][: rules.pool]


def rerank(
    pool: NDArray[np.int64],
    scores: NDArray[np.float64],
    k: int,
    *,
    categories: Categories,
    rules: ListRules,
    similarities: NDArray[np.floating] | None = None,
    wanted: NDArray[np.float64] | None = None,
) -> tuple[Placed, ...]:
    """Choose a list of ``k`` from the candidates, best score first; shorter if caps leave too few.

    Args:
        pool: From `candidates`, best first.
        scores: Of all items.
        k: Length of the list, 0 or more.
        categories: Of the same catalogue.
        rules: Diversity, calibration and caps.
        similarities: Among the pool, shape ``(m, m)``, such as `ItemVectors.similarities`; of the
            categories if not given.
        wanted: Distribution over categories to calibrate to, such as the history's; none if not
            given, or if it is all 0.

    Raises:
        InputError: A negative k, or similarities or a distribution of another shape.
    """
    if k < 0:
        raise InputError(f"Expected a list of 0 or more items, found k={k}.")
    similar = similarities
    if similar is None:
        needed = pool if rules.diversity > 0 else pool[:0]
        similar = categories.similarities(needed)
    elif similar.shape != (len(pool), len(pool)):
        raise InputError(f"Expected similarities of {len(pool)} items, found {similar.shape}.")
    target = np.zeros(len(categories.names)) if wanted is None else wanted
    if target.shape != (len(categories.names),):
        raise InputError(f"Expected a share of {len(categories.names)} categories.")
    return _Greedy(pool, scores, categories, rules, similar, target).take(k)


class _Greedy:
    """The list so far, and what each candidate would be worth next."""

    def __init__(
        self,
        pool: NDArray[np.int64],
        scores: NDArray[np.float64],
        categories: Categories,
        rules: ListRules,
        similar: NDArray[np.floating],
        target: NDArray[np.float64],
    ) -> None:
        self.pool, self.scores, self.rules = pool, scores[pool], rules
        self.shares, self.similar, self.target = categories.shares[pool], similar, target
        self.low = float(self.scores.min(initial=np.inf)) if len(pool) else 0.0
        # Equal scores, or a range that is lost in rounding, say nothing: any scale will do.
        self.span = float(self.scores.max() - self.low) if len(pool) else 1.0
        self.span = self.span if self.span > 0 else 1.0
        self.nearest = np.zeros(len(pool))
        self.mass = np.zeros(len(target))
        self.capped = categories.columns(rules.caps)
        self.room = np.array(list(rules.caps.values()), np.int64)
        self.free = np.ones(len(pool), bool)

    def take(self, k: int) -> tuple[Placed, ...]:
        """Place one item after the other."""
        placed: list[Placed] = []
        self._close_full()
        while len(placed) < k and self.free.any():
            values = np.where(self.free, self._values(), -np.inf)
            best = int(values.argmax())
            score = float(self.scores[best])
            delta = float(values[best]) * self.span + self.low - score
            plain = self.rules.diversity == 0 and not self._calibrates
            delta = 0.0 if plain else delta
            item, choice = int(self.pool[best]), len(placed)
            placed.append(Placed(item=item, choice=choice, score=score, delta=delta))
            self._place(best)
        return tuple(sorted(placed, key=lambda entry: (-entry.score, entry.choice)))

    @property
    def _calibrates(self) -> bool:
        return self.rules.calibration > 0 and bool(self.target.any())

    def _values(self) -> NDArray[np.float64]:
        """What each candidate is worth next, in units of the scaled score."""
        dial = self.rules.diversity
        values = (1 - dial) * (self.scores - self.low) / self.span - dial * self.nearest
        if not self._calibrates:
            return np.asarray(values)
        masses = self.mass + self.shares
        totals = masses.sum(axis=1, keepdims=True)
        after = calibration_error(self.target, masses / np.where(totals > 0, totals, 1))
        total = self.mass.sum()
        before = calibration_error(self.target, self.mass / (total if total > 0 else 1))
        weight = self.rules.calibration
        return np.asarray((1 - weight) * values - weight * (after - before))

    def _place(self, best: int) -> None:
        self.free[best] = False
        self.mass = self.mass + self.shares[best]
        if self.rules.diversity > 0:
            self.nearest = np.maximum(self.nearest, self.similar[best])
        self.room -= self.shares[best, self.capped] > 0
        self._close_full()

    def _close_full(self) -> None:
        """Candidates of a category that has reached its cap are out."""
        full = self.capped[self.room <= 0]
        self.free &= ~(self.shares[:, full] > 0).any(axis=1)


def intra_list_diversity(similarities: NDArray[np.floating]) -> float:
    """One minus the mean similarity of pairs of a list (Ziegler et al. 2005); 0 below two items."""
    n = len(similarities)
    if n < 2:
        return 0.0
    return float(1 - (similarities.sum() - np.trace(similarities)) / (n * (n - 1)))
