"""The policy of a plan's vectors: one field, one shape a step, and nothing else."""

from collections.abc import Mapping

from privet.privacy.accounting.adversaries import Adversary, Trust
from privet.privacy.minimization.policy import EgressPolicy, FieldRule, FieldType

CONTRIBUTION_FIELD = "contribution"

_RECEIVERS = (Adversary.CURIOUS_SERVER, Adversary.MALICIOUS_SERVER, Adversary.NETWORK)
_NOISE = {
    Trust.CENTRAL: "the server adds Gaussian noise to the sum",
    Trust.SECURE_AGGREGATION: "a share of Skellam noise, and only the sum is learnt",
    Trust.LOCAL: "Skellam noise enough for this vector alone",
}


def vector_policy(
    *,
    plan_hash: str,
    model: str,
    trust: Trust,
    dimensions: Mapping[str, int],
    noisy: bool,
    seeded: bool,
) -> EgressPolicy:
    """The policy that a plan's uploads need, from the plan's public constants.

    Args:
        plan_hash: Of the plan, which the policy holds.
        model: Name of the model, for the purpose.
        trust: Who adds noise.
        dimensions: Length of the vector, by step.
        noisy: Whether there is noise at all.
        seeded: Whether the noise follows from a seed.
    """
    noise = _NOISE[trust] if noisy else "no noise: NOT PRIVATE"
    if noisy and seeded:
        noise += "; all of it follows from a seed: NOT PRIVATE"
    rule = FieldRule(
        field=CONTRIBUTION_FIELD,
        type=FieldType.UINT32,
        shapes={step: (dimension,) for step, dimension in dimensions.items()},
        bits=32,
        purpose=f"train the shared {model} model",
        mechanism=f"clipped in L2 norm, rounded to integers modulo 2**32; {noise}",
        retention="until the round's sum is taken",
        adversaries=_RECEIVERS,
    )
    return EgressPolicy(rules=(rule,), plan_hash=plan_hash)
