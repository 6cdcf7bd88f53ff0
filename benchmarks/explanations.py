"""Whether explanations are the score: every recommendation of 1,000 users of MovieLens 1M.

Spectral at epsilon 4 with real noise, and without privacy; lists of 10, diversity 0.3, calibration
0.3. The score in question is `score`'s own plus the list's term; then the device's recommender's, with
words, a told topic, dislikes, habits by time and device, and decay. Prints the largest gap between a
score and the sum of its terms.
"""

import math
import os
from collections.abc import Iterator, Sequence

import numpy as np
from common import finish, real_task, table, train
from numpy.typing import NDArray

from privet.client.learning.published import Published
from privet.client.learning.recommender import Recommender
from privet.client.learning.situation import Mode, Situation
from privet.client.ranking.categories import Categories
from privet.client.ranking.explain import Basis, Term, explain, list_term, model_terms
from privet.client.ranking.rerank import ListRules, Placed, candidates, rerank
from privet.client.ranking.wording import say
from privet.client.vault.event import Event
from privet.client.vault.history import Weighting
from privet.models.cohort import Cohort
from privet.models.content import TfIdf
from privet.models.spectral import Spectral
from privet.privacy.accounting.adversaries import Trust
from privet.simulations.preparation import Task

USERS = int(os.environ.get("USERS", "1000"))
RULES = ListRules(diversity=0.3, calibration=0.3)
NOW, DAY = 1_700_000_000, 86_400
Explained = tuple[int, float, Sequence[Term]]


class Lists:
    """Lists of a task's users."""

    def __init__(self, task: Task) -> None:
        """Find the categories."""
        self.task, self.categories = task, Categories.of(task.catalogue)

    def users(self) -> Iterator[Cohort]:
        """The first users, one at a time."""
        return (self.task.train.slice(n, n + 1) for n in range(min(USERS, len(self.task.train))))

    def placed(self, scores: NDArray[np.float64], seen: NDArray[np.int32]) -> tuple[Placed, ...]:
        """A list of ten."""
        pool = candidates(scores, self.categories, RULES, seen=seen)
        wanted = self.categories.distribution(seen)
        return rerank(pool, scores, 10, categories=self.categories, rules=RULES, wanted=wanted)

    def by_model(self, published: Published) -> Iterator[Explained]:
        """Items, scores and terms by the model alone."""
        model, shared = published.model, published.shared
        for cohort in self.users():
            local = model.personalise(shared, {}, cohort)
            scores = model.score(shared, local, cohort)[0]
            placed = self.placed(scores, cohort.items)
            parts = model.parts(shared, local, cohort, np.array([entry.item for entry in placed]))
            for column, entry in enumerate(placed):
                terms = (*model_terms(parts, column, told=frozenset()), self.of_list(entry))
                yield entry.item, float(scores[entry.item]) + entry.delta, terms

    def by_device(self, published: Published) -> Iterator[Explained]:
        """The same by a device's recommender."""
        device = Recommender(
            catalogue=self.task.catalogue,
            vectors=TfIdf.build(self.task.catalogue),
            categories=self.categories,
            weighting=Weighting(half_life_seconds=30.0 * DAY),
            published=published,
        )
        situation = Situation(now=NOW, device="tv")
        for user, cohort in enumerate(self.users()):
            wished = self.categories.names[user % len(self.categories.names)]
            device.reset(self.events(cohort), topics={wished: 0.5})
            scored = device.scores(Mode.PERSONAL, situation)
            for entry in self.placed(scored.values, cohort.items):
                terms = (*scored.terms(entry.item), self.of_list(entry))
                yield entry.item, float(scored.values[entry.item]) + entry.delta, terms

    def events(self, cohort: Cohort) -> Iterator[Event]:
        """A history as events of some kinds, times and devices."""
        for n, item in enumerate(cohort.items.tolist()):
            kind, device = ("like", "view", "finish", "dislike")[n % 4], ("tv", "phone")[n % 3 == 0]
            yield Event(
                kind=kind,
                item=self.task.catalogue.item_ids[item],
                time=NOW - n * DAY // 3,
                context={"device": device},
            )

    def of_list(self, entry: Placed) -> Term:
        """What the list's rules added."""
        return list_term(entry, basis=Basis.TOLD)

    def largest_gap(self, found: Iterator[Explained]) -> tuple[int, float, str]:
        """Recommendations explained, the largest gap, and the first explanation in words."""
        explained, gap, first = 0, 0.0, ""
        for item, score, terms in found:
            gap = max(gap, abs(math.fsum(term.value for term in terms) - score))
            explanation = explain(item, score, terms)
            first = first or say(explanation, self.task.catalogue)
            explained += 1
        return explained, gap, first


def main() -> None:
    """Print the gaps; passes if they are at most 1e-6."""
    lists = Lists(real_task("ml-1m", "full_ranking.npz"))
    rows, figures = [], {}
    for epsilon in (4.0, math.inf):
        shared = train(Spectral(), lists.task, epsilon, Trust.CENTRAL).shared
        published = Published(model=Spectral(), shared=shared)
        for name, found in (
            ("model", lists.by_model(published)),
            ("device", lists.by_device(published)),
        ):
            explained, gap, first = lists.largest_gap(found)
            rows.append([f"{epsilon:g}", name, explained, f"{gap:.1e}", first])
            figures[f"{epsilon:g}/{name}"] = {"explained": explained, "largest_gap": gap}
    table(["epsilon", "scores", "recommendations", "largest gap", "the first one in words"], rows)
    worst = max(float(found["largest_gap"]) for found in figures.values())
    finish(figures, passed=worst <= 1e-6)


if __name__ == "__main__":
    main()
