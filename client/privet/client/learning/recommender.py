"""Scores from everything that a device knows: a published model, its own events, what it was told.

A score is a sum, in units of what one event says (:mod:`privet.client.learning.published`):

- popularity, with the weight of one event;
- the published model's pull of each item of the history, times the item's weight;
- `CONTENT` times the taste's cosines (:mod:`privet.client.learning.taste`), in units of what one
  event says there;
- `TOPIC` for all of what somebody wished of a topic, in the share that the item has of it;
- `HABIT` times the log ratio of categories in this context
  (:mod:`privet.client.ranking.context`), by part of the day, kind of day, device and session.

So no weight depends on how many events there are, and yet the parts take over one after the other:
without events popularity is all there is; the first events add to it, in words and in the model's
pull, as much as one event each; with ten, popularity is a tenth. An item that the model does not
reach, a new one above all, has its words alone. A weight is at most 1, so that one event counts as
one whatever its value.

How the constants were chosen: on MovieLens 100K, a quarter of the users kept out of training, 3 to
50 of their events known, with popularity alone, Spectral at epsilon 8 and without privacy.
``docs/learning.md`` has the figures. Topics and habits were set by what they mean: a
topic that is wished for in full counts as three events; a habit takes twenty events to show.
"""

from array import array
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from privet.client.learning.habits import Habit, habits
from privet.client.learning.published import Published, PublishedPart
from privet.client.learning.scored import Pulling, Scored
from privet.client.learning.situation import Mode, Situation, said
from privet.client.learning.taste import solve, unit
from privet.client.learning.told import TOLD_KINDS, Topics
from privet.client.ranking.categories import Categories
from privet.client.ranking.context import same_session
from privet.client.vault.event import Event
from privet.client.vault.history import Tallied, Tally, Weighting
from privet.models.catalogue import Catalogue
from privet.models.content import ItemVectors
from privet.privacy.errors import InputError

CONTENT = 0.1
TOPIC = 3.0
HABIT = 0.5
_TICKS = 1024  # steps of decay in a half-life; between two, scores are not computed again


class Recommender:
    """What one device has learnt, in memory; no file, no connection, no clock.

    Args:
        catalogue: The items.
        vectors: Of the same catalogue.
        categories: Of the same catalogue.
        weighting: What events are worth, and how fast they fade.
        published: The published model, if there is one. Without it nothing is known of popularity:
            what nothing else tells apart stays in the catalogue's order, which is the app's.

    Raises:
        InputError: Categories or a model of another catalogue.

    Formal Guarantees:
        Scores follow from the events, the topics, the published model and the situation. Events may
        be observed one by one or all at once, and if their times are distinct in any order.
        Under `Mode.POPULAR` scores do not depend on the events, the topics or the situation; under
        `Mode.CONTEXTUAL` not on the topics or on events outside of the present session.
    """

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        vectors: ItemVectors,
        categories: Categories,
        weighting: Weighting,
        published: Published | None = None,
    ) -> None:
        """Know nothing of the user yet."""
        if len(categories.shares) != len(catalogue):
            raise InputError(
                f"Expected categories of {len(catalogue)} items, found {len(categories.shares)}."
            )
        self._catalogue, self._vectors, self._categories = catalogue, vectors, categories
        self._weighting = weighting
        spread = unit(vectors, len(catalogue))
        self._content = CONTENT / spread if spread > 0 else 0.0
        self._cached: tuple[tuple[object, ...], Pulling] | None = None
        self.adopt(published)
        self.reset(())

    def adopt(self, published: Published | None) -> None:
        """Use another published model, or none; what was learnt of the user stays.

        Raises:
            InputError: The model is of another catalogue; the one before stays.
        """
        part = None if published is None else PublishedPart(published, self._catalogue)
        self._published, self._cached = part, None

    def reset(self, events: Iterable[Event], *, topics: Mapping[str, float] | None = None) -> None:
        """Forget the user, and learn from these events and wishes alone."""
        self._tally = Tally(self._catalogue, self._weighting)
        self._topics = Topics(self._categories)
        self._codes: dict[str, int] = {"": 0}
        self._devices, self._sessions, self._told = array("q"), array("q"), array("b")
        self._cached = None
        self.set_topics(topics or {})
        self.observe(*events)

    def observe(self, *events: Event) -> None:
        """Learn from events that came since; cheap."""
        for event in events:
            self._topics.add(event)
            if self._tally.add(event) is not None:
                self._devices.append(self._code(said(event.context, "device")))
                self._sessions.append(self._code(said(event.context, "session")))
                self._told.append(event.kind in TOLD_KINDS)

    def set_topics(self, topics: Mapping[str, float]) -> None:
        """Take the profile's wishes by category, each in [-1, 1], in place of those before."""
        self._topics.set_profile(topics)

    def scores(self, mode: Mode, situation: Situation) -> Scored:
        """Scores of all items."""
        part = self._published
        n, topics = len(self._catalogue), np.zeros(len(self._categories.names))
        popularity = np.zeros(n) if part is None else part.popularity
        values, pulling = popularity, None
        found: tuple[Habit, ...] = ()
        if mode is not Mode.POPULAR:
            pulling = self._pulling(mode, situation)
            values = values + pulling.values
        if mode is Mode.PERSONAL:
            topics, found = TOPIC * self._topics.wishes, self._habits(situation)
            by_category = np.sum([topics, *(habit.weights for habit in found)], axis=0)
            if by_category.any():
                values = values + self._categories.shares @ by_category
        return Scored(
            values=values.copy() if values is popularity else values,
            _popularity=popularity,
            _vectors=self._vectors,
            _content=self._content,
            _pulling=pulling,
            _categories=self._categories,
            _topics=topics,
            _habits=found,
        )

    def excluded(
        self, mode: Mode, situation: Situation, *, exclude_seen: bool | None = None
    ) -> NDArray[np.int64]:
        """Items to leave out of a list because the user knows them, or spoke against them.

        Args:
            mode: By default `Mode.POPULAR` leaves nothing out: not to show what somebody has seen
                evaluates no taste, but it does read the history, and the mode without profiling is
                to need no argument about that. `Mode.CONTEXTUAL` leaves out the session's.
            situation: Of the request.
            exclude_seen: True to leave out whatever the history has, in every mode; False for
                nothing.
        """
        if exclude_seen is False or (mode is Mode.POPULAR and exclude_seen is None):
            return np.zeros(0, np.int64)
        session = mode is Mode.CONTEXTUAL and exclude_seen is None
        found = self._tally.at(situation.now, self._session(situation) if session else None)
        return found.items[(found.weights > 0) | (found.against > 0)]

    def liked(
        self, mode: Mode, situation: Situation
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Items that events speak for and how strongly, as `scores` sees it; none if popular."""
        if mode is Mode.POPULAR:
            return np.zeros(0, np.int64), np.zeros(0)
        pulling = self._pulling(mode, situation)
        return pulling.items, pulling.weights

    def _pulling(self, mode: Mode, situation: Situation) -> Pulling:
        """What the history adds; kept until an event, a tick of decay or another model comes."""
        session = self._session(situation) if mode is Mode.CONTEXTUAL else None
        key = (
            len(self._tally),
            self._tick(situation.now),
            None if session is None else session.tobytes(),
        )
        if self._cached is not None and self._cached[0] == key:
            return self._cached[1]
        told = np.array(self._told, np.bool_) & (True if session is None else session)
        pulling = self._pulled(
            self._tally.at(self._tick(situation.now), session),
            frozenset(self._tally.items[told].tolist()),
        )
        self._cached = (key, pulling)
        return pulling

    def _pulled(self, found: Tallied, told: frozenset[int]) -> Pulling:
        liked = found.weights > 0
        items, weights = found.items[liked], np.minimum(found.weights[liked], 1.0)
        strengths = np.minimum(found.weights, 1.0) - np.minimum(found.against, 1.0)
        taste = solve(self._vectors, found.items, strengths, found.order)
        values = np.zeros(len(self._catalogue))
        if len(taste.items) and self._content > 0:
            values += self._vectors.mixture(taste.items, self._content * taste.shares)
        model = None if self._published is None else self._published.pulled(items, weights)
        if model is not None:
            values += model.values
        return Pulling(
            items=items, weights=weights, model=model, taste=taste, told=told, values=values
        )

    def _habits(self, situation: Situation) -> tuple[Habit, ...]:
        """What this time of day, kind of day, session and device add."""
        marks = {"in this session": self._session(situation)}
        if situation.device:
            code = self._codes.get(situation.device, -1)
            marks["on this device"] = np.array(self._devices, np.int64) == code
        return habits(self._categories, self._tally, marks, situation, strength=HABIT)

    def _session(self, situation: Situation) -> NDArray[np.bool_]:
        """Of each event, whether it is of the present session."""
        if situation.session:
            code = self._codes.get(situation.session, -1)
            return np.asarray(np.array(self._sessions, np.int64) == code)
        return same_session(self._tally.times, situation.now)

    def _code(self, name: str) -> int:
        return self._codes.setdefault(name, len(self._codes))

    def _tick(self, now: int) -> int:
        """The time that decay is computed for."""
        life = self._weighting.half_life_seconds
        return 0 if life is None else now - now % max(1, int(life / _TICKS))
