"""A device checks what it is asked before it computes anything; its no is silence."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.server.world import DEVICES, OneByOne, TwoSums, histories, plan_of, randomness_of

from privet.client.device import DeviceTask, egress_policy, take_part
from privet.models.model import Model
from privet.models.plan import Plan, StepPlan
from privet.models.popularity import Popularity
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.encoding import wrap
from privet.privacy.errors import EgressError, PrivacyError
from privet.privacy.minimization.agreement import Agreement, Limits
from privet.privacy.minimization.gate import Gate
from privet.privacy.minimization.policy import EgressPolicy
from privet.privacy.randomness import Randomness
from privet.server.coordinator import Coordinator
from privet.server.fleet import Aggregate, ChargeSum, GroupSum, Round
from privet.server.storage import RunStore

PLAN = plan_of(Trust.SECURE_AGGREGATION)
OTHER_PLAN = plan_of(Trust.SECURE_AGGREGATION, epsilon=9.0)
RNG = Randomness.insecure_seeded(1)


class Untouched(TwoSums):
    """A model that must not see any history."""

    def contribute(self, *_: Any) -> Any:
        raise AssertionError("computed although the device said no")


def ask(
    gate: Gate,
    plan: Plan = PLAN,
    *,
    step: StepPlan | None = None,
    model: Model | None = None,
    devices: slice = slice(0, 1),
) -> None:
    take_part(
        model or TwoSums(),
        DeviceTask(plan=plan, step=step or plan.steps[0], shared={}),
        {},
        histories().slice(devices.start, devices.stop),
        randomness=RNG,
        gate=gate,
        add_noise_share=True,
    )


def refused(gate: Gate, error: type[Exception], match: str, plan: Plan = PLAN, **how: Any) -> None:
    with pytest.raises(error, match=match):
        ask(gate, plan, model=Untouched(), **how)
    assert gate.ledger.lines == ()


def test_a_plan_that_the_user_did_not_agree_to_gets_no_answer() -> None:
    refused(Gate(egress_policy(PLAN)), EgressError, "this plan", OTHER_PLAN)
    refused(Gate(egress_policy(PLAN)), EgressError, "this plan", replace(PLAN, catalogue_hash="1"))
    refused(Gate(EgressPolicy(rules=())), EgressError, "this plan")
    both = Agreement.to(egress_policy(PLAN), egress_policy(OTHER_PLAN))
    refused(Gate(egress_policy(PLAN), agreement=both), EgressError, "not the plan's", OTHER_PLAN)
    ask(Gate(egress_policy(OTHER_PLAN), agreement=both), OTHER_PLAN)


def test_a_wider_policy_than_the_plans_gets_no_answer_even_if_it_names_the_plan() -> None:
    honest = egress_policy(PLAN)
    extra = replace(honest.rules[0], field="num_examples", shapes={"popularity": ()})
    wider = EgressPolicy(rules=(*honest.rules, extra), plan_hash=PLAN.hash)
    refused(Gate(wider), EgressError, "this policy")
    refused(Gate(wider, agreement=Agreement.to(honest, wider)), EgressError, "not the plan's")


@pytest.mark.parametrize(
    "change",
    [
        {"share_variance": 1e-9},
        {"share_variance": 0.0},
        {"colluders": 0},
        {"trust": Trust.CENTRAL},
        {"survivors": 1},
    ],
)
def test_a_step_with_other_terms_than_the_plans_gets_no_answer(change: dict[str, Any]) -> None:
    (step, _) = PLAN.steps
    other = replace(step, terms=replace(step.terms, **change))
    refused(Gate(egress_policy(PLAN)), PrivacyError, "calibrated", step=other)


@pytest.mark.parametrize("trust", [Trust.LOCAL, Trust.SECURE_AGGREGATION])
@pytest.mark.parametrize("variance", [0.0, math.nan, -1.0])
def test_a_plan_that_promises_the_devices_noise_and_has_none_gets_no_answer(
    trust: Trust, variance: float
) -> None:
    honest = plan_of(trust, model=Popularity())
    (step,) = honest.steps
    noiseless = replace(step, terms=replace(step.terms, share_variance=variance))
    plan = replace(honest, steps=(noiseless,))
    if math.isnan(variance):  # no plan with NaN has a hash, so nobody can agree to one
        with pytest.raises(Exception, match="NaN"):
            egress_policy(plan)
        return
    refused(Gate(egress_policy(plan)), PrivacyError, "no noise of the device's own", plan)


def test_without_privacy_no_noise_is_promised_and_the_policy_says_so() -> None:
    plan = plan_of(Trust.LOCAL, model=Popularity(), epsilon=math.inf)
    ask(Gate(egress_policy(plan)), plan, model=Popularity())
    assert "NOT PRIVATE" in egress_policy(plan).to_toml()
    assert "NOT PRIVATE" in egress_policy(replace(PLAN, seeded_noise=True)).to_toml()
    assert "NOT PRIVATE" not in egress_policy(PLAN).to_toml()


def test_a_repeat_beyond_what_was_agreed_gets_no_answer_and_other_steps_do() -> None:
    gate = Gate(egress_policy(PLAN))
    ask(gate, devices=slice(0, 3))
    with pytest.raises(PrivacyError, match="fresh noise"):
        ask(gate, model=Untouched(), devices=slice(2, 5))
    ask(gate, devices=slice(3, 5))
    ask(gate, step=PLAN.steps[1], devices=slice(0, 5))
    twice = Agreement(
        plan_hashes=frozenset({PLAN.hash}),
        policy_hashes=frozenset({gate.policy.hash}),
        limits=Limits(max_participations=2),
    )
    gate = Gate(egress_policy(PLAN), agreement=twice)
    ask(gate)
    ask(gate)
    with pytest.raises(PrivacyError, match="2 times"):
        ask(gate)


def test_a_participation_counts_from_before_anything_is_computed() -> None:
    gate = Gate(egress_policy(PLAN))
    with pytest.raises(AssertionError):
        ask(gate, model=Untouched())
    with pytest.raises(PrivacyError, match="fresh noise"):
        ask(gate)


def test_the_policy_is_a_pure_function_of_the_plan_and_names_it() -> None:
    assert egress_policy(PLAN) == egress_policy(replace(PLAN))
    assert egress_policy(PLAN).plan_hash == PLAN.hash
    assert EgressPolicy.from_toml(egress_policy(PLAN).to_toml()) == egress_policy(PLAN)
    others = (OTHER_PLAN, replace(PLAN, catalogue_hash="1"), replace(PLAN, seeded_noise=True))
    assert len({egress_policy(plan).hash for plan in (PLAN, *others)}) == 4
    ask(gate := Gate(egress_policy(PLAN)))
    (line,) = gate.ledger.lines
    assert (line.plan_hash, line.policy_hash) == (PLAN.hash, egress_policy(PLAN).hash)
    assert line.leaf is not None


class SomeRefuse(OneByOne):
    """A fleet whose last devices did not agree to the plan: they are silent."""

    def __init__(self, agreeing: int, randomness: Randomness, plan: Plan) -> None:
        super().__init__(TwoSums(), histories(), randomness, plan)
        yes, no = egress_policy(plan), egress_policy(OTHER_PLAN)
        self.gates = [Gate(yes if row < agreeing else no) for row in range(DEVICES)]

    def run(self, round_: Round, charge: ChargeSum) -> Aggregate:
        task = DeviceTask(
            plan=round_.plan, step=round_.step, shared=round_.shared, attempt=round_.attempt
        )
        total, survivors = np.zeros(round_.step.encoding.dimension, np.uint32), 0
        for row, gate in enumerate(self.gates):
            upload = np.zeros(len(total), np.int64)
            try:
                admitted, self.local[row] = take_part(
                    self.model,
                    task,
                    self.local.get(row, {}),
                    self.cohort.slice(row, row + 1),
                    randomness=self.randomness,
                    gate=gate,
                    add_noise_share=True,
                )
            except (EgressError, PrivacyError):
                continue
            admitted.add_into(upload)
            total, survivors = total + wrap(upload), survivors + 1
        charge([survivors])
        return Aggregate(groups=(GroupSum(total=total, survivors=survivors),))


def run(directory: Path, agreeing: int, minimum: int) -> None:
    plan = plan_of(Trust.SECURE_AGGREGATION, min_survivors=minimum)
    store = RunStore(directory, create=True)
    try:
        randomness, repeatable = randomness_of(plan, store)
        Coordinator(
            model=TwoSums(),
            plan=plan,
            fleet=SomeRefuse(agreeing, randomness, plan),
            store=store,
            randomness=randomness,
            repeatable=repeatable,
        ).run()
    finally:
        store.close()


def test_a_round_goes_on_without_the_devices_that_said_no(tmp_path: Path) -> None:
    run(tmp_path, agreeing=DEVICES - 2, minimum=DEVICES - 2)


def test_a_round_with_too_many_that_said_no_learns_nothing(tmp_path: Path) -> None:
    with pytest.raises(PrivacyError, match="not learnt"):
        run(tmp_path, agreeing=DEVICES - 3, minimum=DEVICES - 2)
