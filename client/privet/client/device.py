"""The device's step in a round. Every fleet calls this one function, for one device or many.

History in, one admitted upload out: check, contribute, clip, encode, add the noise share, pass the
gate. A device that says no is silent: `take_part` raises, and its fleet sends nothing for it.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from privet.models.cohort import Cohort
from privet.models.model import LocalState, Model, SharedState
from privet.models.plan import Plan, StepPlan
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.clipping import clip
from privet.privacy.contribution import Contribution
from privet.privacy.encoding import encode
from privet.privacy.errors import EgressError, PrivacyError
from privet.privacy.minimization.agreement import Limits
from privet.privacy.minimization.denials import Reason
from privet.privacy.minimization.gate import Admitted, Gate, Upload
from privet.privacy.minimization.policy import EgressPolicy
from privet.privacy.minimization.vector_policy import CONTRIBUTION_FIELD, vector_policy
from privet.privacy.noise import share_noise
from privet.privacy.randomness import Randomness


@dataclass(frozen=True, kw_only=True, eq=False)
class DeviceTask:
    """What a device is asked to do in a round; all of it public.

    Attributes:
        plan: Of the run.
        step: The step of the plan.
        shared: Shared state so far.
        attempt: Of the step, from 0: each has noise of its own.
    """

    plan: Plan
    step: StepPlan
    shared: SharedState
    attempt: int = 0


def egress_policy(plan: Plan) -> EgressPolicy:
    """The policy that a plan's uploads need: one integer vector a step, and nothing else.

    A pure function of the plan, whose hash it holds: whoever agrees to the policy agrees to the
    plan.
    """
    return vector_policy(
        plan_hash=plan.hash,
        model=plan.model,
        trust=plan.facts.trust,
        dimensions={step.name: step.encoding.dimension for step in plan.steps},
        noisy=math.isfinite(plan.facts.epsilon),
        seeded=plan.seeded_noise,
    )


def take_part(
    model: Model,
    task: DeviceTask,
    local: LocalState,
    cohort: Cohort,
    *,
    randomness: Randomness,
    gate: Gate,
    add_noise_share: bool,
) -> tuple[Admitted, LocalState]:
    """One step on a cohort of devices.

    Args:
        model: Whose client half runs.
        task: The public part of the round.
        local: The devices' local state.
        cohort: Their histories. Never leaves.
        randomness: Secret to the devices; each draws from streams of its own.
        gate: The only way out, with what the devices' users agreed to.
        add_noise_share: False only where a simulation draws the sum of all shares at once.

    Returns:
        The admitted uploads and the devices' next local state.

    Raises:
        PrivacyError: The step is not the plan's, or has no noise where the plan promises some; a
            device took part in it as often as its user agreed to; or the model's bound, dimension
            or sign is not what the plan was calibrated for.
        EgressError: The users did not agree to the plan, or the policy does not allow the upload.

    All devices of a cohort take part, or none. What does not depend on their histories is checked
    before anything is computed from them, so that a no says nothing about a history. A
    participation counts from then on, even if something fails later.

    Formal Guarantees:
        What passes the gate is, for each device, an integer vector whose L2 norm before noise is
        at most ``task.step.encoding.l2_bound``, plus (with a noise share) independent Skellam noise
        of variance ``share_variance`` in every coordinate. Nothing else of the history leaves.
    """
    upload, local = compute(
        model,
        task,
        local,
        cohort,
        randomness=randomness,
        gate=gate,
        policy=egress_policy(task.plan),
        add_noise_share=add_noise_share,
    )
    return gate.admit(upload), local


def compute(
    model: Model,
    task: DeviceTask,
    local: LocalState,
    cohort: Cohort,
    *,
    randomness: Randomness,
    gate: Gate,
    policy: EgressPolicy,
    add_noise_share: bool,
) -> tuple[Upload, LocalState]:
    """`take_part` up to the gate, for a device that masks or signs its upload before it leaves.

    ``policy`` is the one that the gate must have, made from the plan by the caller. All else, what
    is raised and what is guaranteed are as for `take_part`.
    """
    with gate.noting(Reason.AGREEMENT, task.step.name):
        _check_task(task, gate, policy)
    with gate.noting(Reason.PARTICIPATION, task.step.name):
        _claim(task, cohort.devices, gate)
    contribution, local = model.contribute(task.step.step, task.shared, local, cohort, randomness)
    _check(contribution, task.step)
    clipped = clip(contribution).contribution
    labels = ("rounding", task.step.name, task.attempt)
    streams = [randomness.stream(*labels, int(device)) for device in cohort.devices]
    upload = Upload(
        field=CONTRIBUTION_FIELD,
        step=task.step.name,
        devices=len(cohort),
        dimension=int(contribution.dimension),
        indices=clipped.indices,
        integers=encode(clipped, task.step.encoding, streams),
    )
    if add_noise_share:
        upload = _with_noise(upload, noise_shares(task, cohort.devices, randomness))
    return upload, local


def _claim(task: DeviceTask, devices: NDArray[np.int64], gate: Gate) -> None:
    """Count a participation of every device; of a series, whose rounds lie apart, in the series."""
    series, limits = task.step.terms.series, _limits(task.plan, gate)
    if series is not None:
        limits = replace(
            limits.stricter(Limits(min_separation=series.separation)),
            max_participations=series.participations,
        )
    gate.participations.claim(
        plan_hash=gate.policy.plan_hash,
        step=task.step.name if series is None else series.name,
        devices=devices,
        limits=limits,
        series=None if series is None else series.name,
        round_number=0 if series is None else series.round_number,
    )


def noise_shares(
    task: DeviceTask, devices: NDArray[np.int64], randomness: Randomness
) -> NDArray[np.int64]:
    """Each device's share of Skellam noise, shape ``(n, dimension)``."""
    dimension, terms = task.step.encoding.dimension, task.step.terms
    shares = np.zeros((len(devices), dimension), np.int64)
    if terms.share_variance > 0:
        for row, device in enumerate(devices):
            stream = randomness.stream("skellam", task.step.name, task.attempt, int(device))
            shares[row] = share_noise(terms, dimension, stream)
    return shares


def _with_noise(upload: Upload, shares: NDArray[np.int64]) -> Upload:
    everywhere = np.tile(np.arange(upload.dimension, dtype=np.int64), upload.devices)
    return replace(
        upload,
        indices=np.concatenate([upload.indices, everywhere]),
        integers=np.concatenate([upload.integers, shares.ravel()]),
    )


def _limits(plan: Plan, gate: Gate) -> Limits:
    """How often a device answers: no more than its user agreed to and its plan says."""
    agreed, protocol = gate.agreement.limits, plan.protocol
    if protocol is None:
        return agreed
    most = min(agreed.max_participations, protocol.max_participations)
    return replace(agreed, max_participations=most)


def _check_task(task: DeviceTask, gate: Gate, policy: EgressPolicy) -> None:
    """Refuse a task that the users did not agree to, or that does not keep the plan's promise."""
    plan, step = task.plan, task.step
    gate.agreement.check(plan_hash=policy.plan_hash, policy_hash=policy.hash)
    if gate.policy.hash != policy.hash:
        raise EgressError("The gate's policy is not the plan's. Nothing was computed or sent.")
    if step not in plan.steps:
        raise PrivacyError(
            f"Step {step.name!r} is not as the plan has it: its noise was not calibrated. Nothing "
            "was computed or sent."
        )
    noised_here = plan.facts.trust is not Trust.CENTRAL and math.isfinite(plan.facts.epsilon)
    if step.terms.trust is not plan.facts.trust or (
        noised_here and not step.terms.share_variance > 0
    ):
        raise PrivacyError(
            f"Step {step.name!r} has no noise of the device's own, which trust {plan.facts.trust} "
            "promises. Nothing was computed or sent."
        )


def _check(contribution: Contribution, step: StepPlan) -> None:
    found = (contribution.dimension, contribution.nonnegative)
    expected = (step.encoding.dimension, step.step.nonnegative)
    if found != expected or contribution.l2_bound > step.encoding.l2_clip_norm:
        raise PrivacyError(
            f"The model's contribution to step {step.name!r} has (dimension, nonnegative) {found} "
            f"and bound {contribution.l2_bound}; the plan was calibrated for {expected} and "
            f"{step.encoding.l2_clip_norm}."
        )
