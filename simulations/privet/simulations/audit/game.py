"""The game that every audit plays: a run's plan again, with other histories, and all that is seen.

Nothing of the run itself is touched: a play has a ledger of its own in a temporary folder, which is
removed. What it releases is of an auditor who has the histories anyway, so no budget pays for it.
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from privet.client.device import egress_policy
from privet.models.cohort import Cohort
from privet.models.model import Model, SharedState
from privet.models.plan import Plan
from privet.privacy.encoding import wrap
from privet.privacy.errors import InputError
from privet.privacy.minimization.gate import Gate, Upload
from privet.privacy.randomness import Randomness
from privet.server.coordinator import Coordinator, Released
from privet.server.fleet import Fleet, Round
from privet.server.storage import RunStore
from privet.simulations.fleet import InProcessFleet
from privet.simulations.preparation import Task

OpenFleet = Callable[[InProcessFleet], Fleet]
"""Puts something between the coordinator and the devices: how tests inject faults."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Played:
    """All that was seen of one play.

    Attributes:
        shared: Final shared state.
        releases: Every release in order, with the shared state before it and who took part.
        uploads: What left the watched devices, noise share included, before any mask, by name of
            the step and number of the device: integers modulo 2**32, shape ``(dimension,)``.
    """

    shared: SharedState
    releases: tuple[Released, ...]
    uploads: Mapping[tuple[str, int], NDArray[np.uint32]]


def play(
    model: Model,
    task: Task,
    plan: Plan,
    cohort: Cohort,
    *,
    seed: int | None = None,
    watched: Sequence[int] = (),
    fleet: OpenFleet = lambda devices: devices,
) -> Played:
    """Carry a plan out over other histories on the same devices.

    A plan follows from public facts alone, so it is the run's own, noise and all. Where it has the
    protocol of secure aggregation run, its masks' effect is simulated: they cancel exactly in each
    sum, so what is released has the same distribution; how well they hide a vector is another
    question than what the release tells, and has an audit of its own. Groups are then dealt by the
    hash of the plan without its protocol.

    Args:
        model: Of the plan, both halves.
        task: That the plan was made for.
        plan: Of the run.
        cohort: In the place of the task's histories: the same devices in the same order.
        seed: For tests: of all noise. Secret noise if None.
        watched: Numbers of devices whose uploads are to be seen; each costs a noise share.
        fleet: For tests of the audit itself.

    Raises:
        InputError: The cohort is of other devices or another catalogue.
        PoisoningError: A release that no honest devices can have made: a device or the code did
            not keep to its bound, by far.
        PrivetError: The plan cannot be carried out.
    """
    if not np.array_equal(cohort.devices, task.train.devices) or (
        cohort.n_items != task.train.n_items
    ):
        raise InputError("Expected histories of the task's own devices over its own catalogue.")
    plan = replace(plan, protocol=None)
    randomness = Randomness.secret() if seed is None else Randomness.insecure_seeded(seed)
    releases: list[Released] = []
    uploads: dict[tuple[str, int], NDArray[np.uint32]] = {}

    def keep(round_: Round, device: int, upload: Upload) -> None:
        total = np.zeros(upload.dimension, np.int64)
        np.add.at(total, upload.indices, upload.integers)
        uploads[round_.step.name, device] = wrap(total)

    devices = InProcessFleet(
        model,
        cohort,
        randomness=randomness,
        gate=Gate(egress_policy(plan)),
        watched=watched,
        on_upload=keep,
    )
    with tempfile.TemporaryDirectory(prefix="privet-play-") as folder:
        store = RunStore(Path(folder) / "play", create=True)
        try:
            shared = Coordinator(
                model=model,
                plan=plan,
                fleet=fleet(devices),
                store=store,
                randomness=randomness,
                repeatable=False,
                start=model.begin(task.catalogue),
                on_release=releases.append,
            ).run()
        finally:
            store.close()
    return Played(shared=shared, releases=tuple(releases), uploads=uploads)


def coins(count: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Fair, independent coins, shape ``(count,)``."""
    return np.asarray(rng.random(count) < 0.5)


def replaced(cohort: Cohort, rows: NDArray[np.integer], histories: Cohort) -> Cohort:
    """A cohort in which some devices have other histories.

    Args:
        cohort: Of all devices.
        rows: Distinct rows of it.
        histories: A row each, over the same catalogue; its device numbers count for nothing.

    Raises:
        InputError: Another number of histories than rows, a row twice, or another catalogue.
    """
    distinct = len(np.unique(rows)) == len(rows) == len(histories)
    if not distinct or histories.n_items != cohort.n_items:
        raise InputError(
            f"Expected a history for each of {len(rows)} distinct rows, over "
            f"{cohort.n_items} items, found {len(histories)} over {histories.n_items}."
        )
    both = Cohort(
        devices=np.concatenate([cohort.devices, histories.devices]),
        indptr=np.concatenate([cohort.indptr, cohort.indptr[-1] + histories.indptr[1:]]),
        items=np.concatenate([cohort.items, histories.items]),
        weights=np.concatenate([cohort.weights, histories.weights]),
        times=np.concatenate([cohort.times, histories.times]),
        n_items=cohort.n_items,
    )
    source = np.arange(len(cohort))
    source[rows] = len(cohort) + np.arange(len(rows))
    return replace(both.take(source), devices=cohort.devices)


def emptied(cohort: Cohort, rows: NDArray[np.integer]) -> Cohort:
    """A cohort in which some devices have empty histories: the neighbour under zero-out."""
    nothing = np.zeros(0, np.int64)
    return replaced(
        cohort,
        rows,
        Cohort.from_pairs(nothing, nothing, n_users=len(rows), n_items=cohort.n_items),
    )
