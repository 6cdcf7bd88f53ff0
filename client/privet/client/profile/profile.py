"""What the client thinks of its user, in numbers: every part told or inferred.

This is a view, made anew from the store whenever somebody looks; what it is made of is in the store
alone. What the recommender does with events is not changed by what is shown of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from privet.client.learning.told import LESS, MORE, TOLD_KINDS, TOPIC, Topics
from privet.client.profile.contexts import CONTEXTS, FEWEST_EVENTS, within
from privet.client.profile.questions import Answer, Ask, Asked, asked
from privet.client.profile.sensitive import Sensitive
from privet.client.profile.topics import edits, shows_inferred, wishes
from privet.client.ranking.categories import Categories
from privet.client.ranking.context import context_weights
from privet.client.ranking.explain import Basis
from privet.client.vault.event import Event, Value
from privet.client.vault.history import Tallied, Tally, Weighting
from privet.models.catalogue import Catalogue

_PRIOR = 5.0  # items that the catalogue's own shares count as
_LEAST = 0.1
_LEAST_HABIT = 0.2
_WAY = {Answer.MORE: 1.0, Answer.LESS: -1.0}


@dataclass(frozen=True, kw_only=True, repr=False)
class Topic:
    """What is thought of a topic.

    Attributes:
        name: A category, or an aspect of reviews.
        weight: From -1, avoided, to 1, liked.
        basis: Told or inferred.
        locked: Whether its user locked it.
    """

    name: str
    weight: float
    basis: Basis
    locked: bool = False


@dataclass(frozen=True, kw_only=True, repr=False)
class Liking:
    """What is thought of an item.

    Attributes:
        item: Its identifier.
        weight: Strength, above 0 for liked and below 0 for disliked items.
        basis: Told or inferred.
    """

    item: str
    weight: float
    basis: Basis


@dataclass(frozen=True, kw_only=True, repr=False)
class Custom:
    """What is thought of a habit.

    Attributes:
        context: One of `privet.client.profile.contexts.CONTEXTS`.
        topic: A category.
        weight: Above 0 if it is liked more in this context than usual, below 0 if less.
        basis: Told or inferred.
    """

    context: str
    topic: str
    weight: float
    basis: Basis


@dataclass(frozen=True, kw_only=True, repr=False)
class Profile:
    """Everything that the client thinks of its user. Its representation shows nothing of it.

    Attributes:
        topics: Largest weights first, by size.
        liked: Items, strongest first.
        disliked: Items, strongest first.
        customs: Largest weights first, by size.
        answers: Questions that were put, oldest first.
        shows_inferred: Whether what was inferred is among it.
    """

    topics: tuple[Topic, ...]
    liked: tuple[Liking, ...]
    disliked: tuple[Liking, ...]
    customs: tuple[Custom, ...]
    answers: tuple[Asked, ...]
    shows_inferred: bool


def profile_of(
    events: Sequence[Event],
    entries: Mapping[str, Value],
    *,
    catalogue: Catalogue,
    categories: Categories,
    weighting: Weighting,
    now: int,
    utc_offset_s: int = 0,
    sensitive: Sensitive | None = None,
    most: int = 20,
) -> Profile:
    """Make the profile.

    Args:
        events: All of the store, in order of time.
        entries: The store's profile entries by name.
        catalogue: The items; what it does not have is left out.
        categories: Of the same catalogue.
        weighting: What events are worth.
        now: Unix seconds.
        utc_offset_s: Local time less UTC.
        sensitive: Topics that are not inferred; the defaults if not given.
        most: How many topics, liked items, disliked items and customs of each kind at most.

    Formal Guarantees:
        What is told is in it whatever is inferred; a topic that was edited is not inferred. Nothing
        inferred touches on a sensitive topic, and there is none at all if its user hid it.
    """
    policy, shown = sensitive or Sensitive(), shows_inferred(entries)
    tally = Tally(catalogue, weighting)
    for event in events:
        tally.add(event)
    found = tally.at(now)
    told = _told(events, entries, categories)
    topics, customs = list(told), _told_customs(entries)
    fine = np.array([not policy.touches([name]) for name in categories.names], bool)
    if shown:
        closed = {topic.name for topic in told} | set(edits(entries))
        topics += [t for t in _inferred(found, categories, fine) if t.name not in closed]
        said = {(custom.context, custom.topic) for custom in customs}
        for custom in _customs(tally, categories, fine, utc_offset_s):
            if (custom.context, custom.topic) not in said and custom.topic not in closed:
                customs.append(custom)
    likings = _likings(found, events, catalogue, shown=shown)
    return Profile(
        topics=tuple(sorted(topics, key=lambda t: (-abs(t.weight), t.name))[:most]),
        liked=tuple(one for one in likings if one.weight > 0)[:most],
        disliked=tuple(one for one in likings if one.weight < 0)[:most],
        customs=tuple(sorted(customs, key=lambda c: -abs(c.weight))[:most]),
        answers=tuple(asked(entries)),
        shows_inferred=shown,
    )


def _told(
    events: Sequence[Event], entries: Mapping[str, Value], categories: Categories
) -> list[Topic]:
    """Topics as the recommender has them from what was told, and other aspects of reviews."""
    held = wishes(events, entries)
    feedback = Topics(categories)
    for event in events:
        feedback.add(event)
    named = {event.context.get(TOPIC) for event in events if event.kind in (MORE, LESS)}
    for name, weight in zip(categories.names, feedback.wishes.tolist(), strict=True):
        if name in named:
            held.setdefault(name, weight)
    made = edits(entries)
    return [
        Topic(name=name, weight=weight, basis=Basis.TOLD, locked=name in made and made[name].locked)
        for name, weight in held.items()
        if not (name in made and made[name].removed)
    ]


def _inferred(found: Tallied, categories: Categories, fine: NDArray[np.bool_]) -> list[Topic]:
    """Topics by how the history's share s compares with the catalogue's c: (s - c) / (s + c)."""
    usual = categories.distribution(np.arange(len(categories.shares)))
    here = categories.shares[found.items[found.weights > 0]].sum(axis=0)
    shares = (here + _PRIOR * usual) / (here.sum() + _PRIOR)
    weights = (shares - usual) / np.maximum(shares + usual, 1e-12)
    chosen = np.flatnonzero(fine & (np.abs(weights) >= _LEAST))
    return [
        Topic(name=categories.names[at], weight=float(weights[at]), basis=Basis.INFERRED)
        for at in chosen.tolist()
    ]


def _likings(
    found: Tallied, events: Sequence[Event], catalogue: Catalogue, *, shown: bool
) -> list[Liking]:
    """Items by what speaks for or against them, strongest first, of equals the latest first."""
    spoken = {event.item for event in events if event.kind in TOLD_KINDS}
    strengths = found.weights - found.against
    rows = sorted(
        np.flatnonzero(strengths).tolist(),
        key=lambda row: (-abs(strengths[row]), -found.order[row]),
    )
    out = []
    for row in rows:
        item = catalogue.item_ids[found.items[row]]
        basis = Basis.TOLD if item in spoken else Basis.INFERRED
        if shown or basis is Basis.TOLD:
            out.append(Liking(item=item, weight=float(strengths[row]), basis=basis))
    return out


def _told_customs(entries: Mapping[str, Value]) -> list[Custom]:
    return [
        Custom(
            context=put.question.context,
            topic=put.question.category,
            weight=_WAY[put.answer],
            basis=Basis.TOLD,
        )
        for put in asked(entries)
        if put.question.kind is Ask.CONTEXT and put.answer in _WAY
    ]


def _customs(
    tally: Tally, categories: Categories, fine: NDArray[np.bool_], utc_offset_s: int
) -> list[Custom]:
    """Categories that the history has clearly more or less of in a context."""
    liked = np.flatnonzero(tally.strengths > 0)
    items, times = tally.items[liked], tally.times[liked]
    found = []
    for context in CONTEXTS:
        selected = within(times, context, utc_offset_s=utc_offset_s)
        if not FEWEST_EVENTS <= int(selected.sum()) < len(times):
            continue
        weights = context_weights(categories, items, selected, strength=1.0)
        for at in np.flatnonzero(fine & (np.abs(weights) >= _LEAST_HABIT)).tolist():
            name, weight = categories.names[at], float(weights[at])
            found.append(Custom(context=context, topic=name, weight=weight, basis=Basis.INFERRED))
    return found
