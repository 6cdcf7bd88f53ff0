"""An audit's outcomes follow from its figures."""

import dataclasses

import pytest

from privet.privacy.errors import InputError
from privet.privacy.records import decode, encode
from privet.privacy.report.audit import (
    Attack,
    AuditRecord,
    BoundFromBelow,
    Figure,
    NoiseTest,
    RocPoint,
)
from privet.privacy.report.sections import Interval

ATTACK = Attack(
    goal="membership",
    name="likelihood ratio",
    observable="model",
    adversary="A1",
    role="attack",
    source="Carlini et al. 2022, section 4",
    targets=100,
    figures=(Figure(name="AUC", value=Interval(mean=0.6, low=0.5, high=0.7), allowed=0.55),),
    roc=(RocPoint(fpr=0.1, tpr=Interval(mean=0.2, low=0.1, high=0.3), allowed=0.15),),
)
BOUND = BoundFromBelow(
    method="mu",
    adversary="A3",
    access="every release",
    position="histories",
    canaries=500,
    mu=0.4,
    epsilon=1.5,
    claimed_mu=0.5,
    claimed_epsilon=2.0,
    delta=1e-5,
    confidence=0.95,
    power=0.65,
)
TEST = NoiseTest(step="head", canaries=1000, claimed_mu=1.0, bound=0.9, confidence=0.999, power=0.9)
RECORD = AuditRecord(
    plan_hash="00",
    how=("Half of the users were left out, by fair coins.",),
    repeats=1,
    seeds={"coins": 1},
    seconds=1.0,
    noise_tests=(TEST,),
    bounds=(BOUND,),
    attacks=(ATTACK,),
    disclosure={"unicity of 4 items": Interval(mean=0.9, low=0.8, high=1.0)},
)


def test_a_record_survives_being_written_and_read() -> None:
    assert decode(AuditRecord, encode(RECORD, AuditRecord, "audit"), "audit") == RECORD
    assert RECORD.failures == ()


def test_an_attack_is_above_the_claim_only_with_its_whole_interval() -> None:
    assert ATTACK.outcome == "within the claim"
    figure = dataclasses.replace(ATTACK.figures[0], value=Interval(mean=0.6, low=0.56, high=0.7))
    assert dataclasses.replace(ATTACK, figures=(figure,)).outcome == "above the claim"
    point = dataclasses.replace(ATTACK.roc[0], tpr=Interval(mean=0.2, low=0.16, high=0.3))
    found = dataclasses.replace(RECORD, attacks=(dataclasses.replace(ATTACK, roc=(point,)),))
    assert found.failures == ("likelihood ratio, model",)


def test_a_control_must_succeed_and_something_must_be_asked_of_it() -> None:
    with pytest.raises(InputError, match="needed"):
        dataclasses.replace(ATTACK, role="negative control")
    figure = Figure(name="recall", value=Interval(mean=0.9, low=0.9, high=0.9), needed=0.99)
    control = dataclasses.replace(ATTACK, role="negative control", figures=(figure,))
    assert control.outcome == "control fails"
    assert dataclasses.replace(RECORD, attacks=(control,)).blind == ("likelihood ratio, model",)


def test_bounds_and_noise_tests_above_the_claim_are_failures() -> None:
    by_mu = dataclasses.replace(BOUND, mu=0.6)
    by_epsilon = dataclasses.replace(BOUND, mu=None, epsilon=2.1)
    silent = dataclasses.replace(TEST, bound=1.1)
    found = dataclasses.replace(RECORD, bounds=(by_mu, by_epsilon), noise_tests=(silent,))
    assert len(found.failures) == 3
