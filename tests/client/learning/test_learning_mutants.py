"""What the modes promise to leave alone, read after all, one at a time, and noticed."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tests.client.learning import test_recommender

from privet.client.learning.recommender import Recommender
from privet.client.learning.situation import Mode

Patch = pytest.MonkeyPatch


def popular() -> None:
    test_recommender.test_the_popular_mode_is_the_same_with_a_history_and_without("spectral")


CONTEXTUAL = test_recommender.test_the_contextual_mode_knows_the_present_session_alone


def answered_as(wanted: Mode, given: Mode) -> Callable[[Patch], None]:
    """Requests of one mode get the scores of another."""

    def broken(patch: Patch) -> None:
        honest = Recommender.scores
        patch.setattr(
            Recommender,
            "scores",
            lambda own, mode, situation: honest(own, given if mode is wanted else mode, situation),
        )

    return broken


def seen_items_are_left_out(patch: Patch) -> None:
    honest = Recommender.excluded

    def broken(own: Recommender, mode: Mode, situation: Any, *, exclude_seen: Any = None) -> Any:
        personal = exclude_seen is None and mode is Mode.POPULAR
        return honest(
            own,
            Mode.PERSONAL if personal else mode,
            situation,
            exclude_seen=exclude_seen,
        )

    patch.setattr(Recommender, "excluded", broken)


def every_event_is_of_the_session(patch: Patch) -> None:
    patch.setattr(
        Recommender, "_session", lambda own, situation: np.ones(len(own._tally), np.bool_)
    )


MUTANTS: dict[str, tuple[Callable[[Patch], None], Callable[[], None]]] = {
    "popular is personal": (answered_as(Mode.POPULAR, Mode.PERSONAL), popular),
    "popular follows the session": (answered_as(Mode.POPULAR, Mode.CONTEXTUAL), popular),
    "popular leaves out what was seen": (seen_items_are_left_out, popular),
    "contextual is personal": (answered_as(Mode.CONTEXTUAL, Mode.PERSONAL), CONTEXTUAL),
    "a session never ends": (every_event_is_of_the_session, CONTEXTUAL),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mode_that_reads_more_than_it_promises_is_noticed(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, test = MUTANTS[name]
    broken(monkeypatch)
    with pytest.raises(AssertionError):
        test()
