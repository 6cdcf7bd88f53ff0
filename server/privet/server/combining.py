"""From the noisy sums of a round's groups to its release, if honest devices can have made them."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from privet.models.combination import combine
from privet.models.model import Release
from privet.models.plan import Plan, StepPlan
from privet.privacy.encoding import decode
from privet.privacy.errors import PoisoningError
from privet.privacy.plausibility import implausible


def spoiled_groups(
    plan: Plan, step: StepPlan, sums: Sequence[NDArray[np.uint32]], devices: Sequence[int]
) -> tuple[int, ...]:
    """Groups whose sums no honest devices can have made, if the plan's combination bears them.

    Args:
        plan: Of the run.
        step: The step that was released; no round of a series.
        sums: Noisy, modulo 2**32, one a group.
        devices: In each group, or the most there can be, where that is kept secret.

    Returns:
        Numbers of the groups, from 0; no more than the combination leaves out at each end.

    Raises:
        PoisoningError: More than that.

    Formal Guarantees:
        The sums were released and charged, so nothing more is learnt by looking at them. Honest
        devices are refused with a probability below 2^-40 a release:
        :func:`privet.privacy.plausibility.implausible`.
    """
    found = {
        group: what
        for group, (sum_, n) in enumerate(zip(sums, devices, strict=True))
        if (what := implausible(sum_.astype(np.int32).astype(np.int64), step.terms, devices=n))
    }
    borne = plan.facts.combination.trimmed(len(sums))
    if len(found) > borne:
        group, what = next(iter(found.items()))
        head = "The"
        if len(sums) > 1:
            head = f"Of {len(sums)} groups {len(found)} are spoiled, {borne} can be borne. Group {group}: the"
        raise PoisoningError(
            f"{head} released sum of step {step.name!r} has {what} no {devices[group]} honest "
            "devices can reach, whatever their histories, so at least one device does not keep to "
            "the plan. No model was made from it. The release stays charged. Masks hide which "
            "device it was: find out who enrolled since the last good round, or start a run with "
            "more groups and --combine median."
        )
    return tuple(found)


def combined_release(
    plan: Plan, step: StepPlan, sums: Sequence[NDArray[np.uint32]], devices: Sequence[int]
) -> Release:
    """Decode each group's noisy sum and combine them as the plan says.

    Args:
        plan: Of the run.
        step: The step that was released; no round of a series.
        sums: Noisy, modulo 2**32, one a group.
        devices: In each group, as they are made public.

    Returns:
        The release. Its noise is that of the sum; of another combination, that of groups as small
        as the smallest, see :func:`privet.models.combination.noise_growth`.
    """
    everyone, groups = sum(devices), len(sums)
    noise = step.noise_std(everyone)
    if plan.facts.combination.trimmed(groups):
        noise = everyone * step.noise_std(1) / math.sqrt(groups * min(devices))
    return Release(
        step=step.step,
        total=combine(
            [decode(sum_, step.encoding) for sum_ in sums], devices, plan.facts.combination
        ),
        noise_std=noise * plan.facts.noise_growth,
        devices=everyone,
    )
