import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from privet.client.ranking.categories import Categories, calibration_error
from privet.client.ranking.rerank import (
    ListRules,
    Placed,
    candidates,
    intra_list_diversity,
    rerank,
)
from privet.models.catalogue import Catalogue
from privet.privacy.errors import InputError

NAMES = ("a", "b", "c", "d")
NOBODY = np.zeros(0, np.int64)


def world(seed: int, items: int = 60) -> tuple[Categories, NDArray[np.float64]]:
    rng = np.random.default_rng(seed)
    has = rng.random((items, len(NAMES))) < 0.4
    catalogue = Catalogue(
        item_ids=tuple(map(str, range(items))),
        categories=tuple(tuple(np.array(NAMES)[row].tolist()) for row in has),
    )
    categories = Categories.of(catalogue)
    pull = rng.normal(size=len(categories.names))
    return categories, categories.shares @ pull + rng.normal(size=items) * 0.3


def made(
    categories: Categories, scores: NDArray[np.float64], rules: ListRules, k: int = 10, *,
    seen: NDArray[np.int64] = NOBODY, wanted: NDArray[np.float64] | None = None,
) -> tuple[Placed, ...]:  # fmt: skip
    pool = candidates(scores, categories, rules, seen=seen)
    return rerank(pool, scores, k, categories=categories, rules=rules, wanted=wanted)


def items_of(placed: tuple[Placed, ...]) -> NDArray[np.int64]:
    return np.array([entry.item for entry in placed], np.int64)


SEEDS = st.integers(0, 2**32 - 1)


@settings(deadline=None, max_examples=40)
@given(seed=SEEDS, k=st.integers(0, 80))
def test_at_zero_the_order_is_the_scores_and_nothing_is_added(seed: int, k: int) -> None:
    categories, scores = world(seed)
    placed = made(categories, scores, ListRules(), k)
    assert items_of(placed).tolist() == np.argsort(-scores, kind="stable")[:k].tolist()
    assert all(entry.delta == 0 and entry.score == scores[entry.item] for entry in placed)


def naive(
    pool: list[int], scores: NDArray[np.float64], categories: Categories, rules: ListRules,
    wanted: NDArray[np.float64], k: int,
) -> list[tuple[int, float]]:  # fmt: skip
    """The definition in the module's docstring, candidate after candidate."""
    low, span = min(scores[pool]), max(scores[pool]) - min(scores[pool])
    chosen: list[tuple[int, float]] = []

    def error(items: list[int]) -> float:
        return float(calibration_error(wanted, categories.distribution(np.array(items, int))))

    while len(chosen) < k:
        held = [item for item, _ in chosen]
        best, value = -1, -np.inf
        for item in pool:
            if item in held:
                continue
            near = max(
                (categories.similarities(np.array([item, other]))[0, 1] for other in held),
                default=0.0,
            )
            d, weight = rules.diversity, rules.calibration
            gain = (1 - d) * (scores[item] - low) / span - d * near
            gain = (1 - weight) * gain - weight * (error([*held, item]) - error(held))
            if gain > value + 1e-12:
                best, value = item, gain
        chosen.append((best, value * span + low - scores[best]))
    return chosen


@settings(deadline=None, max_examples=15)
@given(seed=SEEDS, diversity=st.floats(0.01, 1), calibration=st.floats(0.01, 0.99))
def test_each_place_goes_to_the_candidate_that_the_formula_names(
    seed: int, diversity: float, calibration: float
) -> None:
    categories, scores = world(seed, items=20)
    rules = ListRules(diversity=diversity, calibration=calibration)
    wanted = categories.distribution(np.array([0, 1, 2, 3]))
    shown = made(categories, scores, rules, 6, wanted=wanted)
    assert [entry.score for entry in shown] == sorted((e.score for e in shown), reverse=True)
    placed = tuple(sorted(shown, key=lambda entry: entry.choice))
    pool = candidates(scores, categories, rules, seen=NOBODY).tolist()
    expected = naive(pool, scores, categories, rules, wanted, 6)
    assert items_of(placed).tolist() == [item for item, _ in expected]
    np.testing.assert_allclose(
        [entry.delta for entry in placed], [delta for _, delta in expected], atol=1e-9
    )


def test_a_rising_dial_raises_diversity_and_costs_relevance_on_average() -> None:
    diversity, relevance = [], []
    for dial in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0):
        lists = [
            (categories, scores, items_of(made(categories, scores, ListRules(diversity=dial))))
            for categories, scores in map(world, range(200))
        ]
        diversity.append(np.mean([intra_list_diversity(c.similarities(i)) for c, _, i in lists]))
        relevance.append(np.mean([s[i].mean() for _, s, i in lists]))
    # From 0.6 on the mean similarity is at its end; the nearest one, which counts, goes on falling.
    assert np.all(np.diff(diversity)[:3] > 0.02) and diversity[-1] > diversity[0] + 0.2
    assert np.all(np.diff(diversity) > -0.002)
    assert np.all(np.diff(relevance) < 1e-9) and relevance[-1] < relevance[0] - 0.1


def test_rising_calibration_lowers_the_error_on_average() -> None:
    errors = []
    for weight in (0.0, 0.3, 0.6, 0.9):
        found = []
        for categories, scores in map(world, range(200)):
            wanted = categories.distribution(np.arange(8))
            placed = made(categories, scores, ListRules(calibration=weight), wanted=wanted)
            shown = categories.distribution(items_of(placed))
            found.append(float(calibration_error(wanted, shown)))
        errors.append(np.mean(found))
    assert np.all(np.diff(errors) < 0) and errors[-1] < errors[0] / 3


@settings(deadline=None, max_examples=60)
@given(
    seed=SEEDS, caps=st.dictionaries(st.sampled_from(NAMES), st.integers(0, 4)),
    blocked=st.frozensets(st.sampled_from(NAMES), max_size=2),
    hidden=st.frozensets(st.integers(0, 59)), diversity=st.floats(0, 1),
    calibration=st.floats(0, 1), seen=st.sets(st.integers(0, 59)), pool=st.integers(1, 60),
)  # fmt: skip
def test_caps_hold_and_what_is_blocked_hidden_or_seen_never_appears(
    seed: int, caps: dict[str, int], blocked: frozenset[str], hidden: frozenset[int],
    diversity: float, calibration: float, seen: set[int], pool: int,
) -> None:  # fmt: skip
    categories, scores = world(seed)
    rules = ListRules(
        diversity=diversity, calibration=calibration, caps=caps, blocked=blocked, hidden=hidden,
        pool=pool,
    )  # fmt: skip
    known = np.array(sorted(seen), np.int64)
    placed = made(categories, scores, rules, seen=known, wanted=categories.distribution(known))
    items = items_of(placed)
    assert len(set(items.tolist())) == len(items) <= min(10, pool)
    assert not set(items.tolist()) & (hidden | seen)
    has = categories.shares[items] > 0
    counts = dict(zip(categories.names, has.sum(axis=0).tolist(), strict=True))
    assert all(counts[name] <= cap for name, cap in caps.items())
    assert all(counts[name] == 0 for name in blocked)
    assert np.isfinite([entry.delta for entry in placed]).all()


def test_a_list_is_short_only_if_its_rules_leave_too_few() -> None:
    categories, scores = world(3)
    rules = ListRules(caps={"a": 1, "b": 2})
    items = items_of(made(categories, scores, rules, 60))
    left = [item for item in range(60) if item not in items]
    has = categories.shares > 0
    full = [
        n for n, cap in rules.caps.items() if has[items][:, categories.names.index(n)].sum() == cap
    ]
    columns = categories.columns(full)
    assert left and all(has[item, columns].any() for item in left)


def test_never_items_ties_and_equal_scores_do_no_harm() -> None:
    categories, _ = world(1)
    scores = np.full(60, 2.5)
    scores[:50] = -np.inf
    for rules in (ListRules(), ListRules(diversity=0.5), ListRules(calibration=1)):
        items = items_of(
            made(categories, scores, rules, wanted=categories.distribution(np.arange(5)))
        )
        assert sorted(items.tolist()) == list(range(50, 60))
    assert made(categories, np.full(60, -np.inf), ListRules(diversity=1)) == ()
    assert items_of(made(categories, np.zeros(60), ListRules(pool=3))).tolist() == [0, 1, 2]


def test_calibration_error_is_steck_s_divergence() -> None:
    p, q = np.array([0.5, 0.5, 0.0]), np.array([0.9, 0.0, 0.1])
    smooth = 0.99 * q + 0.01 * p
    expected = 0.5 * np.log(0.5 / smooth[0]) + 0.5 * np.log(0.5 / smooth[1])
    assert calibration_error(p, q) == pytest.approx(expected)
    assert calibration_error(p, p) == pytest.approx(0)
    assert calibration_error(np.zeros(3), q) == 0
    assert calibration_error(p, np.zeros(3)) == pytest.approx(np.log(100))


def test_what_does_not_fit_is_refused() -> None:
    categories, scores = world(0)
    for wrong in ({"diversity": 1.1}, {"calibration": np.nan}, {"pool": 0}, {"caps": {"a": -1}}):
        with pytest.raises(InputError):
            ListRules(**wrong)
    with pytest.raises(InputError, match="categories, found another"):
        made(categories, scores, ListRules(blocked=frozenset({"zebra"})))
    with pytest.raises(InputError, match="hidden"):
        made(categories, scores, ListRules(hidden=frozenset({60})))
    with pytest.raises(InputError, match="each of 60 items"):
        made(categories, scores[:5], ListRules())
    with pytest.raises(InputError, match="finite"):
        made(categories, np.where(scores > 0, np.nan, scores), ListRules())
    with pytest.raises(InputError, match="similarities"):
        rerank(np.arange(3), scores, 2, categories=categories, rules=ListRules(diversity=0.5),
               similarities=np.eye(2))  # fmt: skip
