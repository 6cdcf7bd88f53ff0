"""A series of rounds through the whole coordinator: crashes, caps, secrets and what is charged."""

import itertools
import os
import signal
import sqlite3
import stat
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.privacy.statistics import FALSE_ALARM, chi_square_p, gaussian_cdf
from tests.server.world import Crash, charged, crash_at, histories, nobody, run

from privet.client.device import egress_policy
from privet.models.cohort import Cohort
from privet.models.model import Release, SharedState, state_hash
from privet.models.plan import Plan, PublicFacts, Step
from privet.models.planning import make_plan
from privet.models.trending import Trending
from privet.privacy.accounting.accountants import claimed_epsilon
from privet.privacy.accounting.adversaries import Trust, events_of
from privet.privacy.accounting.events import MatrixEvent
from privet.privacy.accounting.series import SeriesRound
from privet.privacy.cohorts import CohortRule
from privet.privacy.errors import IntegrityError, PrivacyError
from privet.privacy.ledger import EntryKind, closed_steps
from privet.privacy.minimization.gate import Gate
from privet.privacy.randomness import Randomness
from privet.server.coordinator import Coordinator, Phase, Progress
from privet.server.fleet import Aggregate, ChargeSum, Fleet, Round
from privet.server.series import SECRETS
from privet.server.storage import RunStore
from privet.simulations.fleet import InProcessFleet

MODEL = Trending(rounds=6, separation=2, bands=3, half_life=3.0)
DEVICES = 11


@cache
def people() -> Cohort:
    return histories(DEVICES)


@cache
def plan_for(
    model: Trending = MODEL, *, epsilon: float = 8.0, seeded: bool = False, devices: int = DEVICES
) -> Plan:
    facts = PublicFacts(devices=devices, items=12, epsilon=epsilon, delta=1e-5, trust=Trust.CENTRAL)
    return make_plan(model, facts, catalogue_hash="0" * 64, seeded_noise=seeded)


def go(
    directory: Path,
    plan: Plan | None = None,
    *,
    resume: bool = False,
    observer: object = None,
    wrap_fleet: object = lambda fleet: fleet,
) -> SharedState:
    return run(
        directory,
        plan or plan_for(),
        model=MODEL,
        cohort=people(),
        resume=resume,
        observer=observer,  # type: ignore[arg-type]
        wrap_fleet=wrap_fleet,  # type: ignore[arg-type]
    )


# --- the plan ---


def test_the_series_alone_costs_the_whole_target_and_no_more() -> None:
    for model in (MODEL, Trending(), Trending(bands=1), replace(MODEL, separation=6, bands=6)):
        plan = plan_for(model, epsilon=2.0)
        (event,) = events_of([step.terms for step in plan.steps]) or ()
        assert isinstance(event, MatrixEvent) and event.rounds == model.rounds
        assert 2.0 * (1 - 1e-4) < claimed_epsilon([event], 1e-5) <= 2.0


def test_correlated_noise_costs_less_error_in_prefix_sums_at_equal_epsilon() -> None:
    shape = Trending(rounds=20, separation=10, bands=10)
    facts = PublicFacts(devices=DEVICES, items=500, epsilon=2.0, delta=1e-5, trust=Trust.CENTRAL)
    found = {}
    for bands in (1, 10):
        plan = make_plan(replace(shape, bands=bands), facts, catalogue_hash="0" * 64)
        noise = released_noise(plan)
        found[bands] = np.sqrt((np.cumsum(noise, axis=0) ** 2).mean())
    assert found[10] < 0.65 * found[1]  # in theory 0.574


def released_noise(plan: Plan) -> NDArray[np.float64]:
    """What the coordinator's releases of nothing are, shape (rounds, items)."""
    totals: list[NDArray[np.float64]] = []

    class Keeping(Trending):
        def update(
            self, step: Step, shared: SharedState, release: Release, facts: PublicFacts
        ) -> SharedState:
            totals.append(release.total)
            return super().update(step, shared, release, facts)

    cohort = nobody(plan.facts.devices, plan.facts.items)
    with tempfile.TemporaryDirectory() as folder:
        run(Path(folder) / "run", plan, model=Keeping(**plan.parameters), cohort=cohort)
    return np.array(totals)


def test_the_independent_noise_under_the_correlation_has_the_planned_scale_and_no_other() -> None:
    """Undo the correlation by the public strategy: what is left is white and of one scale."""
    facts = PublicFacts(devices=DEVICES, items=2_000, epsilon=8.0, delta=1e-5, trust=Trust.CENTRAL)
    plan = make_plan(MODEL, facts, catalogue_hash="0" * 64)
    noise = released_noise(plan)
    (step, *_) = plan.steps
    band = np.array(step.terms.series.coefficients if step.terms.series else ()) / (1 << 16)
    white = np.zeros_like(noise)
    for lag, coefficient in enumerate(band):
        white[lag:] += coefficient * noise[: len(noise) - lag]
    std = step.terms.noise_multiplier * step.terms.l2_bound
    integers = np.rint(white.ravel() * step.encoding.scale).astype(np.int64)
    assert chi_square_p(integers, gaussian_cdf(std)) > FALSE_ALARM
    assert chi_square_p(integers, gaussian_cdf(std * 2 / 3)) < 1e-12
    assert chi_square_p(integers, gaussian_cdf(std * 3 / 2)) < 1e-12


@pytest.mark.parametrize("trust", [Trust.SECURE_AGGREGATION, Trust.LOCAL])
def test_a_series_under_another_trust_is_refused_with_the_reason(trust: Trust) -> None:
    class Anywhere(Trending):
        trusts = frozenset(Trust)

    facts = PublicFacts(devices=DEVICES, items=12, epsilon=8.0, delta=1e-5, trust=trust)
    with pytest.raises(PrivacyError, match=r"needs 'central' trust.*must see the sums"):
        make_plan(Anywhere(), facts, catalogue_hash="0" * 64)
    with pytest.raises(PrivacyError, match="does not support trust"):
        make_plan(MODEL, facts, catalogue_hash="0" * 64)


@pytest.mark.parametrize("rule", ["poisson:0.5", "fixed:5"])
def test_a_series_over_sampled_cohorts_is_refused_by_name(rule: str) -> None:
    facts = PublicFacts(
        devices=DEVICES,
        items=12,
        epsilon=8.0,
        delta=1e-5,
        trust=Trust.CENTRAL,
        cohort=CohortRule.parse(rule),
    )
    with pytest.raises(PrivacyError, match=f"cohorts drawn as {rule} cannot be accounted"):
        make_plan(MODEL, facts, catalogue_hash="0" * 64)


def changed(steps: list[Step], at: int, **changes: Any) -> list[Step]:
    """Steps of which one round of the series is another."""
    found = steps[at].series
    assert found is not None
    series = replace(found, **{k: v for k, v in changes.items() if hasattr(found, k)})
    rest = {k: v for k, v in changes.items() if not hasattr(found, k)}
    return [*steps[:at], replace(steps[at], series=series, **rest), *steps[at + 1 :]]


REFUSED: dict[str, tuple[Callable[[list[Step]], list[Step]], str]] = {
    "the last is missing": (lambda s: s[:-1], "all of its rounds"),
    "the first is missing": (lambda s: s[1:], "all of its rounds"),
    "out of order": (lambda s: [s[1], s[0], *s[2:]], "all of its rounds"),
    "one separation": (lambda s: changed(s, 2, separation=1), "alike"),
    "one strategy": (lambda s: changed(s, 2, bands=1), "alike"),
    "one dimension": (lambda s: changed(s, 2, dimension=3), "alike"),
    "one share": (lambda s: changed(s, 2, budget_share=0.4), "alike"),
    "a step's name": (lambda s: [replace(s[0], name="trending"), *s[1:]], "name of a step"),
    "too few turns": (
        lambda s: [x for one in s for x in changed([one], 0, participations=2)],
        r"round 4 .* nobody's turn",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_series_that_no_schedule_or_account_keeps_are_refused(name: str) -> None:
    change, says = REFUSED[name]

    class Changed(Trending):
        def steps(self, facts: PublicFacts) -> list[Step]:
            steps = change(list(Trending.steps(self, facts)))
            share = sum(step.budget_share for step in steps)
            return [replace(step, budget_share=step.budget_share / share) for step in steps]

    facts = PublicFacts(devices=DEVICES, items=12, epsilon=8.0, delta=1e-5, trust=Trust.CENTRAL)
    with pytest.raises(PrivacyError, match=says):
        make_plan(Changed(**vars(MODEL)), facts, catalogue_hash="0" * 64)


# --- crashes ---


@pytest.mark.parametrize(
    "index", [3, *(pytest.param(index, marks=pytest.mark.slow) for index in (0, 1, 2, 4, 5))]
)
@pytest.mark.parametrize("phase", Phase)
def test_a_crash_at_any_moment_of_any_round_changes_nothing_that_is_released(
    tmp_path: Path, phase: Phase, index: int
) -> None:
    """With real noise: the kept key and the kept sums make the resumed run the same run."""
    releases_survive_a_crash(tmp_path, phase, index)


def releases_survive_a_crash(directory: Path, phase: Phase, index: int) -> None:
    with pytest.raises(Crash):
        go(directory / "run", observer=crash_at(phase, index))
    kept = (directory / "run" / "noise.key").read_bytes()
    resumed = go(directory / "run", resume=True)
    (directory / "again").mkdir()
    (directory / "again" / "noise.key").write_bytes(kept)
    assert state_hash(resumed) == state_hash(go(directory / "again"))
    names = [step.name for step in plan_for().steps]
    assert [(c.step, c.attempt) for c in charged(directory / "run")] == [(n, 0) for n in names]
    assert not [*(directory / "run").glob(SECRETS)]


def test_two_crashes_in_a_row_change_nothing_either(tmp_path: Path) -> None:
    plan = plan_for(seeded=True)
    for number, (phase, index) in enumerate(
        [(Phase.UPDATED, 3), (Phase.SUMMED, 3), (Phase.CLOSED, 3), (Phase.UPDATED, 5)]
    ):
        with pytest.raises(Crash):
            go(tmp_path / "run", plan, resume=number > 0, observer=crash_at(phase, index))
    resumed = go(tmp_path / "run", plan, resume=True)
    assert state_hash(resumed) == state_hash(go(tmp_path / "whole", plan))


def test_a_repeat_with_fresh_noise_cannot_be_accounted_for_and_is_refused(tmp_path: Path) -> None:
    """The key is lost with a round charged and not closed: nothing more is released."""
    with pytest.raises(Crash):
        go(tmp_path / "run", observer=crash_at(Phase.SUMMED, 2))
    (tmp_path / "run" / "noise.key").unlink()
    before = charged(tmp_path / "run")

    store = RunStore(tmp_path / "run")
    plan, randomness = plan_for(), Randomness.secret()
    fleet = InProcessFleet(MODEL, people(), randomness=randomness, gate=Gate(egress_policy(plan)))
    with pytest.raises(PrivacyError, match="'trending' cannot be accounted for"):
        Coordinator(
            model=MODEL,
            plan=plan,
            fleet=fleet,
            store=store,
            randomness=randomness,
            repeatable=False,
            budget=1000.0,
        ).run()
    store.close()
    assert charged(tmp_path / "run") == before


# --- the secret state ---


def test_the_secret_sums_are_their_owners_alone_while_running_and_gone_at_the_end(
    tmp_path: Path,
) -> None:
    modes: set[int] = set()
    found: set[str] = set()

    def observe(progress: Progress) -> None:
        for path in (tmp_path / "run").glob(SECRETS):
            modes.add(stat.S_IMODE(path.stat().st_mode))
            found.add(path.name)

    go(tmp_path / "run", observer=observe)
    assert modes == {0o600} and len(found) == 2
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == ["run.db"]


@pytest.mark.parametrize("damage", ["gone", "cut", "flipped", "older", "empty"])
def test_a_lost_or_damaged_secret_state_ends_the_series(tmp_path: Path, damage: str) -> None:
    states: dict[int, bytes] = {}

    def observe(progress: Progress) -> None:
        slots = sorted((tmp_path / "run").glob(SECRETS))
        if progress.phase is Phase.UPDATED:
            states[progress.index] = slots[progress.index % 2].read_bytes()
        crash_at(Phase.CLOSED, 3)(progress)

    with pytest.raises(Crash):
        go(tmp_path / "run", observer=observe)
    path = sorted((tmp_path / "run").glob(SECRETS))[3 % 2]
    whole = path.read_bytes()
    assert whole == states[3]
    if damage == "gone":
        path.unlink()
    else:
        flipped = bytes([*whole[:-9], whole[-9] ^ 1, *whole[-8:]])
        bad = {"cut": whole[:-1], "flipped": flipped, "older": states[1], "empty": b""}[damage]
        path.write_bytes(bad)
    with pytest.raises(IntegrityError, match="lost or damaged"):
        go(tmp_path / "run", resume=True)
    store = RunStore(tmp_path / "run")
    assert len(closed_steps(store.entries)) == 4
    store.close()


# --- who takes part when ---


def turns_of(directory: Path) -> dict[int, list[int]]:
    """Rounds that each device was asked for in one run."""
    turns: dict[int, list[int]] = {}

    class Noting:
        def __init__(self, inner: Fleet) -> None:
            self.inner, self.round = inner, 0

        def run(self, round_: Round, charge: ChargeSum) -> Aggregate:
            assert round_.devices is not None
            for device in round_.devices.tolist():
                turns.setdefault(device, []).append(self.round)
            self.round += 1
            return self.inner.run(round_, charge)

    go(directory, wrap_fleet=Noting)
    return turns


def test_every_device_has_its_turns_apart_and_no_more_than_its_cap(tmp_path: Path) -> None:
    turns = turns_of(tmp_path / "run")
    assert sorted(turns) == list(range(DEVICES))
    for rounds in turns.values():
        assert len(rounds) == 3
        assert all(b - a >= 2 for a, b in itertools.pairwise(rounds))


def the_server_refuses_a_hasty_schedule(directory: Path, patch: pytest.MonkeyPatch) -> None:
    """Everyone in every round: refused before the second round is run, and durably so."""
    patch.setattr(SeriesRound, "turn", lambda self, devices: np.arange(devices, dtype=np.int64))
    asked: list[str] = []

    class Noting:
        def __init__(self, inner: Fleet) -> None:
            self.inner = inner

        def run(self, round_: Round, charge: ChargeSum) -> Aggregate:
            asked.append(round_.step.name)
            return self.inner.run(round_, charge)

    for resume in (False, True):
        with pytest.raises(PrivacyError, match="Round 1 of series 'trending' would have a device"):
            go(directory / "run", resume=resume, wrap_fleet=Noting)
    assert asked == ["window 0"]
    assert len(charged(directory / "run")) == 1


def test_a_schedule_that_repeats_a_device_too_soon_is_refused_by_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    the_server_refuses_a_hasty_schedule(tmp_path, monkeypatch)


def series_round(number: int, participations: int = 2) -> SeriesRound:
    return SeriesRound(
        name="s",
        round_number=number,
        rounds=20,
        bands=2,
        separation=3,
        participations=participations,
    )


def claimed(directory: Path, number: int, devices: list[int], **more: int) -> None:
    """One process's claim; a run's file is made by the first."""
    fresh = not directory.exists()
    store = RunStore(directory, create=fresh)
    try:
        if fresh:
            store.append(EntryKind.BUDGET, {"epsilon": 1.0, "delta": 1e-5})
        store.claim_round(series_round(number, **more), np.array(devices))
    finally:
        store.close()


def test_the_servers_counts_are_durable_and_a_repeated_round_counts_once(tmp_path: Path) -> None:
    for number in (0, 0, 3, 3):
        claimed(tmp_path / "run", number, [2, 5])
    with pytest.raises(PrivacyError, match="more often than 2 times"):
        claimed(tmp_path / "run", 9, [5])
    claimed(tmp_path / "run", 9, [5], participations=3)


@pytest.mark.parametrize("number", [1, 2])
def test_a_claim_too_soon_for_one_device_counts_for_none(tmp_path: Path, number: int) -> None:
    claimed(tmp_path / "run", 0, [2])
    with pytest.raises(PrivacyError, match="again within 3 rounds"):
        claimed(tmp_path / "run", number, [4, 2, 7])
    claimed(tmp_path / "run", number, [4, 7])
    claimed(tmp_path / "run", 3, [2])


def test_a_device_is_not_twice_in_a_round(tmp_path: Path) -> None:
    with pytest.raises(PrivacyError, match="twice in one round"):
        claimed(tmp_path / "run", 0, [2, 2])


def test_a_damaged_record_of_participation_is_refused(tmp_path: Path) -> None:
    claimed(tmp_path / "run", 0, [2])
    with sqlite3.connect(tmp_path / "run" / "run.db") as connection:
        connection.execute("DROP TABLE participation")
    connection.close()
    with pytest.raises(IntegrityError):
        claimed(tmp_path / "run", 3, [2])


@pytest.mark.parametrize("phase", [Phase.CHARGED, Phase.SUMMED, Phase.UPDATED, Phase.CLOSED])
def test_a_process_killed_in_a_round_is_resumed_to_the_same_series(
    tmp_path: Path, phase: Phase
) -> None:
    """By the kernel, in a process of its own: nothing is flushed, nothing is cleaned up."""

    def die(progress: Progress) -> None:
        if (progress.phase, progress.index) == (phase, 4):
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        try:
            go(tmp_path / "run", observer=die)
        finally:
            os._exit(3)  # not killed: whatever happened, this process must not go on
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    (tmp_path / "again").mkdir()
    kept = (tmp_path / "run" / "noise.key").read_bytes()
    (tmp_path / "again" / "noise.key").write_bytes(kept)
    resumed = go(tmp_path / "run", resume=True)
    assert state_hash(resumed) == state_hash(go(tmp_path / "again"))
    assert [c.attempt for c in charged(tmp_path / "run")] == [0] * 6
    assert not [*(tmp_path / "run").glob(SECRETS)]
