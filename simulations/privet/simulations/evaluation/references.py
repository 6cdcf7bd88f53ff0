"""References for the comparison table: what no privacy, and what no federation, would give.

`Ease` and `CentralisedPopularity` read everybody's history on one machine: no privacy at all.
`LocalOnly` shares nothing: whatever a federation learns has to be worth more than it.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from privet.models.catalogue import Catalogue
from privet.models.cohort import Cohort
from privet.models.ridge import item_map
from privet.privacy.errors import InputError

if TYPE_CHECKING:
    from scipy.sparse import csr_array

MAX_EASE_ITEMS = 10_000
"""Beyond this the dense map takes more than 800 MB, and n^3 operations more than half a minute."""

_BLOCK = 512


class Scorer(Protocol):
    """A fitted reference."""

    def score(self, history: Cohort) -> NDArray[np.float64]:
        """Scores of all items for each history, shape ``(len(history), n_items)``, higher first."""
        ...


class Reference(Protocol):
    """Something to compare with; its fields are its hyper-parameters."""

    def fit(self, train: Cohort, catalogue: Catalogue) -> Scorer:
        """Learn from everybody's training histories, never from held-out items.

        Raises:
            InputError: The cohort indexes another catalogue than the one given.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Ease:
    """Centralised EASE on binary histories: the strongest simple reference, without privacy.

    Attributes:
        reg: Ridge, above 0; 500 is good on MovieLens 1M.
    """

    reg: float = 500.0

    def fit(self, train: Cohort, catalogue: Catalogue) -> "LinearScorer":
        """Solve for the item-item map.

        Raises:
            InputError: ``reg`` not above 0, more than `MAX_EASE_ITEMS` items, or another catalogue.
        """
        _check(train, catalogue)
        n = train.n_items
        if n > MAX_EASE_ITEMS:
            raise InputError(
                f"EASE needs a dense {n} x {n} matrix ({n * n * 8 / 1e9:.1f} GB) and some {n}^3 "
                f"operations; it is refused beyond {MAX_EASE_ITEMS} items. Keep the most popular "
                f"{MAX_EASE_ITEMS} (Cohort.keep_items), or compare with CentralisedPopularity."
            )
        return LinearScorer(weights=item_map(gram(train), self.reg, overwrite=True))


@dataclass(frozen=True, kw_only=True)
class CentralisedPopularity:
    """How many training users have an item; the same for everybody."""

    def fit(self, train: Cohort, catalogue: Catalogue) -> "ConstantScorer":
        """Count."""
        _check(train, catalogue)
        counts = np.bincount(train.items, minlength=train.n_items)
        return ConstantScorer(scores=counts.astype(np.float64))


@dataclass(frozen=True, kw_only=True)
class LocalOnly:
    """No federation: each user from their own history alone, by the catalogue's public features.

    An item's features are its categories and its decade, scaled to norm 1; a score is the mean
    cosine with the items of the history. A catalogue without features gives everybody the score 0
    for everything, which is no hit under the tie rule.
    """

    def fit(self, train: Cohort, catalogue: Catalogue) -> "ContentScorer":
        """Reads the catalogue only; nothing of ``train`` but its size is looked at."""
        _check(train, catalogue)
        kinds, kind_of = np.unique(content_features(catalogue), axis=0, return_inverse=True)
        return ContentScorer(kinds=kinds, kind_of=kind_of.reshape(-1))


@dataclass(frozen=True, kw_only=True, eq=False)
class LinearScorer:
    """Scores ``x @ weights`` of a binary history x.

    Attributes:
        weights: Shape ``(n_items, n_items)``.
    """

    weights: NDArray[np.floating]

    def score(self, history: Cohort) -> NDArray[np.float64]:
        """Shape ``(len(history), n_items)``."""
        return np.asarray(_sparse(history) @ self.weights, np.float64)


@dataclass(frozen=True, kw_only=True, eq=False)
class ConstantScorer:
    """The same scores for everybody.

    Attributes:
        scores: Shape ``(n_items,)``.
    """

    scores: NDArray[np.float64]

    def score(self, history: Cohort) -> NDArray[np.float64]:
        """Shape ``(len(history), n_items)``, a read-only view."""
        return np.broadcast_to(self.scores, (len(history), len(self.scores)))


@dataclass(frozen=True, kw_only=True, eq=False)
class ContentScorer:
    """Mean cosine between an item's features and those of the history.

    Attributes:
        kinds: The distinct feature rows, shape ``(kinds, features)``, norm 1 or 0.
        kind_of: Which of them each item has, shape ``(n_items,)``.
    """

    kinds: NDArray[np.float64]
    kind_of: NDArray[np.int64]

    def score(self, history: Cohort) -> NDArray[np.float64]:
        """Shape ``(len(history), n_items)``; zeros for an empty history."""
        cell = history.rows * len(self.kinds) + self.kind_of[history.items]
        counts = np.bincount(cell, minlength=len(history) * len(self.kinds))
        taste = counts.reshape(len(history), -1) @ self.kinds
        taste /= np.maximum(history.sizes, 1)[:, None]
        # By kind, so that items of one kind tie exactly and not up to rounding.
        return (taste @ self.kinds.T)[:, self.kind_of]


def content_features(catalogue: Catalogue) -> NDArray[np.float64]:
    """Indicators of category and decade of each item, rows of norm 1, or 0 without features.

    Returns:
        Shape ``(n_items, features)``; no columns if the catalogue has no features.
    """
    tags: list[set[str]] = [set() for _ in range(len(catalogue))]
    for tag, names in zip(tags, catalogue.categories, strict=False):
        tag.update(f"category {name}" for name in names)
    for tag, year in zip(tags, catalogue.years, strict=False):
        if year:
            tag.add(f"decade {year // 10}")
    column = {name: at for at, name in enumerate(sorted(set().union(*tags)))}
    features = np.zeros((len(catalogue), len(column)))
    for row, tag in enumerate(tags):
        features[row, [column[name] for name in tag]] = 1 / max(len(tag), 1) ** 0.5
    return features


def gram(cohort: Cohort) -> NDArray[np.float64]:
    """How many users have both of two items, shape ``(n_items, n_items)``, dense and exact."""
    histories = _sparse(cohort)
    by_item, n = histories.T.tocsr(), cohort.n_items
    out = np.empty((n, n))
    # By blocks: the sparse product of a popular catalogue is larger than the dense one.
    for start in range(0, n, _BLOCK):
        out[start : start + _BLOCK] = (by_item[start : start + _BLOCK] @ histories).toarray()
    return out


def _sparse(cohort: Cohort) -> "csr_array":
    """The cohort as a binary sparse matrix, shape ``(n, n_items)``."""
    from scipy.sparse import csr_array

    ones = np.ones(len(cohort.items))
    return csr_array((ones, cohort.items, cohort.indptr), shape=(len(cohort), cohort.n_items))


def _check(train: Cohort, catalogue: Catalogue) -> None:
    """Refuse a cohort of another catalogue."""
    if train.n_items != len(catalogue):
        raise InputError(
            f"The histories index {train.n_items} items, the catalogue has {len(catalogue)}."
        )
