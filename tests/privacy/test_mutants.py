"""Every protection, removed: some check of this suite must then fail.

A mutant here is one monkeypatch that takes a protection away. Each check passes on the real code and
must fail on the mutant; a mutant that survives means that the suite would not notice.
"""

import dataclasses
import math
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.models import test_conformance
from tests.privacy import (
    test_accounting,
    test_adversaries,
    test_gate,
    test_ledger,
    test_subsampling,
)
from tests.privacy.properties import (
    HUGE,
    all_halves,
    check_clipped,
    check_encoded,
)
from tests.privacy.statistics import chi_square_p, gaussian_cdf, skellam_cdf
from tests.server import test_coordinator, test_storage
from tests.server.world import (
    Crash,
    charges_in_file,
    crash_at,
    histories,
    nobody,
    noise_of_sum,
    plan_of,
    run,
)

from privet.client import device
from privet.client.device import DeviceTask, egress_policy, take_part
from privet.models import planning
from privet.models.popularity import Popularity
from privet.models.spectral import Spectral
from privet.models.testing import ModelConformance
from privet.privacy import clipping, encoding, noise, samplers
from privet.privacy.accounting import accountants, adversaries, renyi, sampled
from privet.privacy.accounting.adversaries import ReleaseTerms, Trust, guarantees
from privet.privacy.accounting.gaussian import gaussian_epsilon
from privet.privacy.canonical import sha256
from privet.privacy.clipping import Clipped
from privet.privacy.contribution import Contribution, NeighbouringRelation
from privet.privacy.encoding import Encoding
from privet.privacy.errors import BudgetError, IntegrityError, PrivacyError
from privet.privacy.ledger import Charge, EntryKind, check_chain
from privet.privacy.minimization import gate as gates
from privet.privacy.minimization.gate import Admitted, Gate, Upload
from privet.privacy.minimization.policy import EgressPolicy
from privet.privacy.randomness import Randomness, WordStream
from privet.privacy.report import view
from privet.server import storage
from privet.server.coordinator import Coordinator, Phase, Progress
from privet.simulations.federation import Federated

CAUGHT = (AssertionError, pytest.fail.Exception)
Patch = pytest.MonkeyPatch
Check = Callable[[Path], None]


# --- checks: each raises if its property does not hold ---


def uploads_are_bounded(_: Path) -> None:
    """Whatever a model offers, what passes the gate is within the encoded bound."""
    cohort = histories()
    plan = plan_of(Trust.SECURE_AGGREGATION, model=Popularity())
    (step,) = plan.steps
    lying = test_conformance.Lying(tamper="five times")
    admitted, _local = take_part(
        lying,
        DeviceTask(plan=plan, step=step, shared={}),
        {},
        cohort,
        randomness=Randomness.insecure_seeded(1),
        gate=Gate(egress_policy(plan)),
        add_noise_share=False,
    )
    sizes = cohort.sizes
    integers = np.split(admitted.upload.integers, np.cumsum(sizes)[:-1])
    assert all(float(np.linalg.norm(row)) <= step.encoding.l2_bound for row in integers)


def five_times(honest: Contribution) -> Contribution:
    return replace(honest, values=5 * honest.values)


test_conformance.TAMPERS["five times"] = five_times


def a_bound_above_the_plans_is_refused(_: Path) -> None:
    plan = plan_of(Trust.SECURE_AGGREGATION, model=Popularity())
    wider = {"wider": lambda honest: replace(honest, l2_bound=5.0)}
    test_conformance.TAMPERS.update(wider)
    with pytest.raises(PrivacyError, match="calibrated"):
        take_part(
            test_conformance.Lying(tamper="wider"),
            DeviceTask(plan=plan, step=plan.steps[0], shared={}),
            {},
            histories(),
            randomness=Randomness.insecure_seeded(1),
            gate=Gate(egress_policy(plan)),
            add_noise_share=False,
        )


def nan_and_infinity_are_clipped(_: Path) -> None:
    check_clipped([[math.nan, 5.0], [math.inf, 1.0], [HUGE, HUGE]], 1.0, False)


def signs_are_enforced(_: Path) -> None:
    check_clipped([[-0.5, 0.5]], 1.0, True)


def rounding_stays_in_the_bound(_: Path) -> None:
    for seed in range(3):
        check_encoded([all_halves(20_000, 16)], 16, seed)


def shares_have_the_planned_distribution(_: Path) -> None:
    seeded = Randomness.insecure_seeded(1)
    noise = noise_of_sum(0.6, devices=12, items=6_000, randomness=seeded)
    assert chi_square_p(noise, skellam_cdf(12 * 0.6)) > 1e-6


def the_single_draw_has_the_planned_distribution(_: Path) -> None:
    noise = noise_of_sum(0.6, devices=12, items=6_000, randomness=Randomness.secret())
    assert chi_square_p(noise, skellam_cdf(12 * 0.6)) > 1e-6


def released_noise_has_the_planned_scale(trust: Trust) -> Check:
    def check(directory: Path) -> None:
        drawn, std = test_coordinator.decoded_noise(directory, trust, seeded=False)
        assert chi_square_p(drawn, gaussian_cdf(std)) > 1e-6

    return check


def the_planned_noise_is_the_textbooks(_: Path) -> None:
    """From nothing but the Gaussian's formula: planned noise over sensitivity gives epsilon."""
    cohort = nobody(500, 40)
    for model in (Popularity(), Spectral()):
        plan = plan_of(Trust.SECURE_AGGREGATION, cohort=cohort, model=model, epsilon=1.0)
        ratios = [s.encoding.l2_bound / s.encoding.scale / s.noise_std(499) for s in plan.steps]
        mu = math.sqrt(sum(ratio**2 for ratio in ratios))
        assert gaussian_epsilon(mu, 1e-5) <= 1.0
        assert all(s.encoding.l2_bound > s.encoding.scale * 1.0 for s in plan.steps)


def a_refused_release_is_not_run(directory: Path) -> None:
    with pytest.raises(BudgetError):
        run(directory, plan_of(Trust.SECURE_AGGREGATION), budget=0.5)
    assert charges_in_file(directory) == 0


def the_charge_is_durable_before_the_sum(directory: Path) -> None:
    def observe(progress: Progress) -> None:
        if progress.phase is Phase.CHARGED:
            assert charges_in_file(directory) == progress.index + 1

    run(directory, plan_of(Trust.SECURE_AGGREGATION), observer=observe)


def every_sum_is_charged(directory: Path) -> None:
    run(directory, plan_of(Trust.SECURE_AGGREGATION))
    assert charges_in_file(directory) == 2


def a_repeat_with_fresh_noise_is_charged_again(directory: Path) -> None:
    test_coordinator.test_with_real_noise_an_interrupted_release_stays_charged_and_its_repeat_costs_again(
        directory, Trust.SECURE_AGGREGATION, Phase.SUMMED, 1
    )


def too_few_survivors_learn_nothing(directory: Path) -> None:
    test_coordinator.test_fewer_survivors_than_the_noise_was_set_for_learn_and_cost_nothing(
        directory
    )


def the_gate_denies(_: Path) -> None:
    for upload in test_gate.BAD.values():
        gate = Gate(EgressPolicy(rules=(test_gate.RULE,)))
        test_gate.test_everything_else_is_denied_counted_and_not_logged(gate, upload)


def only_the_gate_admits(_: Path) -> None:
    gate = Gate(EgressPolicy(rules=(test_gate.RULE,)))
    test_gate.test_admitted_cannot_be_made_by_hand(gate)


def seeded_noise_guarantees_nothing(_: Path) -> None:
    plan = plan_of(Trust.SECURE_AGGREGATION, seeded=True)
    entries = tuple(
        test_ledger.build(
            [
                (EntryKind.PLAN, {"plan": plan.to_dict(), "plan_hash": plan.hash}),
                *(
                    (
                        EntryKind.CHARGE,
                        Charge(step=s.name, attempt=0, terms=s.terms).to_dict(),
                    )
                    for s in plan.steps
                ),
            ]
        )
    )
    fields = {f.name for f in dataclasses.fields(Federated)}
    body: dict[str, Any] = {"plan": plan, "shared": {}, "entries": entries, "budget": 8.0}
    body["population"] = None
    assert fields == set(body)
    assert all(g.epsilon is None for g in Federated(**body).guarantees)


def colluders_count(_: Path) -> None:
    test_adversaries.test_colluders_weaken_the_guarantee_against_a6_and_the_server_but_not_a1()
    test_adversaries.test_the_event_has_the_variance_that_the_adversary_does_not_know()


def lost_survivors_count(_: Path) -> None:
    test_adversaries.test_survivors_lost_weaken_every_guarantee_under_secure_aggregation()


def local_trust_is_replace_one(_: Path) -> None:
    test_adversaries.test_local_trust_is_stated_under_replace_one_for_a_single_share(True, 2**0.5)


def accountants_agree(_: Path) -> None:
    try:
        accountants.check_agreement(test_accounting.gaussians(1, 3), 1e-6)
    except IntegrityError as error:
        raise AssertionError(str(error)) from error


def published_numbers_are_reproduced(_: Path) -> None:
    test_accounting.test_skellam_anchors(*test_accounting.SKELLAM_ANCHORS[2])


def sums_cannot_wrap(_: Path) -> None:
    with pytest.raises(PrivacyError):
        Encoding(dimension=10, l2_clip_norm=1.0, devices=5000, scale=1 << 20).check_overflow(0.0)


def secret_noise_ignores_seeds(_: Path) -> None:
    found = set()
    for _i in range(2):
        np.random.seed(0)  # noqa: NPY002
        found.add(Randomness.secret().stream("a").words64(2).tobytes())
    assert len(found) == 2


def streams_differ_by_name(_: Path) -> None:
    source = Randomness.insecure_seeded(1)
    found = {
        source.stream(*name).words64(1).tobytes() for name in (("a", "bc"), ("ab", "c"), ("abc",))
    }
    assert len(found) == 3


def forks_are_refused(_: Path) -> None:
    stream = Randomness.secret().stream("a")
    stream._pid += 1
    with pytest.raises(PrivacyError, match="fork"):
        stream.words32(1)


def devices_draw_different_noise(_: Path) -> None:
    plan = plan_of(Trust.SECURE_AGGREGATION)
    task = DeviceTask(plan=plan, step=plan.steps[0], shared={})
    found = device.noise_shares(task, np.arange(3), Randomness.insecure_seeded(1))
    assert len({row.tobytes() for row in found}) == 3


def samplers_say_what_they_do(_: Path) -> None:
    """A cohort of a fixed size that is announced as Poisson is not accounted for as Poisson."""
    test_subsampling.test_a_cohort_announced_as_poisson_but_drawn_otherwise_is_refused()


def the_ledger_shows_changes(_: Path) -> None:
    honest = test_ledger.build([(entry.kind, entry.body) for entry in test_ledger.GOOD])
    check_chain(honest)
    for position in range(len(honest)):
        changed = list(honest)
        changed[position] = replace(honest[position], body={"step": "other"})
        with pytest.raises(IntegrityError):
            check_chain(changed)


def damage_to_the_run_is_refused(directory: Path) -> None:
    with pytest.raises(Crash):
        run(
            directory / "run",
            plan_of(Trust.SECURE_AGGREGATION),
            observer=crash_at(Phase.ALLOWED, 1),
        )
    path = directory / "run" / storage.DATABASE
    (directory / "next").mkdir()
    for statement in ("DELETE FROM ledger; DELETE FROM head", "DELETE FROM checkpoint"):
        test_storage.test_a_tampered_table_is_refused(path, directory / "next", statement)


def models_keep_their_promises(_: Path) -> None:
    class Suite(ModelConformance):
        model = Spectral()

    Suite().test_contributions_are_nonnegative_where_declared_and_never_clipped()


def step_names_are_distinct(_: Path) -> None:
    test_conformance.test_two_steps_of_one_name_are_refused_by_suite_and_planner()


# --- mutants: each takes one protection away ---


def untouched(contribution: Contribution) -> Clipped:
    return Clipped(contribution=contribution, nonfinite=0, rows_clipped=0)


def naive_clip(contribution: Contribution) -> Clipped:
    """The clip of many libraries: ``v * min(1, bound / norm)``, which lets NaN through."""
    with np.errstate(all="ignore"):
        squares = np.bincount(
            contribution.rows, weights=contribution.values**2, minlength=len(contribution)
        )
        factor = np.fmin(1.0, contribution.l2_bound / np.sqrt(squares))
        values = contribution.values * factor[contribution.rows]
    return replace(untouched(contribution), contribution=replace(contribution, values=values))


def rounded_up(
    contribution: Contribution, public: Encoding, streams: list[WordStream]
) -> NDArray[np.int64]:
    return np.ceil(contribution.values * public.scale).astype(np.int64)


def halved(sampler: Callable[..., NDArray[np.int64]], power: int) -> Callable[..., Any]:
    return lambda scale, count, stream: sampler(scale / 2**power, count, stream)


def no_shares(task: DeviceTask, devices: NDArray[np.int64], randomness: Randomness) -> Any:
    return np.zeros((len(devices), task.step.encoding.dimension), np.int64)


def one_stream(task: DeviceTask, devices: NDArray[np.int64], randomness: Randomness) -> Any:
    step = task.step
    stream = randomness.stream("skellam", step.name)
    share = samplers.sample_skellam(step.terms.share_variance, step.encoding.dimension, stream)
    return np.tile(share, (len(devices), 1))


def charge_later(patch: Patch) -> None:
    """The charge is made when the release is decoded: after the sum is known."""
    charge, release = Coordinator._charge, Coordinator._release
    waiting: list[tuple[Any, int]] = []

    def remember(self: Coordinator, step: Any, survivors: int) -> None:
        waiting.append((step, survivors))

    def late(self: Coordinator, round_: Any, aggregate: Any) -> Any:
        charge(self, *waiting.pop())
        return release(self, round_, aggregate)

    patch.setattr(Coordinator, "_charge", remember)
    patch.setattr(Coordinator, "_release", late)


def never_charge(patch: Patch) -> None:
    patch.setattr(Coordinator, "_charge", lambda self, step, survivors: None)
    patch.setattr(Coordinator, "_open_charges", lambda self, step: [1])


def repeats_are_free(patch: Patch) -> None:
    made = Coordinator.__init__

    def init(self: Coordinator, **arguments: Any) -> None:
        made(self, **{**arguments, "repeatable": True})

    patch.setattr(Coordinator, "__init__", init)


def survivors_unchecked(patch: Patch) -> None:
    charge = Coordinator._charge
    patch.setattr(
        Coordinator,
        "_charge",
        lambda self, step, survivors: charge(self, step, step.terms.survivors),
    )


def open_gate(patch: Patch) -> None:
    patch.setattr(Gate, "admit", lambda self, upload: Admitted(upload, gates._KEY))


def open_admission(patch: Patch) -> None:
    patch.setattr(Admitted, "__post_init__", lambda self, key: None)


def seeded_is_private(patch: Patch) -> None:
    honest = guarantees
    patch.setattr(
        view,
        "guarantees",
        lambda terms, delta, *, private, provoked: honest(terms, delta, private=True),
    )


def colluders_ignored(patch: Patch) -> None:
    event = ReleaseTerms._event
    patch.setattr(ReleaseTerms, "_event", lambda self, *, known_shares: event(self, known_shares=0))


def understated_outer_products(patch: Patch) -> None:
    """A diagonal too long by a tenth, with the bound still declared as 1."""
    from privet.models import spectral

    honest = spectral.outer_products

    def longer(cohort: Any) -> Contribution:
        found = honest(cohort)
        return replace(found, values=found.values * 1.1)

    patch.setattr(spectral, "outer_products", longer)


def global_numpy_noise(patch: Patch) -> None:
    patch.setattr(os, "urandom", np.random.bytes)


def names_run_together(patch: Patch) -> None:
    import hashlib

    def stream(self: Randomness, *labels: str | int) -> WordStream:
        text = "".join(map(str, labels)).encode()
        return WordStream(hashlib.blake2b(text, key=self._root, digest_size=32).digest())

    patch.setattr(Randomness, "stream", stream)


def forks_allowed(patch: Patch) -> None:
    patch.setattr(WordStream, "_take", lambda self, size: self._encryptor.update(bytes(size)))


def unchained(patch: Patch) -> None:
    from privet.privacy import ledger

    def ignoring_body(seq: int, kind: Any, body: Any, previous_hash: str) -> str:
        return sha256([seq, str(kind)])

    patch.setattr(ledger, "_entry_hash", ignoring_body)


def unchecked_chain(patch: Patch) -> None:
    def trusting(self: storage.RunStore) -> tuple[str, Any] | None:
        row = self._db.execute("SELECT step, state FROM checkpoint").fetchone()
        return ("", {}) if row is None else (row[0], storage.unpack_state(row[1]))

    patch.setattr(storage.RunStore, "checkpoint", trusting)


def set_(
    target: object, name: str, value: object, *, raising: bool = True
) -> Callable[[Patch], None]:
    return lambda patch: patch.setattr(target, name, value, raising=raising)


def halve_divergence(patch: Patch) -> None:
    honest = renyi.renyi_divergence
    patch.setattr(renyi, "renyi_divergence", lambda event, order: honest(event, order) / 2)


def no_plan_step_noise(patch: Patch) -> None:
    """Noise set for a quarter of the variance, with the ledger still told the whole."""
    honest = planning._plan_step

    def weaker(*arguments: Any) -> Any:
        step = honest(*arguments)
        terms = replace(step.terms, share_variance=step.terms.share_variance / 4)
        return replace(step, terms=terms)

    patch.setattr(planning, "_plan_step", weaker)
    patch.setattr(planning, "_epsilon", lambda plans, facts: facts.epsilon)


def understated_rounding(patch: Patch) -> None:
    patch.setattr(Encoding, "l2_bound", property(lambda self: self.scale * self.l2_clip_norm))


local_as_zero_out = property(lambda self: NeighbouringRelation.ZERO_OUT)

MUTANTS: dict[str, tuple[Callable[[Patch], None], Check]] = {
    "clipping removed": (set_(device, "clip", untouched), uploads_are_bounded),
    "clipping that lets NaN through": (
        set_(clipping, "clip", naive_clip),
        nan_and_infinity_are_clipped,
    ),
    "signs not enforced": (set_(clipping, "clip", naive_clip), signs_are_enforced),
    "the model's bound not compared with the plan's": (
        set_(device, "_check", lambda contribution, step: None),
        a_bound_above_the_plans_is_refused,
    ),
    "rounding always up, bound ignored": (
        set_(encoding, "encode", rounded_up),
        rounding_stays_in_the_bound,
    ),
    "rounding left out of the declared bound": (
        understated_rounding,
        the_planned_noise_is_the_textbooks,
    ),
    "overflow unchecked": (
        set_(Encoding, "check_overflow", lambda self, std: None),
        sums_cannot_wrap,
    ),
    "noise shares dropped": (
        set_(device, "noise_shares", no_shares),
        shares_have_the_planned_distribution,
    ),
    "one noise stream for all devices": (
        set_(device, "noise_shares", one_stream),
        devices_draw_different_noise,
    ),
    "the sum of shared noise": (
        set_(device, "noise_shares", one_stream),
        shares_have_the_planned_distribution,
    ),
    "noise shares at half scale": (
        set_(noise, "sample_skellam", halved(samplers.sample_skellam, 2)),
        shares_have_the_planned_distribution,
    ),
    "the simulated sum at half scale": (
        set_(noise, "sample_skellam", halved(samplers.sample_skellam, 2)),
        the_single_draw_has_the_planned_distribution,
    ),
    "the simulated sum at half scale, end to end": (
        set_(noise, "sample_skellam", halved(samplers.sample_skellam, 2)),
        released_noise_has_the_planned_scale(Trust.SECURE_AGGREGATION),
    ),
    "central noise at half scale": (
        set_(noise, "sample_rounded_gaussian", halved(samplers.sample_rounded_gaussian, 1)),
        released_noise_has_the_planned_scale(Trust.CENTRAL),
    ),
    "central noise dropped": (
        set_(Coordinator, "_with_server_noise", lambda self, step, total, attempt: total),
        released_noise_has_the_planned_scale(Trust.CENTRAL),
    ),
    "noise calibrated to half of what is claimed": (
        no_plan_step_noise,
        the_planned_noise_is_the_textbooks,
    ),
    "sensitivity understated by a model": (
        understated_outer_products,
        models_keep_their_promises,
    ),
    "budget check removed": (
        set_(Coordinator, "_check_budget", lambda self, step: None),
        a_refused_release_is_not_run,
    ),
    "charge after the sum": (charge_later, the_charge_is_durable_before_the_sum),
    "no charge at all": (never_charge, every_sum_is_charged),
    "repeats with fresh noise for free": (
        repeats_are_free,
        a_repeat_with_fresh_noise_is_charged_again,
    ),
    "survivors not counted": (survivors_unchecked, too_few_survivors_learn_nothing),
    "gate bypassed": (open_gate, the_gate_denies),
    "admission by hand": (open_admission, only_the_gate_admits),
    "seeded noise reported as private": (seeded_is_private, seeded_noise_guarantees_nothing),
    "colluders ignored": (colluders_ignored, colluders_count),
    "lost survivors ignored": (
        set_(ReleaseTerms, "with_survivors", lambda self, survivors: self),
        lost_survivors_count,
    ),
    "local trust under zero-out": (
        set_(adversaries.Trust, "relation", local_as_zero_out),
        local_trust_is_replace_one,
    ),
    "half of epsilon claimed": (
        set_(accountants, "gaussian_epsilon", lambda mu, delta: 0.5 * mu),
        accountants_agree,
    ),
    "Skellam divergences halved": (halve_divergence, published_numbers_are_reproduced),
    "noise from numpy's global state": (global_numpy_noise, secret_noise_ignores_seeds),
    "names of streams run together": (names_run_together, streams_differ_by_name),
    "a cohort announced as Poisson but of a fixed size": (
        set_(sampled, "check_sampling", lambda *_, **__: None),
        samplers_say_what_they_do,
    ),
    "streams usable after a fork": (forks_allowed, forks_are_refused),
    "hashes that do not cover the body": (unchained, the_ledger_shows_changes),
    "checkpoint believed without its hash": (unchecked_chain, damage_to_the_run_is_refused),
    "two steps of one name planned": (
        set_(planning, "len", lambda found: 0, raising=False),
        step_names_are_distinct,
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_protection_removed_is_noticed(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mutate, check = MUTANTS[name]
    (tmp_path / "real").mkdir()
    (tmp_path / "mutant").mkdir()
    plan_of.cache_clear()
    check(tmp_path / "real")
    plan_of.cache_clear()
    try:
        with monkeypatch.context() as patch:
            mutate(patch)
            with pytest.raises(CAUGHT):
                check(tmp_path / "mutant")
    finally:
        plan_of.cache_clear()


def test_the_table_removes_every_protection_that_the_threat_model_names() -> None:
    words = ("clipping", "rounding", "shares", "half scale", "sensitivity", "budget", "charge")
    for word in (*words, "gate", "seeded", "colluders", "Poisson"):
        assert any(word in name for name in MUTANTS), word
    assert Upload.__dataclass_params__.frozen  # type: ignore[attr-defined]
