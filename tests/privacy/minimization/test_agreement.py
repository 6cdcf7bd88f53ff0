"""What a user agreed to, and how often a device may answer."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.privacy.minimization.policies import EVERY_KIND, rule

from privet.privacy.errors import EgressError, InputError, PrivacyError
from privet.privacy.minimization.agreement import Agreement, MemoryParticipations
from privet.privacy.minimization.gate import Gate
from privet.privacy.minimization.policy import EgressPolicy

PLAN = EVERY_KIND.plan_hash


def claim(
    kept: MemoryParticipations, devices: list[int], *, step: str = "one", limit: int = 1
) -> None:
    numbers = np.array(devices, np.int64)
    kept.claim(plan_hash=PLAN, step=step, devices=numbers, limit=limit)


def test_only_the_agreed_plan_under_the_agreed_policy_is_followed() -> None:
    agreement = Agreement.to(EVERY_KIND)
    agreement.check(plan_hash=PLAN, policy_hash=EVERY_KIND.hash)
    with pytest.raises(EgressError, match="this plan"):
        agreement.check(plan_hash="cd" * 32, policy_hash=EVERY_KIND.hash)
    with pytest.raises(EgressError, match="this policy"):
        agreement.check(plan_hash=PLAN, policy_hash="cd" * 32)


def test_a_policy_of_no_plan_agrees_to_no_plan() -> None:
    agreement = Agreement.to(EgressPolicy(rules=(rule(),)))
    with pytest.raises(EgressError, match="this plan"):
        agreement.check(plan_hash="", policy_hash=EgressPolicy(rules=(rule(),)).hash)


def test_a_gate_opens_only_under_a_policy_that_the_user_agreed_to() -> None:
    wider = EgressPolicy(rules=(*EVERY_KIND.rules, rule("more")), plan_hash=PLAN)
    with pytest.raises(EgressError, match="did not agree"):
        Gate(wider, agreement=Agreement.to(EVERY_KIND))
    Gate(wider, agreement=Agreement.to(EVERY_KIND, wider))


@pytest.mark.parametrize("limit", [0, -1, 1.5, True, float("nan")])
def test_a_limit_is_a_whole_number_above_0(limit: int) -> None:
    with pytest.raises(InputError, match="at least 1"):
        replace(Agreement.to(EVERY_KIND), max_participations=limit)


def test_a_repeat_beyond_the_limit_is_refused_and_counts_for_nobody() -> None:
    kept = MemoryParticipations()
    claim(kept, [1, 2])
    with pytest.raises(PrivacyError, match="more often than the 1 times"):
        claim(kept, [3, 2])
    claim(kept, [3])
    claim(kept, [1, 2, 3], step="two")
    claim(kept, [1], limit=2)


def test_a_device_that_is_in_a_cohort_twice_counts_twice() -> None:
    with pytest.raises(PrivacyError):
        claim(MemoryParticipations(), [4, 4])
    claim(MemoryParticipations(), [4, 4], limit=2)


@given(st.lists(st.lists(st.integers(0, 3), max_size=3), max_size=12), st.integers(1, 3))
def test_no_device_is_ever_counted_beyond_the_limit(cohorts: list[list[int]], limit: int) -> None:
    kept = MemoryParticipations()
    passed: list[int] = []
    for cohort in cohorts:
        try:
            claim(kept, cohort, limit=limit)
        except PrivacyError:
            assert any((passed + cohort).count(device) > limit for device in cohort)
        else:
            passed += cohort
    assert all(passed.count(device) <= limit for device in passed)


def test_threads_share_one_count() -> None:
    kept = MemoryParticipations()

    def attempt(_: int) -> bool:
        try:
            claim(kept, list(range(50)), limit=3)
        except PrivacyError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(40))) == 3
