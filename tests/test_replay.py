"""A run on neighbouring data looks the same from outside; what would tell them apart is caught."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import replay
from tests.replay import differences, neighbours
from tests.server.world import TwoSums

from privet.client import device
from privet.models.cohort import Cohort
from privet.models.model import Model
from privet.models.plan import Plan, PublicFacts
from privet.models.planning import make_plan
from privet.models.popularity import Popularity
from privet.models.spectral import Spectral
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.clipping import Clipped
from privet.privacy.contribution import Contribution, NeighbouringRelation
from privet.privacy.errors import PrivacyError
from privet.privacy.minimization.gate import Gate
from privet.privacy.minimization.messages import Message
from privet.privacy.minimization.policy import EgressPolicy

ZERO_OUT, REPLACE_ONE = NeighbouringRelation.ZERO_OUT, NeighbouringRelation.REPLACE_ONE
Patch = pytest.MonkeyPatch


@cache
def _plan(model: Any, trust: Trust, epsilon: float, devices: int, items: int) -> Plan:
    facts = PublicFacts(
        devices=devices, items=items, epsilon=epsilon, delta=1e-5, trust=trust, min_survivors=2
    )
    return make_plan(model, facts, catalogue_hash="0" * 64, seeded_noise=True)


def planner(model: Any, trust: Trust, epsilon: float) -> replay.Planner:
    return lambda cohort: _plan(model, trust, epsilon, len(cohort), cohort.n_items)


CASES = {
    "two sums": (TwoSums(), Trust.SECURE_AGGREGATION, 8.0, ZERO_OUT),
    "two sums, replaced": (TwoSums(), Trust.SECURE_AGGREGATION, 8.0, REPLACE_ONE),
    "spectral, both sums": (Spectral(), Trust.CENTRAL, math.inf, ZERO_OUT),
    "popularity, local": (Popularity(), Trust.LOCAL, 8.0, REPLACE_ONE),
}
MORE_CASES = {
    **CASES,
    "spectral": (Spectral(), Trust.SECURE_AGGREGATION, 8.0, ZERO_OUT),
    "spectral, replaced": (Spectral(), Trust.SECURE_AGGREGATION, math.inf, REPLACE_ONE),
    "popularity": (Popularity(), Trust.SECURE_AGGREGATION, 1.0, ZERO_OUT),
    "popularity, central": (Popularity(), Trust.CENTRAL, 8.0, ZERO_OUT),
    "two sums, local": (TwoSums(), Trust.LOCAL, 8.0, REPLACE_ONE),
}
Case = tuple[Model, Trust, float, NeighbouringRelation]


def told_apart(case: Case, data: st.DataObject) -> list[str]:
    model, trust, epsilon, relation = case
    cohort, neighbour = data.draw(neighbours(relation))
    return differences(model, cohort, neighbour, planner(model, trust, epsilon), relation)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@settings(deadline=None, max_examples=3)
@given(st.data())
def test_neighbouring_data_look_the_same_and_move_the_sum_within_the_bound(
    case: Case, data: st.DataObject
) -> None:
    assert told_apart(case, data) == []


@pytest.mark.slow
@pytest.mark.parametrize("case", MORE_CASES.values(), ids=MORE_CASES)
@settings(deadline=None, max_examples=40)
@given(st.data())
def test_many_neighbouring_data_look_the_same_and_move_the_sum_within_the_bound(
    case: Case, data: st.DataObject
) -> None:
    assert told_apart(case, data) == []


FULL = replay.cohort_of([{0: 1.0, 1: 2.0, 4: 1.0}, {2: 1.0}, {3: 1.0, 5: 5.0}, {6: 1.0}], 7)
EMPTIED = replay.cohort_of([{}, {2: 1.0}, {3: 1.0, 5: 5.0}, {6: 1.0}], 7)
HONEST = planner(TwoSums(), Trust.SECURE_AGGREGATION, 8.0)


def apart(planned: replay.Planner = HONEST) -> list[str]:
    return differences(TwoSums(), FULL, EMPTIED, planned, ZERO_OUT)


def test_the_example_of_the_mutants_is_not_told_apart_by_the_real_code() -> None:
    assert apart() == []


def test_a_recording_has_every_message_phase_and_charge() -> None:
    found = replay.record(TwoSums(), FULL, HONEST)
    assert [(s.step, s.fields) for s in found.sent] == [
        (step, ("contribution",)) for step in ("popularity", "signs") for _ in range(4)
    ]
    phases = [line for line in found.control if line.startswith("phase")]
    assert len(phases) == 12 and len(found.charged) == len(found.shared) == 2
    assert sum(line.endswith("Gate.admit") for line in found.control) == 8
    assert sum(line.startswith("contribute ") for line in found.control) == 8


# --- mutants: each leaks through one thing, and that thing is named ---


def padded_by_length(patch: Patch) -> None:
    honest = replay.wire

    def wire(policy: EgressPolicy, upload: Any) -> tuple[Message, bytes]:
        message, payload = honest(policy, upload)
        return message, payload + bytes(len(upload.integers) - upload.dimension)

    patch.setattr(replay, "wire", wire)


def only_what_is_there(patch: Patch) -> None:
    """A sparse upload: as long as the history."""
    honest = replay.wire

    def wire(policy: EgressPolicy, upload: Any) -> tuple[Message, bytes]:
        message, payload = honest(policy, upload)
        return message, payload[: 8 * len(upload.integers)]

    patch.setattr(replay, "wire", wire)


def narrow(patch: Patch) -> None:
    """The smallest integers that hold the vector, without its noise."""
    honest = replay.wire

    def wire(policy: EgressPolicy, upload: Any) -> tuple[Message, bytes]:
        message, payload = honest(policy, upload)
        few = len(upload.integers) <= upload.dimension
        small = {
            n: np.asarray(v, np.uint16 if few else np.uint32) for n, v in message.fields.items()
        }
        return replace(message, fields=small), payload

    patch.setattr(replay, "wire", wire)


def number_of_examples(patch: Patch) -> None:
    """A metric beside the vector, of constant size."""
    honest = replay.wire

    def wire(policy: EgressPolicy, upload: Any) -> tuple[Message, bytes]:
        message, payload = honest(policy, upload)
        count = np.uint32(np.count_nonzero(upload.integers))
        more = {**message.fields, "num_examples": np.asarray(count)}
        return replace(message, fields=more), payload + count.tobytes()

    patch.setattr(replay, "wire", wire)


def silent_if_empty(patch: Patch) -> None:
    honest = device.take_part

    def take_part(model: Any, task: Any, local: Any, cohort: Cohort, **how: Any) -> Any:
        if not len(cohort.items):
            raise PrivacyError("Nothing to say.")
        return honest(model, task, local, cohort, **how)

    patch.setattr(device, "take_part", take_part)


def checked_again_if_full(patch: Patch) -> None:
    """One more call for those who have a history: control flow alone."""
    honest = device._check

    def check(contribution: Contribution, step: Any) -> None:
        honest(contribution, step)
        if len(contribution.indices) > 2:
            honest(contribution, step)

    patch.setattr(device, "_check", check)


def admitted_twice(patch: Patch) -> None:
    """A retry that depends on the history: the device's ledger shows it."""
    honest = Gate.admit

    def admit(self: Gate, upload: Any) -> Any:
        if len(upload.integers) > upload.dimension:
            honest(self, upload)
        return honest(self, upload)

    patch.setattr(Gate, "admit", admit)


def unclipped(patch: Patch) -> None:
    def longer(contribution: Contribution) -> Clipped:
        longer = replace(contribution, values=3 * contribution.values)
        return Clipped(contribution=longer, nonfinite=0, rows_clipped=0)

    patch.setattr(device, "clip", longer)
    patch.setattr(device, "encode", lambda c, e, s: (c.values * e.scale).astype(np.int64))


def noise_only_where_there_is_something(patch: Patch) -> None:
    honest = device._with_noise
    patch.setattr(
        device,
        "_with_noise",
        lambda upload, shares: honest(upload, shares * bool(len(upload.integers))),
    )


MUTANTS: dict[str, tuple[Callable[[Patch], None], str]] = {
    "padding": (padded_by_length, "sizes"),
    "sparse uploads": (only_what_is_there, "sizes"),
    "narrow integers": (narrow, "fields and types"),
    "an extra number": (number_of_examples, "fields beyond the policy"),
    "silence of the empty": (silent_if_empty, "number of messages"),
    "one more call": (checked_again_if_full, "control flow"),
    "a retry": (admitted_twice, "devices' ledgers"),
    "no clipping": (unclipped, "sensitivity of popularity"),
    "noise by need": (noise_only_where_there_is_something, "sensitivity of popularity"),
}


@pytest.mark.parametrize(("mutate", "named"), MUTANTS.values(), ids=MUTANTS)
def test_a_leak_is_caught_and_named(
    mutate: Callable[[Patch], None], named: str, monkeypatch: Patch
) -> None:
    mutate(monkeypatch)
    assert named in apart()


def test_a_plan_that_depends_on_the_data_is_caught() -> None:
    def curious(cohort: Cohort) -> Plan:
        return replace(HONEST(cohort), catalogue_hash=f"{len(cohort.items):064}")

    assert "plan" in apart(curious)
