"""The device's step: bounded, noised and gated, whatever the model and whoever else is there."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.server.world import TwoSums, histories, plan_of

from privet.client.device import DeviceTask, egress_policy, noise_shares, take_part
from privet.models.cohort import Cohort
from privet.models.plan import StepPlan
from privet.models.popularity import Popularity
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.errors import EgressError, PrivacyError
from privet.privacy.minimization.egress_line import NoLeaf
from privet.privacy.minimization.gate import Gate
from privet.privacy.minimization.messages import Message, message_bytes
from privet.privacy.minimization.policy import EgressPolicy
from privet.privacy.minimization.vector_policy import CONTRIBUTION_FIELD
from privet.privacy.randomness import Randomness

PLAN = plan_of(Trust.SECURE_AGGREGATION)
FIRST, SECOND = PLAN.steps
RNG = Randomness.insecure_seeded(1)
TASK = DeviceTask(plan=PLAN, step=FIRST, shared={})


def sent(
    cohort: Cohort, *, step: StepPlan = FIRST, share: bool = True, gate: Gate | None = None
) -> NDArray[np.int64]:
    gate = gate or Gate(egress_policy(PLAN))
    task = DeviceTask(plan=PLAN, step=step, shared={})
    admitted, _ = take_part(
        TwoSums(), task, {}, cohort, randomness=RNG, gate=gate, add_noise_share=share
    )
    total = np.zeros(step.encoding.dimension, np.int64)
    admitted.add_into(total)
    return total


def test_a_cohorts_sum_is_the_sum_of_its_devices() -> None:
    cohort = histories()
    for step in PLAN.steps:
        alone = [sent(cohort.slice(i, i + 1), step=step) for i in range(len(cohort))]
        assert np.array_equal(sum(alone), sent(cohort, step=step))


def test_an_empty_history_sends_its_noise_share_and_nothing_else() -> None:
    empty = histories().slice(0, 1)
    assert len(empty.items) == 0
    assert not sent(empty, share=False).any()
    assert np.array_equal(sent(empty), noise_shares(TASK, empty.devices, RNG)[0])


def test_every_device_step_and_attempt_has_noise_of_its_own() -> None:
    tasks = (TASK, replace(TASK, step=SECOND), replace(TASK, attempt=1))
    shares = [noise_shares(task, np.arange(4), RNG)[:, :5] for task in tasks]
    assert len({row.tobytes() for share in shares for row in share}) == 12


def test_a_share_does_not_depend_on_who_else_takes_part() -> None:
    together = noise_shares(TASK, np.array([7, 3, 5]), RNG)
    assert np.array_equal(noise_shares(TASK, np.array([3]), RNG)[0], together[1])


def test_without_privacy_there_is_no_share() -> None:
    (step, _) = plan_of(Trust.SECURE_AGGREGATION, epsilon=float("inf")).steps
    assert not noise_shares(replace(TASK, step=step), np.arange(3), RNG).any()


def test_what_leaves_is_one_vector_of_public_length_a_device() -> None:
    gate = Gate(egress_policy(PLAN))
    cohort = histories()
    sent(cohort, gate=gate)
    sent(cohort.slice(0, 1), step=SECOND, gate=gate)
    assert gate.log == [
        {
            "step": "popularity",
            "field": CONTRIBUTION_FIELD,
            "messages": len(cohort),
            "bytes_per_message": FIRST.upload_bytes,
        },
        {
            "step": "signs",
            "field": CONTRIBUTION_FIELD,
            "messages": 1,
            "bytes_per_message": SECOND.upload_bytes,
        },
    ]


@pytest.mark.parametrize("trust", list(Trust))
def test_the_size_of_an_upload_is_the_same_for_plan_policy_message_and_ledger(trust: Trust) -> None:
    plan = plan_of(trust, model=Popularity())
    (step,) = plan.steps
    gate = Gate(policy := egress_policy(plan))
    vector = np.zeros(step.encoding.dimension, np.uint32)
    payload = gate.admit_message(
        Message(step=step.name, fields={CONTRIBUTION_FIELD: vector})
    ).payload
    (line,) = gate.ledger.lines
    sizes = (len(payload), message_bytes(policy, step.name), line.bytes_per_message)
    assert set(sizes) == {step.upload_bytes} == {plan.upload_bytes}


def test_a_line_has_a_hash_or_says_why_not() -> None:
    gate = Gate(egress_policy(PLAN))
    cohort = histories()
    sent(cohort, gate=gate)
    sent(cohort.slice(0, 1), step=SECOND, gate=gate)
    many, one = gate.ledger.lines
    assert (many.leaf, many.no_leaf) == (None, NoLeaf.COHORT)
    assert one.leaf is not None and one.no_leaf is None


def test_a_step_that_the_policy_does_not_name_is_denied() -> None:
    other = egress_policy(plan_of(Trust.SECURE_AGGREGATION, model=Popularity()))
    with pytest.raises(EgressError):
        sent(histories(), step=SECOND, gate=Gate(other))
    with pytest.raises(EgressError):
        sent(histories(), gate=Gate(EgressPolicy(rules=())))


@pytest.mark.parametrize(
    "step",
    [
        replace(FIRST, encoding=replace(FIRST.encoding, dimension=13)),
        replace(FIRST, encoding=replace(FIRST.encoding, l2_clip_norm=0.5)),
        replace(FIRST, step=replace(FIRST.step, nonnegative=False)),
    ],
    ids=["dimension", "bound", "sign"],
)
def test_a_contribution_that_the_plan_was_not_calibrated_for_is_refused(step: StepPlan) -> None:
    with pytest.raises(PrivacyError, match="calibrated"):
        sent(histories(), step=step)
