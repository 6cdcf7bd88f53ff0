"""What every memory of participations must do, in this process or on a device's disk."""

from typing import Any

import numpy as np
import pytest

from privet.privacy.errors import InputError, PrivacyError
from privet.privacy.minimization.agreement import Limits, Participations

PLAN, OTHER_PLAN = "ab" * 32, "cd" * 32


def claim(
    kept: Participations,
    devices: list[int],
    *,
    plan: str = PLAN,
    step: str = "one",
    series: str | None = None,
    at: Any = 0,
    **limits: Any,
) -> None:
    """Claim under limits by name."""
    kept.claim(
        plan_hash=plan,
        step=step,
        devices=np.array(devices, np.int64),
        limits=Limits(**limits),
        series=series,
        round_number=at,
    )


def refused(kept: Participations, match: str, devices: list[int], **how: Any) -> None:
    """Claim what must be refused."""
    with pytest.raises(PrivacyError, match=match):
        claim(kept, devices, **how)


class ParticipationsContract:
    """Subclasses give the fixture ``kept``: an empty `Participations`."""

    def test_a_repeat_beyond_the_limit_is_refused_and_counts_for_nobody(
        self, kept: Participations
    ) -> None:
        claim(kept, [1, 2])
        refused(kept, "'one' more often than the 1 times", [3, 2])
        claim(kept, [3])
        claim(kept, [1, 2, 3], step="two")
        claim(kept, [1, 2, 3], plan=OTHER_PLAN)
        claim(kept, [1], max_participations=2)
        refused(kept, "the 2 times", [1], max_participations=2)

    def test_a_device_that_is_in_a_cohort_twice_counts_twice(self, kept: Participations) -> None:
        refused(kept, "more often", [4, 4])
        claim(kept, [4, 4], max_participations=2)
        refused(kept, "less than 1 rounds", [5, 5], max_participations=2, series="s")

    def test_a_total_holds_over_all_steps_of_a_plan(self, kept: Participations) -> None:
        claim(kept, [1], max_total=2)
        claim(kept, [1], step="two", max_total=2)
        refused(kept, "this plan more often than the 2", [1], step="three", max_total=2)
        claim(kept, [1], plan=OTHER_PLAN, step="three", max_total=2)
        claim(kept, [1], step="three", max_total=3)

    def test_a_lifetime_holds_over_all_plans(self, kept: Participations) -> None:
        claim(kept, [1, 2], max_lifetime=2)
        claim(kept, [1], plan=OTHER_PLAN, max_lifetime=2)
        refused(kept, "all plans together", [1], plan="ef" * 32, max_lifetime=2)
        claim(kept, [2], plan="ef" * 32, max_lifetime=2)

    def test_what_was_claimed_without_a_limit_counts_when_there_is_one(
        self, kept: Participations
    ) -> None:
        for step in ("one", "two", "three"):
            claim(kept, [1], step=step)
        refused(kept, "this plan", [1], step="four", max_total=3)
        refused(kept, "all plans", [1], plan=OTHER_PLAN, max_lifetime=3)

    def test_two_rounds_of_a_series_are_as_far_apart_as_agreed_in_whatever_order(
        self, kept: Participations
    ) -> None:
        far: dict[str, Any] = {"series": "s", "max_participations": 9, "min_separation": 3}
        claim(kept, [1], at=5, **far)
        for at in (3, 4, 5, 6, 7):
            refused(kept, f"round {at} of a series, less than 3", [1], at=at, **far)
        claim(kept, [1], at=8, **far)
        claim(kept, [1], at=2, **far)  # rounds asked for out of order
        claim(kept, [1], at=2**32 - 1, **far)
        for at in (0, 3, 10):
            refused(kept, "less than 3", [1], at=at, **far)
        claim(kept, [2], at=5, **far)

    def test_separation_holds_within_one_series_of_one_plan(self, kept: Participations) -> None:
        far: dict[str, Any] = {"max_participations": 9, "min_separation": 3}
        claim(kept, [1], at=5, series="s", **far)
        claim(kept, [1], at=5, series="t", **far)
        claim(kept, [1], at=5, series="s", plan=OTHER_PLAN, **far)
        claim(kept, [1], at=5, **far)
        claim(kept, [1], at=5, **far)
        refused(kept, "less than 3", [1], at=6, series="s", step="two", **far)

    def test_a_round_of_a_series_is_answered_once_whatever_the_limit(
        self, kept: Participations
    ) -> None:
        claim(kept, [1], series="s", max_participations=9)
        refused(kept, "less than 1", [1], series="s", max_participations=9)
        claim(kept, [1], series="s", at=1, max_participations=9)

    def test_a_refused_claim_leaves_no_trace(self, kept: Participations) -> None:
        far: dict[str, Any] = {"series": "s", "max_participations": 2, "min_separation": 3}
        claim(kept, [1], at=5, **far)
        refused(kept, "less than 3", [2, 1], at=6, **far)
        refused(kept, "more often", [2, 1, 1], at=9, **far)
        claim(kept, [1, 2], at=8, **far)
        refused(kept, "more often", [1], at=20, **far)
        claim(kept, [2], at=20, **far)

    def test_an_empty_cohort_claims_nothing(self, kept: Participations) -> None:
        claim(kept, [])
        claim(kept, [1])

    @pytest.mark.parametrize("at", [-1, 2**32, 1.0, True, None, float("nan"), "1"])
    def test_what_is_no_rounds_number_is_refused(self, kept: Participations, at: Any) -> None:
        with pytest.raises(InputError, match="round's number"):
            claim(kept, [1], at=at)
        claim(kept, [1])
