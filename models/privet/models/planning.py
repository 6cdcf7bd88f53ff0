"""From (epsilon, delta) to noise: lay out a model's steps and calibrate them, on the private side.

A person gives epsilon, delta and trust; nobody is asked for a noise multiplier.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict

from privet.models.model import Model
from privet.models.plan import Plan, PublicFacts, Step, StepPlan
from privet.models.rounds import SEES_SUMS, check_series
from privet.privacy.accounting.accountants import claimed_epsilon
from privet.privacy.accounting.adversaries import ReleaseTerms, Trust, events_of
from privet.privacy.contribution import sensitivity
from privet.privacy.encoding import choose_encoding
from privet.privacy.errors import PrivacyError
from privet.privacy.secagg.agreed import ProtocolTerms

_TOLERANCE = 1e-5
_CHECKED = 1e-6  # another machine's floating point may differ in the last digits
_UNFIT = {
    Trust.CENTRAL: "the server would add all of its noise",
    Trust.SECURE_AGGREGATION: SEES_SUMS,
    Trust.LOCAL: "a single device's vector would drown in its own noise",
}


def make_plan(
    model: Model,
    facts: PublicFacts,
    *,
    catalogue_hash: str,
    seeded_noise: bool = False,
    protocol: ProtocolTerms | None = None,
) -> Plan:
    """Lay out and calibrate a run.

    Args:
        model: Whose steps to plan.
        facts: What is public, the privacy target among it.
        catalogue_hash: Version of the catalogue.
        seeded_noise: Whether noise is to follow from a seed (NOT PRIVATE).
        protocol: What is agreed about secure aggregation, where it is run.

    Raises:
        PrivacyError: The model does not support the trust, its budget shares do not sum to 1,
            two of its steps have one name, or a series cannot be accounted for.
    """
    if facts.trust not in model.trusts:
        raise PrivacyError(
            f"Model {model.name} does not support trust {facts.trust}: {_UNFIT[facts.trust]}. "
            f"It supports: {', '.join(sorted(model.trusts))}."
        )
    steps = tuple(model.steps(facts))
    shares = sum(step.budget_share for step in steps)
    if not math.isclose(shares, 1.0, rel_tol=1e-9) or min(s.budget_share for s in steps) <= 0:
        raise PrivacyError(f"The budget shares of {model.name}'s steps sum to {shares}, not 1.")
    if len({step.name for step in steps}) != len(steps):
        # They would share noise streams, and the second would pass as a repeat of the first.
        raise PrivacyError(f"The names of {model.name}'s steps are not distinct.")
    check_series(steps, facts)
    return Plan(
        model=model.name,
        parameters=asdict(model),  # type: ignore[call-overload]
        facts=facts,
        steps=calibrate(steps, facts),
        catalogue_hash=catalogue_hash,
        seeded_noise=seeded_noise,
        protocol=protocol,
    )


def calibrate(steps: Sequence[Step], facts: PublicFacts) -> tuple[StepPlan, ...]:
    """Least noise under which all steps together stay within epsilon, found from above.

    Formal Guarantees:
        The claimed epsilon of the returned plans, with the fewest survivors of a group and the most
        colluders all in it, is at most ``facts.epsilon``.
    """
    mu = facts.mu
    plans = _with_mu(steps, facts, mu)
    if math.isinf(mu) or _epsilon(plans, facts) <= facts.epsilon:
        return plans
    low, high = mu / 2, mu
    while _epsilon(_with_mu(steps, facts, low), facts) > facts.epsilon:
        low, high = low / 2, low
    while high - low > _TOLERANCE * high:
        middle = (low + high) / 2
        over = _epsilon(_with_mu(steps, facts, middle), facts) > facts.epsilon
        low, high = (low, middle) if over else (middle, high)
    return _with_mu(steps, facts, low)


def check_noise(plan: Plan) -> None:
    """Check that a plan's noise is worth its epsilon, as whoever did not make it does.

    Raises:
        PrivacyError: With the fewest survivors and the most colluders it is worth less.
    """
    found = _epsilon(plan.steps, plan.facts)
    if found > plan.facts.epsilon * (1 + _CHECKED):
        raise PrivacyError(
            f"The plan promises epsilon {plan.facts.epsilon:.6g}; its noise is worth {found:.6g}."
        )


def _epsilon(plans: Sequence[StepPlan], facts: PublicFacts) -> float:
    return claimed_epsilon(events_of([plan.terms for plan in plans]) or (), facts.delta)


def _with_mu(steps: Sequence[Step], facts: PublicFacts, mu: float) -> tuple[StepPlan, ...]:
    return tuple(_plan_step(step, facts, mu) for step in steps)


def _plan_step(step: Step, facts: PublicFacts, mu: float) -> StepPlan:
    """One step whose release alone has ``mu * sqrt(budget_share)``, in the worst case."""
    multiplier = 0.0 if math.isinf(mu) else 1 / (mu * math.sqrt(step.budget_share))
    series = step.series
    if series is not None:  # one mechanism for all rounds and their shares of the budget
        multiplier *= series.sensitivity / math.sqrt(series.rounds)
    shares_counted = facts.min_survivors - max(1, facts.colluders)
    if multiplier and facts.trust is Trust.SECURE_AGGREGATION and shares_counted < 1:
        raise PrivacyError(
            f"With {facts.min_survivors} survivors and {facts.colluders} colluders no noise is "
            "left that an adversary does not know: more devices are needed."
        )
    relation = facts.trust.relation
    distance = sensitivity(1.0, relation, nonnegative=step.nonnegative)
    variance = {  # of one device's share, in units of the squared bound
        Trust.CENTRAL: 0.0,
        Trust.SECURE_AGGREGATION: multiplier**2 / max(shares_counted, 1),
        Trust.LOCAL: (multiplier * distance) ** 2,
    }[facts.trust]
    total = math.sqrt(variance * facts.devices) if variance else multiplier
    encoding = choose_encoding(
        dimension=step.dimension,
        l2_clip_norm=step.l2_clip_norm,
        devices=facts.devices,
        noise_multiplier=total,
    )
    terms = ReleaseTerms(
        trust=facts.trust,
        dimension=step.dimension,
        l2_bound=encoding.l2_bound,
        l1_bound=encoding.l1_bound,
        nonnegative=step.nonnegative,
        noise_multiplier=multiplier if facts.trust is Trust.CENTRAL else 0.0,
        share_variance=variance * encoding.l2_bound**2,
        survivors=facts.fewest_survivors(series),
        groups=facts.groups,
        colluders=facts.colluders,
        sampling=facts.sampling,
        series=series,
    )
    return StepPlan(step=step, encoding=encoding, terms=terms)
