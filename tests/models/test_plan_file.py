"""A plan from bytes is the plan that was written, or it is refused."""

import copy
import json
import math
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.server.world import plan_of

from privet.models import plan_file
from privet.models.plan import Plan, PublicFacts
from privet.models.plan_file import MAX_PLAN_BYTES
from privet.models.planning import check_noise, make_plan
from privet.models.popularity import Popularity
from privet.models.spectral import Spectral
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.canonical import canonical_bytes, sha256
from privet.privacy.errors import InputError, IntegrityError, PrivacyError, PrivetError

Body = dict[str, Any]


@cache
def spectral(epsilon: float = 2.0) -> Plan:
    facts = PublicFacts(
        devices=3000, items=400, epsilon=epsilon, delta=1e-5,
        trust=Trust.SECURE_AGGREGATION, min_survivors=2500, colluders=7,
    )  # fmt: skip
    return make_plan(Spectral(), facts, catalogue_hash="ab" * 32)


PLANS = [
    spectral(),
    spectral(math.inf),
    make_plan(
        Popularity(),
        PublicFacts(
            devices=300, items=40, epsilon=2.0, delta=1e-5, trust=Trust.SECURE_AGGREGATION, groups=3
        ),
        catalogue_hash="0" * 64,
    ),
    *(plan_of(trust, epsilon=epsilon) for trust in Trust for epsilon in (0.01, 8.0, math.inf)),
]


@pytest.mark.parametrize(
    "plan", PLANS, ids=lambda p: f"{p.facts.trust}-{p.facts.epsilon}-{p.model}"
)
def test_a_plan_that_was_written_is_read_as_it_was(plan: Plan) -> None:
    data = plan.to_bytes()
    found = Plan.from_bytes(data)
    assert (found, found.hash, found.to_bytes()) == (plan, plan.hash, data)
    assert found.hash == sha256(plan.to_dict())
    check_noise(found)


@settings(max_examples=15, deadline=None)
@given(st.integers(100, 10**6), st.floats(0.01, 10), st.sampled_from(list(Trust)), st.data())
def test_any_plan_that_can_be_made_is_read(
    devices: int, epsilon: float, trust: Trust, data: st.DataObject
) -> None:
    survivors = data.draw(st.integers(50, devices))
    try:
        facts = PublicFacts(
            devices=devices, items=data.draw(st.integers(2, 3000)), epsilon=epsilon,
            delta=0.5 / devices, trust=trust, min_survivors=survivors,
            colluders=data.draw(st.integers(0, 9)),
        )  # fmt: skip
        plan = make_plan(Popularity(), facts, catalogue_hash="0" * 64)
    except PrivetError:
        return
    assert Plan.from_bytes(plan.to_bytes()) == plan


def test_whole_numbers_and_floats_of_the_same_value_are_the_same_plan() -> None:
    assert spectral(2).hash == spectral(2.0).hash
    assert Plan.from_bytes(spectral(2).to_bytes()) == spectral(2.0)


def _changed(change: Callable[[Body], object]) -> bytes:
    body = copy.deepcopy(spectral().to_dict())
    change(body)
    return canonical_bytes(body)


def _set(*path: Any) -> Callable[[Body], object]:
    *way, last, value = path

    def change(body: Body) -> None:
        for key in way:
            body = body[key]
        body[last] = value

    return change


STEP = ("steps", 1)
CONTRADICTIONS: dict[str, tuple[Callable[[Body], object], type[PrivetError], str]] = {
    "another version": (_set("version", 2), InputError, "version"),
    "a version that is true": (_set("version", True), InputError, "version"),
    "a field more": (_set("note", "x"), InputError, "unknown"),
    "a field more in a step": (_set(*STEP, "note", "x"), InputError, "unknown"),
    "a field less": (lambda b: b["facts"].pop("delta"), InputError, "delta"),
    "devices as text": (_set("facts", "devices", "3000"), InputError, "whole number"),
    "devices as a float": (_set("facts", "devices", 3000.0), InputError, "whole number"),
    "devices that are true": (_set("facts", "colluders", True), InputError, "whole number"),
    "too many devices for a float": (_set("facts", "devices", 10**400), InputError, "64 bits"),
    "one device": (_set("facts", "devices", 1), InputError, "2 users"),
    "delta too large": (_set("facts", "delta", 0.01), PrivacyError, "1/users"),
    "epsilon of 0": (_set("facts", "epsilon", 0.0), InputError, "epsilon"),
    "as many colluders as survivors": (_set("facts", "colluders", 2500), PrivacyError, "colluders"),
    "unknown trust": (_set("facts", "trust", "blind"), InputError, "trust"),
    "another trust in a step": (_set(*STEP, "terms", "trust", "local"), IntegrityError, "trust"),
    "no steps": (_set("steps", []), InputError, "steps"),
    "a step twice": (lambda b: b["steps"].append(b["steps"][0]), InputError, "own name"),
    "a name that cannot be shown": (_set(*STEP, "step", "name", "a\n"), InputError, "printable"),
    "a catalogue hash that is none": (_set("catalogue_hash", "AB" * 32), InputError, "catalogue"),
    "other dimension": (_set(*STEP, "encoding", "dimension", 7), IntegrityError, "dimension"),
    "huge dimension": (_set(*STEP, "encoding", "dimension", 1 << 40), InputError, "ranges"),
    "other clip norm": (_set(*STEP, "step", "l2_clip_norm", 2.0), IntegrityError, "clip norm"),
    "other devices": (_set(*STEP, "encoding", "devices", 2), IntegrityError, "devices"),
    "scale no power of two": (_set(*STEP, "encoding", "scale", 1000), InputError, "ranges"),
    "other scale": (_set(*STEP, "encoding", "scale", 16), IntegrityError, "bounds"),
    "a smaller bound": (_set(*STEP, "terms", "l2_bound", 1.0), IntegrityError, "bounds"),
    "a smaller L1 bound": (_set(*STEP, "terms", "l1_bound", 1.0), IntegrityError, "bounds"),
    "another sign": (_set(*STEP, "terms", "nonnegative", False), IntegrityError, "sign"),
    "other survivors": (_set(*STEP, "terms", "survivors", 3000), IntegrityError, "survivors"),
    "other colluders": (_set(*STEP, "terms", "colluders", 0), IntegrityError, "colluders"),
    "other groups": (_set(*STEP, "terms", "groups", 2), IntegrityError, "groups"),
    "no noise": (_set(*STEP, "terms", "share_variance", 0.0), IntegrityError, "noise"),
    "negative noise": (_set(*STEP, "terms", "share_variance", -1.0), InputError, "ranges"),
    "infinite noise": (
        _set(*STEP, "terms", "share_variance", math.inf), InputError, "finite",
    ),
    "noise that wraps around": (
        _set(*STEP, "terms", "share_variance", 1e20), PrivacyError, "32-bit",
    ),
    "central noise": (_set(*STEP, "terms", "noise_multiplier", 1.0), IntegrityError, "noise"),
    "noise although none is needed": (_set("facts", "epsilon", None), IntegrityError, "noise"),
    "shares of more than 1": (_set(*STEP, "step", "budget_share", 1.0), IntegrityError, "sum to 1"),
}  # fmt: skip


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_a_plan_that_cannot_be_or_contradicts_itself_is_refused(name: str) -> None:
    change, error, match = CONTRADICTIONS[name]
    with pytest.raises(error, match=match):
        Plan.from_bytes(_changed(change))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data[:-1],
        lambda data: data + b"\n",
        lambda data: data.replace(b":", b": ", 1),
        lambda data: json.dumps(json.loads(data)).encode(),
        lambda data: data.replace(b"2.0", b"2.00", 1),
        lambda data: data.replace(b'"epsilon":2.0', b'"epsilon":2', 1),
    ],
    ids=["cut", "longer", "a space", "spaced", "a digit more", "a whole number"],
)
def test_another_spelling_is_refused(spoil: Callable[[bytes], bytes]) -> None:
    data = spectral().to_bytes()
    assert spoil(data) != data
    with pytest.raises((InputError, IntegrityError)):
        Plan.from_bytes(spoil(data))


def test_what_is_too_long_is_refused_before_it_is_read() -> None:
    with pytest.raises(InputError, match="at most"):
        Plan.from_bytes(b"[" * (MAX_PLAN_BYTES + 1))


@pytest.mark.parametrize("factor", [0.25, 0.9])
def test_a_plan_with_less_noise_than_its_epsilon_needs_is_found_by_its_accountant(
    factor: float,
) -> None:
    def less(body: Body) -> None:
        for step in body["steps"]:
            step["terms"]["share_variance"] *= factor

    plan = Plan.from_bytes(_changed(less))
    with pytest.raises(PrivacyError, match="promises epsilon 2"):
        check_noise(plan)


@pytest.mark.parametrize("check", ["_check_names", "_check_finite", "_relations", "_noise_fits"])
def test_a_reader_without_one_of_its_checks_is_noticed(
    check: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    harmless: dict[str, Callable[..., object]] = {
        "_relations": lambda *_: iter(()),
        "_noise_fits": lambda *_, **__: True,
    }
    monkeypatch.setattr(plan_file, check, harmless.get(check, lambda *_: None))
    survived = []
    for change, error, match in CONTRADICTIONS.values():
        try:
            with pytest.raises(error, match=match):
                Plan.from_bytes(_changed(change))
        except BaseException:  # noqa: BLE001 - pytest's own failure, or another error than the one expected
            survived.append(match)
    assert survived
