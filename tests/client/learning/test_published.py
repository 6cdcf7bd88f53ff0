"""A published model on a device: the same scores as in training, in the device's own catalogue."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from tests.client.learning.world import (
    CATALOGUE,
    ITEMS,
    NEW,
    NOW,
    liked,
    made,
    now,
    published,
    users,
)

from privet.client.learning.published import PublishedPart
from privet.client.learning.situation import Mode
from privet.client.vault.history import history
from privet.models.catalogue import Catalogue
from privet.models.popularity import Popularity
from privet.privacy.errors import InputError

SPECTRAL = published()
SMALL = Catalogue(item_ids=CATALOGUE.item_ids[:ITEMS])


def test_a_device_scores_as_training_did_for_the_same_history_and_shared_state() -> None:
    board = users()
    part = PublishedPart(SPECTRAL, SMALL)
    for row in range(6):
        trained = board.slice(row, row + 1)
        own = history(liked(*trained.items.tolist()), SMALL, now=NOW).cohort
        assert np.array_equal(own.items, trained.items)
        local = SPECTRAL.model.personalise(SPECTRAL.shared, {}, trained)
        expected = SPECTRAL.model.score(SPECTRAL.shared, local, trained)[0][part.reach]
        found = part.pulled(own.items.astype(np.int64), own.weights).values[part.reach] * part.unit
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_one_event_says_one_unit_and_popularity_counts_as_one_event() -> None:
    part = PublishedPart(SPECTRAL, SMALL)
    spread = [
        part.pulled(np.array([item]), np.ones(1)).values[part.reach].std() for item in range(ITEMS)
    ]
    assert 0.5 < np.median(spread) < 2
    assert part.popularity[part.reach].std() == pytest.approx(1)


def test_a_catalogue_may_be_in_another_order_and_have_other_items() -> None:
    order = np.random.default_rng(3).permutation(ITEMS)
    other = Catalogue(item_ids=("brand new", *(f"item {n}" for n in order[:-2])))
    ours, theirs = PublishedPart(SPECTRAL, SMALL), PublishedPart(SPECTRAL, other)
    # The unit is a mean over the items that are there, so it may differ; ratios may not.
    places = np.flatnonzero(np.isin(order, [0, 2, 5])) + 1
    kept = places[places < len(other)]
    one = ours.pulled(np.sort(order[kept - 1]), np.ones(len(kept)))
    two = theirs.pulled(kept, np.ones(len(kept)))
    back = one.values[order[:-2]] * ours.unit / theirs.unit
    np.testing.assert_allclose(two.values[1:], back, atol=1e-12)
    np.testing.assert_allclose(theirs.popularity[1:], ours.popularity[order[:-2]], rtol=1e-12)
    assert two.values[0] == 0 == theirs.popularity[0]
    for item in range(len(other)):
        assert two.on(item).sum() == pytest.approx(two.values[item], abs=1e-12)


def test_a_new_item_is_as_popular_as_the_mean_and_has_its_words_alone() -> None:
    found = made(SPECTRAL)
    found.observe(*liked(0, 2, 4))
    terms = {(t.reason, t.item): t.value for t in found.scores(Mode.PERSONAL, now()).terms(NEW)}
    content = made()
    content.observe(*liked(0, 2, 4))
    words = {(t.reason, t.item): t.value for t in content.scores(Mode.PERSONAL, now()).terms(NEW)}
    assert {key: value for key, value in terms.items() if key in words} == pytest.approx(words)
    assert terms.keys() == words.keys()


@pytest.mark.parametrize(
    "wrong",
    [
        {"item_ids": None},  # 20 items are not the catalogue's 21
        {"item_ids": ("other", "items")},
        {"shared": {}},
        {"shared": {"popularity": np.full(ITEMS, np.nan)}, "model": Popularity()},
    ],
)
def test_a_model_that_does_not_fit_is_refused_and_the_one_before_stays(
    wrong: dict[str, object],
) -> None:
    found = made(SPECTRAL)
    before = found.scores(Mode.POPULAR, now()).values
    with pytest.raises(InputError):
        found.adopt(replace(SPECTRAL, **wrong))  # type: ignore[arg-type]
    assert np.array_equal(found.scores(Mode.POPULAR, now()).values, before)


def test_a_device_needs_numpy_alone() -> None:
    script = """
import sys
for name in ("scipy", "numba", "torch", "pandas", "flwr", "cryptography", "dp_accounting"):
    sys.modules[name] = None
import numpy as np
from privet.client.learning.published import Published
from privet.client.learning.recommender import Recommender
from privet.client.learning.situation import Mode, Situation
from privet.client.ranking.categories import Categories
from privet.client.vault.event import Event
from privet.client.vault.history import Weighting
from privet.models.catalogue import Catalogue
from privet.models.content import TfIdf
from privet.models.spectral import Spectral

catalogue = Catalogue(item_ids=tuple("abcd"), titles=("x y", "y z", "z", "w"))
head = {"popularity": np.arange(4.0), "head": np.arange(3)}
vectors = np.linalg.qr(np.arange(6.0).reshape(3, 2))[0]
noisy = {"vectors": vectors, "weights": np.ones(2), "leave_out": np.ones(3)}
for learnt in (noisy, {"item_map": np.ones((3, 3)) - np.eye(3)}):
    recommender = Recommender(
        catalogue=catalogue, vectors=TfIdf.build(catalogue),
        categories=Categories.of(catalogue), weighting=Weighting(),
        published=Published(model=Spectral(), shared={**head, **learnt}),
    )
    recommender.observe(Event(kind="like", item="a"))
    for mode in Mode:
        scored = recommender.scores(mode, Situation(now=1))
        assert np.isfinite(scored.values).all() and scored.terms(1) is not None
print("done")
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout == "done\n"
