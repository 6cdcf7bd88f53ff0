"""The terms of a round of secure aggregation, as a device makes them itself from its plan."""

from privet.models.model import SharedState, state_hash
from privet.models.plan import Plan, StepPlan
from privet.privacy.errors import PrivacyError
from privet.privacy.secagg.terms import Terms


def round_terms(
    plan: Plan,
    step: StepPlan,
    shared: SharedState,
    *,
    run: str,
    round_number: int,
    server_key: bytes,
) -> Terms:
    """The terms of one round: the same for all of its groups.

    Args:
        plan: That the device's user agreed to; it says who certifies identities.
        step: Of the plan.
        shared: The shared state that the device received.
        run: Name of the run.
        round_number: New for every round.
        server_key: Ed25519 key that signs rosters.

    Raises:
        PrivacyError: The plan says nothing of the protocol.
        InputError: A value is out of its range, or the server certifies identities itself.
    """
    agreed = plan.protocol
    if agreed is None:
        raise PrivacyError("The plan does not say how secure aggregation is run.")
    return Terms(
        run=run,
        plan_hash=plan.hash,
        model_hash=state_hash(shared),
        round_number=round_number,
        dimension=step.encoding.dimension,
        min_survivors=plan.facts.min_survivors,
        corrupt_permille=agreed.corrupt_permille,
        drop_permille=agreed.drop_permille,
        server_key=server_key,
        certifier_key=None if agreed.certifier_key is None else bytes.fromhex(agreed.certifier_key),
    )
