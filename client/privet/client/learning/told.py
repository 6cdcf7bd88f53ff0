"""What a user said of topics: wishes that count from the first moment and do not fade."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from privet.client.learning.situation import said
from privet.client.ranking.categories import Categories
from privet.client.vault.event import Event
from privet.privacy.errors import InputError

MORE, LESS = "more", "less"
TOPIC = "topic"
"""In the context of an event of these two kinds: the category that it is about."""
TOLD_KINDS = frozenset({"like", "dislike", "rate", "review", MORE, LESS})
"""Kinds of events by which somebody says what they think; from all others it is inferred."""


class Topics:
    """Wishes by category.

    A topic's wish is what the profile says of it, in [-1, 1]. Of a topic that the profile does not
    name it is 1 for each "more" less 1 for each "less", cut to [-1, 1]. Categories that the
    catalogue lacks are kept in mind for nothing.

    Args:
        categories: Of the catalogue.
    """

    def __init__(self, categories: Categories) -> None:
        """No wishes."""
        self._column = {name: at for at, name in enumerate(categories.names)}
        self._feedback = np.zeros(len(categories.names))
        self._profile = np.full(len(categories.names), np.nan)

    def add(self, event: Event) -> None:
        """Follow feedback on a topic; any other event changes nothing."""
        at = self._column.get(said(event.context, TOPIC))
        if at is not None and event.kind in (MORE, LESS):
            strength = 1.0 if event.value is None else max(0.0, min(1.0, event.value))
            self._feedback[at] += strength if event.kind == MORE else -strength

    def set_profile(self, wishes: Mapping[str, float]) -> None:
        """Take the profile's wishes in place of those before.

        Raises:
            InputError: A wish that is not in [-1, 1].
        """
        if not all(-1 <= wish <= 1 for wish in wishes.values()):
            raise InputError("Expected a wish in [-1, 1] for each topic.")
        self._profile[:] = np.nan
        for name, wish in wishes.items():
            if name in self._column:
                self._profile[self._column[name]] = wish

    @property
    def wishes(self) -> NDArray[np.float64]:
        """Of each category, in [-1, 1]."""
        feedback = np.clip(self._feedback, -1, 1)
        return np.where(np.isnan(self._profile), feedback, self._profile)
