"""What a catalogue says of its items, as columns of 0 and 1: categories, decades, frequent words.

All of it is public, and so is how many columns there are. As pairs of item and column they are
small enough to travel with a shared state; a constant column is added where they are used.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from privet.models.catalogue import Catalogue
from privet.models.words import terms

_MOST_CATEGORIES = 64
_MOST_WORDS = 64
_FEWEST_ITEMS = 2
_WORD_SHARES = (0.01, 0.3)  # rarer words are names, more frequent ones say nothing

FeaturePairs = Mapping[str, NDArray[np.int64]]


def feature_pairs(catalogue: Catalogue) -> dict[str, NDArray[np.int64]]:
    """Which item has which feature.

    Features are the most frequent categories (up to 64, of 2 items or more), the decades of
    release, and the words of descriptions that 1 to 30 % of the items have (the 64 most frequent).

    Returns:
        ``feature_items`` and ``feature_columns``, shape ``(pairs,)`` each, sorted by column and
        item; columns are numbered from 0 without gaps.
    """
    found: list[tuple[int, int]] = []
    columns = 0
    for sets in _families(catalogue):
        for items in sets:
            found += [(columns, item) for item in items]
            columns += 1
    pairs = np.array(found, np.int64).reshape(-1, 2)
    return {"feature_items": pairs[:, 1], "feature_columns": pairs[:, 0]}


def feature_matrix(pairs: FeaturePairs, n_items: int) -> NDArray[np.float64]:
    """The features with a constant column in front, shape ``(n_items, 1 + columns)``."""
    columns = pairs["feature_columns"]
    matrix = np.zeros((n_items, 2 + int(columns.max(initial=-1))))
    matrix[:, 0] = 1.0
    matrix[pairs["feature_items"], 1 + columns] = 1.0
    return matrix


def _families(catalogue: Catalogue) -> Iterator[list[list[int]]]:
    """Lists of the items that have a feature, one list for each, by family."""
    n = len(catalogue)
    yield _most_frequent(catalogue.categories, most=_MOST_CATEGORIES, fewest=_FEWEST_ITEMS, of=n)
    decades = [(str(year // 10),) if year > 0 else () for year in catalogue.years]
    yield _most_frequent(decades, most=n, fewest=_FEWEST_ITEMS, of=n)
    low, high = (share * n for share in _WORD_SHARES)
    texts = [tuple(terms(text)) for text in catalogue.descriptions]
    fewest = max(_FEWEST_ITEMS, int(np.ceil(low)))
    yield _most_frequent(texts, most=_MOST_WORDS, fewest=fewest, of=int(high))


def _most_frequent(
    names: Sequence[tuple[str, ...]], *, most: int, fewest: int, of: int
) -> list[list[int]]:
    """Items of each name that ``fewest`` to ``of`` items have, the ``most`` frequent names only."""
    counts = Counter(name for row in names for name in set(row))
    fitting = [(-count, name) for name, count in counts.items() if fewest <= count <= of]
    kept = sorted(name for _, name in sorted(fitting)[:most])
    by_name: dict[str, list[int]] = {name: [] for name in kept}
    for item, row in enumerate(names):
        for name in set(row) & by_name.keys():
            by_name[name].append(item)
    return [by_name[name] for name in kept]
