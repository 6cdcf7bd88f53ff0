"""What the diversity dial and calibration cost and bring on MovieLens 1M.

Scores are Spectral's and popularity's, each from one federation at epsilon 4 under central trust
with real noise. Lists of 10 of ``USERS`` users (500 by default) with a test item; intervals are
95 % over users, steps of the dial are paired. Similarity is the cosine of content features (titles
and genres); calibration is to the genres of the history (Steck 2018).

Diversity passes if no step of the dial lowers it, or raises NDCG, beyond the step's interval, and the
whole dial does what it should. Calibration passes if its error at least halves at an NDCG no lower
than that of the plain lists less 5 %, for Spectral: the strength is chosen on the users of even rows
and judged on the others.
"""

import os
from itertools import pairwise

import numpy as np
from common import finish, measure, real_task, table
from numpy.typing import NDArray

from privet.client.ranking.categories import Categories, calibration_error
from privet.client.ranking.rerank import ListRules, candidates, intra_list_diversity, rerank
from privet.models.content import TfIdf
from privet.models.model import Model
from privet.models.popularity import Popularity
from privet.models.spectral import Spectral
from privet.privacy.accounting.adversaries import Trust
from privet.simulations.evaluation.intervals import Estimate, mean_interval, paired_difference
from privet.simulations.preparation import Task

K = 10
EPSILON = 4.0
USERS = int(os.environ.get("USERS", "500"))
DIALS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
STRENGTHS = (0.0, 0.2, 0.4, 0.6, 0.7, 0.8)
Lists = dict[str, NDArray[np.float64]]


class World:
    """What every list is made from and judged by."""

    def __init__(self, task: Task) -> None:
        """Draw the users and build content features."""
        rng = np.random.default_rng(0)
        tested = np.flatnonzero((task.test.sizes > 0) & (task.train.sizes > 0))
        rows = np.sort(rng.permutation(tested)[:USERS])
        self.train, self.test = task.train.take(rows), task.test.take(rows)
        self.categories = Categories.of(task.catalogue)
        self.index = TfIdf.build(task.catalogue)

    def scores(self, model: Model, task: Task) -> NDArray[np.float64]:
        """Scores of the drawn users from one federation, shape (users, items)."""
        federated, _ = measure(model, task, EPSILON, Trust.CENTRAL)
        local = model.personalise(federated.shared, {}, self.train)
        return model.score(federated.shared, local, self.train)

    def lists(self, scores: NDArray[np.float64], settings: list[ListRules]) -> list[Lists]:
        """Metrics of each user under each setting."""
        found: list[list[tuple[float, float, float]]] = [[] for _ in settings]
        for user in range(len(self.train)):
            seen = self.train.slice(user, user + 1).items
            held = set(self.test.slice(user, user + 1).items.tolist())
            wanted = self.categories.distribution(seen)
            pool = candidates(scores[user], self.categories, settings[0], seen=seen)
            similar = self.index.similarities(pool)
            for at, rules in enumerate(settings):
                placed = rerank(pool, scores[user], K, categories=self.categories, rules=rules,
                                similarities=similar, wanted=wanted)  # fmt: skip
                items = np.array([entry.item for entry in placed])
                error = calibration_error(wanted, self.categories.distribution(items))
                found[at].append(
                    (
                        ndcg(items, held),
                        intra_list_diversity(self.index.similarities(items)),
                        float(error),
                    )
                )
        columns = [np.array(values).T for values in found]
        return [{"ndcg": c[0], "diversity": c[1], "error": c[2]} for c in columns]


def ndcg(items: NDArray[np.int64], held: set[int]) -> float:
    """NDCG of one list, as in the evaluation: binary gains, ideal cut at the list's length."""
    gains = 1 / np.log2(np.arange(2, K + 2))
    hits = np.array([item in held for item in items.tolist()])
    return float(gains[: len(hits)][hits].sum() / gains[: len(held)].sum())


def shown(estimate: Estimate) -> str:
    """A mean with its interval."""
    return f"{estimate.mean:.4f} [{estimate.low:.4f}, {estimate.high:.4f}]"


def curve(name: str, label: str, at: tuple[float, ...], lists: list[Lists]) -> None:
    """Print one curve."""
    rows = []
    for value, found in zip(at, lists, strict=True):
        cells = [shown(mean_interval(found[key])) for key in ("ndcg", "diversity", "error")]
        rows.append([name, f"{value:g}", *cells])
    table(["scores", label, f"NDCG@{K}", "intra-list diversity", "calibration error"], rows)
    print()


def dial_passes(lists: list[Lists]) -> bool:
    """Every step holds within its interval, and both ends lie apart."""
    fine = True
    for before, after in pairwise(lists):
        fine &= paired_difference(after["diversity"], before["diversity"]).high >= 0
        fine &= paired_difference(after["ndcg"], before["ndcg"]).low <= 0
    gained = paired_difference(lists[-1]["diversity"], lists[0]["diversity"])
    lost = paired_difference(lists[0]["ndcg"], lists[-1]["ndcg"])
    return fine and gained.low > 0 and lost.low > 0


def calibration_figures(lists: list[Lists]) -> tuple[float, float, float]:
    """Strength chosen on even rows; on the odd ones, error and NDCG over those of plain lists."""
    even, odd = slice(0, None, 2), slice(1, None, 2)

    def ratio(found: Lists, key: str, part: slice) -> float:
        return float(found[key][part].mean() / lists[0][key][part].mean())

    affordable = [n for n, found in enumerate(lists) if ratio(found, "ndcg", even) >= 0.96]
    best = min(affordable, key=lambda n: ratio(lists[n], "error", even))
    return STRENGTHS[best], ratio(lists[best], "error", odd), ratio(lists[best], "ndcg", odd)


def main() -> None:
    """Print both curves for both models."""
    task = real_task("ml-1m", "full_ranking.npz")
    world = World(task)
    figures: dict[str, object] = {"users": len(world.train), "epsilon": EPSILON}
    passed = True
    for model in (Spectral(), Popularity()):
        scores = world.scores(model, task)
        dial = world.lists(scores, [ListRules(diversity=value) for value in DIALS])
        curve(model.name, "diversity", DIALS, dial)
        strengths = world.lists(scores, [ListRules(calibration=value) for value in STRENGTHS])
        curve(model.name, "calibration", STRENGTHS, strengths)
        strength, error, quality = calibration_figures(strengths)
        print(
            f"{model.name}: calibration {strength:g}: error times {error:.3f}, "
            f"NDCG times {quality:.3f}, on users that did not choose it\n"
        )
        fine = dial_passes(dial)
        figures[model.name] = {
            "dial": {
                f"{value:g}": [round(float(found[key].mean()), 5) for key in ("ndcg", "diversity")]
                for value, found in zip(DIALS, dial, strict=True)
            },
            "dial_pass": fine,
            "calibration": strength,
            "error_ratio": round(error, 4),
            "ndcg_ratio": round(quality, 4),
        }
        passed &= fine and (model.name != "spectral" or (error <= 0.5 and quality >= 0.95))
    finish(figures, passed=passed)


if __name__ == "__main__":
    main()
