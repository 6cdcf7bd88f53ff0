"""Hybrid: co-occurrence as :mod:`privet.models.spectral` learns it, public features first.

Sensitivity. Release 1 is :mod:`privet.models.popularity`'s, of norm 1. In release 2 a device weighs
its items by public numbers, scales to a unit vector y over the head and offers the upper triangle of
y y^T as Spectral does: its squared norm is (sum_i y_i^2)^2 = 1, whatever the weights. An empty history
offers zero; no entry is negative. Features enter on the server, from the public catalogue alone, so
they cost no privacy. Tests: ``tests/models``, names starting with "hybrid".

The idea. Some thirty directions of public features hold much of what people's tastes have in common,
and in thirty dimensions the noise of a release ends far lower than in the head's hundreds. So what
stands out within the features' span is kept first, and what stands out of the rest second. The first
part reaches items outside of the head too, which nobody's events have to speak for.

Sources: :mod:`privet.models.shrinkage` for what stands out of the noise. Constants were chosen on a
part of MovieLens 1M's training data held back for it: ``docs/decisions/0014-hybrid.md``.
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
from privet.models.public_features import feature_matrix, feature_pairs
from privet.models.ridge import item_map
from privet.models.score_parts import ScoreParts
from privet.models.shrinkage import above_noise, noise_edge, spikes_of_co_occurrence
from privet.models.spectral import (
    Spectral,
    outer_products,
    positions,
    regulariser,
    signal,
    unpack_triangle,
)
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.contribution import Contribution
from privet.privacy.randomness import Randomness

_SPECTRAL = Spectral(head_scale=1.4)
_TILT = 0.15
_STRONG = 4000.0  # a signal from which on rarer items can be told from noise
_OUTSIDE = 0.55  # how far features are trusted for items that nobody's events spoke for
_FEATURE_RIDGE = 10.0
_SMALLEST_LEAVE_OUT = 0.1
_FLOOR = 1e-3


@dataclass(frozen=True, kw_only=True)
class Hybrid:
    """Public features and co-occurrence in one map of items to items."""

    name: ClassVar[str] = "hybrid"
    trusts: ClassVar[frozenset[Trust]] = frozenset({Trust.CENTRAL, Trust.SECURE_AGGREGATION})
    timed: ClassVar[bool] = False

    def begin(self, catalogue: Catalogue) -> SharedState:
        """The catalogue's features."""
        return feature_pairs(catalogue)

    def steps(self, facts: PublicFacts) -> Sequence[Step]:
        """Popularity, then co-occurrence within the head; popularity alone if there is none."""
        head = self.head_size(facts)
        if head == 0:
            return (popularity_step(facts.items, budget_share=1.0),)
        share = head_share(facts)
        return (
            popularity_step(facts.items, budget_share=share),
            Step(
                name="co-occurrence",
                dimension=head * (head + 1) // 2,
                nonnegative=True,
                budget_share=1 - share,
            ),
        )

    def head_size(self, facts: PublicFacts) -> int:
        """1.4 times Spectral's head, and down to a quarter of the signal that Spectral needs."""
        return _SPECTRAL.head_size(facts, least=0.25)

    def contribute(
        self,
        step: Step,
        shared: SharedState,
        local: LocalState,
        cohort: Cohort,
        rng: Randomness,
    ) -> tuple[Contribution, LocalState]:
        """Unit histories, then outer products of the weighted history over the head."""
        if step.name == "popularity":
            return unit_histories(cohort), local
        history = cohort.keep_items(positions(shared, cohort.n_items))
        head = np.asarray(shared["head"], np.int64)
        return outer_products(history, _tilt(shared)[head]), local

    def update(
        self, step: Step, shared: SharedState, release: Release, facts: PublicFacts
    ) -> SharedState:
        """The head from popularity; then features first, and what stands out of the rest."""
        if step.name == "popularity":
            return self._head(shared, release, facts)
        popularity = np.asarray(shared["popularity"], np.float64)
        head = np.asarray(shared["head"], np.int64)
        gram = unpack_triangle(release.total, len(head))
        found: SharedState = {"popularity": popularity, "head": head}
        if release.noise_std == 0:
            ridge_map = item_map(gram, regulariser(facts), overwrite=True)
            return {**found, "item_map": np.asarray(ridge_map, np.float64)}
        edge = noise_edge(release.noise_std, len(head))
        vectors, values = _directions(shared, gram, release.noise_std, edge)
        if len(values) <= 1:
            return found
        weights = values / (values + max(edge / 2, regulariser(facts)))
        own = (vectors**2) @ weights
        leave_out = np.maximum(1 - own, _SMALLEST_LEAVE_OUT)
        return {**found, "vectors": vectors, "weights": weights, "leave_out": leave_out}

    def _head(self, shared: SharedState, release: Release, facts: PublicFacts) -> SharedState:
        """Popularity, the head, and the head's weights."""
        size = self.head_size(facts)
        if size == 0:
            return {"popularity": release.total}
        order = np.argsort(-release.total, kind="stable")
        head = np.sort(order[:size]).astype(np.int64)
        power = np.array([tilt_power(facts)])
        return {**shared, "popularity": release.total, "head": head, "tilt_power": power}

    def personalise(self, shared: SharedState, local: LocalState, cohort: Cohort) -> LocalState:
        """Nothing beyond the history itself."""
        return local

    def score(self, shared: SharedState, local: LocalState, cohort: Cohort) -> NDArray[np.float64]:
        """The map of the history; popularity without one, or where nothing was learnt."""
        if "vectors" not in shared:
            return _SPECTRAL.score(shared, local, cohort)
        plain = Popularity().score(shared, local, cohort)
        mapped = _mapped(shared, cohort.dense())
        return np.where(cohort.sizes[:, None] > 0, mapped, plain)

    def reach(self, shared: SharedState) -> NDArray[np.int64]:
        """All items, if anything was learnt."""
        if "vectors" not in shared:
            return _SPECTRAL.reach(shared)
        return np.arange(len(shared["vectors"]), dtype=np.int64)

    def pull(self, shared: SharedState, local: LocalState, cohort: Cohort) -> NDArray[np.float64]:
        """The map of the weights over all items."""
        if "vectors" not in shared:
            return _SPECTRAL.pull(shared, local, cohort)
        return np.asarray(_mapped(shared, cohort.dense(binary=False))[0])

    def parts(
        self, shared: SharedState, local: LocalState, cohort: Cohort, items: NDArray[np.integer]
    ) -> ScoreParts:
        """What each item of the history adds; the map is linear, so the parts add up to the score."""
        if "vectors" not in shared:
            return _SPECTRAL.parts(shared, local, cohort, items)
        known = cohort.items.astype(np.int64)
        if not len(known):
            return ScoreParts.without_history(np.asarray(shared["popularity"], np.float64)[items])
        pulls = (shared["vectors"][known] * shared["weights"]) @ shared["vectors"][items].T
        return ScoreParts(
            history=known,
            pulls=np.asarray(pulls / shared["leave_out"][items], np.float64),
            popularity=np.zeros(len(items)),
            offset=np.zeros(len(items)),
        )


def head_share(facts: PublicFacts) -> float:
    """Share of mu squared for popularity: more where the signal is weak, from 8 to 25 %."""
    return 0.08 if math.isinf(facts.mu) else min(0.25, max(0.08, 5 / math.sqrt(signal(facts))))


def tilt_power(facts: PublicFacts) -> float:
    """How far items are weighed down by popularity, so that less norm goes to what everybody has.

    It pays where rarer items can be told from noise; without noise nothing is to be gained.
    """
    return _TILT if _STRONG <= signal(facts) < math.inf else 0.0


def _directions(
    shared: SharedState, gram: NDArray[np.float64], noise_std: float, edge: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Directions over all items that stand out, and their eigenvalues times the trust in each."""
    head = np.asarray(shared["head"], np.int64)
    basis = _basis(shared, head)
    within = basis[head]
    first = above_noise(within.T @ gram @ within, noise_edge(noise_std, within.shape[1]))
    found = within @ first.vectors
    rest = gram - found @ (found.T @ gram)
    rest -= (rest @ found) @ found.T
    second, _ = spikes_of_co_occurrence((rest + rest.T) / 2, edge)
    beyond = np.zeros((len(basis), len(second)))
    beyond[head] = second.vectors
    vectors = np.concatenate([basis @ first.vectors, beyond], axis=1)
    values = np.concatenate([first.values * first.overlaps, second.values * second.overlaps])
    return vectors, values


def _basis(shared: SharedState, head: NDArray[np.int64]) -> NDArray[np.float64]:
    """The span of popularity and features: orthonormal over the head, continued to all items.

    Rows of features are scaled by the square root of an item's popularity, as co-occurrence is.
    Outside of the head a ridge regression continues each direction, and less far.
    """
    popularity = _floored(np.asarray(shared["popularity"], np.float64))
    tilt = _tilt(shared)
    leading = popularity * tilt
    leading /= np.linalg.norm(leading[head])
    features = _features(shared, len(popularity)) * (np.sqrt(popularity) * tilt)[:, None]
    features -= np.outer(leading, leading[head] @ features[head])
    left, sizes, right = np.linalg.svd(features[head], full_matrices=False)
    kept = sizes > 1e-6 * max(float(sizes.max(initial=0.0)), 1e-300)
    ridge = _FEATURE_RIDGE * float(np.mean((popularity * tilt**2)[head]))
    continued = right[kept].T * (sizes[kept] / (sizes[kept] ** 2 + ridge))
    others = _OUTSIDE * (features @ continued)
    others[head] = left[:, kept]
    return np.column_stack([leading, others])


def _features(shared: SharedState, n_items: int) -> NDArray[np.float64]:
    pairs = {name: np.asarray(shared[name], np.int64) for name in _PAIRS}
    return feature_matrix(pairs, n_items)


_PAIRS = ("feature_items", "feature_columns")


def _floored(popularity: NDArray[np.float64]) -> NDArray[np.float64]:
    """Popularity above 0, so that powers of it exist."""
    return np.maximum(popularity, max(_FLOOR * float(popularity.max()), 1e-12))


def _tilt(shared: SharedState) -> NDArray[np.float64]:
    """Public weights of all items, falling with popularity."""
    popularity = _floored(np.asarray(shared["popularity"], np.float64))
    return np.asarray(popularity ** -float(shared["tilt_power"][0]), np.float64)


def _mapped(shared: SharedState, histories: NDArray[np.float64]) -> NDArray[np.float64]:
    """The map of rows over all items."""
    vectors = np.asarray(shared["vectors"], np.float64)
    if len(histories) == 1:  # a device reads the rows of its own items alone
        held = np.flatnonzero(histories[0])
        onto = histories[:, held] @ vectors[held]
    else:
        onto = histories @ vectors
    return np.asarray((onto * shared["weights"]) @ vectors.T / shared["leave_out"])
