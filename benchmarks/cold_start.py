"""What somebody new gets after 1, 3, 5 and 10 events, on MovieLens 1M.

One user in five is kept out of training (``USERS`` of them are asked, 1,208 by default, which is
all). Popularity and Spectral are trained on the others, each at epsilon 2 under central trust with
real noise, and without privacy. A new user's events come in random order, for the data set has no
times; after n of them the device's recommender ranks all other films, and what is counted is how many
of the user's other films are among the first 20 (Recall@20, over all of them). Popularity is the model
of that name with the whole budget, "model only" Spectral's own score, "content only" the recommender
without any model.

Then one film in ten is kept out of training as well, at epsilon 2, and after 10 events the recommender
ranks these new films alone, of which the model knows nothing; "chance" is any order.

Passes if from 3 events on the recommender with Spectral is above popularity at both epsilons, and new
films above chance, by the 95 % interval of the paired difference.
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
from privet.models.catalogue import Catalogue
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
EPSILONS = (2.0, math.inf)
KNOWN = (1, 3, 5, 10)
NEW_FILMS = 10  # one in so many
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
        self.new_films = rng.random(len(self.catalogue)) < 1 / NEW_FILMS
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
        return some(self.new, rank < known), some(self.new, rank >= known)

    def task_without_new_films(self) -> Task:
        """Training that does not know some films."""
        old = np.flatnonzero(~self.new_films)
        positions = np.full(len(self.catalogue), -1, np.int64)
        positions[old] = np.arange(len(old))
        ids = tuple(self.catalogue.item_ids[item] for item in old)
        train = self.task.train.keep_items(positions)
        return replace(self.task, catalogue=Catalogue(item_ids=ids), train=train, test=train)

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


def some(cohort: Cohort, chosen: NDArray[np.bool_]) -> Cohort:
    """The same users with some of their events."""
    return Cohort.from_pairs(
        cohort.rows[chosen], cohort.items[chosen], n_users=len(cohort), n_items=cohort.n_items
    )


def trained(model: AdditiveModel, task: Task, epsilon: float) -> Published:
    """A model published by a federation of the others."""
    shared = train(model, task, epsilon, Trust.CENTRAL).shared
    return Published(model=model, shared=shared, item_ids=task.catalogue.item_ids)


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


def of_new_films(world: World, epsilon: float) -> dict[str, NDArray[np.float64]]:
    """Recall among new films of each user who has some, by name."""
    model = trained(Spectral(), world.task_without_new_films(), epsilon)
    history, test = world.after(max(KNOWN))
    new = world.new_films
    history, test = some(history, ~new[history.items]), some(test, new[test.items])
    rng, recommender = np.random.default_rng(1), world.recommender(model)

    def chance(cohort: Cohort) -> NDArray[np.float64]:
        return np.where(new, rng.random((len(cohort), len(new))), -np.inf)

    def words(cohort: Cohort) -> NDArray[np.float64]:
        return np.where(new, recommender(cohort), -np.inf)

    compared = {"chance": chance, "new films": words}
    return {
        name: evaluate(score, history, test, ks=(20,)).per_user[METRIC]
        for name, score in compared.items()
    }


def shown(estimate: Estimate) -> str:
    """A mean and its interval."""
    return f"{estimate.mean:.4f} [{estimate.low:.4f}, {estimate.high:.4f}]"


class Judged:
    """Recall of each user by name, and what one gains on another, collected row by row."""

    def __init__(self, *, better: str, than: str) -> None:
        """Compare two of the names."""
        self.better, self.than = better, than
        self.rows: list[list[str]] = []
        self.figures: dict[str, object] = {}
        self.names: list[str] = []

    def add(self, label: str, found: dict[str, NDArray[np.float64]]) -> Estimate:
        """Add a row; the gain."""
        self.names = list(found)
        means = {name: mean_interval(values) for name, values in found.items()}
        gain = paired_difference(found[self.better], found[self.than])
        self.rows.append([label, *map(shown, means.values()), shown(gain)])
        self.figures[label] = {
            **{name: round(value.mean, 5) for name, value in means.items()},
            "gain": [round(end, 5) for end in (gain.mean, gain.low, gain.high)],
        }
        return gain

    def print(self) -> None:
        """A table."""
        header = ["epsilon / events", *self.names, f"{self.better} - {self.than}"]
        table(header, self.rows)


def main() -> None:
    """Print recall by number of events; passes if the bar is met everywhere."""
    world, passed = World(), True
    users = Judged(better="everything", than="popularity")
    films = Judged(better="new films", than="chance")
    for epsilon in EPSILONS:
        compared = scorers(world, epsilon)
        for known in KNOWN:
            history, test = world.after(known)
            gain = users.add(
                f"{epsilon:g} / {known}",
                {
                    name: evaluate(score, history, test, ks=(20,)).per_user[METRIC]
                    for name, score in compared.items()
                },
            )
            passed &= known < FROM or gain.low > 0
    gain = films.add(f"{EPSILONS[0]:g} / {max(KNOWN)}", of_new_films(world, EPSILONS[0]))
    passed &= gain.low > 0
    users.print()
    films.print()
    figures = {"users": len(world.new), "new users": users.figures, "new films": films.figures}
    finish(figures, passed=passed)
    raise SystemExit(0 if passed else 1)


if __name__ == "__main__":
    main()
