"""Whether explanations are the score: every recommendation of 1,000 users of MovieLens 1M.

Spectral at epsilon 4 with real noise, and without privacy; lists of 10, diversity 0.3, calibration
0.3. The score in question is `score`'s own plus the list's term. Prints the largest gap between a
score and the sum of its terms.
"""

import math
import os

import numpy as np
from common import finish, measure, real_task, table

from privet.client.ranking.categories import Categories
from privet.client.ranking.explain import Basis, explain, list_term, model_terms
from privet.client.ranking.rerank import ListRules, candidates, rerank
from privet.client.ranking.wording import say
from privet.models.spectral import Spectral
from privet.privacy.accounting.adversaries import Trust
from privet.simulations.preparation import Task

USERS = int(os.environ.get("USERS", "1000"))
RULES = ListRules(diversity=0.3, calibration=0.3)


def largest_gap(task: Task, epsilon: float) -> tuple[int, float, str]:
    """Recommendations explained, the largest gap, and the first explanation in words."""
    model, categories, first = Spectral(), Categories.of(task.catalogue), ""
    shared = measure(model, task, epsilon, Trust.CENTRAL)[0].shared
    explained, gap = 0, 0.0
    for user in range(min(USERS, len(task.train))):
        cohort = task.train.slice(user, user + 1)
        scores = model.score(shared, {}, cohort)[0]
        pool = candidates(scores, categories, RULES, seen=cohort.items)
        wanted = categories.distribution(cohort.items)
        placed = rerank(pool, scores, 10, categories=categories, rules=RULES, wanted=wanted)
        items = np.array([entry.item for entry in placed])
        parts = model.parts(shared, {}, cohort, items)
        for column, entry in enumerate(placed):
            terms = [
                *model_terms(parts, column, told=frozenset()),
                list_term(entry, basis=Basis.TOLD),
            ]
            score = float(scores[entry.item]) + entry.delta
            gap = max(gap, abs(math.fsum(term.value for term in terms) - score))
            found = explain(entry.item, score, terms)
            first = first or say(found, task.catalogue)
            explained += 1
    return explained, gap, first


def main() -> None:
    """Print both gaps; passes if they are at most 1e-6."""
    task = real_task("ml-1m", "full_ranking.npz")
    rows, figures = [], {}
    for epsilon in (4.0, math.inf):
        explained, gap, first = largest_gap(task, epsilon)
        rows.append([f"{epsilon:g}", explained, f"{gap:.1e}", first])
        figures[f"{epsilon:g}"] = {"explained": explained, "largest_gap": gap}
    table(["epsilon", "recommendations", "largest gap", "the first one in words"], rows)
    worst = max(float(found["largest_gap"]) for found in figures.values())
    finish(figures, passed=worst <= 1e-6)


if __name__ == "__main__":
    main()
