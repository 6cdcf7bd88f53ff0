"""The catalogue: the items and their public features, versioned by hash.

Public by definition. A catalogue that was inferred from interactions is itself something learnt
from users, so it says so, and the report lists it as unprotected.
"""

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property

from privet.privacy.errors import InputError

_FEATURES = ("titles", "categories", "years", "descriptions", "durations", "prices")


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """Items in a fixed order, with public features.

    Attributes:
        item_ids: The items' identifiers, any distinct strings; position is the item's index.
        titles: A title an item, or empty.
        categories: A tuple of category names an item (genres, departments), or empty.
        years: Year of release an item, 0 where unknown, or empty.
        descriptions: A text an item, possibly empty, or no texts at all.
        durations: How long an item takes, in whole seconds, 0 where unknown, or empty.
        prices: What an item costs, in hundredths of the catalogue's one currency, 0 where unknown,
            or empty.
        declared_public: True if the list came from a source of its own; False if it was inferred
            from users' interactions.

    Raises:
        InputError: Empty or repeated identifiers, a feature of another length, or a duration or
            price below 0.
    """

    item_ids: tuple[str, ...]
    titles: tuple[str, ...] = ()
    categories: tuple[tuple[str, ...], ...] = ()
    years: tuple[int, ...] = ()
    descriptions: tuple[str, ...] = ()
    durations: tuple[int, ...] = ()
    prices: tuple[int, ...] = ()
    declared_public: bool = True
    _index: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check lengths and build the index."""
        if not self.item_ids:
            raise InputError("The catalogue is empty: expected at least one item.")
        index = {item: position for position, item in enumerate(self.item_ids)}
        if len(index) != len(self.item_ids):
            raise InputError(
                f"Item identifiers must be distinct: found {len(self.item_ids)} items "
                f"of which {len(index)} are distinct."
            )
        for name in _FEATURES:
            found = len(getattr(self, name))
            if found not in (0, len(self.item_ids)):
                raise InputError(
                    f"Expected {name} for all {len(self.item_ids)} items or none, found {found}."
                )
        for name in ("durations", "prices"):
            least = min(getattr(self, name), default=0)
            if least < 0:
                raise InputError(f"Expected {name} of 0 or more, found {least}.")
        object.__setattr__(self, "_index", index)

    def __len__(self) -> int:
        """Number of items."""
        return len(self.item_ids)

    def index(self, item_id: str) -> int | None:
        """Position of an item, or None if the catalogue does not have it."""
        return self._index.get(item_id)

    @cached_property
    def hash(self) -> str:
        """SHA-256 over items and features: the catalogue's version."""
        features = [getattr(self, name) for name in _FEATURES]
        body = [self.item_ids, *features, self.declared_public]
        text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()
