"""What a history pulls by a model is its score, taken apart, whatever the weights."""

import numpy as np
import pytest

from privet.models.cohort import Cohort
from privet.models.hybrid import Hybrid
from privet.models.popularity import Popularity
from privet.models.score_parts import AdditiveModel
from privet.models.spectral import Spectral
from privet.models.testing import checkerboard, facts_for, stack, train
from privet.models.trending import Trending
from privet.privacy.accounting.adversaries import Trust

MODELS = (Popularity(), Spectral(), Hybrid(), Trending(rounds=4, separation=2, bands=2))
HISTORIES: tuple[dict[int, float], ...] = ({}, {3: 1.0}, {0: 1.0, 2: 0.25, 7: 0.5, 19: 3.0})


def with_weights_of_one(cohort: Cohort) -> Cohort:
    return stack([dict.fromkeys(cohort.items.tolist(), 1.0)], cohort.n_items)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: str(model.name))
@pytest.mark.parametrize("epsilon", [8.0, float("inf")])
def test_a_pull_is_the_weighted_sum_of_parts_and_with_weights_of_one_the_score(
    model: AdditiveModel, epsilon: float
) -> None:
    board = checkerboard(600)
    facts = facts_for(board, epsilon=epsilon, trust=Trust.CENTRAL)
    shared = train(model, board, facts).shared
    reach, everything = model.reach(shared), np.arange(20)
    assert (np.diff(reach) > 0).all() and (model.name in ("spectral", "hybrid")) == bool(len(reach))
    for history in HISTORIES:
        cohort = stack([history], 20)
        local = model.personalise(shared, {}, cohort)
        parts = model.parts(shared, local, cohort, everything)
        scores = model.score(shared, local, cohort)[0]
        np.testing.assert_allclose(parts.totals, scores, atol=1e-12)
        weights = np.array([history[item] for item in parts.history.tolist()])
        pulled = model.pull(shared, local, cohort)
        np.testing.assert_allclose(pulled, (weights @ parts.pulls)[reach], atol=1e-12)
        plain = with_weights_of_one(cohort)
        if len(parts.history):
            found = model.pull(shared, model.personalise(shared, {}, plain), plain)
            np.testing.assert_allclose(found, scores[reach], atol=1e-12)
        outside = np.setdiff1d(everything, reach)
        assert not parts.pulls[:, outside].any()
