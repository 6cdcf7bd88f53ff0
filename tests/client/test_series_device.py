"""A series of rounds on the device: it refuses a round too soon, or beyond its maximum."""

from dataclasses import replace

import numpy as np
import pytest

from privet.client.device import DeviceTask, egress_policy, take_part
from privet.models.cohort import Cohort
from privet.models.plan import Plan, PublicFacts
from privet.models.planning import make_plan
from privet.models.trending import Trending
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.errors import PrivacyError
from privet.privacy.minimization.agreement import Agreement, Limits
from privet.privacy.minimization.gate import Gate
from privet.privacy.randomness import Randomness

MODEL = Trending(rounds=8, separation=3, bands=2)


def plan_of(model: Trending = MODEL) -> Plan:
    facts = PublicFacts(devices=12, items=4, epsilon=4.0, delta=1e-4, trust=Trust.CENTRAL)
    return make_plan(model, facts, catalogue_hash="0" * 64)


class Device:
    """One device that answers to whatever round it is asked for."""

    def __init__(self, plan: Plan, *, limits: Limits | None = None) -> None:
        policy = egress_policy(plan)
        agreement = None if limits is None else Agreement.to(policy, limits=limits)
        self.plan, self.gate = plan, Gate(policy, agreement=agreement)

    def answer(self, number: int) -> None:
        history = Cohort.from_pairs(np.zeros(2, np.int64), np.array([0, 3]), n_users=1, n_items=4)
        take_part(
            MODEL,
            DeviceTask(plan=self.plan, step=self.plan.steps[number], shared={}),
            {},
            history,
            randomness=Randomness.secret(),
            gate=self.gate,
            add_noise_share=False,
        )


@pytest.mark.parametrize("second", [3, 4, 5])
def test_a_round_too_soon_is_refused_before_anything_is_computed(second: int) -> None:
    device = Device(plan_of())
    device.answer(3)
    with pytest.raises(PrivacyError, match="less than 3 rounds"):
        device.answer(second)
    assert device.gate.log[0]["messages"] == 1
    device.answer(6)
    device.answer(0)  # in any order, as long as they are apart


def too_soon_is_refused() -> None:
    test_a_round_too_soon_is_refused_before_anything_is_computed(4)


def test_the_cap_holds_where_the_separation_alone_would_not() -> None:
    plan = plan_of()
    steps = tuple(
        replace(s, terms=replace(s.terms, series=replace(s.terms.series, participations=2)))
        for s in plan.steps
        if s.terms.series is not None
    )
    device = Device(replace(plan, steps=steps))
    device.answer(0)
    device.answer(3)
    with pytest.raises(PrivacyError, match="more often than the 2 times"):
        device.answer(6)


def test_users_may_ask_for_more_distance_and_fewer_participations_than_the_plan() -> None:
    device = Device(plan_of(), limits=Limits(min_separation=5))
    device.answer(0)
    with pytest.raises(PrivacyError, match="less than 5 rounds"):
        device.answer(4)
    device.answer(5)
    frugal = Device(plan_of(), limits=Limits(max_total=1))
    frugal.answer(0)
    with pytest.raises(PrivacyError, match="more often than the 1 times"):
        frugal.answer(6)
