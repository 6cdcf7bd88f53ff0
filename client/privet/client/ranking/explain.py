"""Why an item was recommended: the terms of its score, never a story made up afterwards.

*Formal Guarantees*: the terms of an `Explanation` add up to its score within 1e-6 of the larger of 1
and the sum of their sizes, or it is not made.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from privet.client.ranking.categories import Categories
from privet.client.ranking.rerank import Placed
from privet.privacy.errors import IntegrityError

if TYPE_CHECKING:
    from privet.models.score_parts import ScoreParts

TOLERANCE = 1e-6


class Reason(StrEnum):
    """What a term of a score is about."""

    HISTORY = "history"
    DISLIKE = "dislike"
    TOPIC = "topic"
    CONTEXT = "context"
    POPULARITY = "popularity"
    OFFSET = "offset"
    LIST = "list"


class Basis(StrEnum):
    """Where a term comes from: what somebody said, what was concluded, or nothing about them."""

    TOLD = "told"
    INFERRED = "inferred"
    EVERYONE = "everyone"


@dataclass(frozen=True, kw_only=True)
class Term:
    """One summand of a score.

    Attributes:
        reason: What it is about.
        basis: Where it comes from.
        value: In units of the score.
        item: Of a history's or a dislike's term, the item of the history; else -1.
        topic: Of a topic's or a context's term, the category; else empty.
        context: Of a context's term, which one, in the host app's words; else empty.
    """

    reason: Reason
    basis: Basis
    value: float
    item: int = -1
    topic: str = ""
    context: str = ""


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """Everything that made a score.

    Attributes:
        item: Position in the catalogue.
        score: What the item was chosen by: the model's score, context, topics and the list's rules.
        terms: Largest first, by size.
    """

    item: int
    score: float
    terms: tuple[Term, ...]


def explain(item: int, score: float, terms: Iterable[Term]) -> Explanation:
    """Put the terms of a score together; terms of 0 are left away.

    Raises:
        IntegrityError: The terms do not add up to the score.
    """
    held = sorted((t for t in terms if t.value != 0), key=lambda t: abs(t.value), reverse=True)
    values = [term.value for term in held]
    allowance = TOLERANCE * max(1.0, math.fsum(map(abs, values)))
    if not abs(math.fsum(values) - score) <= allowance:
        raise IntegrityError(
            "Expected the terms of an explanation to add up to the score; they do not. "
            "A term is missing, or belongs to another score."
        )
    return Explanation(item=item, score=score, terms=tuple(held))


def model_terms(parts: "ScoreParts", column: int, *, told: frozenset[int]) -> tuple[Term, ...]:
    """The terms that a model added up for one item.

    Args:
        parts: From the model.
        column: The item's column in them.
        told: Items of the history that somebody spoke of (liked, rated); the others were inferred
            from what they did.
    """
    pulls = zip(parts.history.tolist(), parts.pulls[:, column].tolist(), strict=True)
    return (
        *(
            Term(
                reason=Reason.HISTORY,
                basis=Basis.TOLD if item in told else Basis.INFERRED,
                value=value,
                item=item,
            )
            for item, value in pulls
        ),
        Term(
            reason=Reason.POPULARITY,
            basis=Basis.EVERYONE,
            value=float(parts.popularity[column]),
        ),
        Term(reason=Reason.OFFSET, basis=Basis.EVERYONE, value=float(parts.offset[column])),
    )


def topic_terms(
    categories: Categories, weights: NDArray[np.float64], item: int, *, basis: Basis
) -> tuple[Term, ...]:
    """What weights of categories add to an item's score: ``shares @ weights``, term by term.

    Args:
        categories: Of the catalogue.
        weights: Of each category, such as topics that somebody follows.
        item: Position in the catalogue.
        basis: Told if somebody set the weights.
    """
    return tuple(
        Term(reason=Reason.TOPIC, basis=basis, value=value, topic=name)
        for name, value in _of_shares(categories, weights, item)
    )


def context_terms(
    categories: Categories, weights: NDArray[np.float64], item: int, *, context: str
) -> tuple[Term, ...]:
    """What a context adds to an item's score; weights from `context_weights`."""
    return tuple(
        Term(reason=Reason.CONTEXT, basis=Basis.INFERRED, value=value, topic=name, context=context)
        for name, value in _of_shares(categories, weights, item)
    )


def list_term(placed: Placed, *, basis: Basis) -> Term:
    """What re-ranking added; told if somebody set the list's rules, of everyone if the app did."""
    return Term(reason=Reason.LIST, basis=basis, value=placed.delta)


def _of_shares(
    categories: Categories, weights: NDArray[np.float64], item: int
) -> list[tuple[str, float]]:
    values = categories.shares[item] * weights
    return [(categories.names[at], float(values[at])) for at in np.flatnonzero(values).tolist()]
