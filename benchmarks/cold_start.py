"""What somebody new gets after 1, 3, 5 and 10 events, on MovieLens 1M.

One user in five is kept out of training (``USERS`` of them are asked, 1,208 by default, which is
all). Popularity and Spectral are trained on the others, each at epsilon 2 under central trust with
real noise, and without privacy. A new user's events come in random order, for the data set has no
times; after n of them the device's recommender ranks all other films, and what is counted is how many
of the user's other films are among the first 20 (Recall@20, over all of them). Popularity is the model
of that name with the whole budget, "model only" Spectral's own score, "content only" the recommender
without any model.

Passes if from 3 events on the recommender with Spectral is above popularity, by the 95 % interval of
the paired difference, at both epsilons.
"""

import math
import os
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from common import finish, real_task, table, train
from numpy.typing import NDArray

from privet.client.learning.published import Published
from privet.client.learning.recommender import Recommender
from privet.client.learning.situation import Mode, Situation
from privet.client.ranking.categories import Categories
from privet.client.vault.event import Event
from privet.client.vault.history import Weighting
from privet.models.cohort import Cohort
from privet.models.content import TfIdf
from privet.models.popularity import Popularity
from privet.models.score_parts import AdditiveModel
from privet.models.spectral import Spectral
from privet.privacy.accounting.adversaries import Trust
from privet.simulations.data.splits import merge
from privet.simulations.evaluation.intervals import Estimate, mean_interval, paired_difference
from privet.simulations.evaluation.metrics import evaluate
from privet.simulations.preparation import Task

USERS = int(os.environ.get("USERS", "1208"))
KNOWN = (1, 3, 5, 10)
FROM = 3
METRIC = "recall@20"
NOW = Situation(now=1_700_000_000)
Score = Callable[[Cohort], NDArray[np.float64]]


class World:
    """New users and who is trained on."""

    def __init__(self) -> None:
        """Keep a fifth of the users out."""
        whole = real_task("ml-1m", "full_ranking.npz")
        everything, self.catalogue = merge(whole.train, whole.test), whole.catalogue
        rng = np.random.default_rng(0)
        drawn = rng.permutation(len(everything))
        new = np.sort(drawn[: len(everything) // 5][:USERS])
        rest = everything.take(np.sort(drawn[len(everything) // 5 :]))
        self.new = everything.take(new)
        numbered = replace(rest, devices=np.arange(len(rest), dtype=np.int64))
        self.task = Task(
            name="ml-1m", catalogue=self.catalogue, train=numbered, test=numbered, negatives=None,
            split="users kept out")  # fmt: skip
        self.order = rng.random(len(self.new.items))
        self.content = TfIdf.build(self.catalogue)
        self.categories = Categories.of(self.catalogue)

    def after(self, known: int) -> tuple[Cohort, Cohort]:
        """The first events of each new user, and all others."""
        places = np.lexsort((self.order, self.new.rows))
        rank = np.empty(len(places), np.int64)
        rank[places] = np.arange(len(places)) - self.new.indptr[:-1][self.new.rows[places]]
        return self._kept(rank < known), self._kept(rank >= known)

    def _kept(self, chosen: NDArray[np.bool_]) -> Cohort:
        return Cohort.from_pairs(
            self.new.rows[chosen], self.new.items[chosen],
            n_users=len(self.new), n_items=self.new.n_items)  # fmt: skip

    def recommender(self, published: Published | None) -> Score:
        """A device's recommender, for one user after the other."""
        device = Recommender(
            catalogue=self.catalogue, vectors=self.content, categories=self.categories,
            weighting=Weighting(), published=published)  # fmt: skip
        ids = self.catalogue.item_ids

        def score(cohort: Cohort) -> NDArray[np.float64]:
            found = []
            for row in range(len(cohort)):
                items = cohort.slice(row, row + 1).items.tolist()
                device.reset(Event(kind="like", item=ids[item]) for item in items)
                found.append(device.scores(Mode.PERSONAL, NOW).values)
            return np.array(found)

        return score


def trained(model: AdditiveModel, task: Task, epsilon: float) -> Published:
    """A model published by a federation of the others."""
    return Published(model=model, shared=train(model, task, epsilon, Trust.CENTRAL).shared)


def scorers(world: World, epsilon: float) -> dict[str, Score]:
    """Everything that is compared, by name."""
    popularity = trained(Popularity(), world.task, epsilon)
    spectral = trained(Spectral(), world.task, epsilon)
    return {
        "popularity": lambda cohort: popularity.model.score(popularity.shared, {}, cohort),
        "content only": world.recommender(None),
        "model only": lambda cohort: spectral.model.score(spectral.shared, {}, cohort),
        "popularity, content": world.recommender(popularity),
        "everything": world.recommender(spectral),
    }


def shown(estimate: Estimate) -> str:
    """A mean and its interval."""
    return f"{estimate.mean:.4f} [{estimate.low:.4f}, {estimate.high:.4f}]"


def main() -> None:
    """Print recall by number of events; passes if the bar is met everywhere."""
    world, figures, passed = World(), {}, True
    rows = []
    for epsilon in (2.0, math.inf):
        compared = scorers(world, epsilon)
        for known in KNOWN:
            history, test = world.after(known)
            found = {
                name: evaluate(score, history, test, ks=(20,)).per_user[METRIC]
                for name, score in compared.items()
            }
            gain = paired_difference(found["everything"], found["popularity"])
            means = {name: mean_interval(values) for name, values in found.items()}
            rows.append([f"{epsilon:g}", known, *map(shown, means.values()), shown(gain)])
            figures[f"{epsilon:g}/{known}"] = {
                **{name: round(value.mean, 5) for name, value in means.items()},
                "gain": [round(end, 5) for end in (gain.mean, gain.low, gain.high)],
            }
            passed &= known < FROM or gain.low > 0
    table(["epsilon", "events", *compared, "everything - popularity"], rows)
    finish({"users": len(world.new), "recall@20": figures}, passed=passed)
    raise SystemExit(0 if passed else 1)


if __name__ == "__main__":
    main()
