"""Ranking metrics against a naive implementation, one user and one item at a time."""

import json
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from privet.models.cohort import Cohort
from privet.privacy.errors import InputError
from privet.simulations.evaluation.metrics import Evaluation, evaluate

KNOWN, HELD_OUT = 1, 2
Floats = NDArray[np.float64]


def cohort(mask: NDArray[np.bool_]) -> Cohort:
    users, items = np.nonzero(mask)
    return Cohort.from_pairs(users, items, n_users=mask.shape[0], n_items=mask.shape[1])


def lookup(scores: Floats) -> Callable[[Cohort], Floats]:
    return lambda history: scores[history.devices]


def measure(
    scores: Floats, roles: NDArray[np.int64], ks: tuple[int, ...] = (10, 20), block: int = 512
) -> Evaluation:
    history, test = cohort(roles == KNOWN), cohort(roles == HELD_OUT)
    return evaluate(lookup(scores), history, test, ks=ks, block=block)


def naive_list(scores: Floats, roles: NDArray[np.int64]) -> list[int]:
    """One user's ranking in the worst order: among equal scores, held-out items last."""
    allowed = [i for i in range(len(roles)) if roles[i] != KNOWN and scores[i] > -math.inf]
    return sorted(allowed, key=lambda i: (-scores[i], roles[i] == HELD_OUT))


def naive_user(scores: Floats, roles: NDArray[np.int64], k: int) -> dict[str, float]:
    hits = [roles[i] == HELD_OUT for i in naive_list(scores, roles)[:k]]
    held_out = int((roles == HELD_OUT).sum())
    ideal = sum(1 / math.log2(place + 1) for place in range(1, min(held_out, k) + 1))
    gained = sum(1 / math.log2(at + 2) for at, hit in enumerate(hits) if hit)
    return {
        f"recall@{k}": sum(hits) / held_out,
        f"ndcg@{k}": gained / ideal,
        f"hr@{k}": float(any(hits)),
        f"mrr@{k}": 1 / (1 + hits.index(True)) if any(hits) else 0.0,
    }


def naive_coverage(scores: Floats, roles: NDArray[np.int64], k: int) -> float:
    """Share of items that are in someone's list even if all ties go against that item."""
    reached = set()
    for own, role in zip(scores, roles, strict=True):
        allowed = naive_list(own, role) if (role == HELD_OUT).any() else []
        reached |= {i for i in allowed if sum(own[j] >= own[i] for j in allowed) <= k}
    return len(reached) / len(scores[0])


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Floats, NDArray[np.int64]]:
    """Scores with many ties and some -inf; 0 candidate, 1 known, 2 held out for each pair."""
    shape = draw(st.integers(1, 7)), draw(st.integers(1, 14))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    levels = draw(st.sampled_from([1, 2, 4, 1000]))
    scores = rng.integers(0, levels, shape).astype(np.float64) - levels / 2
    scores[rng.random(shape) < draw(st.sampled_from([0.0, 0.3]))] = -np.inf
    roles = rng.choice(3, shape, p=draw(st.sampled_from([(0.5, 0.3, 0.2), (0.1, 0.2, 0.7)])))
    return scores, roles


def some_held_out(roles: NDArray[np.int64]) -> bool:
    return bool((roles == HELD_OUT).any())


@settings(deadline=None, max_examples=300)
@given(
    world=worlds(), ks=st.sampled_from([(1,), (3, 5), (5, 2), (10, 20)]), block=st.integers(1, 8)
)
def test_every_metric_equals_the_naive_one(
    world: tuple[Floats, NDArray[np.int64]], ks: tuple[int, ...], block: int
) -> None:
    scores, roles = world
    assume(some_held_out(roles))
    found = measure(scores, roles, ks, block)
    tested = [u for u in range(len(roles)) if some_held_out(roles[u])]
    assert found.users == len(tested)
    for k in ks:
        expected = [naive_user(scores[u], roles[u], k) for u in tested]
        for name in expected[0]:
            column = [one[name] for one in expected]
            np.testing.assert_allclose(found.per_user[name], column, atol=1e-12)
            assert found.metrics[name].mean == pytest.approx(np.mean(column))
        assert found.metrics[f"coverage@{k}"].mean == naive_coverage(scores, roles, k)


@settings(deadline=None, max_examples=100)
@given(world=worlds(), seed=st.integers(0, 2**32 - 1))
def test_the_order_of_items_in_the_catalogue_does_not_matter(
    world: tuple[Floats, NDArray[np.int64]], seed: int
) -> None:
    scores, roles = world
    assume(some_held_out(roles))
    order = np.random.default_rng(seed).permutation(scores.shape[1])
    first, second = (
        measure(scores, roles, (2, 4)),
        measure(scores[:, order], roles[:, order], (2, 4)),
    )
    assert first.to_dict() == second.to_dict()


@settings(deadline=None, max_examples=100)
@given(world=worlds())
def test_metrics_stay_between_0_and_1_and_inside_their_interval(
    world: tuple[Floats, NDArray[np.int64]],
) -> None:
    scores, roles = world
    assume(some_held_out(roles))
    found = measure(scores, roles, (1, 3))
    assert all(((v >= 0) & (v <= 1)).all() for v in found.per_user.values())
    for name, one in found.metrics.items():
        assert name.startswith("coverage") or 0 <= one.low <= one.mean <= one.high <= 1


def random_roles(users: int = 40, items: int = 200, seed: int = 7) -> NDArray[np.int64]:
    rng = np.random.default_rng(seed)
    roles = rng.choice(3, (users, items), p=[0.85, 0.1, 0.05])
    roles[:, 0] = HELD_OUT
    return roles


@pytest.mark.parametrize("constant", [0.0, 1.0, -1e300, 1e300, -np.inf])
def test_a_constant_scorer_gets_nothing(constant: float) -> None:
    roles = random_roles()
    found = measure(np.full(roles.shape, constant), roles)
    assert {name: one.mean for name, one in found.metrics.items() if one.mean != 0} == {}


def test_a_perfect_scorer_gets_everything() -> None:
    roles = random_roles()
    found = measure((roles == HELD_OUT).astype(float), roles, ks=(200,))
    for name in ("recall@200", "ndcg@200", "hr@200", "mrr@200"):
        assert found.metrics[name].mean == 1.0


def test_held_out_items_that_tie_share_no_place() -> None:
    roles = np.array([[HELD_OUT, HELD_OUT, 0, 0]])
    found = measure(np.array([[1.0, 1.0, 0.0, 0.0]]), roles, ks=(1, 2))
    assert found.metrics["recall@1"].mean == 0.5
    assert found.metrics["ndcg@2"].mean == 1.0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("role", [0, KNOWN, HELD_OUT])
def test_a_diverged_model_is_an_error_and_not_a_perfect_score(bad: float, role: int) -> None:
    roles = random_roles()
    scores = np.zeros(roles.shape)
    scores[21, np.flatnonzero(roles[21] == role)[0]] = bad
    with pytest.raises(InputError, match="first in row 21"):
        measure(scores, roles, block=16)


def test_a_model_that_gives_only_nan_or_only_infinity_is_an_error() -> None:
    roles = random_roles()
    for bad in (np.nan, np.inf):
        with pytest.raises(InputError, match="diverged"):
            measure(np.full(roles.shape, bad), roles)


def test_an_item_that_is_never_recommended_is_never_a_hit() -> None:
    roles = np.array([[HELD_OUT, HELD_OUT, 0, KNOWN]])
    found = measure(np.array([[-np.inf, 1.0, -np.inf, 9.0]]), roles, ks=(4,))
    assert found.metrics["recall@4"].mean == 0.5
    assert found.metrics["mrr@4"].mean == 1.0
    assert found.metrics["coverage@4"].mean == 0.25


def test_users_without_a_held_out_item_count_for_nothing() -> None:
    roles = random_roles()
    scores = np.random.default_rng(8).random(roles.shape)
    idle = np.where(roles[:20] == HELD_OUT, 0, roles[:20])
    more = measure(np.vstack([scores[:20], scores]), np.vstack([idle, roles]), block=7)
    assert more.to_dict() == measure(scores, roles).to_dict()


def test_the_model_sees_histories_and_nothing_else() -> None:
    roles = random_roles()
    seen: list[Cohort] = []

    def score(history: Cohort) -> Floats:
        seen.append(history)
        return np.zeros((len(history), history.n_items))

    evaluate(score, cohort(roles == KNOWN), cohort(roles == HELD_OUT), block=16)
    assert [len(one) for one in seen] == [16, 16, 8]
    np.testing.assert_array_equal(np.vstack([one.dense() for one in seen]), roles == KNOWN)


def test_the_models_own_array_is_left_alone() -> None:
    roles = random_roles()
    scores = np.random.default_rng(9).random(roles.shape)
    before = scores.copy()
    history, test = cohort(roles == KNOWN), cohort(roles == HELD_OUT)
    evaluate(lambda _: scores, history, test)
    np.testing.assert_array_equal(scores, before)


def test_the_dictionary_is_json_and_holds_no_single_users() -> None:
    found = measure(np.zeros((40, 200)), random_roles())
    text = json.dumps(found.to_dict(), allow_nan=False)
    assert json.loads(text)["metrics"]["coverage@10"]["low"] is None
    assert "per_user" not in text


def naive_sampled(
    scores: Floats, roles: NDArray[np.int64], negatives: NDArray[np.int32]
) -> tuple[float, float]:
    positive = int(np.flatnonzero(roles == HELD_OUT)[0])
    kept = [j for j in negatives if j >= 0 and j != positive and roles[j] != KNOWN]
    place = 1 + sum(scores[j] >= scores[positive] for j in kept)
    hit = scores[positive] > -math.inf and place <= 10
    return float(hit), hit / math.log2(1 + place)


@settings(deadline=None, max_examples=100)
@given(seed=st.integers(0, 2**32 - 1), levels=st.sampled_from([2, 20, 10_000]))
def test_sampled_metrics_equal_the_naive_ones(seed: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    roles = np.where(rng.random((9, 60)) < 0.2, KNOWN, 0)
    tested = rng.random(9) < 0.7
    tested[0] = True
    roles[tested, rng.integers(0, 60, 9)[tested]] = HELD_OUT
    scores = rng.integers(0, levels, roles.shape).astype(np.float64)
    scores[rng.random(roles.shape) < 0.1] = -np.inf
    negatives = rng.integers(-1, 60, (9, 40)).astype(np.int32)
    found = evaluate(
        lookup(scores),
        cohort(roles == KNOWN),
        cohort(roles == HELD_OUT),
        negatives=negatives,
        block=4,
    )
    expected = [naive_sampled(scores[u], roles[u], negatives[u]) for u in np.flatnonzero(tested)]
    np.testing.assert_allclose(found.per_user["sampled_hr@10"], [one[0] for one in expected])
    np.testing.assert_allclose(found.per_user["sampled_ndcg@10"], [one[1] for one in expected])


def test_a_constant_scorer_gets_nothing_from_sampled_negatives_either() -> None:
    roles = np.zeros((5, 60), np.int64)
    roles[:, 3] = HELD_OUT
    negatives = np.tile(np.arange(10, 60, dtype=np.int32), (5, 1))
    found = evaluate(
        lookup(np.zeros(roles.shape)),
        cohort(roles == KNOWN),
        cohort(roles == HELD_OUT),
        negatives=negatives,
    )
    assert found.metrics["sampled_hr@10"].mean == 0
    assert found.metrics["sampled_ndcg@10"].mean == 0


def negatives_like(value: int, m: int = 40) -> NDArray[np.int32]:
    return np.full((40, m), value, np.int32)


def test_inputs_that_do_not_belong_together_are_refused() -> None:
    roles = random_roles()
    history, test = cohort(roles == KNOWN), cohort(roles == HELD_OUT)
    one_each = cohort((roles == HELD_OUT) & (np.arange(200) == 0))
    score = lookup(np.zeros(roles.shape))
    with pytest.raises(InputError, match="same devices"):
        evaluate(score, history, test.slice(0, 5))
    with pytest.raises(InputError, match="same devices"):
        evaluate(score, history.slice(5, 10), test.slice(0, 5))
    with pytest.raises(InputError, match="history as well"):
        evaluate(score, test, test)
    with pytest.raises(InputError, match="no user has a held-out item"):
        evaluate(score, history, cohort(roles > HELD_OUT))
    for ks in ((), (0, 10)):
        with pytest.raises(InputError, match="ks="):
            evaluate(score, history, test, ks=ks)
    with pytest.raises(InputError, match="Expected scores of shape"):
        evaluate(lambda one: np.zeros(one.n_items), history, test)
    with pytest.raises(InputError, match="one held-out item a user"):
        evaluate(score, history, test, negatives=negatives_like(3))
    with pytest.raises(InputError, match="of shape"):
        evaluate(score, history, one_each, negatives=negatives_like(3)[:5])
    with pytest.raises(InputError, match="below 200"):
        evaluate(score, history, one_each, negatives=negatives_like(200))
    with pytest.raises(InputError, match="at least 10 negatives"):
        evaluate(score, history, one_each, negatives=negatives_like(-1))


def test_negatives_that_are_dropped_do_not_count_towards_the_ten_that_are_needed() -> None:
    roles = np.zeros((1, 60), np.int64)
    roles[0, 3], roles[0, 10:20] = HELD_OUT, KNOWN
    history, test = cohort(roles == KNOWN), cohort(roles == HELD_OUT)
    for useless in (np.arange(10, 20), np.full(10, 3), np.full(10, -1)):
        negatives = np.concatenate([np.arange(40, 49), useless])[None].astype(np.int32)
        with pytest.raises(InputError, match="found 9"):
            evaluate(lookup(np.zeros(roles.shape)), history, test, negatives=negatives)
