"""A plan from a server's bytes: strict reading, and everything in it that follows from the rest.

A device reads its plan before it trusts it. Fields are read by the dataclasses' own annotations, so
a field that is added there is read here; what is checked beyond that is arithmetic on public facts,
in numpy and the standard library, so that a device can do it.
"""

import math
from collections.abc import Iterator
from dataclasses import fields
from typing import Any, cast

from privet.models.plan import PLAN_VERSION, Plan, PublicFacts, StepPlan
from privet.models.rounds import check_series
from privet.privacy.accounting.adversaries import ReleaseTerms, Trust
from privet.privacy.canonical import INFINITY, parse_canonical
from privet.privacy.errors import InputError, IntegrityError
from privet.privacy.records import decode, mapping
from privet.privacy.secagg.terms import LARGEST_DIMENSION

MAX_PLAN_BYTES = 1 << 20
MAX_STEPS = 10_000
MAX_NAME = 100
_SCALES = frozenset(1 << bits for bits in range(4, 21))
_HEX = frozenset("0123456789abcdef")


def read_plan(data: bytes) -> Plan:
    """A plan from its canonical JSON; see `Plan.from_bytes`."""
    if len(data) > MAX_PLAN_BYTES:
        raise InputError(f"Expected a plan of at most {MAX_PLAN_BYTES} bytes, found {len(data)}.")
    plan = plan_from_dict(parse_canonical(data))
    if plan.to_bytes() != data:
        raise IntegrityError("The plan's bytes are not those that its fields give.")
    return plan


def plan_from_dict(value: object) -> Plan:
    """A plan from plain JSON values; see `Plan.from_dict`."""
    body = dict(mapping(value, "plan"))
    if type(body.get("version")) is not int or body.pop("version") != PLAN_VERSION:
        raise InputError(f"Expected version {PLAN_VERSION} of the plan, found another or none.")
    facts = dict(mapping(body.get("facts"), "plan.facts"))
    if facts.get("epsilon", 0) is None:
        facts["epsilon"] = dict(INFINITY)
    plan = cast(Plan, decode(Plan, {**body, "facts": facts}, "plan"))
    _check_names(plan)
    check_series([step.step for step in plan.steps], plan.facts)
    for step in plan.steps:
        _check_finite(step)
        for name, holds in _relations(plan, step):
            if not holds:
                raise IntegrityError(f"The plan contradicts itself: {name} of a step.")
        step.encoding.check_overflow(step.noise_std(plan.facts.devices) * step.encoding.scale)
    shares = [step.step.budget_share for step in plan.steps]
    if not math.isclose(math.fsum(shares), 1.0, rel_tol=1e-9):
        raise IntegrityError("The plan contradicts itself: its budget shares do not sum to 1.")
    return plan


def _check_names(plan: Plan) -> None:
    """Names that can be shown and hashed, and of steps each once."""
    names = [step.name for step in plan.steps]
    for name in (plan.model, *names):
        if not 0 < len(name) <= MAX_NAME or not name.isprintable():
            raise InputError(f"Expected names of 1 to {MAX_NAME} printable characters in a plan.")
    if not 1 <= len(names) <= MAX_STEPS or len(set(names)) != len(names):
        # Equal names would share noise streams, and the second pass as a repeat of the first.
        raise InputError(f"Expected 1 to {MAX_STEPS} steps in a plan, each with its own name.")
    if len(plan.catalogue_hash) != 64 or not set(plan.catalogue_hash) <= _HEX:
        raise InputError("Expected the plan's catalogue_hash as 64 hexadecimal digits.")


def _check_finite(step: StepPlan) -> None:
    """Every number of a step is finite, and its sizes are ones that a device can hold."""
    for part in (step.step, step.encoding, step.terms):
        for field in fields(cast(Any, part)):
            value = getattr(part, field.name)
            if isinstance(value, float) and not math.isfinite(value):
                raise InputError(f"Expected {field.name} in a plan to be finite.")
    fitting = (
        1 <= step.encoding.dimension <= LARGEST_DIMENSION
        and step.encoding.devices >= 1
        and step.encoding.scale in _SCALES
        and step.encoding.l2_clip_norm > 0
        and 0 < step.step.budget_share <= 1
        and min(step.terms.noise_multiplier, step.terms.share_variance) >= 0
    )
    if not fitting:
        raise InputError("Expected a plan's sizes, bounds, shares and noise in their ranges.")


def _relations(plan: Plan, step: StepPlan) -> Iterator[tuple[str, bool]]:
    """What follows from the facts and from what the model asked for, each with its name."""
    facts, encoding, terms = plan.facts, step.encoding, step.terms
    yield "dimension", encoding.dimension == step.step.dimension == terms.dimension
    yield "clip norm", encoding.l2_clip_norm == step.step.l2_clip_norm
    yield "devices", encoding.devices == facts.devices
    yield "bounds", (terms.l2_bound, terms.l1_bound) == (encoding.l2_bound, encoding.l1_bound)
    yield "sign", terms.nonnegative == step.step.nonnegative
    yield "series", terms.series == step.step.series
    yield "sampling", terms.sampling == facts.sampling
    yield "survivors", terms.survivors == facts.fewest_survivors(step.step.series)
    for name in sorted(_names(facts) & _names(terms)):  # a field of both is one fact
        yield name, getattr(terms, name) == getattr(facts, name)
    yield "noise", _noise_fits(terms, private=math.isfinite(facts.epsilon))


def _names(record: PublicFacts | ReleaseTerms) -> set[str]:
    return {field.name for field in fields(record)}


def _noise_fits(terms: ReleaseTerms, *, private: bool) -> bool:
    """Noise where the trust says that it is added, and none elsewhere."""
    central, shares = terms.noise_multiplier, terms.share_variance
    if terms.trust is Trust.CENTRAL:
        return shares == 0 and (central > 0) == private
    return central == 0 and (shares > 0) == private
