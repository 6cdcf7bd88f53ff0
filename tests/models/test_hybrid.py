"""Hybrid: what it learns from features, what reaches items that nobody has, and its vectors' norm."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from privet.models.catalogue import Catalogue
from privet.models.cohort import Cohort
from privet.models.hybrid import Hybrid, head_share, tilt_power
from privet.models.model import Release, SharedState
from privet.models.plan import PublicFacts
from privet.models.planning import make_plan
from privet.models.public_features import feature_matrix, feature_pairs
from privet.models.spectral import Spectral, outer_products
from privet.models.testing import histories, stack
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.clipping import clip
from privet.privacy.randomness import Randomness

MODEL = Hybrid()
ITEMS = 9
rows = st.lists(histories(ITEMS), min_size=1, max_size=5)


def tastes(
    users: int, items: int, rng: np.random.Generator, *, liked: float = 0.25
) -> tuple[Cohort, Catalogue]:
    """People who mostly like one of four categories; every item has one."""
    category = np.arange(items) % 4
    likes = np.arange(users) % 4
    chance = np.where(category[None, :] == likes[:, None], liked, 0.02)
    found_users, found_items = np.nonzero(rng.random((users, items)) < chance)
    catalogue = Catalogue(
        item_ids=tuple(map(str, range(items))),
        categories=tuple((f"category {kind}",) for kind in category),
    )
    return Cohort.from_pairs(found_users, found_items, n_users=users, n_items=items), catalogue


def trained(
    model: Hybrid | Spectral, cohort: Cohort, catalogue: Catalogue, facts: PublicFacts, seed: int
) -> SharedState:
    """The final state with Gaussian noise from a seed."""
    rng = np.random.default_rng(seed)
    shared = model.begin(catalogue)
    for step in make_plan(model, facts, catalogue_hash="0" * 64).steps:
        found, _ = model.contribute(step.step, shared, {}, cohort, Randomness.insecure_seeded(0))
        found = clip(found).contribution
        total = np.bincount(found.indices, weights=found.values, minlength=found.dimension)
        std = step.noise_std(len(cohort))
        noisy = total + std * rng.standard_normal(found.dimension)
        release = Release(step=step.step, total=noisy, noise_std=std, devices=len(cohort))
        shared = model.update(step.step, shared, release, facts)
    return shared


def facts_of(cohort: Cohort, epsilon: float) -> PublicFacts:
    return PublicFacts(
        devices=len(cohort),
        items=cohort.n_items,
        epsilon=epsilon,
        delta=1e-6,
        trust=Trust.CENTRAL,
    )


@given(rows=rows, seed=st.integers(0, 1000))
def test_hybrid_vectors_have_norm_one_whatever_the_public_weights(
    rows: list[dict[int, float]], seed: int
) -> None:
    tilt = np.random.default_rng(seed).uniform(1e-3, 1e3, ITEMS)
    for vector, history in zip(outer_products(stack(rows, ITEMS), tilt).dense(), rows, strict=True):
        assert np.linalg.norm(vector) == pytest.approx(1.0 if history else 0.0, abs=1e-12)
        assert (vector >= 0).all()


def test_equal_weights_give_spectrals_vectors() -> None:
    cohort = stack([{0: 1.0, 3: 2.0, 8: 1.0}, {}, {5: 1.0}], ITEMS)
    np.testing.assert_allclose(
        outer_products(cohort, np.full(ITEMS, 7.0)).dense(), outer_products(cohort).dense()
    )


def test_features_are_told_where_co_occurrence_drowns() -> None:
    """At an epsilon where Spectral sees nothing, people still get items of their category."""
    cohort, catalogue = tastes(4000, 400, np.random.default_rng(0), liked=0.12)
    facts = facts_of(cohort, 0.5)
    asked = cohort.slice(0, 200)
    own = np.arange(200)[:, None] % 4
    found = {}
    for model in (MODEL, Spectral()):
        shared = trained(model, cohort, catalogue, facts, seed=1)
        best = np.argsort(-model.score(shared, {}, asked), axis=1)[:, :10]
        found[model.name] = float((best % 4 == own).mean())
    assert found["hybrid"] > 0.9 and found["hybrid"] > found["spectral"] + 0.2


def test_items_that_nobody_has_are_recommended_by_their_features() -> None:
    cohort, catalogue = tastes(3000, 200, np.random.default_rng(2))
    new = np.arange(180, 200)
    without = cohort.keep_items(np.where(np.arange(200) < 180, np.arange(200), -1))
    kept = Cohort.from_pairs(without.rows, without.items, n_users=3000, n_items=200)
    shared = trained(MODEL, kept, catalogue, facts_of(kept, 2.0), seed=3)
    scores = MODEL.score(shared, {}, kept.slice(0, 100))[:, new]
    of_own = (new[None, :] % 4) == (np.arange(100)[:, None] % 4)
    assert scores[of_own].mean() > scores[~of_own].mean() + 2 * scores[~of_own].std()


def test_what_a_catalogue_says_of_items_becomes_columns() -> None:
    catalogue = Catalogue(
        item_ids=tuple("abcd"),
        categories=(("x", "y"), ("x",), ("x",), ("rare",)),
        years=(1994, 1999, 0, 2001),
        descriptions=("a robot", "a robot and", "a", "and"),
    )
    matrix = feature_matrix(feature_pairs(catalogue), 4)
    # constant; x; the nineties: a name of one item says nothing, nor does a frequent word
    assert matrix.tolist() == [[1, 1, 1], [1, 1, 1], [1, 1, 0], [1, 0, 0]]
    bare = feature_pairs(Catalogue(item_ids=("a", "b")))
    assert feature_matrix(bare, 2).tolist() == [[1.0], [1.0]]


def test_words_that_some_items_have_become_columns_in_one_order() -> None:
    texts = tuple(
        f"{'robots' if i % 5 == 0 else ''} {'duel' if i % 7 == 0 else ''}" for i in range(70)
    )
    ids = tuple(map(str, range(70)))
    pairs = feature_pairs(Catalogue(item_ids=ids, descriptions=texts))
    assert feature_pairs(Catalogue(item_ids=ids, descriptions=texts))["feature_items"].tolist() == (
        pairs["feature_items"].tolist()
    )
    matrix = feature_matrix(pairs, 70)
    assert sorted(matrix.sum(axis=0)[1:].tolist()) == [10.0, 14.0]


def test_a_catalogue_without_features_still_trains() -> None:
    cohort, _ = tastes(3000, 100, np.random.default_rng(4))
    bare = Catalogue(item_ids=tuple(map(str, range(100))))
    shared = trained(MODEL, cohort, bare, facts_of(cohort, 4.0), seed=5)
    assert np.isfinite(MODEL.score(shared, {}, cohort.slice(0, 20))).all()


def test_shares_and_weights_follow_from_public_facts() -> None:
    cohort = stack([{0: 1.0}] * 10, ITEMS)
    assert head_share(facts_of(cohort, math.inf)) == 0.08
    weak = PublicFacts(devices=2000, items=500, epsilon=0.3, delta=1e-5, trust=Trust.CENTRAL)
    strong = PublicFacts(devices=100_000, items=500, epsilon=2, delta=1e-6, trust=Trust.CENTRAL)
    assert 0.08 < head_share(weak) <= 0.25 and head_share(strong) == 0.08
    assert tilt_power(weak) == 0 and tilt_power(strong) > 0
