"""Progressive profiling: the one question that is worth most now, if one is worth it.

Worth is the expected share of the variance of scores that an answer removes, averaged over the items
at the head of the user's present list (:mod:`privet.client.profile.taste`), times the chance that
there is an answer: that somebody knows the item. So a question is about something that the ranking
hangs on, that is not known yet, and that people can say something about.

Which item is asked about goes by the chance times a *root* of that variance: where only an answer
counts, and half of the questions get none, what people know is worth more than what would tell most
(Rashid et al. 2002, who take the logarithm of one of them). The constants were chosen on MovieLens
100K: a head of 20 items; the fourth root; the chance of knowing an item from popularity before the
first like, after it the mean of that and of the belief; what is said of categories counts 3 %, for
answers about whole categories moved rankings little there; without a model they are all there is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from privet.client.profile.contexts import unclear
from privet.client.profile.questions import Answer, Ask, Question, asked
from privet.client.profile.sensitive import Sensitive
from privet.client.profile.taste import Belief, Taste
from privet.client.profile.topics import edits
from privet.client.ranking.categories import Categories
from privet.client.vault.event import Event, Value
from privet.client.vault.history import Tally, Weighting
from privet.models.catalogue import Catalogue
from privet.privacy.errors import InputError

HEAD = 20
_ROOT = 0.25
_CATEGORY_TRUST = 0.03
_WAYS = {Answer.MORE: 1, Answer.LESS: -1, Answer.SAME: 0}


@dataclass(frozen=True, kw_only=True)
class AskRules:
    """An app's policy of asking; public.

    Attributes:
        kinds: What may be asked.
        least_worth: A question that is worth less is not put; 0 to ask as long as there is one.
        effort: How many questions about one item a choice between two counts as.
        most_known: Share of people that know the best known item.
        pool: How many items, the best known ones, may be asked about.
        sensitive: What nobody is asked about.

    Raises:
        InputError: A value out of its range.
    """

    kinds: frozenset[Ask] = frozenset(Ask)
    least_worth: float = 0.01
    effort: float = 1.2
    most_known: float = 0.6
    pool: int = 300
    sensitive: Sensitive = field(default_factory=Sensitive)

    def __post_init__(self) -> None:
        """Check the numbers."""
        fine = 0 <= self.least_worth <= 1 and self.effort >= 1 and 0 < self.most_known <= 1
        if not fine or self.pool < 0:
            raise InputError(
                "Expected least_worth in [0, 1], effort of at least 1, most_known in (0, 1] and a "
                "pool of 0 or more."
            )


class Asker:
    """Chooses questions.

    Args:
        catalogue: The items.
        categories: Of the same catalogue.
        taste: Of the same catalogue.
        weighting: What events are worth.
        rules: The app's policy.

    Formal Guarantees:
        A question that was put is not put again, whatever was answered; no item of the history is
        asked about, nor a topic that was locked or removed; nothing that `AskRules.sensitive`
        touches is asked about.
    """

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        categories: Categories,
        taste: Taste,
        weighting: Weighting,
        rules: AskRules | None = None,
    ) -> None:
        """Find what may be asked about."""
        self._catalogue, self._categories, self._taste = catalogue, categories, taste
        self._weighting, self._rules = weighting, rules or AskRules()
        sensitive, known = self._rules.sensitive, taste.known
        self._pool: list[int] = []
        for item in np.argsort(-known, kind="stable").tolist():
            if len(self._pool) == self._rules.pool:
                break
            if known[item] > 0 and not sensitive.of_item(catalogue, item):
                self._pool.append(item)
        fine = [not sensitive.touches([name]) for name in categories.names]
        self._columns = np.flatnonzero(np.array(fine, bool)).astype(np.int64)
        self._directions = _of_categories(categories, taste)
        self._trust = 1.0 if taste.of_categories else _CATEGORY_TRUST

    def next(
        self,
        scores: NDArray[np.float64],
        *,
        events: Sequence[Event],
        entries: Mapping[str, Value],
        now: int,
        utc_offset_s: int = 0,
    ) -> Question | None:
        """The question that is worth most, or None if none is worth it.

        Args:
            scores: Of all items for this user, such as the recommender's, shape ``(n_items,)``.
            events: All of the store, in order of time.
            entries: The store's profile entries by name.
            now: Unix seconds.
            utc_offset_s: Local time less UTC.

        Raises:
            InputError: Scores of another catalogue.
        """
        if scores.shape != (len(self._catalogue),):
            raise InputError(f"Expected scores of {len(self._catalogue)} items.")
        tally = Tally(self._catalogue, self._weighting)
        for event in events:
            tally.add(event)
        found = tally.at(now)
        names = {put.question.name for put in asked(entries)}
        fixed = {name for name, edit in edits(entries).items() if edit.locked}
        closed = set(found.items.tolist())
        for put in asked(entries):
            indices = (self._catalogue.index(item) for item in put.question.items)
            closed.update(index for index in indices if index is not None)
        belief = self._belief(found.items, np.sign(found.weights - found.against), entries)
        head, metric = self._head(scores, found.items)
        whole = self._taste.before().variance(metric)
        if whole <= 0:
            return None
        pool = np.array([item for item in self._pool if item not in closed], np.int64)
        chances = self._chances(belief, pool, liked=bool((found.weights > 0).any()))
        candidates = [
            *self._of_items(belief, metric, pool, chances),
            *self._of_categories(belief, metric),
            *self._of_contexts(tally, head, utc_offset_s, float(np.trace(metric))),
        ]
        allowed = [
            (worth / whole, question)
            for worth, question in candidates
            if question.kind in self._rules.kinds
            and question.name not in names
            and question.category not in fixed
        ]
        worth, best = max(allowed, key=lambda pair: pair[0], default=(0.0, None))
        if best is None or worth <= 0 or worth < self._rules.least_worth:
            return None
        return replace(best, worth=min(1.0, worth))

    def _belief(
        self,
        items: NDArray[np.int64],
        signs: NDArray[np.float64],
        entries: Mapping[str, Value],
    ) -> Belief:
        """What the history and answers about categories say."""
        said = np.flatnonzero(signs)
        belief = self._taste.before().after(self._taste.factors[items[said]], signs[said].tolist())
        column = {name: at for at, name in enumerate(self._categories.names)}
        for put in asked(entries):
            at = column.get(put.question.category)
            if put.question.kind is Ask.CATEGORY and at is not None and put.answer in _WAYS:
                belief = belief.after_sign(self._directions[at], _WAYS[put.answer])
        return belief

    def _head(
        self, scores: NDArray[np.float64], seen: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The first items of the list, and the metric that weighs them alike."""
        open_scores = scores.astype(np.float64)
        open_scores[seen] = -np.inf
        head = np.argsort(-open_scores, kind="stable")[:HEAD]
        factors = self._taste.factors[head]
        return head, np.asarray(factors.T @ factors / max(len(head), 1))

    def _chances(
        self, belief: Belief, pool: NDArray[np.int64], *, liked: bool
    ) -> NDArray[np.float64]:
        """Chance that there is an answer about each item."""
        usual = self._taste.known[pool] * self._rules.most_known
        if not liked:
            return usual
        return np.asarray(np.clip((usual + self._taste.factors[pool] @ belief.mean) / 2, 0.0, 0.95))

    def _of_items(
        self,
        belief: Belief,
        metric: NDArray[np.float64],
        pool: NDArray[np.int64],
        chances: NDArray[np.float64],
    ) -> list[tuple[float, Question]]:
        """The best item, and the best choice: that item and the one that adds most to it."""
        if not len(pool):
            return []
        ids, factors = self._catalogue.item_ids, self._taste.factors[pool]
        gains = belief.narrowed(factors, metric)
        best = int(np.argmax(chances * gains**_ROOT))
        worth, first = float(chances[best] * gains[best]), ids[pool[best]]
        found = [(worth, Question(kind=Ask.LIKE, items=(first,)))]
        gains = belief.after(factors[best : best + 1], [1.0]).narrowed(factors, metric)
        gains[best] = 0.0
        other = int(np.argmax(chances * gains**_ROOT))
        if other != best:
            worth = (worth + float(chances[other] * gains[other])) / self._rules.effort
            found.append((worth, Question(kind=Ask.CHOICE, items=(first, ids[pool[other]]))))
        return found

    def _of_categories(
        self, belief: Belief, metric: NDArray[np.float64]
    ) -> list[tuple[float, Question]]:
        gains = belief.narrowed(self._directions[self._columns], metric, by_sign=True)
        names = [self._categories.names[at] for at in self._columns]
        return [
            (self._trust * gain, Question(kind=Ask.CATEGORY, category=name))
            for gain, name in zip(gains.tolist(), names, strict=True)
        ]

    def _of_contexts(
        self, tally: Tally, head: NDArray[np.int64], utc_offset_s: int, scale: float
    ) -> list[tuple[float, Question]]:
        """What it is worth as a share of what all of taste makes of the head's scores."""
        return [
            (
                self._trust * scale * spread,
                Question(kind=Ask.CONTEXT, category=self._categories.names[at], context=context),
            )
            for context, at, spread in unclear(
                tally, self._categories, self._columns, head, utc_offset_s=utc_offset_s
            )
        ]


def _of_categories(categories: Categories, taste: Taste) -> NDArray[np.float64]:
    """Mean factors of each category's items less those of all items, as far as they are known."""
    known = taste.known / max(float(taste.known.sum()), 1e-12)
    weights = categories.shares * known[:, None]
    weights = weights / np.maximum(weights.sum(axis=0), 1e-12)
    return np.asarray(weights.T @ taste.factors - known @ taste.factors)
