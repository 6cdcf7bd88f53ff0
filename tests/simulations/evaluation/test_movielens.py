"""Known figures on MovieLens 1M, where the data is at hand (its terms forbid shipping it)."""

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from privet.models.catalogue import Catalogue
from privet.models.cohort import Cohort
from privet.simulations.evaluation.intervals import paired_difference
from privet.simulations.evaluation.metrics import Evaluation, evaluate
from privet.simulations.evaluation.references import (
    CentralisedPopularity,
    Ease,
    LocalOnly,
    Reference,
)

FOLDER = Path(os.environ.get("PRIVET_DATA", "../shared/data")) / "ml-1m"
USERS = 6040

pytestmark = pytest.mark.skipif(
    not (FOLDER / "full_ranking.npz").exists(),
    reason=f"MovieLens 1M is not at {FOLDER}; set PRIVET_DATA to the folder above ml-1m",
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Split:
    catalogue: Catalogue
    train: Cohort
    test: Cohort
    negatives: NDArray[np.int32] | None = None

    def measure(self, reference: Reference) -> Evaluation:
        score = reference.fit(self.train, self.catalogue).score
        return evaluate(score, self.train, self.test, negatives=self.negatives)


@cache
def films() -> tuple[Catalogue, NDArray[np.int64]]:
    """The catalogue, and the index of each of MovieLens' own ids."""
    lines = (FOLDER / "movies.dat").read_text("latin-1").splitlines()
    ids, titles, genres = zip(*(line.split("::") for line in lines), strict=True)
    index = np.full(1 + max(int(film) for film in ids), -1)
    index[[int(film) for film in ids]] = np.arange(len(ids))
    years = tuple(int(title.strip()[-5:-1]) for title in titles)
    categories = tuple(tuple(names.split("|")) for names in genres)
    return Catalogue(item_ids=ids, categories=categories, years=years), index


def films_of(users: NDArray[np.int64], items: NDArray[np.int64]) -> Cohort:
    catalogue, index = films()
    return Cohort.from_pairs(users - 1, index[items], n_users=USERS, n_items=len(catalogue))


def pairs(*parts: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    with np.load(FOLDER / "full_ranking.npz") as data:
        users, items = (
            np.concatenate([data[f"{part}_{what}"] for part in parts]).astype(np.int64)
            for what in ("user", "item")
        )
    return users, items


def full_ranking() -> Split:
    train, test = films_of(*pairs("train", "valid")), films_of(*pairs("test"))
    return Split(catalogue=films()[0], train=train, test=test)


def leave_one_out() -> Split:
    catalogue, index = films()
    with np.load(FOLDER / "leave_one_out.npz") as data:
        user, item = data["user_id"].astype(np.int64), data["item_id"].astype(np.int64)
        negatives = np.full((USERS, 99), -1, np.int32)
        negatives[user - 1] = index[data["negatives"]]
    users, items = pairs("train", "valid", "test")
    kept = ~np.isin(users * len(index) + items, user * len(index) + item)
    return Split(
        catalogue=catalogue,
        train=films_of(users[kept], items[kept]),
        test=films_of(user, item),
        negatives=negatives,
    )


def means(found: Evaluation, *names: str) -> list[float]:
    return [found.metrics[name].mean for name in names]


def test_popularity_has_its_known_figures_over_the_whole_catalogue() -> None:
    found = full_ranking().measure(CentralisedPopularity())
    assert means(found, "recall@20", "ndcg@20") == pytest.approx([0.115, 0.194], abs=6e-4)


@pytest.mark.slow
def test_ease_has_its_known_figures_and_popularity_and_local_only_are_below() -> None:
    split = full_ranking()
    ease = split.measure(Ease(reg=500.0))
    assert means(ease, "recall@20", "ndcg@20") == pytest.approx([0.277, 0.417], abs=6e-4)
    for weaker in (CentralisedPopularity(), LocalOnly()):
        other = split.measure(weaker)
        gap = paired_difference(ease.per_user["ndcg@20"], other.per_user["ndcg@20"])
        assert gap.low > 0.2


def test_popularity_has_its_known_figures_among_99_sampled_negatives() -> None:
    found = leave_one_out().measure(CentralisedPopularity())
    # Published with ties for the positive: .4535 / .2543; against it a little less.
    assert means(found, "sampled_hr@10", "sampled_ndcg@10") == pytest.approx(
        [0.4531, 0.2541], abs=1e-4
    )


def test_without_federation_and_without_features_nothing_is_hit() -> None:
    """Code that leaks the held-out items into training reaches 1.0 here."""
    split = leave_one_out()
    bare = Split(
        catalogue=Catalogue(item_ids=split.catalogue.item_ids),
        train=split.train,
        test=split.test,
        negatives=split.negatives,
    )
    found = bare.measure(LocalOnly())
    assert {name for name, one in found.metrics.items() if one.mean != 0} == set()
    assert split.measure(LocalOnly()).metrics["sampled_hr@10"].mean < 0.3


@pytest.mark.slow
def test_ease_is_near_its_published_figure_among_99_sampled_negatives() -> None:
    found = leave_one_out().measure(Ease(reg=500.0))
    assert means(found, "sampled_hr@10", "sampled_ndcg@10") == pytest.approx(
        [0.709, 0.449], abs=1e-3
    )
