"""Items as vectors made from what the catalogue says of them, and cosines between these.

Hashed TF-IDF: a term's column is a keyed hash of the term, so there is no vocabulary to ship or to
keep in step, and an item that comes tomorrow fits into today's space. A sign from the same hash
makes colliding terms cancel in expectation (Weinberger et al. 2009, arXiv 0902.2206). All is public
and deterministic: the same catalogue and settings give the same bytes on every device.

An encoder that an app brings along (:mod:`privet.models.encoders`) gives dense vectors with the same
interface, `ItemVectors`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from privet.models.catalogue import Catalogue
from privet.models.words import terms
from privet.privacy.errors import InputError

_LONGEST_SEED = 64


class ItemVectors(Protocol):
    """Items as vectors of norm 1, or 0 for items that nothing is known of."""

    def cosines(self, text: str) -> NDArray[np.float32]:
        """Cosine of every item with a text, shape ``(n_items,)``; zeros for a text without meaning."""

    def cosines_with(self, item: int) -> NDArray[np.float32]:
        """Cosine of every item with one of them, shape ``(n_items,)``."""

    def similarities(self, items: NDArray[np.integer]) -> NDArray[np.float32]:
        """Cosines among some items, shape ``(m, m)``."""

    def mixture(
        self, items: NDArray[np.integer], weights: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Every item's weighted sum of its cosines with some, shape ``(n_items,)``.

        Sums are taken in float64 and agree with those of `cosines_between` within 1e-12 of the sum
        of the weights' sizes.
        """

    def cosines_between(self, item: int, items: NDArray[np.integer]) -> NDArray[np.float64]:
        """Cosines of one item with some, shape ``(m,)``."""


@dataclass(frozen=True, kw_only=True)
class Hashing:
    """How texts become columns: public, and part of what makes vectors comparable.

    Attributes:
        columns: Size of the space, 2 to 2^24. With v distinct terms a term shares its column with
            another one with a probability of about v / columns.
        seed: Keys the hash, at most 64 bytes of UTF-8.
        title_weight: What a term in the title counts, in terms of the description.
        category_weight: What a term in a category's name counts.

    Raises:
        InputError: A value out of its range.
    """

    columns: int = 1 << 18
    seed: str = "privet"
    title_weight: float = 2.0
    category_weight: float = 2.0

    def __post_init__(self) -> None:
        """Check all four."""
        if not 2 <= self.columns <= 1 << 24:
            raise InputError(f"Expected 2 to 2^24 columns, found {self.columns}.")
        if len(self.seed.encode()) > _LONGEST_SEED:
            raise InputError(f"Expected a seed of at most {_LONGEST_SEED} bytes.")
        for name in ("title_weight", "category_weight"):
            if not 0 <= getattr(self, name) < np.inf:
                raise InputError(f"Expected {name} of 0 or more, found {getattr(self, name)}.")

    def place(self, term: str) -> tuple[int, int]:
        """A term's column and its sign, 1 or -1."""
        number = int.from_bytes(self._digest(term)[:8], "little")
        return (number >> 1) % self.columns, 1 - 2 * (number & 1)

    def fingerprint(self, term: str) -> int:
        """63 further bits of the hash, above 0: two terms have the same with a chance of 2^-63."""
        return int.from_bytes(self._digest(term)[8:], "little") | 1

    def _digest(self, term: str) -> bytes:
        return blake2b(term.encode(), digest_size=16, key=self.seed.encode()).digest()


@dataclass(frozen=True, kw_only=True, eq=False)
class TfIdf:
    """Sparse item vectors, by row and by column.

    Attributes:
        hashing: How texts become columns.
        idf: Weight of each column, ``1 + log((1 + n) / (1 + items that have it))``, float32.
        indptr: Of the rows, shape ``(n_items + 1,)``, int64.
        columns: Sorted and distinct within a row, int32.
        values: float32; each row has norm 1, or no entries.
        starts: Where each column begins in ``postings``, shape ``(hashing.columns + 1,)``, int64.
        postings: Item of each entry, by column, int32.
        posted: Value of each entry, by column, float32.
        shared: Items of each term that shares its column, by fingerprint.
        owners: Fingerprint of the only term of each column; 0 if several share it, or none. uint64.
    """

    hashing: Hashing
    idf: NDArray[np.float32]
    indptr: NDArray[np.int64]
    columns: NDArray[np.int32]
    values: NDArray[np.float32]
    starts: NDArray[np.int64]
    postings: NDArray[np.int32]
    posted: NDArray[np.float32]
    owners: NDArray[np.uint64]
    shared: Mapping[int, NDArray[np.int32]]

    @classmethod
    def build(cls, catalogue: Catalogue, hashing: Hashing | None = None) -> "TfIdf":
        """The vectors of a catalogue's titles, categories and descriptions.

        A term's frequency is ``log(1 + weighted count)``.
        """
        hashing, n = hashing or Hashing(), len(catalogue)
        rows, columns, values, owners, shared = _frequencies(catalogue, hashing)
        found = np.bincount(columns, minlength=hashing.columns)
        idf = (1 + np.log((1 + n) / (1 + found))).astype(np.float32)
        weighted = values * idf[columns]
        norms = np.sqrt(np.bincount(rows, weights=weighted**2, minlength=n))
        unit = (weighted / np.where(norms > 0, norms, 1)[rows]).astype(np.float32)
        by_column = np.argsort(columns, kind="stable")
        return cls(
            hashing=hashing,
            idf=idf,
            indptr=_starts(np.bincount(rows, minlength=n)),
            columns=columns.astype(np.int32),
            values=unit,
            starts=_starts(found),
            postings=rows[by_column].astype(np.int32),
            posted=unit[by_column],
            owners=owners,
            shared=shared,
        )

    def __len__(self) -> int:
        """Number of items."""
        return len(self.indptr) - 1

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        rows = self.indptr.nbytes + self.columns.nbytes + self.values.nbytes
        columns = self.starts.nbytes + self.postings.nbytes + self.posted.nbytes
        shared = sum(items.nbytes for items in self.shared.values())
        return rows + columns + self.idf.nbytes + self.owners.nbytes + shared

    def having(self, term: str) -> NDArray[np.int32]:
        """Items that have a stem, and no other, whatever it shares its column with."""
        column, _ = self.hashing.place(term)
        mark = self.hashing.fingerprint(term)
        if int(self.owners[column]) == mark:
            return self.postings[self.starts[column] : self.starts[column + 1]]
        return self.shared.get(mark, np.zeros(0, np.int32))

    def cosines(self, text: str) -> NDArray[np.float32]:
        """Cosine of every item with a text, shape ``(n_items,)``."""
        counts: dict[str, int] = {}
        for term in terms(text):
            counts[term] = counts.get(term, 0) + 1
        placed = [(*self.hashing.place(term), count) for term, count in counts.items()]
        columns = np.array([column for column, _, _ in placed], np.int64)
        signed = np.array([sign * np.log1p(count) for _, sign, count in placed], np.float64)
        kinds, where = np.unique(columns, return_inverse=True)
        found = np.bincount(where, weights=signed, minlength=len(kinds))
        weights = found.astype(np.float64) * self.idf[kinds].astype(np.float64)
        return self._dot(kinds, weights / (float(np.linalg.norm(weights)) or 1.0))

    def cosines_with(self, item: int) -> NDArray[np.float32]:
        """Cosine of every item with one of them, shape ``(n_items,)``."""
        row = slice(int(self.indptr[item]), int(self.indptr[item + 1]))
        return self._dot(self.columns[row].astype(np.int64), self.values[row].astype(np.float64))

    def similarities(self, items: NDArray[np.integer]) -> NDArray[np.float32]:
        """Cosines among some items, shape ``(m, m)``; memory is m times their distinct columns."""
        sizes, entries = self._entries(items)
        kinds, where = np.unique(self.columns[entries], return_inverse=True)
        dense = np.zeros((len(items), len(kinds)), np.float32)
        dense[np.repeat(np.arange(len(items)), sizes), where] = self.values[entries]
        return np.asarray(dense @ dense.T)

    def mixture(
        self, items: NDArray[np.integer], weights: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Every item's weighted sum of its cosines with some; time grows with the index."""
        sizes, entries = self._entries(items)
        kinds = self._kinds
        taste = np.zeros(int(kinds.max(initial=-1)) + 1)
        np.add.at(taste, kinds[entries], np.repeat(weights, sizes) * self.values[entries])
        products = taste.take(kinds, mode="clip")  # all are in range; clip does not check
        products *= self.values
        out = np.zeros(len(self))
        held = np.flatnonzero(np.diff(self.indptr))
        if len(held):
            out[held] = np.add.reduceat(products, self.indptr[held])
        return out

    def cosines_between(self, item: int, items: NDArray[np.integer]) -> NDArray[np.float64]:
        """Cosines of one item with some, shape ``(m,)``."""
        _, own = self._entries(np.array([item]))
        sizes, entries = self._entries(items)
        at = np.searchsorted(self.columns[own], self.columns[entries])
        at[at == len(own)] = 0
        same = (
            np.flatnonzero(self.columns[own][at] == self.columns[entries]) if len(own) else at[:0]
        )
        rows = np.repeat(np.arange(len(items)), sizes)[same]
        products = self.values[own][at[same]].astype(np.float64) * self.values[entries[same]]
        return np.bincount(rows, weights=products, minlength=len(items)).astype(np.float64)

    @cached_property
    def _kinds(self) -> NDArray[np.intp]:
        """Columns numbered without gaps, so that what is looked up by them fits into a cache."""
        return (np.cumsum(np.diff(self.starts) > 0) - 1)[self.columns]

    def _entries(self, items: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """How many entries each of some rows has, and where they are."""
        sizes = np.diff(self.indptr)[items]
        ends = np.cumsum(sizes)
        return sizes, np.arange(sizes.sum()) + np.repeat(self.indptr[items] - (ends - sizes), sizes)

    def _dot(self, columns: NDArray[np.int64], weights: NDArray[np.float64]) -> NDArray[np.float32]:
        """Products of every item with a sparse vector, column after column."""
        out = np.zeros(len(self))
        for column, weight in zip(columns.tolist(), weights.tolist(), strict=True):
            where = slice(int(self.starts[column]), int(self.starts[column + 1]))
            out[self.postings[where]] += weight * self.posted[where]
        return out.astype(np.float32)


def item_terms(catalogue: Catalogue, item: int) -> set[str]:
    """All terms that the catalogue has of an item."""
    return {term for text, _ in item_texts(catalogue, item) for term in terms(text)}


def nearest(vectors: ItemVectors, item: int, k: int) -> tuple[tuple[int, float], ...]:
    """The ``k`` items most like one of them, and their cosines; none that have nothing in common.

    Ties are in the catalogue's order.
    """
    cosines = vectors.cosines_with(item)
    order = [other for other in np.argsort(-cosines, kind="stable").tolist() if other != item]
    return tuple((other, float(cosines[other])) for other in order[:k] if cosines[other] > 0)


def item_texts(
    catalogue: Catalogue, item: int, hashing: Hashing | None = None
) -> Iterator[tuple[str, float]]:
    """Texts of an item and what a term in each of them counts."""
    hashing = hashing or Hashing()
    if catalogue.titles:
        yield catalogue.titles[item], hashing.title_weight
    if catalogue.categories:
        yield from ((name, hashing.category_weight) for name in catalogue.categories[item])
    if catalogue.descriptions:
        yield catalogue.descriptions[item], 1.0


def _frequencies(
    catalogue: Catalogue, hashing: Hashing
) -> tuple[
    NDArray[np.int64],
    NDArray[np.int64],
    NDArray[np.float64],
    NDArray[np.uint64],
    dict[int, NDArray[np.int32]],
]:
    """Row, column and signed frequency of every entry, sorted by row and column; who shares."""
    numbers: dict[str, int] = {}
    rows: list[int] = []
    found: list[int] = []
    values: list[float] = []
    for item in range(len(catalogue)):
        counts: dict[int, float] = {}
        for text, weight in item_texts(catalogue, item, hashing):
            for term in terms(text):
                number = numbers.setdefault(term, len(numbers))
                counts[number] = counts.get(number, 0.0) + weight
        rows += [item] * len(counts)
        found += counts.keys()
        values += counts.values()
    places = np.array([hashing.place(term) for term in numbers], np.int64).reshape(-1, 2)
    at = np.array(found, np.int64)
    signed = np.log1p(np.array(values, np.float64)) * places[at, 1]
    keys = np.array(rows, np.int64) * hashing.columns + places[at, 0]
    cells, where = np.unique(keys, return_inverse=True)
    summed = np.bincount(where, weights=signed, minlength=len(cells)).astype(np.float64)
    marks = np.array([hashing.fingerprint(term) for term in numbers], np.uint64)
    crowded = np.bincount(places[:, 0], minlength=hashing.columns) > 1
    owners = np.zeros(hashing.columns, np.uint64)
    owners[places[:, 0]] = marks
    owners[crowded] = 0
    sharing = np.flatnonzero(crowded[places[at, 0]])
    sharing = sharing[np.argsort(at[sharing], kind="stable")]
    ids, first = np.unique(at[sharing], return_index=True)
    parts = np.split(np.array(rows, np.int32)[sharing], first[1:])
    shared = {int(marks[term]): items for term, items in zip(ids.tolist(), parts, strict=False)}
    return cells // hashing.columns, cells % hashing.columns, summed, owners, shared


def _starts(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
