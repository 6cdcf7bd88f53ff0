"""Leave-one-out on MovieLens 1M with 99 sampled negatives, without privacy, one user a device.

The leak test stands beside it: with federation off, a model that sees one device's history alone
must score like content does. Published code on this protocol reaches 1.0 there, since its training
negatives were drawn with knowledge of the held-out items.
"""

import math

from common import finish, measure, real_task, table

from privet.models.spectral import Spectral
from privet.privacy.accounting.adversaries import Trust
from privet.simulations.evaluation.metrics import Evaluation, evaluate
from privet.simulations.evaluation.references import CentralisedPopularity, Ease, LocalOnly
from privet.simulations.preparation import Task

METRICS = ("sampled_hr@10", "sampled_ndcg@10", "hr@10", "ndcg@10")
HR, NDCG = 0.705, 0.44
LEAK = 0.4  # popularity alone reaches .45; a leak shows as nearly 1


def main() -> None:
    """Measure the references, then Spectral, and compare with the bars."""
    task = real_task("ml-1m", "leave_one_out.npz")
    found = {
        "popularity": reference(CentralisedPopularity(), task),
        "local only": reference(LocalOnly(), task),
        "EASE, ridge 1000": reference(Ease(reg=1000.0), task),
    }
    _, found["Spectral, epsilon inf"] = measure(Spectral(), task, math.inf, Trust.CENTRAL)
    rows = [[name, *(f"{e.metrics[m].mean:.4f}" for m in METRICS)] for name, e in found.items()]
    table(["model", *METRICS], rows)
    spectral, alone = found["Spectral, epsilon inf"].metrics, found["local only"].metrics
    passed = (
        spectral["sampled_hr@10"].mean >= HR
        and spectral["sampled_ndcg@10"].mean >= NDCG
        and alone["sampled_hr@10"].mean <= LEAK
    )
    finish(
        {name: {m: e.metrics[m].mean for m in METRICS} for name, e in found.items()},
        passed=passed,
    )


def reference(model: CentralisedPopularity | LocalOnly | Ease, task: Task) -> Evaluation:
    """A centralised reference on the same task."""
    scorer = model.fit(task.train, task.catalogue)
    return evaluate(scorer.score, task.train, task.test, negatives=task.negatives)


if __name__ == "__main__":
    main()
