"""The policy of a device in a federation has every message of the protocol, each of one size."""

from dataclasses import replace
from math import comb, log2

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.server.world import TwoSums, plan_of

from privet.models.federation import Federation, Stage
from privet.models.federation_policy import (
    federation_policy,
    most_neighbours,
    protocol_bytes,
    protocol_message,
)
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.errors import EgressError, InputError, PrivacyError
from privet.privacy.minimization.gate import Gate
from privet.privacy.minimization.policy import EgressPolicy
from privet.privacy.secagg.parameters import split_resistant_parameters

FEDERATION = Federation(run="a-test", server_key=bytes(32), corrupt_permille=0, drop_permille=300)
PLAN = plan_of(Trust.SECURE_AGGREGATION, min_survivors=7)
POLICY = federation_policy(PLAN, FEDERATION)


@pytest.mark.parametrize("stage", [Stage.SHARE, Stage.UNMASK])
@given(data=st.binary(max_size=200))
def test_a_padded_message_comes_back_as_it_was(stage: Stage, data: bytes) -> None:
    admitted = Gate(POLICY).admit_message(protocol_message(POLICY, stage.value, data))
    size = sum(rule.size(stage.value) for rule in POLICY.of_step(stage.value))
    assert len(admitted.payload) == size + 39
    assert protocol_bytes(POLICY, stage.value, admitted.payload) == data


def test_a_message_that_is_not_padded_as_it_must_be_is_refused() -> None:
    size = sum(rule.size("share") for rule in POLICY.of_step("share"))
    for data in (bytes(size), b"\1" * size):
        message = protocol_message(POLICY, "share", data)
        payload = Gate(POLICY).admit_message(message).payload
        with pytest.raises(InputError, match="padded"):
            protocol_bytes(POLICY, "share", payload)


@pytest.mark.parametrize("step", ["advertise", "cosign", "popularity", "hello", "share"])
def test_a_message_of_another_length_does_not_leave(step: str) -> None:
    size = sum(rule.size(step) for rule in POLICY.of_step(step))
    protocol_message(POLICY, step, bytes(size))
    for wrong in (size + 1, *([size - 1, 0] if step != "share" else [])):
        with pytest.raises(EgressError):
            protocol_message(POLICY, step, bytes(wrong))


@pytest.mark.parametrize("trust", list(Trust))
def test_there_is_a_message_for_each_stage_of_the_trust_and_no_other(trust: Trust) -> None:
    plan = plan_of(trust, min_survivors=7)
    steps = {step.name for step in plan.steps}
    protocol = {"hello", "model"}
    if trust is Trust.SECURE_AGGREGATION:
        protocol |= {"advertise", "share", "cosign", "unmask"}
    policy = federation_policy(plan, FEDERATION)
    assert set(policy.steps) == steps | protocol
    assert EgressPolicy.from_toml(policy.to_toml()) == policy
    assert policy.plan_hash == plan.hash
    with pytest.raises(EgressError):
        protocol_message(policy, "histories", b"")


def test_the_policy_says_when_there_is_no_privacy() -> None:
    for changed in (
        plan_of(Trust.LOCAL, epsilon=float("inf")),
        replace(plan_of(Trust.LOCAL), seeded_noise=True),
    ):
        assert "NOT PRIVATE" in federation_policy(changed, FEDERATION).to_toml()
    assert "NOT PRIVATE" not in POLICY.to_toml()


@pytest.mark.parametrize("stage", ["hello", "advertise", "share", "cosign", "unmask"])
def test_a_plan_whose_step_has_the_name_of_a_stage_has_no_policy(stage: str) -> None:
    first, second = PLAN.steps
    named = replace(first, step=replace(first.step, name=stage))
    with pytest.raises(InputError, match="name of a stage"):
        federation_policy(replace(PLAN, steps=(named, second)), FEDERATION)


@pytest.mark.parametrize(("corrupt", "drop"), [(0, 300), (10, 10), (50, 100), (100, 300)])
@pytest.mark.parametrize(
    ("devices", "fewest"), [(12, 8), (30, 15), (100, 50), (200, 100), (943, 700), (500, 300)]
)
def test_no_smaller_roster_has_more_neighbours_than_the_policy_has_room_for(
    corrupt: int, drop: int, devices: int, fewest: int
) -> None:
    federation = replace(FEDERATION, corrupt_permille=corrupt, drop_permille=drop)
    try:
        most, choosers = most_neighbours(devices, fewest, federation)
    except PrivacyError:
        pytest.skip("no graph of this size")
    rng = np.random.default_rng(devices)
    sizes = {devices, *rng.integers(max(devices * 7 // 10, fewest), devices, 5).tolist()}
    sizes |= {size for size in (86, 140, 350, 390) if fewest <= size < devices}
    for n in sizes:
        try:
            k = split_resistant_parameters(
                n, corrupt_permille=corrupt, drop_permille=drop, min_survivors=fewest
            ).neighbours
        except PrivacyError:
            continue
        assert k <= most
        # Each other device chooses this one with probability k / (n - 1), independently.
        if choosers < n - 1:
            tail = sum(
                comb(n - 1, i) * k**i * (n - 1 - k) ** (n - 1 - i) for i in range(choosers + 1, n)
            )
            assert not tail or log2(n) + log2(tail) - (n - 1) * log2(n - 1) < -40


@pytest.mark.parametrize("changed", [{"corrupt_permille": 51}, {"drop_permille": 101}])
def test_whoever_agrees_to_a_policy_agrees_to_what_is_assumed_of_devices(
    changed: dict[str, int],
) -> None:
    federation = replace(FEDERATION, corrupt_permille=50, drop_permille=100)
    other = replace(federation, **changed)  # type: ignore[arg-type]
    assert federation_policy(PLAN, federation).hash != federation_policy(PLAN, other).hash


def test_two_sums_are_in_the_policy_step_by_step() -> None:
    assert TwoSums().name == PLAN.model
    (rule,) = (rule for rule in POLICY.rules if rule.field == "contribution")
    assert rule.shapes == {step.name: (step.encoding.dimension,) for step in PLAN.steps}
