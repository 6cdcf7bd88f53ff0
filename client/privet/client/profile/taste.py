"""A belief about one person's taste, and how much an answer would narrow it.

The taste is a vector t in the space of the model's factors, before any answer N(0, I), and item j's
score is ``factors[j] @ t``. Answers are linear observations of t with noise of variance 1, so the
belief stays Gaussian (Rasmussen and Williams 2006, section 2.1). Spectral's map weighs the direction
with eigenvalue v by v / (v + ridge): that is the mean of this belief for factors of squared length
v / ridge, so the published map gives factors and noise on one scale.

What an answer is worth is the variance of the scores that it removes, averaged over the items that
may come to be recommended (A-optimal design), as a share of what there was before any answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from privet.client.learning.published import Published
from privet.client.ranking.categories import Categories
from privet.models.catalogue import Catalogue

if TYPE_CHECKING:  # a model brings its plan and accounting along; an app without one needs neither
    from privet.models.model import SharedState

Vector = NDArray[np.float64]

_MOST_FACTORS = 64
_LARGEST_WEIGHT = 0.98
_SIGN = 2 / np.pi  # share of a Gaussian's variance that its sign takes away
_SMALLEST = 1e-12
_UNKNOWN = 0.02  # how well items are known where nothing says which are


@dataclass(frozen=True, kw_only=True, eq=False)
class Taste:
    """Items as factors of taste; public.

    Attributes:
        factors: Shape ``(n_items, d)``; a row of zeros for an item that nothing is known of.
        known: Share of people who know each item, relative to the best known one, in [0, 1].
        of_categories: Whether the factors are those of the categories, for want of a model.
    """

    factors: Vector
    known: Vector
    of_categories: bool = False

    @classmethod
    def of(
        cls, catalogue: Catalogue, categories: Categories, published: Published | None = None
    ) -> Self:
        """Factors of a published model of Spectral; without one, of the items' categories.

        Args:
            catalogue: The items.
            categories: Of the same catalogue.
            published: A model, as the recommender has it; of one that is not Spectral only the
                popularity is used.
        """
        n_items = len(catalogue)
        shared = {} if published is None else published.shared
        ids = published.item_ids if published is not None and published.item_ids else None
        places = [catalogue.index(item) for item in ids or catalogue.item_ids]
        held = np.array([place is not None for place in places], bool)
        place = np.array([-1 if at is None else at for at in places], np.int64)
        known = np.full(n_items, _UNKNOWN)
        if "popularity" in shared:
            popularity = np.maximum(np.asarray(shared["popularity"], np.float64), 0)
            known = np.zeros(n_items)
            known[place[held]] = popularity[held] / max(float(popularity.max()), _SMALLEST)
        if not {"vectors", "item_map"} & set(shared):
            return cls(factors=_common(categories.shares), known=known, of_categories=True)
        vectors, weights = _directions(shared)
        head = np.asarray(shared["head"], np.int64)
        factors = np.zeros((n_items, len(weights)))
        rows = (vectors * np.sqrt(weights / (1 - weights)))[held[head]]
        factors[place[head[held[head]]]] = rows
        return cls(factors=factors, known=known)

    def before(self) -> "Belief":
        """What is believed of somebody who has said nothing."""
        size = self.factors.shape[1]
        return Belief(mean=np.zeros(size), covariance=np.eye(size))


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Belief:
    """A Gaussian over tastes; sensitive.

    Attributes:
        mean: Shape ``(d,)``.
        covariance: Shape ``(d, d)``.
    """

    mean: Vector
    covariance: Vector

    def after(self, directions: Vector, values: Sequence[float]) -> "Belief":
        """The belief after answers.

        Args:
            directions: What was asked of, shape ``(m, d)``: an item's factors, say.
            values: What was said, shape ``(m,)``: 1 for yes, -1 for no.
        """
        if not len(directions):
            return self
        precision = np.linalg.inv(self.covariance)
        covariance = np.linalg.inv(precision + directions.T @ directions)
        mean = covariance @ (precision @ self.mean + directions.T @ np.asarray(values, np.float64))
        return Belief(mean=mean, covariance=(covariance + covariance.T) / 2)

    def variance(self, metric: Vector) -> float:
        """Variance of scores, averaged as the metric says: ``factors.T @ diag(w) @ factors``."""
        return float((self.covariance * metric).sum())

    def narrowed(self, directions: Vector, metric: Vector, *, by_sign: bool = False) -> Vector:
        """Variance that an answer on each direction would remove, shape ``(m,)``.

        Args:
            directions: Shape ``(m, d)``.
            metric: As in `variance`.
            by_sign: The answer says only which way, more or less, and says it without noise.
        """
        spread = directions @ self.covariance
        own = (spread * directions).sum(axis=1)
        removed = np.maximum(((spread @ metric) * spread).sum(axis=1), 0.0)
        share = _SIGN / np.maximum(own, _SMALLEST) if by_sign else 1 / (own + 1)
        return np.asarray(removed * share)

    def after_sign(self, direction: Vector, way: int) -> "Belief":
        """The belief after "more" (1), "less" (-1) or neither (0) of a direction.

        The mean and variance along it are those of a Gaussian whose sign is known; after neither
        the mean stays.
        """
        own = float(direction @ self.covariance @ direction)
        if own <= _SMALLEST:
            return self
        spread = self.covariance @ direction / own
        shift = way * np.sqrt(_SIGN * own)
        covariance = self.covariance - _SIGN * own * np.outer(spread, spread)
        return Belief(mean=self.mean + shift * spread, covariance=covariance)


def _directions(shared: "SharedState") -> tuple[Vector, Vector]:
    """Leading orthonormal directions over the head, and their weights in [0, 1)."""
    if "vectors" in shared:
        vectors = np.asarray(shared["vectors"], np.float64)
        weights = np.asarray(shared["weights"], np.float64)
    else:
        item_map = np.asarray(shared["item_map"], np.float64)
        weights, vectors = _leading((item_map + item_map.T) / 2)
    order = np.argsort(-weights)[:_MOST_FACTORS]
    return vectors[:, order], np.clip(weights[order], 0.0, _LARGEST_WEIGHT)


def _common(shares: Vector) -> Vector:
    """Centred shares of the most common categories."""
    kept = np.sort(np.argsort(-shares.sum(axis=0), kind="stable")[:_MOST_FACTORS])
    return np.asarray(shares[:, kept] - shares[:, kept].mean(axis=0))


def _leading(matrix: Vector) -> tuple[Vector, Vector]:
    """Leading eigenpairs of a symmetric matrix by subspace iteration (Halko et al. 2011, 4.5)."""
    columns = np.arange(1, min(len(matrix), 80) + 1)
    start = np.cos(np.outer(np.arange(len(matrix)) + 0.5, columns) ** 1.5)  # no chance, same bytes
    for _ in range(3):
        start = np.linalg.qr(matrix @ start)[0]
    values, vectors = np.linalg.eigh(start.T @ matrix @ start)
    return np.asarray(values, np.float64), np.asarray(start @ vectors, np.float64)
