"""The coordinator over an in-process fleet: charges first, noise as declared, crashes survived."""

import math
import random
import stat
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from tests.privacy.statistics import FALSE_ALARM, chi_square_p, gaussian_cdf, skellam_cdf
from tests.server.world import (
    Crash,
    OneByOne,
    TwoSums,
    charged,
    charges_in_file,
    crash_at,
    histories,
    nobody,
    noise_of_sum,
    plan_of,
    run,
)

from privet.models.model import SharedState, state_hash
from privet.models.popularity import Popularity
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.errors import BudgetError, InputError, IntegrityError, PrivacyError
from privet.privacy.ledger import Entry, EntryKind
from privet.privacy.randomness import Randomness
from privet.privacy.report.verify import verify_ledger
from privet.server.coordinator import Phase, Progress
from privet.server.fleet import Aggregate, ChargeSum, Fleet, Round
from privet.server.storage import RunStore
from privet.simulations import fleet as fleets

ALL = list(Trust)


def same(one: SharedState, other: SharedState) -> bool:
    return state_hash(one) == state_hash(other)


# --- charging ---


@pytest.mark.parametrize("trust", ALL)
def test_the_charge_is_in_the_file_before_the_sum_exists(tmp_path: Path, trust: Trust) -> None:
    seen: list[tuple[Phase, int]] = []
    learnt: list[int] = []

    class Watched:
        def __init__(self, inner: Fleet) -> None:
            self.inner = inner

        def run(self, round_: Round, charge: ChargeSum) -> Aggregate:
            aggregate = self.inner.run(round_, charge)
            learnt.append(charges_in_file(tmp_path / "run"))
            return aggregate

    def observe(progress: Progress) -> None:
        seen.append((progress.phase, charges_in_file(tmp_path / "run")))
        if progress.phase is Phase.CHARGED:
            assert len(learnt) == progress.index  # this step's sum is not out yet

    run(tmp_path / "run", plan_of(trust), observer=observe, wrap_fleet=Watched)
    assert learnt == [1, 2]
    expected = [(p, i + (p not in (Phase.ALLOWED, Phase.COLLECTED))) for i in (0, 1) for p in Phase]
    assert seen == expected


def test_every_write_waits_for_the_disk(tmp_path: Path) -> None:
    store = RunStore(tmp_path / "run", create=True)
    assert store._db.execute("PRAGMA synchronous").fetchone() == (3,)  # EXTRA
    store.close()


@pytest.mark.parametrize("trust", ALL)
def test_the_ledger_has_one_charge_and_one_close_for_each_step(
    tmp_path: Path, trust: Trust
) -> None:
    plan = plan_of(trust)
    run(tmp_path / "run", plan)
    store = RunStore(tmp_path / "run")
    kinds = [entry.kind for entry in store.entries]
    store.close()
    step = [EntryKind.CHARGE, EntryKind.CLOSE]
    assert kinds == [EntryKind.PLAN, EntryKind.BUDGET, *step, *step, EntryKind.END]
    assert [c.terms for c in charged(tmp_path / "run")] == [s.terms for s in plan.steps]


def test_a_fleet_that_never_charges_is_refused(tmp_path: Path) -> None:
    class Silent:
        def __init__(self, inner: Fleet) -> None:
            self.inner = inner

        def run(self, round_: Round, charge: ChargeSum) -> Aggregate:
            return self.inner.run(round_, lambda survivors: None)

    with pytest.raises(PrivacyError, match="uncharged"):
        run(tmp_path / "run", plan_of(Trust.SECURE_AGGREGATION), wrap_fleet=Silent)


class Survivors:
    """A fleet of which only some devices are left."""

    def __init__(self, inner: Fleet, left: int) -> None:
        self.inner, self.left = inner, left

    def run(self, round_: Round, charge: ChargeSum) -> Aggregate:
        found = self.inner.run(round_, lambda survivors: charge([self.left]))
        return Aggregate(groups=(replace(found.groups[0], survivors=self.left),))


def test_fewer_survivors_than_the_noise_was_set_for_learn_and_cost_nothing(
    tmp_path: Path,
) -> None:
    plan = plan_of(Trust.SECURE_AGGREGATION, min_survivors=8)
    with pytest.raises(PrivacyError, match="Only 7 devices"):
        run(tmp_path / "run", plan, wrap_fleet=lambda fleet: Survivors(fleet, 7))
    assert charged(tmp_path / "run") == []


class Failing:
    """A fleet that fails with an error, before or after it charges."""

    def __init__(self, inner: Fleet, error: Exception, *, charges: bool) -> None:
        self.inner, self.error, self.charges = inner, error, charges

    def run(self, round_: Round, charge: ChargeSum) -> Aggregate:
        if self.charges:
            self.inner.run(round_, charge)
        raise self.error


@pytest.mark.parametrize(
    ("error", "reason"),
    [(PrivacyError("of 7"), "privacy"), (InputError("x"), "input"), (OSError("item 3"), "failed")],
)
def test_a_round_that_ends_uncharged_is_in_the_ledger_and_the_run_goes_on(
    tmp_path: Path, error: Exception, reason: str
) -> None:
    plan = plan_of(Trust.SECURE_AGGREGATION)
    for _ in range(2):
        with pytest.raises(type(error)):
            run(
                tmp_path / "run",
                plan,
                wrap_fleet=lambda fleet: Failing(fleet, error, charges=False),
                resume=(tmp_path / "run").exists(),
            )
    run(tmp_path / "run", plan, resume=True)
    entries = entries_of(tmp_path / "run")
    aborted = [entry.body for entry in entries if entry.kind is EntryKind.ABORT]
    assert aborted == [{"step": plan.steps[0].name, "attempt": 0, "reason": reason}] * 2
    assert [c.attempt for c in charged(tmp_path / "run")] == [0, 0]
    checks = verify_ledger(entries, head=entries[-1].hash, length=len(entries))
    assert any(check.found.startswith("2, of which nothing") for check in checks)


def test_a_round_that_fails_after_its_charge_has_that_charge_and_no_other_entry(
    tmp_path: Path,
) -> None:
    plan = plan_of(Trust.SECURE_AGGREGATION)
    with pytest.raises(IntegrityError, match="masked"):
        run(
            tmp_path / "run",
            plan,
            wrap_fleet=lambda fleet: Failing(fleet, IntegrityError("masked"), charges=True),
        )
    kinds = [entry.kind for entry in entries_of(tmp_path / "run")]
    assert kinds == [EntryKind.PLAN, EntryKind.BUDGET, EntryKind.CHARGE]


def entries_of(directory: Path) -> tuple[Entry, ...]:
    store = RunStore(directory)
    try:
        return store.entries
    finally:
        store.close()


def test_the_charge_says_how_many_devices_really_took_part(tmp_path: Path) -> None:
    plan = plan_of(Trust.SECURE_AGGREGATION, min_survivors=8)
    run(tmp_path / "run", plan, wrap_fleet=lambda fleet: Survivors(fleet, 9))
    assert [c.terms.survivors for c in charged(tmp_path / "run")] == [9, 9]


@pytest.mark.parametrize("trust", ALL)
def test_a_release_beyond_the_budget_is_not_run_and_changes_nothing(
    tmp_path: Path, trust: Trust
) -> None:
    asked: list[str] = []

    class Counting:
        def __init__(self, inner: Fleet) -> None:
            self.inner = inner

        def run(self, round_: Round, charge: ChargeSum) -> Aggregate:
            asked.append(round_.step.name)
            return self.inner.run(round_, charge)

    plan = plan_of(trust, epsilon=8.0)
    with pytest.raises(BudgetError, match="Nothing was released"):
        run(tmp_path / "none", plan, budget=0.5, wrap_fleet=Counting)
    assert asked == [] and charged(tmp_path / "none") == []
    with pytest.raises(BudgetError, match="'signs'"):
        run(tmp_path / "one", plan, budget=7.0, wrap_fleet=Counting)
    assert asked == ["popularity"] and len(charged(tmp_path / "one")) == 1
    # Raising the budget is recorded, and lets the run go on.
    run(tmp_path / "one", plan, resume=True, budget=9.0)
    store = RunStore(tmp_path / "one")
    budgets = [e.body["epsilon"] for e in store.entries if e.kind is EntryKind.BUDGET]
    store.close()
    assert budgets == [7.0, 9.0]


@pytest.mark.parametrize("budget", [math.nan, 0.0, -1.0])
def test_a_budget_that_is_no_limit_is_refused(tmp_path: Path, budget: float) -> None:
    with pytest.raises(InputError, match="budget"):
        run(tmp_path / "run", plan_of(Trust.CENTRAL), budget=budget)


@pytest.mark.parametrize("trust", ALL)
def test_a_plan_just_fits_its_own_budget(tmp_path: Path, trust: Trust) -> None:
    reported: list[float] = []
    plan = plan_of(trust, epsilon=1.0)
    run(tmp_path / "run", plan, observer=lambda progress: reported.append(progress.epsilon_spent))
    assert reported == sorted(reported)
    assert reported[0] == 0 and 0.99 < reported[-1] <= 1.0


# --- noise, through the whole path ---


@pytest.mark.parametrize("trust", ALL)
def test_seeded_runs_are_identical(tmp_path: Path, trust: Trust) -> None:
    plan = plan_of(trust, seeded=True)
    assert same(run(tmp_path / "one", plan), run(tmp_path / "two", plan))


@pytest.mark.parametrize("trust", ALL)
def test_real_noise_differs_whatever_is_seeded(tmp_path: Path, trust: Trust) -> None:
    found = []
    for name in ("one", "two"):
        np.random.seed(0)  # noqa: NPY002 - the global state is what is shown not to matter
        random.seed(0)
        found.append(run(tmp_path / name, plan_of(trust)))
    for step in ("popularity", "signs"):
        assert (found[0][step] != found[1][step]).mean() > 0.9


def test_one_draw_for_the_sum_and_a_sum_of_shares_have_the_same_distribution() -> None:
    devices, items, share = 12, 6_000, 0.6
    single = noise_of_sum(share, devices=devices, items=items, randomness=Randomness.secret())
    seeded = Randomness.insecure_seeded(1)
    shares = noise_of_sum(share, devices=devices, items=items, randomness=seeded)
    # The first has real randomness, so these are refused wrongly once in 10,000 runs.
    assert chi_square_p(single, skellam_cdf(devices * share)) > FALSE_ALARM
    assert chi_square_p(shares, skellam_cdf(devices * share)) > FALSE_ALARM
    assert chi_square_p(shares, skellam_cdf((devices - 3) * share)) < 1e-9
    assert stats.ks_2samp(single, shares).pvalue > FALSE_ALARM


def decoded_noise(
    directory: Path, trust: Trust, *, seeded: bool
) -> tuple[NDArray[np.int64], float]:
    """Integers of a release over empty histories, and the noise's planned deviation."""
    devices, items = 12, 6_000
    cohort = nobody(devices, items)
    plan = plan_of(trust, cohort=cohort, model=Popularity(), seeded=seeded)
    shared = run(directory, plan, model=Popularity(), cohort=cohort)
    (step,) = plan.steps
    integers = np.asarray(shared["popularity"]) * step.encoding.scale
    assert (integers == np.rint(integers)).all()  # on the grid: nothing continuous leaks
    return integers.astype(np.int64), step.noise_std(devices) * step.encoding.scale


@pytest.mark.parametrize("trust", ALL)
@pytest.mark.parametrize("seeded", [True, False], ids=["seeded", "real"])
def test_released_noise_has_the_planned_scale_and_no_other(
    tmp_path: Path, trust: Trust, seeded: bool
) -> None:
    noise, std = decoded_noise(tmp_path / "run", trust, seeded=seeded)
    assert chi_square_p(noise, gaussian_cdf(std)) > FALSE_ALARM
    assert chi_square_p(noise, gaussian_cdf(std * 2 / 3)) < 1e-12
    assert chi_square_p(noise, gaussian_cdf(std * 3 / 2)) < 1e-12


def test_without_privacy_the_sum_is_exact_up_to_rounding(tmp_path: Path) -> None:
    cohort = histories()
    plan = plan_of(Trust.SECURE_AGGREGATION, epsilon=math.inf)
    shared = run(tmp_path / "run", plan)
    exact = (cohort.dense() / np.sqrt(np.maximum(cohort.sizes, 1))[:, None]).sum(axis=0)
    np.testing.assert_allclose(shared["popularity"], exact, atol=10 / plan.steps[0].encoding.scale)


@pytest.mark.parametrize("trust", ALL)
def test_a_fleet_of_single_devices_gives_the_same_model_as_a_cohort(
    tmp_path: Path, trust: Trust
) -> None:
    plan = plan_of(trust, seeded=True)
    together = run(tmp_path / "many", plan)
    alone = OneByOne(TwoSums(), histories(), Randomness.insecure_seeded(4), plan)
    assert same(run(tmp_path / "one", plan, wrap_fleet=lambda fleet: alone), together)


@pytest.mark.parametrize("entries", [1, 40, 100])
def test_blocks_of_any_size_give_the_same_model(
    tmp_path: Path, entries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The model's device state would be another device's if blocks were mixed up between steps.
    plan = plan_of(Trust.SECURE_AGGREGATION, seeded=True)
    whole = run(tmp_path / "whole", plan)
    monkeypatch.setattr(fleets, "_BLOCK_ENTRIES", entries)
    assert same(run(tmp_path / "blocks", plan), whole)


# --- crashes ---

AFTER_CHARGE = (Phase.CHARGED, Phase.SUMMED, Phase.UPDATED)


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize(
    ("trust", "seeded"),
    [
        (Trust.CENTRAL, False),
        (Trust.CENTRAL, True),
        (Trust.SECURE_AGGREGATION, True),
        pytest.param(Trust.LOCAL, True, marks=pytest.mark.slow),
    ],
)
def test_a_repeatable_run_resumes_to_the_same_model_with_one_charge_a_release(
    tmp_path: Path, trust: Trust, seeded: bool, phase: Phase, index: int
) -> None:
    """Under central trust the kept key makes real noise repeatable: the crash is undone."""
    plan = plan_of(trust, seeded=seeded)
    totals: dict[str, NDArray[np.uint32]] = {}

    class Remembering:
        def __init__(self, inner: Fleet) -> None:
            self.inner = inner

        def run(self, round_: Round, charge: ChargeSum) -> Aggregate:
            aggregate = self.inner.run(round_, charge)
            before = totals.setdefault(round_.step.name, aggregate.total)
            assert np.array_equal(before, aggregate.total)  # the very same sum
            return aggregate

    with pytest.raises(Crash):
        run(tmp_path / "run", plan, observer=crash_at(phase, index), wrap_fleet=Remembering)
    key = tmp_path / "run" / "noise.key"
    kept = key.read_bytes() if key.exists() else b""
    resumed = run(tmp_path / "run", plan, resume=True, wrap_fleet=Remembering)
    assert [(c.step, c.attempt) for c in charged(tmp_path / "run")] == [
        ("popularity", 0),
        ("signs", 0),
    ]
    if seeded:
        assert same(resumed, run(tmp_path / "uninterrupted", plan))
    else:
        (tmp_path / "again").mkdir()
        (tmp_path / "again" / "noise.key").write_bytes(kept)
        assert same(resumed, run(tmp_path / "again", plan))


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("trust", [Trust.SECURE_AGGREGATION, Trust.LOCAL])
def test_with_real_noise_an_interrupted_release_stays_charged_and_its_repeat_costs_again(
    tmp_path: Path, trust: Trust, phase: Phase, index: int
) -> None:
    plan = plan_of(trust)
    with pytest.raises(Crash):
        run(tmp_path / "run", plan, observer=crash_at(phase, index))
    before = charged(tmp_path / "run")
    assert len(before) == index + (phase in (*AFTER_CHARGE, Phase.CLOSED))
    if phase in AFTER_CHARGE:
        # The first step's repeat still fits the whole budget; then the second step does not.
        message = "again, after an interruption" if index == 1 else "Nothing was released"
        with pytest.raises(BudgetError, match=message):
            run(tmp_path / "run", plan, resume=True)
        assert len(charged(tmp_path / "run")) == 2
        run(tmp_path / "run", plan, resume=True, budget=100.0)
        expected = 3
    else:
        run(tmp_path / "run", plan, resume=True)
        expected = 2
    after = charged(tmp_path / "run")
    assert len(after) == expected and after[: len(before)] == before
    attempts = [c.attempt for c in after if c.step == plan.steps[index].name]
    assert attempts == list(range(expected - 1))


def test_a_finished_run_can_be_resumed_and_costs_nothing(tmp_path: Path) -> None:
    plan = plan_of(Trust.SECURE_AGGREGATION)
    first = run(tmp_path / "run", plan)
    assert same(run(tmp_path / "run", plan, resume=True), first)
    assert len(charged(tmp_path / "run")) == 2


@pytest.mark.parametrize("change", ["epsilon", "trust", "seeded"])
def test_another_plan_is_refused_on_resume(tmp_path: Path, change: str) -> None:
    with pytest.raises(Crash):
        run(
            tmp_path / "run",
            plan_of(Trust.SECURE_AGGREGATION),
            observer=crash_at(Phase.CLOSED, 0),
        )
    other = {
        "epsilon": plan_of(Trust.SECURE_AGGREGATION, epsilon=9.0),
        "trust": plan_of(Trust.CENTRAL),
        "seeded": plan_of(Trust.SECURE_AGGREGATION, seeded=True),
    }[change]
    with pytest.raises(IntegrityError, match="another plan"):
        run(tmp_path / "run", other, resume=True)


# --- the noise key ---


def test_the_noise_key_is_its_owners_alone_while_running_and_gone_at_the_end(
    tmp_path: Path,
) -> None:
    key = tmp_path / "run" / "noise.key"
    seen: list[tuple[int, int]] = []

    def observe(progress: Progress) -> None:
        found = key.stat()
        seen.append((stat.S_IMODE(found.st_mode), found.st_size))

    run(tmp_path / "run", plan_of(Trust.CENTRAL), observer=observe)
    assert set(seen) == {(0o600, 32)}
    assert not key.exists()
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == ["run.db"]


@pytest.mark.parametrize("phase", Phase)
def test_the_noise_key_survives_a_crash_until_the_run_ends(tmp_path: Path, phase: Phase) -> None:
    key = tmp_path / "run" / "noise.key"
    with pytest.raises(Crash):
        run(tmp_path / "run", plan_of(Trust.CENTRAL), observer=crash_at(phase, 1))
    assert key.exists()
    run(tmp_path / "run", plan_of(Trust.CENTRAL), resume=True)
    assert not key.exists()


@pytest.mark.parametrize("trust", [Trust.SECURE_AGGREGATION, Trust.LOCAL])
def test_where_devices_add_the_noise_no_key_is_kept(tmp_path: Path, trust: Trust) -> None:
    key = tmp_path / "run" / "noise.key"
    seen: list[bool] = []
    run(tmp_path / "run", plan_of(trust), observer=lambda _: seen.append(key.exists()))
    assert set(seen) == {False}
