"""What the references learn, what they may not learn, and what they cost."""

import numpy as np
import pytest
from numpy.typing import NDArray

from privet.models.catalogue import Catalogue
from privet.models.cohort import Cohort
from privet.privacy.errors import InputError
from privet.simulations.evaluation.metrics import evaluate
from privet.simulations.evaluation.references import (
    MAX_EASE_ITEMS,
    CentralisedPopularity,
    Ease,
    LocalOnly,
    Reference,
    content_features,
    gram,
)

ITEMS = 60
REFERENCES = [Ease(reg=10.0), CentralisedPopularity(), LocalOnly()]


def catalogue(items: int = ITEMS, **features: tuple[object, ...]) -> Catalogue:
    ids = tuple(str(item) for item in range(items))
    return Catalogue(item_ids=ids, **features)  # type: ignore[arg-type]


def coloured() -> Catalogue:
    return catalogue(
        categories=tuple(("even", "odd")[item % 2 : item % 2 + 1] for item in range(ITEMS))
    )


def cohort(mask: NDArray[np.bool_]) -> Cohort:
    users, items = np.nonzero(mask)
    return Cohort.from_pairs(users, items, n_users=mask.shape[0], n_items=mask.shape[1])


def checkerboard(users: int = 80) -> tuple[Cohort, Cohort]:
    """Users of even rows like even items, the others odd ones; a few of their likes held out."""
    rng = np.random.default_rng(1)
    liked = (np.arange(users)[:, None] + np.arange(ITEMS)) % 2 == 0
    part = rng.random(liked.shape)
    return cohort(liked & (part < 0.5)), cohort(liked & (part > 0.9))


def noise(users: int = 300, seed: int = 2) -> tuple[Cohort, Cohort]:
    """Nothing can be learnt here."""
    part = np.random.default_rng(seed).random((users, ITEMS))
    return cohort(part < 0.2), cohort(part > 0.95)


def hit_rate(reference: Reference, items: Catalogue, train: Cohort, test: Cohort) -> float:
    fitted = reference.fit(train, items)
    return evaluate(fitted.score, train, test, ks=(10,)).metrics["hr@10"].mean


@pytest.mark.parametrize("reference", [Ease(reg=10.0), LocalOnly()])
def test_on_a_checkerboard_the_right_colour_comes_first(reference: Reference) -> None:
    train, _ = checkerboard()
    scores = reference.fit(train, coloured()).score(train)
    scores[train.dense() > 0] = -np.inf
    first = np.argsort(-scores, axis=1)[:, :5]
    colour = np.arange(len(train))[:, None] % 2
    np.testing.assert_array_equal(first % 2, np.broadcast_to(colour, first.shape))


def test_popularity_does_not_tell_colours_apart() -> None:
    train, test = checkerboard()
    assert hit_rate(Ease(reg=10.0), coloured(), train, test) > 1.2 * hit_rate(
        CentralisedPopularity(), coloured(), train, test
    )


def test_popularity_counts_users() -> None:
    train, _ = noise()
    scores = CentralisedPopularity().fit(train, catalogue()).score(train.slice(3, 8))
    np.testing.assert_array_equal(scores, np.tile(train.dense().sum(axis=0), (5, 1)))


def test_the_gram_matrix_counts_pairs_exactly_whatever_the_strengths() -> None:
    rng = np.random.default_rng(3)
    users, items = rng.integers(0, 50, 4000), rng.integers(0, 700, 4000)
    train = Cohort.from_pairs(
        users, items, n_users=50, n_items=700, weights=rng.uniform(0.5, 5, 4000)
    )
    np.testing.assert_array_equal(gram(train), train.dense().T @ train.dense())


@pytest.mark.parametrize("reference", REFERENCES)
def test_a_user_alone_scores_as_in_company(reference: Reference) -> None:
    train, _ = noise()
    fitted = reference.fit(train, coloured())
    together = fitted.score(train)
    for row in (0, 17, 299):
        np.testing.assert_allclose(
            fitted.score(train.slice(row, row + 1))[0], together[row], atol=1e-12
        )


@pytest.mark.parametrize("reference", REFERENCES)
def test_an_empty_history_gets_finite_scores(reference: Reference) -> None:
    train, _ = noise()
    nobody = cohort(np.zeros((2, ITEMS), bool))
    scores = reference.fit(train, coloured()).score(nobody)
    assert scores.shape == (2, ITEMS)
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("reference", REFERENCES)
def test_nothing_is_learnt_where_there_is_nothing_to_learn(reference: Reference) -> None:
    """Any rate near 1 would be a leak of held-out items.

    By chance about 3 of 48 candidates are held out, so a random list of 10 has a hit for 49 % of
    the users; 300 users give a standard deviation of 3 %, and five are allowed (one false alarm in
    3 million seeds).
    """
    train, test = noise()
    assert hit_rate(reference, coloured(), train, test) < 0.49 + 5 * 0.03


def test_local_only_does_not_depend_on_anybody_else() -> None:
    train, _ = noise(seed=2)
    others, _ = noise(seed=3)
    items = coloured()
    np.testing.assert_array_equal(
        LocalOnly().fit(train, items).score(train), LocalOnly().fit(others, items).score(train)
    )


def test_local_only_without_features_gets_nothing() -> None:
    train, test = checkerboard()
    assert hit_rate(LocalOnly(), catalogue(), train, test) == 0.0


def test_items_of_equal_features_tie_exactly() -> None:
    rng = np.random.default_rng(4)
    kinds = rng.integers(0, 7, ITEMS)
    items = catalogue(
        categories=tuple(tuple(f"c{kind * j % 5}" for j in range(3)) for kind in kinds),
        years=tuple(1900 + 10 * int(kind) for kind in kinds),
    )
    train, _ = noise()
    scores = LocalOnly().fit(train, items).score(train)
    for kind in range(7):
        same = scores[:, kinds == kind]
        assert (same == same[:, :1]).all()


def test_features_are_categories_and_decades_of_norm_1_and_unknown_years_are_none() -> None:
    items = catalogue(4, categories=(("a",), ("a", "b"), ("a", "a"), ()), years=(1991, 1999, 0, 0))
    features = content_features(items)
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), [1, 1, 1, 0])
    np.testing.assert_allclose((features @ features.T)[0], [1, 2 / 6**0.5, 1 / 2**0.5, 0])


def test_ease_refuses_a_catalogue_that_is_too_large_before_it_allocates_anything() -> None:
    n = MAX_EASE_ITEMS + 1
    train = Cohort.from_pairs(np.array([0]), np.array([5]), n_users=1, n_items=n)
    with pytest.raises(InputError, match=r"refused beyond 10000 items.*keep_items"):
        Ease().fit(train, catalogue(n))


@pytest.mark.parametrize("reference", REFERENCES)
def test_histories_of_another_catalogue_are_refused(reference: Reference) -> None:
    with pytest.raises(InputError, match="the catalogue has 61"):
        reference.fit(noise()[0], catalogue(ITEMS + 1))
