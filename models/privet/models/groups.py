"""Which device is in which group of a round: public, and the same for whoever computes it."""

import hashlib

import numpy as np
from numpy.typing import NDArray

from privet.models.plan import Plan
from privet.privacy.errors import InputError

_DOMAIN = b"privet groups 1"


def assign_groups(
    plan_hash: str,
    step: str,
    attempt: int,
    devices: NDArray[np.int64],
    groups: int,
) -> NDArray[np.int64]:
    """The group of each device of a round.

    Devices are put in the order of a hash of plan, step, attempt and their number, and dealt out in
    turn. Server and devices call this one function, so a device can check where it was put.

    Args:
        plan_hash: Of the plan, in hexadecimal.
        step: Name of the step.
        attempt: Of the step, from 0: each has groups of its own.
        devices: Public numbers of the round's devices, all different, shape ``(n,)``.
        groups: How many, from 1 to ``n``.

    Returns:
        Numbers from 0 to ``groups - 1``, shape ``(n,)``. The sizes of groups differ by at most one.

    Raises:
        InputError: More groups than devices, or a device twice.

    Formal Guarantees:
        The groups are a function of public values only: no history moves a device. They are not
        secret, and no guarantee rests on who is in a group with whom.
    """
    if not 1 <= groups <= max(len(devices), 1):
        raise InputError(f"Expected from 1 to {len(devices)} groups, one device each at least.")
    if len(np.unique(devices)) != len(devices):
        raise InputError("Expected the devices of a round to be all different.")
    prefix = hashlib.blake2b(_DOMAIN + bytes.fromhex(plan_hash), digest_size=32)
    prefix.update(attempt.to_bytes(8, "big") + step.encode())
    key = prefix.digest()
    hashes = [
        hashlib.blake2b(int(device).to_bytes(8, "big"), key=key, digest_size=8).digest()
        for device in devices
    ]
    words = np.frombuffer(b"".join(hashes), ">u8")
    order = np.lexsort((devices, words))
    found = np.empty(len(devices), np.int64)
    found[order] = np.arange(len(devices)) % groups
    return found


def members(
    plan: Plan, step: str, attempt: int, devices: NDArray[np.int64]
) -> list[NDArray[np.int64]]:
    """The rows of each of a plan's groups in a round, in ascending order."""
    assigned = assign_groups(plan.hash, step, attempt, devices, plan.facts.groups)
    return [np.flatnonzero(assigned == group) for group in range(plan.facts.groups)]
