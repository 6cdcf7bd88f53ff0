"""The device's step in a round. Every fleet calls this one function, for one device or many.

History in, one admitted upload out: contribute, clip, encode, add the noise share, pass the gate.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from privet.models.cohort import Cohort
from privet.models.model import LocalState, Model, SharedState
from privet.models.plan import Plan, StepPlan
from privet.privacy.clipping import clip
from privet.privacy.contribution import Contribution
from privet.privacy.encoding import encode
from privet.privacy.errors import PrivacyError
from privet.privacy.minimization.gate import Admitted, Gate, Upload
from privet.privacy.minimization.policy import EgressPolicy, UploadRule
from privet.privacy.randomness import Randomness
from privet.privacy.samplers import sample_skellam

CONTRIBUTION_FIELD = "contribution"


@dataclass(frozen=True, kw_only=True, eq=False)
class DeviceTask:
    """What a device is asked to do in a round; all of it public.

    Attributes:
        plan: Of the run.
        step: The step of the plan.
        shared: Shared state so far.
    """

    plan: Plan
    step: StepPlan
    shared: SharedState


def egress_policy(plan: Plan) -> EgressPolicy:
    """The policy that a plan's uploads need: one integer vector a step, and nothing else."""
    return EgressPolicy(
        rules=(
            UploadRule(
                field=CONTRIBUTION_FIELD,
                dtype="uint32",
                dimensions={step.name: step.encoding.dimension for step in plan.steps},
                purpose=f"train the shared {plan.model} model",
                protection=f"clipped, integer-encoded, trust {plan.facts.trust}",
            ),
        )
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
        gate: The only way out.
        add_noise_share: False only where a simulation draws the sum of all shares at once.

    Returns:
        The admitted uploads and the devices' next local state.

    Raises:
        PrivacyError: The model's bound, dimension or sign is not what the plan was calibrated for.
        EgressError: The policy does not allow the upload.

    Formal Guarantees:
        What passes the gate is, for each device, an integer vector whose L2 norm before noise is
        at most ``task.step.encoding.l2_bound``, plus (with a noise share) independent Skellam noise
        of variance ``share_variance`` in every coordinate. Nothing else of the history leaves.
    """
    contribution, local = model.contribute(task.step.step, task.shared, local, cohort, randomness)
    _check(contribution, task.step)
    clipped = clip(contribution).contribution
    streams = [
        randomness.stream("rounding", task.step.name, int(device)) for device in cohort.devices
    ]
    upload = Upload(
        field=CONTRIBUTION_FIELD,
        step=task.step.name,
        devices=len(cohort),
        dimension=contribution.dimension,
        indices=clipped.indices,
        integers=encode(clipped, task.step.encoding, streams),
    )
    if add_noise_share:
        upload = _with_noise(upload, noise_shares(task.step, cohort.devices, randomness))
    return gate.admit(upload), local


def noise_shares(
    step: StepPlan, devices: NDArray[np.int64], randomness: Randomness
) -> NDArray[np.int64]:
    """Each device's share of Skellam noise, shape ``(n, dimension)``."""
    dimension, variance = step.encoding.dimension, step.terms.share_variance
    shares = np.zeros((len(devices), dimension), np.int64)
    if variance > 0:
        for row, device in enumerate(devices):
            stream = randomness.stream("skellam", step.name, int(device))
            shares[row] = sample_skellam(variance, dimension, stream)
    return shares


def _with_noise(upload: Upload, shares: NDArray[np.int64]) -> Upload:
    everywhere = np.tile(np.arange(upload.dimension, dtype=np.int64), upload.devices)
    return replace(
        upload,
        indices=np.concatenate([upload.indices, everywhere]),
        integers=np.concatenate([upload.integers, shares.ravel()]),
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
