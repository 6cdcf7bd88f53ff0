"""Small cohorts for the tests: terms, vectors and rounds that stop where a test takes over."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from privet.privacy.randomness import Randomness
from privet.privacy.secagg.client import Client
from privet.privacy.secagg.primitives import SigningKey
from privet.privacy.secagg.server import PendingRelease
from privet.privacy.secagg.terms import Terms
from privet.privacy.secagg.testing import STAGES, Cohort, signing_keys

SERVER_KEY = SigningKey.from_secret(bytes([7]) * 32)
CERTIFIER = SigningKey.from_secret(bytes([8]) * 32)


def terms(**changes: Any) -> Terms:
    """Terms of a small round: up to an eighth corrupt, a quarter dropping."""
    base = Terms(
        run="test",
        plan_hash="11" * 32,
        model_hash="22" * 32,
        round_number=3,
        dimension=5,
        min_survivors=5,
        corrupt_permille=125,
        drop_permille=250,
        server_key=SERVER_KEY.public,
    )
    return replace(base, **changes)


def vectors(devices: int, dimension: int = 5, seed: int = 0) -> NDArray[np.uint32]:
    """Random rows modulo 2**32."""
    stream = Randomness.insecure_seeded(seed).stream("test vectors")
    return stream.words32(devices * dimension).reshape(devices, dimension)


def cohort(devices: int = 8, *, seed: int | None = 1, **changes: Any) -> Cohort:
    """A cohort whose device i is at position i of a full roster."""
    chosen = terms(**changes)
    return Cohort(
        chosen,
        SERVER_KEY,
        signing_keys(devices),
        seed=seed,
        certifier=CERTIFIER if chosen.certified else None,
    )


def run_until(
    world: Cohort,
    stage: str,
    drops: Mapping[str, Collection[int]] | None = None,
    charge: Callable[[PendingRelease], None] = lambda pending: None,
) -> dict[int, bytes]:
    """Run all stages before ``stage``; what the server sends before it, by device.

    Devices hold the rows of `vectors`.
    """
    gone: set[int] = set()
    rows = vectors(len(world.clients))
    for before in STAGES[: STAGES.index(stage)]:
        gone |= set((drops or {}).get(before, ()))
        world.play_stage(before, set(range(len(world.clients))) - gone, rows, charge)
    inbox = world.inbox_before(stage, charge)
    gone |= set((drops or {}).get(stage, ()))
    return {device: message for device, message in inbox.items() if device not in gone}


def answer(client: Client, stage: str, message: bytes, vector: NDArray[np.uint32]) -> bytes:
    """What a device answers in a stage."""
    match stage:
        case "sharing":
            return client.share(message)
        case "masked":
            return client.mask(message, vector)
        case "cosignature":
            return client.cosign(message)
        case "shares":
            return client.unmask(message)
    raise AssertionError(stage)
