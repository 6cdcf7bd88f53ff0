"""Spectral: the strongest private collaborative model known to us, in two releases.

Sensitivity. Release 1 is :mod:`privet.models.popularity`'s, of norm 1. In release 2 a device with
unit vector y over the head offers the upper triangle of y y^T, off-diagonal entries times sqrt(2):
its squared norm is sum_i y_i^4 + 2 sum_{i<j} y_i^2 y_j^2 = (sum_i y_i^2)^2 = 1. An empty history
offers zero; no entry is negative. Tests: ``tests/models``, names starting with "spectral".

Sources: :mod:`privet.models.shrinkage` for what stands out of the noise; Steck 2019 (arXiv
1905.03375) for the ridge item map, and for leaving an item's own pull out of its score. How the
rule for the head and its constants were chosen: ``docs/decisions/0009-spectral-head.md``.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from privet.models.catalogue import Catalogue
from privet.models.cohort import Cohort
from privet.models.model import LocalState, Release, SharedState
from privet.models.plan import PublicFacts, Step
from privet.models.popularity import Popularity, popularity_step, unit_histories
from privet.models.ridge import item_map
from privet.models.score_parts import ScoreParts
from privet.models.shrinkage import Spikes, noise_edge, spikes_of_co_occurrence
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.contribution import Contribution
from privet.privacy.errors import InputError
from privet.privacy.randomness import Randomness

_MAX_ITEMS_WITHOUT_NOISE = 10_000
_MAX_HEAD = 2048  # bounds the upload (8.4 MB) and the server's eigendecomposition
_SMALLEST_LEAVE_OUT = 0.1


@dataclass(frozen=True, kw_only=True)
class Spectral:
    """Co-occurrence of items, learnt once, denoised by random matrix theory.

    Attributes:
        head_share: Share of mu squared that release 1 gets.
        head_scale: Multiplies the head's size that the public rule gives.
    """

    head_share: float = 0.08
    head_scale: float = 1.0

    name: ClassVar[str] = "spectral"
    trusts: ClassVar[frozenset[Trust]] = frozenset({Trust.CENTRAL, Trust.SECURE_AGGREGATION})
    timed: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Check both numbers."""
        if not 0 < self.head_share < 1:
            raise InputError(f"Expected 0 < head_share < 1, found {self.head_share}.")
        if not 0 < self.head_scale < math.inf:
            raise InputError(f"Expected a finite head_scale > 0, found {self.head_scale}.")

    def begin(self, catalogue: Catalogue) -> SharedState:
        """Nothing: all is learnt from people."""
        return {}

    def steps(self, facts: PublicFacts) -> Sequence[Step]:
        """Popularity, then co-occurrence within the head; popularity alone if there is none."""
        head = self.head_size(facts)
        if head == 0:
            return (popularity_step(facts.items, budget_share=1.0),)
        return (
            popularity_step(facts.items, budget_share=self.head_share),
            Step(
                name="co-occurrence",
                dimension=head * (head + 1) // 2,
                nonnegative=True,
                budget_share=1 - self.head_share,
            ),
        )

    def head_size(self, facts: PublicFacts, *, least: float = 1.0) -> int:
        """Number of items whose co-occurrence is learnt; 0 where popularity is all there is.

        Signal grows with the number of users, noise with 1 / mu and with the square root of the
        number of groups, or more if these are not added up. So the rule is in ``signal = devices *
        mu / sqrt(groups)``, less that growth: 1.8 times its power 2/3, and nothing below 400 or
        below ``items^1.5 / 200``.

        Args:
            facts: What is public.
            least: Multiplies the signal below which there is none.

        Raises:
            InputError: Without privacy, more than 10,000 items.
        """
        if math.isinf(facts.mu):
            if facts.items > _MAX_ITEMS_WITHOUT_NOISE:
                raise InputError(
                    f"Without privacy Spectral inverts a matrix over all items, up to "
                    f"{_MAX_ITEMS_WITHOUT_NOISE}; found {facts.items}. Use a finite epsilon or "
                    "fewer items."
                )
            return facts.items
        found = signal(facts)
        if found < least * max(400.0, facts.items**1.5 / 200):
            return 0
        size = round(self.head_scale * 1.8 * math.pow(found, 2 / 3))
        return max(1, min(facts.items, _MAX_HEAD, size))

    def contribute(
        self,
        step: Step,
        shared: SharedState,
        local: LocalState,
        cohort: Cohort,
        rng: Randomness,
    ) -> tuple[Contribution, LocalState]:
        """Unit histories, then their outer products over the head."""
        if step.name == "popularity":
            return unit_histories(cohort), local
        return outer_products(cohort.keep_items(positions(shared, cohort.n_items))), local

    def update(
        self, step: Step, shared: SharedState, release: Release, facts: PublicFacts
    ) -> SharedState:
        """The head from the noisy popularity, then the item map from the noisy co-occurrence."""
        if step.name == "popularity":
            order = np.argsort(-release.total, kind="stable")
            head = np.sort(order[: self.head_size(facts)]).astype(np.int64)
            first = np.array([release.noise_std], np.float64)
            return {"popularity": release.total, "head": head, "popularity_noise": first}
        gram = unpack_triangle(release.total, len(shared["head"]))
        if release.noise_std == 0:
            ridge_map = item_map(gram, regulariser(facts), overwrite=True)
            return {**shared, "item_map": np.asarray(ridge_map, np.float64)}
        edge = noise_edge(release.noise_std, len(gram))
        spikes, off_diagonal = spikes_of_co_occurrence(gram, edge)
        if len(off_diagonal) <= 1:
            return _popularity_from_both(shared, off_diagonal)
        ridge = max(edge / 4, regulariser(facts))
        weights = spikes.overlaps * spikes.values / (spikes.values + ridge)
        own = (spikes.vectors**2) @ weights
        leave_out = np.maximum(1 - own, _SMALLEST_LEAVE_OUT)
        return {**shared, "vectors": spikes.vectors, "weights": weights, "leave_out": leave_out}

    def personalise(self, shared: SharedState, local: LocalState, cohort: Cohort) -> LocalState:
        """Nothing beyond the history itself."""
        return local

    def score(self, shared: SharedState, local: LocalState, cohort: Cohort) -> NDArray[np.float64]:
        """The map of the history over the head; the rest after it, by popularity."""
        plain = Popularity().score(shared, local, cohort)
        head = self.reach(shared)
        if not len(head):
            return plain
        history = cohort.keep_items(positions(shared, cohort.n_items))
        mapped = _mapped(shared, history.dense())
        scores = plain - plain.max() - 1 + mapped.min(axis=1, keepdims=True)
        scores[:, head] = mapped
        return np.where(history.sizes[:, None] > 0, scores, plain)

    def reach(self, shared: SharedState) -> NDArray[np.int64]:
        """The head, if anything was learnt of it."""
        learnt = "item_map" in shared or "vectors" in shared
        return np.asarray(shared["head"], np.int64) if learnt else np.zeros(0, np.int64)

    def pull(self, shared: SharedState, local: LocalState, cohort: Cohort) -> NDArray[np.float64]:
        """The map of the weights over the head."""
        if not len(self.reach(shared)):
            return np.zeros(0)
        history = cohort.keep_items(positions(shared, cohort.n_items))
        return np.asarray(_mapped(shared, history.dense(binary=False))[0])

    def parts(
        self, shared: SharedState, local: LocalState, cohort: Cohort, items: NDArray[np.integer]
    ) -> ScoreParts:
        """What each item of the history adds over the head; popularity, set back, of the rest.

        The map is linear in the history, so the parts add up to the score by its definition.
        """
        popularity = np.asarray(shared["popularity"], np.float64)
        known = cohort.items[np.isin(cohort.items, self.reach(shared))].astype(np.int64)
        if not len(known):
            return ScoreParts.without_history(popularity[items])
        places = positions(shared, cohort.n_items)
        within = places[items] >= 0
        pulls = np.zeros((len(known), len(items)))
        pulls[:, within] = _of_map(shared, places[known], places[items][within])
        offset = np.zeros(len(items))
        if not within.all():
            history = cohort.keep_items(places)
            offset[~within] = _mapped(shared, history.dense()).min() - popularity.max() - 1
        return ScoreParts(
            history=known,
            pulls=pulls,
            popularity=np.where(within, 0.0, popularity[items]),
            offset=offset,
        )


def signal(facts: PublicFacts) -> float:
    """Users times mu, less what groups add to the noise; infinite without privacy."""
    return facts.expected_devices * facts.mu / (math.sqrt(facts.groups) * facts.noise_growth)


def regulariser(facts: PublicFacts) -> float:
    """Ridge of the item map: a sum over n users has a sampling error that grows as sqrt(n)."""
    return math.sqrt(facts.expected_devices) / 7


def outer_products(cohort: Cohort, tilt: NDArray[np.float64] | None = None) -> Contribution:
    """Upper triangle of each unit history's outer product, off-diagonal entries times sqrt(2).

    Entry (i, j), i <= j, of an h x h matrix is at ``i h - i (i - 1) / 2 + j - i``.

    Args:
        cohort: Histories over the head, h items.
        tilt: Public weights above 0, shape ``(h,)``, of each history's entries before it is scaled
            to norm 1; all equal if not given.
    """
    h = cohort.n_items
    sizes = cohort.sizes
    entries = sizes * (sizes + 1) // 2
    indptr = np.concatenate([[0], np.cumsum(entries)]).astype(np.int64)
    indices = np.empty(int(indptr[-1]), np.int64)
    values = np.empty(int(indptr[-1]))
    for row, size in enumerate(sizes):
        items = cohort.items[cohort.indptr[row] : cohort.indptr[row + 1]].astype(np.int64)
        upper = np.arange(size)[:, None] <= np.arange(size)
        offsets = items * h - items * (items - 1) // 2 - items
        entry = slice(int(indptr[row]), int(indptr[row + 1]))
        indices[entry] = (offsets[:, None] + items)[upper]
        values[entry] = _unit_outer(size, None if tilt is None else tilt[items])[upper]
    return Contribution(
        indptr=indptr,
        indices=indices,
        values=values,
        dimension=h * (h + 1) // 2,
        l2_bound=1.0,
        nonnegative=True,
    )


def _unit_outer(size: int, tilt: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """One history's outer product, of Frobenius norm 1, off-diagonal entries times sqrt(2)."""
    if tilt is None:
        outer = np.full((size, size), math.sqrt(2) / max(size, 1))
        np.fill_diagonal(outer, 1 / max(size, 1))
        return outer
    unit = tilt / max(float(np.linalg.norm(tilt)), 1e-300)
    outer = math.sqrt(2) * np.outer(unit, unit)
    np.fill_diagonal(outer, unit**2)
    return outer


def unpack_triangle(triangle: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """The symmetric matrix whose scaled upper triangle this is, shape ``(size, size)``."""
    matrix = np.zeros((size, size))
    rows, columns = np.triu_indices(size)
    matrix[rows, columns] = triangle / np.where(rows == columns, 1.0, math.sqrt(2))
    matrix[columns, rows] = matrix[rows, columns]
    return matrix


def _popularity_from_both(shared: SharedState, leading: Spikes) -> SharedState:
    """Popularity where no second direction stands out: both releases, by their precision.

    The leading eigenvector of co-occurrence is a second measurement of the head's popularity, up
    to its scale. Items outside of the head stay below it.
    """
    popularity = np.asarray(shared["popularity"], np.float64).copy()
    head = np.asarray(shared["head"], np.int64)
    if len(leading) == 1:
        vector = leading.vectors[:, 0] * np.sign(leading.vectors[:, 0].sum())
        overlap = float(leading.overlaps[0])
        length = float(popularity[head] @ vector) / math.sqrt(overlap)
        first = 1 / float(shared["popularity_noise"][0]) ** 2
        second = len(head) * overlap / (length**2 * max(1 - overlap, 1e-9))
        outside = np.ones(len(popularity), bool)
        outside[head] = False
        popularity[head] = (popularity[head] * first + length * vector * second) / (first + second)
        if outside.any():
            popularity[outside] += min(0.0, popularity[head].min() - popularity[outside].max())
    return {**shared, "popularity": popularity}


def _mapped(shared: SharedState, histories: NDArray[np.float64]) -> NDArray[np.float64]:
    """The map of rows over the head."""
    if "item_map" in shared:
        if len(histories) > 1:
            return np.asarray(histories @ shared["item_map"])
        held = np.flatnonzero(histories[0])  # a device reads the rows of its own items alone
        return np.asarray(histories[:, held] @ shared["item_map"][held])
    mapped = (histories @ shared["vectors"]) * shared["weights"]
    return np.asarray((mapped @ shared["vectors"].T) / shared["leave_out"])


def _of_map(
    shared: SharedState, rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Some of the map: what single items of the head pull on some."""
    if "item_map" in shared:
        return np.asarray(shared["item_map"][np.ix_(rows, columns)], np.float64)
    mapped = (shared["vectors"][rows] * shared["weights"]) @ shared["vectors"][columns].T
    return np.asarray(mapped / shared["leave_out"][columns])


def positions(shared: SharedState, n_items: int) -> NDArray[np.int64]:
    """Position of each item in the head, -1 outside of it."""
    head = np.asarray(shared["head"], np.int64)
    places = np.full(n_items, -1, np.int64)
    places[head] = np.arange(len(head))
    return places
