"""Protections of sampled cohorts and of series, each removed: a check must then fail."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.client import test_series_device
from tests.privacy import test_series as accounts
from tests.server import test_cohorts, test_series

from privet.client import device
from privet.privacy.accounting.adversaries import Adversary, ReleaseTerms
from privet.privacy.accounting.events import MatrixEvent
from privet.privacy.accounting.matrix_release import MatrixRelease
from privet.privacy.accounting.series import SeriesRound
from privet.privacy.cohorts import CohortRule, FixedSizeSampler, PoissonSampler
from privet.privacy.errors import IntegrityError, PrivacyError
from privet.privacy.minimization import agreement
from privet.privacy.randomness import WordStream
from privet.server import coordinator
from privet.server.coordinator import Coordinator
from privet.server.storage import RunStore

Patch = pytest.MonkeyPatch
Check = Callable[[Path, Patch], None]


def on(owner: object, name: str, value: object) -> Callable[[Patch], None]:
    return lambda patch: patch.setattr(owner, name, value)


def drawn_as_fixed(self: PoissonSampler, population: int, stream: WordStream) -> NDArray[np.int64]:
    """Announced as Poisson, and says so of itself, but always of the expected size."""
    return FixedSizeSampler(size=round(self.rate * population)).draw(population, stream)


def drawn_too_often(patch: Patch) -> None:
    honest = PoissonSampler.draw
    patch.setattr(
        PoissonSampler,
        "draw",
        lambda self, n, stream: honest(replace(self, rate=min(1.0, 1.5 * self.rate)), n, stream),
    )


def without_noise_if_empty(patch: Patch) -> None:
    honest = Coordinator._with_server_noise
    patch.setattr(
        Coordinator,
        "_with_server_noise",
        lambda self, step, total, n: honest(self, step, total, n) if total.any() else total,
    )


def as_model_consumer(other: Adversary) -> Callable[[Patch], None]:
    def mutate(patch: Patch) -> None:
        honest = ReleaseTerms._seen_by
        patch.setattr(
            ReleaseTerms,
            "_seen_by",
            lambda self, a: honest(self, Adversary.MODEL_CONSUMER if a is other else a),
        )

    return mutate


def as_independent(self: SeriesRound, noise_multiplier: float, *, rounds: int) -> MatrixEvent:
    return MatrixEvent(
        noise_multiplier=noise_multiplier,
        rounds=rounds,
        bands=1,
        separation=self.separation,
        participations=self.participations,
    )


def claimed_as_other_steps(task: Any, devices: NDArray[np.int64], gate: Any) -> None:
    gate.participations.claim(
        plan_hash=gate.policy.plan_hash,
        step=task.step.name,
        devices=devices,
        limits=gate.agreement.limits,
    )


def readable_by_all(patch: Patch) -> None:
    honest = os.open

    def opened(path: Any, flags: int, mode: int = 0o777) -> int:
        found = honest(path, flags, mode)
        if str(path).endswith(".secret"):
            os.fchmod(found, 0o644)
        return found

    patch.setattr("privet.server.series.os.open", opened)


def half_the_noise(patch: Patch) -> None:
    honest = MatrixRelease.__init__

    def made(self: MatrixRelease, *, noise_std: float, **rest: Any) -> None:
        honest(self, noise_std=noise_std / 2, **rest)

    patch.setattr(MatrixRelease, "__init__", made)


def no_size_is_told(path: Path, _: Patch) -> None:
    test_cohorts.no_size_is_told(path)


def empty_cohorts_are_noised_and_charged(path: Path, _: Patch) -> None:
    test_cohorts.empty_cohorts_are_noised_and_charged(path / "run")


def cohorts_are_drawn_as_poisson(path: Path, _: Patch) -> None:
    test_cohorts.drawn_as_poisson(path / "run")


def amplification_is_for_one_adversary(_path: Path, _: Patch) -> None:
    accounts.test_only_a_model_consumer_under_central_trust_gets_amplification()


def rounds_are_never_accounted_apart(_path: Path, _: Patch) -> None:
    accounts.test_a_round_is_never_accounted_by_itself()


def correlation_is_charged(_path: Path, _: Patch) -> None:
    accounts.test_a_series_costs_more_than_its_rounds_would_with_independent_noise()


def devices_refuse_a_round_too_soon(_path: Path, _: Patch) -> None:
    test_series_device.too_soon_is_refused()


def the_servers_secrets_are_kept_and_destroyed(path: Path, _: Patch) -> None:
    test_series.test_the_secret_sums_are_their_owners_alone_while_running_and_gone_at_the_end(path)


def the_noise_is_the_planned(_path: Path, _: Patch) -> None:
    name = "test_the_independent_noise_under_the_correlation_has_the_planned_scale_and_no_other"
    getattr(test_series, name)()


MUTANTS: dict[str, tuple[Callable[[Patch], None], Check]] = {
    "cohort announced as Poisson but of fixed size": (
        on(PoissonSampler, "draw", drawn_as_fixed),
        cohorts_are_drawn_as_poisson,
    ),
    "cohort drawn with another rate": (drawn_too_often, cohorts_are_drawn_as_poisson),
    "cohort of everyone": (
        on(PoissonSampler, "draw", lambda self, n, stream: np.arange(n, dtype=np.int64)),
        cohorts_are_drawn_as_poisson,
    ),
    "actual size in closing entry and release": (
        on(coordinator, "_published", lambda step, aggregate: aggregate.survivors),
        no_size_is_told,
    ),
    "empty cohort without noise": (without_noise_if_empty, empty_cohorts_are_noised_and_charged),
    "Poisson amplification given to A2": (
        as_model_consumer(Adversary.OTHER_CLIENT),
        amplification_is_for_one_adversary,
    ),
    "Poisson amplification given to A3": (
        as_model_consumer(Adversary.CURIOUS_SERVER),
        amplification_is_for_one_adversary,
    ),
    "Poisson amplification with a roster sent": (
        on(ReleaseTerms, "hides_cohort", property(lambda self: self.sampling is not None)),
        amplification_is_for_one_adversary,
    ),
    "correlated rounds charged as independent": (
        on(SeriesRound, "event", as_independent),
        correlation_is_charged,
    ),
    "sum of terms instead of the series": (
        on(ReleaseTerms, "_alone", lambda self, event: event),
        rounds_are_never_accounted_apart,
    ),
    "separation not enforced on the device": (
        on(agreement, "_check_separation", lambda *_: None),
        devices_refuse_a_round_too_soon,
    ),
    "series not told to the device's memory": (
        on(device, "_claim", claimed_as_other_steps),
        devices_refuse_a_round_too_soon,
    ),
    "schedule not checked by the server": (
        on(RunStore, "claim_round", lambda self, found, devices: None),
        test_series.the_server_refuses_a_hasty_schedule,
    ),
    "secret sums readable by all": (readable_by_all, the_servers_secrets_are_kept_and_destroyed),
    "secret sums kept for ever": (
        on(coordinator, "destroy_series", lambda directory: None),
        the_servers_secrets_are_kept_and_destroyed,
    ),
    "half the noise of a series": (half_the_noise, the_noise_is_the_planned),
    "earlier rounds forgotten by the noise": (
        on(MatrixRelease, "restore", lambda self, sums, estimates: None),
        the_noise_is_the_planned,
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_protection_removed_is_noticed(name: str, tmp_path: Path, monkeypatch: Patch) -> None:
    mutate, check = MUTANTS[name]
    (tmp_path / "real").mkdir()
    (tmp_path / "mutant").mkdir()
    with monkeypatch.context() as patch:
        check(tmp_path / "real", patch)
    with monkeypatch.context() as patch:
        mutate(patch)
        with pytest.raises((AssertionError, pytest.fail.Exception, PrivacyError)):
            check(tmp_path / "mutant", patch)


@pytest.mark.parametrize(
    "sampler", [FixedSizeSampler(size=12), PoissonSampler(rate=0.45), None], ids=str
)
def test_a_sampler_that_is_not_the_declared_one_stops_the_coordinator_before_its_first_entry(
    sampler: FixedSizeSampler | PoissonSampler | None, tmp_path: Path, monkeypatch: Patch
) -> None:
    plan = test_cohorts.plan_for()
    monkeypatch.setattr(CohortRule, "sampler", lambda self: sampler)
    with pytest.raises(PrivacyError, match="but drawn as"):
        test_cohorts.watched_run(tmp_path / "run", plan)
    monkeypatch.undo()
    with pytest.raises(IntegrityError, match="has no ledger"):
        RunStore(tmp_path / "run")
