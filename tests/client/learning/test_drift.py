"""Tastes that change: with a half-life recommendations follow, without one they are held back."""

from itertools import pairwise

import numpy as np
import pytest
from tests.client.learning.world import CATALOGUE, DAY, ITEMS, NOW, liked, made, now, published

from privet.client.learning.recommender import Recommender
from privet.client.learning.situation import Mode
from privet.client.vault.event import Event

EVENS, ODDS = np.arange(0, ITEMS, 2), np.arange(1, ITEMS, 2)
MODELS = {"spectral": published(), "words alone": None}


def lead_of_evens(found: Recommender, seen: set[int], at: int) -> float:
    """How far the mean unseen even item is above the mean unseen odd one."""
    values = found.scores(Mode.PERSONAL, now(now=at)).values
    even, odd = ([item for item in items.tolist() if item not in seen] for items in (EVENS, ODDS))
    return float(values[even].mean() - values[odd].mean())


def changed(half_life: float | None, name: str) -> list[float]:
    """The lead of the new taste after each event of it; the old one had eight a year before."""
    found = made(MODELS[name], half_life_seconds=half_life)
    old, new = ODDS[:8].tolist(), EVENS[:6].tolist()
    found.observe(*liked(*old, at=NOW - 365 * DAY))
    leads = []
    for number, item in enumerate(new):
        at = NOW + number * DAY
        found.observe(*liked(item, at=at))
        leads.append(lead_of_evens(found, {*old, *new}, at + 60))
    return leads


@pytest.mark.parametrize("name", MODELS)
def test_a_changed_taste_is_followed_at_once_with_a_half_life_and_late_without(name: str) -> None:
    followed, held_back = changed(30.0 * DAY, name), changed(None, name)
    assert followed[0] > 0 and held_back[0] < 0
    assert all(one > other for one, other in zip(followed, held_back, strict=True))
    assert held_back[-1] > held_back[0]


@pytest.mark.parametrize("name", MODELS)
def test_a_taste_that_nothing_confirms_fades_to_what_everyone_gets(name: str) -> None:
    found = made(MODELS[name], half_life_seconds=30.0 * DAY)
    nobody = made(MODELS[name]).scores(Mode.PERSONAL, now()).values
    found.observe(*liked(0, 2, 4))
    ages = (0, 30, 90, 365, 5000)
    gaps = [
        float(np.abs(found.scores(Mode.PERSONAL, now(now=NOW + a * DAY)).values - nobody).max())
        for a in ages
    ]
    assert all(late < early for early, late in pairwise(gaps)), gaps
    assert gaps[-1] < 1e-6 * gaps[0]


def test_decay_moves_in_small_steps_and_never_waits_for_an_event() -> None:
    found = made(half_life_seconds=10.0 * DAY)
    found.observe(*liked(0, at=NOW))
    values = [
        found.scores(Mode.PERSONAL, now(now=NOW + hours * 3600)).values[2] for hours in range(48)
    ]
    steps = -np.diff(values) / values[0]
    assert (steps >= 0).all() and 0 < steps.max() < 0.005


def test_a_clock_that_goes_back_loses_nothing() -> None:
    found = made(half_life_seconds=DAY)
    found.observe(*liked(0, at=NOW), Event(kind="like", item=CATALOGUE.item_ids[2], time=NOW))
    ahead = found.scores(Mode.PERSONAL, now()).values
    behind = found.scores(Mode.PERSONAL, now(now=NOW - 300 * DAY)).values
    np.testing.assert_allclose(behind, ahead, rtol=0.01)
