"""What a user agreed to, and how often a device may answer."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.privacy.minimization.policies import EVERY_KIND, rule

from privet.privacy.errors import EgressError, InputError
from privet.privacy.minimization.agreement import Agreement, Limits
from privet.privacy.minimization.gate import Gate
from privet.privacy.minimization.policy import EgressPolicy

PLAN = EVERY_KIND.plan_hash


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


@pytest.mark.parametrize("limit", [0, -1, 1.5, True, float("nan"), "2"])
@pytest.mark.parametrize(
    "name", ["max_participations", "max_total", "max_lifetime", "min_separation"]
)
def test_a_limit_is_a_whole_number_above_0(name: str, limit: Any) -> None:
    with pytest.raises(InputError, match=f"{name} as a whole number of at least 1"):
        Limits(**{name: limit})


@pytest.mark.parametrize("name", ["max_participations", "min_separation"])
def test_some_limits_cannot_be_left_out(name: str) -> None:
    missing: Any = None
    with pytest.raises(InputError, match=name):
        Limits(**{name: missing})


LIMITS = st.builds(
    Limits,
    max_participations=st.integers(1, 9),
    max_total=st.none() | st.integers(1, 9),
    max_lifetime=st.none() | st.integers(1, 9),
    min_separation=st.integers(1, 9),
)


@given(LIMITS, LIMITS)
def test_the_stricter_of_two_limits_allows_nothing_that_either_refuses(
    a: Limits, b: Limits
) -> None:
    both = a.stricter(b)
    assert both == b.stricter(a) == both.stricter(a)
    for limits in (a, b):
        assert both.max_participations <= limits.max_participations
        assert (both.max_total or 0) <= (limits.max_total or 10)
        assert (both.max_lifetime or 0) <= (limits.max_lifetime or 10)
        assert both.min_separation >= limits.min_separation
    assert a.stricter(a) == a
    assert (both.max_total is None) == (a.max_total is b.max_total is None)
