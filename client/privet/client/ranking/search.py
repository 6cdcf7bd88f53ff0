"""Search of a catalogue on the device: wishes rank, everything else filters."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from privet.client.ranking.limits import Range
from privet.client.ranking.query import category_names, parse
from privet.client.ranking.titles import Likened, title_keys
from privet.client.ranking.understood import Understood, Wish
from privet.client.ranking.vocabulary import ENGLISH, Vocabulary
from privet.models.catalogue import Catalogue
from privet.models.content import ItemVectors, TfIdf
from privet.models.words import stem
from privet.privacy.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a search found.

    Attributes:
        understood: The query as it was understood.
        items: Positions in the catalogue, best first.
        scores: Cosine of each with what is wanted, or the mean of that and of the cosines with the
            items that it should be like; 0 where the query only filters.
        unknown: Words that no item has; the ranking cannot follow them, and nothing is left out
            for them.
        unused: Fields that the query limits and the catalogue lacks: ``years``, ``durations``,
            ``prices``.
    """

    understood: Understood
    items: tuple[int, ...]
    scores: tuple[float, ...]
    unknown: tuple[str, ...]
    unused: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Search:
    """A catalogue made ready for queries.

    Attributes:
        catalogue: The items.
        index: Their words; what is left out is looked up here.
        vectors: What wishes are ranked by: the index, or vectors of an encoder.
        names: What may be said for each category.
        having: Items of each category, in the catalogue's order.
        years: Shape ``(n_items,)``, 0 for unknown; no entries without the field.
        durations: In seconds, likewise.
        prices: In hundredths, likewise.
        vocabulary: The language of queries.
    """

    catalogue: Catalogue
    index: TfIdf
    vectors: ItemVectors
    names: Mapping[str, str]
    having: Mapping[str, NDArray[np.int64]]
    years: NDArray[np.int64]
    durations: NDArray[np.int64]
    prices: NDArray[np.int64]
    vocabulary: Vocabulary

    @classmethod
    def build(
        cls,
        catalogue: Catalogue,
        index: TfIdf,
        *,
        vectors: ItemVectors | None = None,
        vocabulary: Vocabulary = ENGLISH,
    ) -> "Search":
        """Make a catalogue ready.

        Args:
            catalogue: The items.
            index: Of the same catalogue.
            vectors: Of the same catalogue; the index if not given.
            vocabulary: The language of queries.

        Raises:
            InputError: An index of another number of items.
        """
        if len(index) != len(catalogue):
            raise InputError(
                f"The index has {len(index)} items, the catalogue {len(catalogue)}; build it anew."
            )
        having: dict[str, list[int]] = {}
        for item, names in enumerate(catalogue.categories):
            for name in names:
                having.setdefault(name, []).append(item)
        return cls(
            catalogue=catalogue,
            index=index,
            vectors=index if vectors is None else vectors,
            names=category_names(catalogue, vocabulary),
            having={name: np.array(items, np.int64) for name, items in having.items()},
            years=np.array(catalogue.years, np.int64),
            durations=np.array(catalogue.durations, np.int64),
            prices=np.array(catalogue.prices, np.int64),
            vocabulary=vocabulary,
        )

    def find(self, query: str, k: int, *, prior: NDArray[np.float64] | None = None) -> Found:
        """The ``k`` items that a query fits best.

        An item whose year, duration or price is unknown does not meet a wish for one, and is not
        left out by an unwanted one. "Cheap" is the cheaper third of what the query finds otherwise;
        beside items to be like, what costs less than each of them.

        Args:
            query: In plain words.
            k: How many at most, 0 or more.
            prior: Scores of all items, such as a model's; decides among equal cosines. Without it
                the catalogue's order does.

        Raises:
            InputError: A query that is too long, k below 0, or a prior of another size.
        """
        if k < 0 or (prior is not None and prior.shape != (len(self.catalogue),)):
            raise InputError("Expected k of 0 or more, and a prior for each item or none.")
        understood = parse(query, self.names, titled=self._titled, vocabulary=self.vocabulary)
        allowed = self.allowed(understood)
        scores = self._cosines(understood)
        if understood.wanted or understood.like:
            allowed &= scores > 0
        items = np.flatnonzero(allowed)
        if understood.cheap and len(self.prices):
            items = items[self._cheap(self.prices[items], understood)]
        ties = np.zeros(len(items)) if prior is None else -prior[items]
        best = items[np.lexsort((ties, -scores[items]))][:k]
        return Found(
            understood=understood,
            items=tuple(best.tolist()),
            scores=tuple(scores[best].tolist()),
            unknown=self._unknown(understood),
            unused=self._unused(understood),
        )

    def allowed(self, understood: Understood) -> NDArray[np.bool_]:
        """Items that a query does not leave out, shape ``(n_items,)``.

        An item that a query wants others to be like is left out itself.
        """
        allowed = np.ones(len(self.catalogue), bool)
        if len(self.years):
            allowed &= _meets(self.years, understood.years, understood.without_years)
        if len(self.durations):
            allowed &= _meets(self.durations, understood.durations, understood.without_durations)
        if len(self.prices):
            allowed &= _meets(self.prices, understood.prices, understood.without_prices)
        for wish in understood.without:
            allowed[self._items_of(wish)] = False
        allowed[[likened.item for likened in understood.like]] = False
        return allowed

    def _cosines(self, understood: Understood) -> NDArray[np.float32]:
        """Mean cosine of each item with the words that are wanted and the items to be like."""
        parts = [self.vectors.cosines_with(likened.item) for likened in understood.like]
        if understood.wanted:
            text = " ".join(wish.category or wish.said for wish in understood.wanted)
            parts.append(self.vectors.cosines(text))
        if not parts:
            return np.zeros(len(self.catalogue), np.float32)
        return np.asarray(np.mean(parts, axis=0, dtype=np.float32))

    def _cheap(self, prices: NDArray[np.int64], understood: Understood) -> NDArray[np.bool_]:
        """Which of some prices are cheap."""
        known = prices[prices > 0]
        limit = float(np.quantile(known, 1 / 3)) if len(known) else 0.0
        liked = self.prices[[likened.item for likened in understood.like]]
        if (liked > 0).any():
            limit = float(liked[liked > 0].min()) - 1
        return np.asarray((prices > 0) & (prices <= limit))

    @cached_property
    def _titles(self) -> Mapping[str, int]:
        """Made when a query first asks for what is like a title."""
        return title_keys(self.catalogue)

    def _titled(self, key: str) -> Likened | None:
        item = self._titles.get(key)
        return None if item is None else Likened(item=item, title=self.catalogue.titles[item])

    def _items_of(self, wish: Wish) -> NDArray[np.int64]:
        """Items of a wish's category, or that have its word; no other, whatever the hash says."""
        if wish.category:
            return self.having[wish.category]
        return self.index.having(stem(wish.said)).astype(np.int64)

    def _unknown(self, understood: Understood) -> tuple[str, ...]:
        said = (*understood.wanted, *understood.without)
        words = [wish for wish in said if not wish.category]
        return tuple(wish.said for wish in words if not len(self._items_of(wish)))

    def _unused(self, understood: Understood) -> tuple[str, ...]:
        years = understood.years or understood.without_years
        durations = understood.durations or understood.without_durations
        prices = understood.prices or understood.without_prices or understood.cheap
        limits = (
            ("years", years, self.years),
            ("durations", durations, self.durations),
            ("prices", prices, self.prices),
        )
        return tuple(name for name, asked, known in limits if asked and not len(known))


def _meets(
    values: NDArray[np.int64], wanted: tuple[Range, ...], without: tuple[Range, ...]
) -> NDArray[np.bool_]:
    """Values in one of the wanted ranges and in none of the others; 0 is unknown."""
    known = values != 0
    fits = np.full(len(values), not wanted)
    for found in wanted:
        fits |= known & (values >= found.low) & (values <= found.high)
    for found in without:
        fits &= ~(known & (values >= found.low) & (values <= found.high))
    return fits
