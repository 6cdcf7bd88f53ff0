"""Under central trust the server's noise covers one sum: a repeat of remote devices gets its own."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.federation.world import TWO_SUMS, Recording, World, plan_of
from tests.server.world import Crash, TwoSums, crash_at, run
from tests.server.world import plan_of as simulated_plan

from privet.models.model import Release, SharedState
from privet.models.plan import PublicFacts, Step, StepPlan
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.errors import PrivacyError
from privet.privacy.randomness import Randomness
from privet.server.coordinator import Coordinator, Phase, Progress
from privet.server.fleet import Aggregate, ChargeSum, Fleet, Round
from privet.server.storage import RunStore

KEY = bytes(range(32))


@dataclass(frozen=True, kw_only=True)
class Watched(TwoSums):
    """The server's half of two sums, which shows what was released."""

    released: ClassVar[list[NDArray[np.float64]]] = []

    def update(
        self, step: Step, shared: SharedState, release: Release, facts: PublicFacts
    ) -> SharedState:
        if step.name == "popularity":
            self.released.append(release.total)
        return super().update(step, shared, release, facts)


def coordinate(
    world: World,
    fleet: Fleet,
    directory: Path,
    *,
    resume: bool,
    repeatable: bool = False,
    observer: Callable[[Progress], None] | None = None,
) -> None:
    store = RunStore(directory, create=not resume)
    try:
        Coordinator(
            model=Watched(),
            plan=world.plan,
            fleet=fleet,
            store=store,
            randomness=Randomness.from_key(KEY),  # the worst case: one key for both attempts
            repeatable=repeatable,
            budget=100.0,
            observer=observer,
        ).run()
    finally:
        store.close()


def noise(world: World, released: NDArray[np.float64], total: bytes) -> list[int]:
    scale = world.plan.steps[0].encoding.scale
    exact = np.frombuffer(total, np.uint32).astype(np.int32)
    return [int(n) for n in np.rint(released * scale).astype(np.int64) - exact]


def check_two_attempts(directory: Path) -> None:
    Watched.released.clear()
    world = World(plan_of(Trust.CENTRAL, TWO_SUMS, seeded=False), TWO_SUMS)
    fleet = Recording(world.fleet(world.grid()))
    with pytest.raises(Crash):
        coordinate(world, fleet, directory, resume=False, observer=crash_at(Phase.UPDATED, 0))
    coordinate(world, fleet, directory, resume=True)
    first, second = (
        noise(world, released, total)
        for released, total in zip(Watched.released, fleet.sums, strict=False)
    )
    assert any(first) and any(second)
    assert first != second


def test_a_repeated_attempt_has_noise_of_its_own(tmp_path: Path) -> None:
    check_two_attempts(tmp_path)


def test_the_check_catches_a_stream_without_the_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mutant: one stream of noise for every attempt at a step."""
    honest = Coordinator._with_server_noise

    def again(
        self: Coordinator, step: StepPlan, total: NDArray[np.uint32], attempt: int
    ) -> NDArray[np.uint32]:
        return honest(self, step, total, 0)

    monkeypatch.setattr(Coordinator, "_with_server_noise", again)
    with pytest.raises(AssertionError):
        check_two_attempts(tmp_path)


def check_refusal(directory: Path) -> None:
    world = World(plan_of(Trust.CENTRAL, TWO_SUMS, seeded=False), TWO_SUMS)
    fleet = Recording(world.fleet(world.grid()))
    with pytest.raises(Crash):
        coordinate(
            world,
            fleet,
            directory,
            resume=False,
            repeatable=True,
            observer=crash_at(Phase.UPDATED, 0),
        )
    asked = len(world.devices[0].ledger.sent)
    with pytest.raises(PrivacyError, match="never give the very same release"):
        coordinate(world, fleet, directory, resume=True, repeatable=True)
    assert len(world.devices[0].ledger.sent) == asked


def test_remote_devices_are_never_asked_to_repeat_a_release(tmp_path: Path) -> None:
    check_refusal(tmp_path)


def test_the_check_catches_a_coordinator_that_does_not_say_that_it_repeats(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mutant: the fleet is not told."""
    honest = Round.__init__

    def silent(self: Round, **fields: object) -> None:
        honest(self, **{**fields, "repeats": False})  # type: ignore[arg-type]

    monkeypatch.setattr(Round, "__init__", silent)
    with pytest.raises(pytest.fail.Exception):
        check_refusal(tmp_path)


class OneLess:
    """A fleet one of whose devices drops out."""

    def __init__(self, inner: Fleet) -> None:
        self.inner = inner

    def run(self, round_: Round, charge: ChargeSum) -> Aggregate:
        return self.inner.run(round_, lambda survivors: charge([n - 1 for n in survivors]))


def test_a_repeatable_release_of_other_devices_is_not_that_release(tmp_path: Path) -> None:
    plan = simulated_plan(Trust.CENTRAL, min_survivors=5)
    with pytest.raises(Crash):
        run(tmp_path / "run", plan, observer=crash_at(Phase.CHARGED, 0))
    with pytest.raises(PrivacyError, match="not the same release"):
        run(tmp_path / "run", plan, resume=True, wrap_fleet=OneLess)
