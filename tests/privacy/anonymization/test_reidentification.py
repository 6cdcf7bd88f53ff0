"""The scoreboard finds those who are there, and names nobody in place of those who are not."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from privet.privacy.anonymization import reidentification
from privet.privacy.anonymization.histories import Floats, Histories
from privet.privacy.anonymization.knowledge import DAY, Knowledge, Known, draw
from privet.privacy.anonymization.reidentification import (
    Reidentification,
    Scoreboard,
    eccentricity,
    reidentify,
)
from privet.privacy.errors import InputError


def _data(seed: int = 0, users: int = 120, items: int = 80, each: int = 20) -> Histories:
    rng = np.random.default_rng(seed)
    drawn = rng.permuted(np.tile(np.arange(items), (users, 1)), axis=1)[:, :each]
    return Histories.of(
        np.repeat(np.arange(users), each),
        drawn.ravel(),
        ratings=rng.integers(1, 6, users * each),
        times=rng.uniform(0, 900 * DAY, users * each),
    )


def test_the_score_is_the_papers_formula_computed_by_hand() -> None:
    data = Histories.of(
        [1, 1, 2, 2, 3, 4],
        [10, 11, 10, 11, 10, 12],
        ratings=[5, 4, 3, 4, 5, 1],
        times=[0, 10 * DAY, 0, 40 * DAY, 60 * DAY, 0],
    )
    known = Known(
        items=np.array([0, 1]), ratings=np.array([5.0, 4.0]), times=np.array([0.0, 10 * DAY])
    )
    board, postings = Scoreboard(), reidentification._Postings(data)
    three, two = 1 / math.log(3), 1 / math.log(2)
    expected = [
        three * 2 + two * 2,
        three * (math.exp(-2 / 1.5) + 1) + two * (1 + math.exp(-1)),
        three * (1 + math.exp(-2)),
        0,
    ]
    assert postings.scores(known, board).tolist() == pytest.approx(expected)
    # Without user 2, item 10 has two users, and item 11 one, who is weighted as if they were two.
    expected = [two * 4, two * (1 + math.exp(-2)), 0]
    assert postings.scores(known, board, absent=1).tolist() == pytest.approx(expected)


def test_what_is_known_is_as_wrong_and_as_imprecise_as_was_asked() -> None:
    data, asked = _data(), Knowledge(known_items=10, wrong=3, rating_tolerance=1)
    for target in range(20):
        known = draw(data, target, asked, np.random.default_rng(target))
        own = slice(data.indptr[target], data.indptr[target + 1])
        place = {item: i for i, item in enumerate(data.items[own].tolist())}
        items = known.items.tolist()
        assert len(set(items)) == 10
        assert [item in place for item in items] == [False] * 3 + [True] * 7
        right = [place[item] for item in items[3:]]
        assert data.ratings is not None and known.ratings is not None
        assert data.times is not None and known.times is not None
        assert np.abs(known.ratings[3:] - data.ratings[own][right]).max() <= 1
        off = np.abs(known.times[3:] - data.times[own][right])
        assert 0 < off.max() <= 14 * DAY
        exact = replace(asked, time_tolerance=0)
        times = draw(data, target, exact, np.random.default_rng(target)).times
        assert times is not None
        assert set(times[3:]) <= set(data.times[own])
        assert not set(times[:3]) <= set(data.times[own])


def test_eccentricity_is_the_lead_over_the_second_in_standard_deviations() -> None:
    scores = np.array([0.0, 1.0, 5.0, 2.0])
    assert eccentricity(scores) == pytest.approx(3 / scores.std())
    assert eccentricity(np.array([0.0, 5.0, 5.0])) == 0
    assert eccentricity(np.zeros(4)) == 0


def check_finds(found: Reidentification) -> None:
    """Those who are there are named, and nobody in place of those who are not."""
    assert found.success.low > 0.9
    assert found.false_match.high < 0.05
    assert found.control.high < 0.1


def _attack(**options: Any) -> Reidentification:
    board = Scoreboard(eccentricity=2.5)
    return reidentify(_data(), rng=np.random.default_rng(1), **{"scoreboard": board, **options})


def test_targets_in_the_data_are_named_and_targets_not_in_it_are_not() -> None:
    check_finds(_attack())


def test_mutants_of_the_attack_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AssertionError):
        check_finds(_attack(scoreboard=Scoreboard(eccentricity=1e-9)))  # names the best, always
    real = reidentification._Postings.scores

    def target_left_in(
        self: Any, known: Any, board: Scoreboard, absent: int | None = None
    ) -> Floats:
        return real(self, known, board)

    with monkeypatch.context() as patch, pytest.raises(AssertionError):
        patch.setattr(reidentification._Postings, "scores", target_left_in)
        check_finds(_attack())
    with monkeypatch.context() as patch, pytest.raises(AssertionError):
        patch.setattr(reidentification, "eccentricity", lambda _: 0.0)
        check_finds(_attack())


def test_a_threshold_set_on_half_of_the_targets_holds_on_the_other_half() -> None:
    found = reidentify(_data(users=400), rng=np.random.default_rng(2), control_rate=0.05)
    assert found.success.trials == 200
    assert found.control.low < 0.05
    assert found.control.high < 0.15
    assert found.success.share > 0.8
    strict = reidentify(_data(), rng=np.random.default_rng(2), control_rate=0.0)
    assert strict.eccentricity >= found.eccentricity or strict.control.share < 0.1


def test_histories_drawn_alike_are_found_by_nobody() -> None:
    # Everybody has the same history, so there is nothing to find.
    users, items = np.divmod(np.arange(400), 20)
    same = Histories.of(users, items + 20 * (users == 19))
    found = reidentify(
        same, rng=np.random.default_rng(0), knowledge=Knowledge(known_items=5, wrong=0)
    )
    assert found.success.successes <= 1  # user 19, who alone has other items


def test_more_knowledge_finds_more_and_wrong_items_less() -> None:
    def share(**known: Any) -> float:
        return _attack(knowledge=Knowledge(**known)).success.share

    assert share(known_items=1, wrong=0) < share(known_items=8, wrong=0)
    assert share(known_items=4, wrong=3) < share(known_items=4, wrong=0)
    assert share(known_items=3, wrong=0, time_tolerance=400 * DAY, rating_tolerance=4) < share(
        known_items=3, wrong=0, time_tolerance=0
    )


def test_an_attack_repeats_with_its_generator() -> None:
    assert _attack(targets=30) == _attack(targets=30)
    assert _attack(targets=30).success.trials == 30


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Knowledge(known_items=0, wrong=0),
        lambda: Knowledge(known_items=4, wrong=4),
        lambda: Knowledge(wrong=-1),
        lambda: Knowledge(time_tolerance=math.nan),
        lambda: Knowledge(rating_tolerance=-1),
        lambda: Scoreboard(eccentricity=0),
        lambda: Scoreboard(time_scale=math.nan),
        lambda: _attack(knowledge=Knowledge(known_items=21)),
        lambda: _attack(control_rate=1.0),
        lambda: _attack(control_rate=math.nan),
        lambda: _attack(targets=1, control_rate=0.1),
        lambda: reidentify(_data(users=3), rng=np.random.default_rng(0)),
        lambda: reidentify(_data(items=21), rng=np.random.default_rng(0)),
    ],
    ids=[f"case {number}" for number in range(13)],
)
def test_attacks_that_mean_nothing_are_refused(wrong: Any) -> None:
    with pytest.raises(InputError, match="Expected"):
        wrong()
