"""Series of rounds in the accounts: one event together, whatever is between, and never by parts."""

import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.privacy.test_adversaries import DELTA, terms

from privet.privacy.accounting.accountants import check_agreement, claimed_epsilon
from privet.privacy.accounting.adversaries import (
    Adversary,
    ReleaseTerms,
    Trust,
    events_of,
    guarantees,
)
from privet.privacy.accounting.events import (
    GaussianEvent,
    MatrixEvent,
    PoissonGaussianEvent,
    SamplingKind,
    UnprotectedEvent,
)
from privet.privacy.accounting.gaussian import gaussian_epsilon
from privet.privacy.accounting.matrix import COEFFICIENT_BITS, strategy_coefficients
from privet.privacy.accounting.matrix_release import MatrixRelease
from privet.privacy.accounting.sampling import Sampling
from privet.privacy.accounting.series import SeriesRound, public_permutation
from privet.privacy.errors import InputError, PrivacyError
from privet.privacy.randomness import Randomness

A1, A2, A3, A4, A5, A6, A7, A8 = Adversary


def round_(number: int, *, rounds: int = 8, bands: int = 3, separation: int = 3) -> SeriesRound:
    return SeriesRound(
        name="now",
        round_number=number,
        rounds=rounds,
        bands=bands,
        separation=separation,
        participations=-(-rounds // separation),
    )


def series(count: int, **shape: int) -> list[ReleaseTerms]:
    """The first rounds of a series under central trust."""
    return [terms(Trust.CENTRAL, series=round_(number, **shape)) for number in range(count)]


def sampled(**changes: Any) -> ReleaseTerms:
    """A Poisson-sampled release under central trust."""
    body = {
        "declared": SamplingKind.POISSON,
        "implemented": SamplingKind.POISSON,
        "population": 1000,
        "probability": 0.1,
        "roster_sent": False,
    }
    trust = changes.pop("trust", Trust.CENTRAL)
    return terms(trust, sampling=Sampling(**{**body, **changes}))


# --- series ---


@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_the_rounds_so_far_are_one_matrix_event_of_so_many_rounds(count: int) -> None:
    event = MatrixEvent(
        noise_multiplier=2.0, rounds=count, bands=min(3, count), separation=3, participations=3
    )
    for adversary in (None, A1, A2, A6):
        assert events_of(series(count), adversary) == (event,)
    for adversary in (A3, A4, A5, A7, A8):
        assert events_of(series(count), adversary) is None


@settings(deadline=None, max_examples=40)
@given(
    rounds=st.integers(1, 12),
    bands=st.integers(1, 12),
    separation=st.integers(1, 6),
    data=st.data(),
)
def test_a_prefix_costs_what_its_own_matrix_moves_at_worst_and_never_more_than_the_whole(
    rounds: int, bands: int, separation: int, data: st.DataObject
) -> None:
    """Every schedule and sign of a small series, on the leading part of the whole's matrix."""
    shape = {"rounds": rounds, "bands": min(bands, rounds), "separation": separation}
    count = data.draw(st.integers(1, rounds))
    (event,) = events_of(series(count, **shape)) or ()
    assert isinstance(event, MatrixEvent)
    band = np.array(strategy_coefficients(shape["bands"]), float) / (1 << COEFFICIENT_BITS)
    matrix = np.zeros((rounds, rounds))
    for i in range(rounds):
        for j in range(max(0, i - len(band) + 1), i + 1):
            matrix[i, j] = band[i - j]
    leading = matrix[:count, :count]
    chosen = data.draw(
        st.lists(st.tuples(st.integers(0, 6), st.sampled_from([-1.0, 1.0])), min_size=1)
    )
    moved, at = np.zeros(count), -separation
    for gap, sign in chosen[: event.participations]:
        at += separation + gap
        if at < count:
            moved[at] = sign
    assert np.linalg.norm(leading @ moved) <= event.sensitivity * (1 + 1e-12)
    costs = [claimed_epsilon(events_of(series(k, **shape)) or (), DELTA) for k in (count, rounds)]
    assert costs[0] <= costs[1] * (1 + 1e-12)


def test_a_series_composes_with_other_releases_wherever_they_are_between() -> None:
    rounds, other = series(4), terms(Trust.CENTRAL, noise_multiplier=3.0)
    (event,) = events_of(rounds) or ()
    assert isinstance(event, MatrixEvent)
    mu = math.hypot(event.sensitivity / 2.0, 1 / 3.0)
    for mixed in ([other, *rounds], [*rounds, other], [*rounds[:2], other, *rounds[2:]]):
        found = claimed_epsilon(events_of(mixed) or (), DELTA)
        assert found == pytest.approx(gaussian_epsilon(mu, DELTA), rel=1e-9)
        check_agreement(events_of(mixed) or (), DELTA)
        assert {g.epsilon for g in guarantees(mixed, DELTA, private=True)} == {found, None}


def test_two_series_are_two_events() -> None:
    second = [
        replace(t, series=replace(t.series, name="then")) for t in series(3) if t.series is not None
    ]
    first = series(3)
    mixed = [release for pair in zip(first, second, strict=True) for release in pair]
    assert events_of(mixed) == (*(events_of(first) or ()), *(events_of(second) or ()))


def test_a_series_costs_more_than_its_rounds_would_with_independent_noise() -> None:
    """Charging rounds one by one as if their noise were their own would be too little."""
    event = GaussianEvent(noise_multiplier=2.0)
    apart = claimed_epsilon([event] * 3, DELTA)  # of the eight rounds a user is in three
    together = claimed_epsilon(events_of(series(8)) or (), DELTA)
    assert together > 1.1 * apart
    alone = claimed_epsilon(events_of(series(8, bands=1)) or (), DELTA)
    assert alone == pytest.approx(apart, rel=1e-9)


@pytest.mark.parametrize(
    "numbers", [[1], [0, 0], [0, 2], [0, 1, 1], [1, 0], [0, 1, 2, 0], [0, 1, 2, 3, 4, 5, 6, 7, 7]]
)
def test_repeated_missing_or_disordered_rounds_cannot_be_accounted_for(numbers: list[int]) -> None:
    releases = [terms(Trust.CENTRAL, series=round_(number)) for number in numbers]
    for adversary in (None, A1, A6):
        with pytest.raises(PrivacyError, match="'now' cannot be accounted for"):
            events_of(releases, adversary)


@pytest.mark.parametrize(
    "change",
    [{"noise_multiplier": 3.0}, {"l2_bound": 7.0}, {"dimension": 3}, {"colluders": 4},
     {"series": round_(1, bands=2)}, {"series": round_(1, separation=2)}],
)  # fmt: skip
def test_rounds_that_are_not_alike_cannot_be_accounted_for(change: dict[str, Any]) -> None:
    first, second = series(2)
    with pytest.raises(PrivacyError, match="with the same terms"):
        events_of([first, replace(second, **change)])
    # How many took part is the schedule's, and not part of the mechanism.
    assert events_of([first, second.with_survivors(7)]) == events_of([first, second])


@pytest.mark.parametrize("trust", [Trust.SECURE_AGGREGATION, Trust.LOCAL])
def test_correlated_noise_without_a_server_that_sees_the_sums_is_refused(trust: Trust) -> None:
    with pytest.raises(PrivacyError, match="needs a server that sees the sums"):
        events_of([terms(trust, series=round_(0))])


def test_a_sampled_series_is_refused() -> None:
    with pytest.raises(PrivacyError, match="a schedule instead of sampling"):
        events_of([replace(sampled(), series=round_(0))])


def test_a_round_is_never_accounted_by_itself() -> None:
    (release,) = series(1)
    with pytest.raises(PrivacyError, match="cannot be accounted by itself"):
        release.worst_case()
    for adversary in (A1, A2, A6):
        with pytest.raises(PrivacyError, match="cannot be accounted by itself"):
            release.seen_by(adversary)


def test_a_series_without_noise_guarantees_nothing() -> None:
    bare = [replace(release, noise_multiplier=0.0) for release in series(3)]
    assert events_of(bare) == (UnprotectedEvent(),)
    assert {g.epsilon for g in guarantees(bare, DELTA, private=True)} == {None}


def test_terms_with_series_or_sampling_survive_a_round_trip() -> None:
    for release in (*series(2), sampled(), terms(Trust.LOCAL)):
        assert ReleaseTerms.from_dict(release.to_dict()) == release


@pytest.mark.parametrize(
    "change",
    [{"round_number": 8}, {"round_number": -1}, {"round_number": True}, {"bands": 9},
     {"bands": 0}, {"rounds": 0}, {"separation": 0}, {"participations": 0.5}, {"name": ""},
     {"name": 3}, {"extra": 1}, {"rounds": None}],
)  # fmt: skip
def test_impossible_series_are_refused_in_a_ledger(change: dict[str, Any]) -> None:
    (release,) = series(1)
    body = release.to_dict()
    with pytest.raises(InputError):
        ReleaseTerms.from_dict({**body, "series": {**body["series"], **change}})
    for malformed in (3, "now", True):
        with pytest.raises(InputError):
            ReleaseTerms.from_dict({**body, "series": malformed})


# --- the schedule ---


@settings(deadline=None)
@given(
    devices=st.integers(1, 200),
    rounds=st.integers(1, 40),
    separation=st.integers(1, 12),
    cap=st.integers(1, 12),
)
def test_the_schedule_keeps_every_device_apart_and_within_its_cap(
    devices: int, rounds: int, separation: int, cap: int
) -> None:
    turns: dict[int, list[int]] = {}
    for number in range(rounds):
        found = SeriesRound(
            name="now",
            round_number=number,
            rounds=rounds,
            bands=1,
            separation=separation,
            participations=cap,
        )
        turn = found.turn(devices)
        assert np.array_equal(turn, np.unique(turn))
        for device in turn.tolist():
            turns.setdefault(device, []).append(number)
    for numbers in turns.values():
        assert len(numbers) <= cap
        assert all(later - sooner == separation for sooner, later in itertools.pairwise(numbers))
    if rounds >= separation:
        assert sorted(turns) == list(range(devices))  # everyone has a turn


def test_the_permutation_is_public_fixed_and_one_to_one() -> None:
    found = public_permutation(1000, "trending")
    assert np.array_equal(np.sort(found), np.arange(1000))
    assert found[:6].tolist() == public_permutation(1000, "trending")[:6].tolist()
    assert not np.array_equal(found, public_permutation(1000, "other"))
    halves = found[:500] % 10  # neighbours in number do not share their turns
    assert np.bincount(halves, minlength=10).min() > 25


# --- the release, interrupted between rounds ---


@settings(deadline=None, max_examples=25)
@given(bands=st.integers(1, 6), rounds=st.integers(2, 12), data=st.data())
def test_a_release_restored_between_any_rounds_goes_on_as_if_never_stopped(
    bands: int, rounds: int, data: st.DataObject
) -> None:
    sums = np.random.default_rng(3).integers(-50, 50, (rounds, 4))
    source = Randomness.insecure_seeded(2)
    options: dict[str, Any] = {"bands": bands, "noise_std": 3.0, "largest_sum": 100}
    whole = MatrixRelease(**options)
    expected = [whole.release(sums[t], source.stream("server", t)) for t in range(rounds)]
    stop = data.draw(st.integers(1, rounds - 1))
    before = MatrixRelease(**options)
    found = [before.release(sums[t], source.stream("server", t)) for t in range(stop)]
    after = MatrixRelease(**options)
    after.restore(*before.state())
    found += [after.release(sums[t], source.stream("server", t)) for t in range(stop, rounds)]
    assert np.array_equal(found, expected)


def test_the_noise_of_each_rounds_estimate_has_the_stated_scale() -> None:
    mechanism = MatrixRelease(bands=3, noise_std=5.0, largest_sum=1)
    source = Randomness.insecure_seeded(4)
    for number in range(6):
        noise = mechanism.release(np.zeros(20_000, np.int64), source.stream("server", number))
        stated = 5.0 * round_(number).error_growth
        assert noise.std() == pytest.approx(stated, rel=0.03)


# --- who is denied knowledge of a cohort ---


def test_only_a_model_consumer_under_central_trust_gets_amplification() -> None:
    release = sampled()
    amplified = PoissonGaussianEvent(
        noise_multiplier=2.0,
        sampling_probability=0.1,
        implemented=SamplingKind.POISSON,
        secret=True,
    )
    assert events_of([release], A1) == (amplified,)
    plain = (GaussianEvent(noise_multiplier=2.0),)
    for adversary in (None, A2, A6):
        assert events_of([release], adversary) == plain
    for adversary in (A3, A4, A5, A7, A8):
        assert events_of([release], adversary) is None
    assert events_of([sampled(roster_sent=True)], A1) == plain
    found = {g.adversary: g.epsilon for g in guarantees([release] * 20, DELTA, private=True)}
    assert found[A2] == found[A6] and (found[A1] or 9) < 0.5 * (found[A2] or 0)


@pytest.mark.parametrize("trust", [Trust.SECURE_AGGREGATION, Trust.LOCAL])
def test_under_other_trusts_sampling_amplifies_for_nobody(trust: Trust) -> None:
    plain = terms(trust)
    for adversary in (None, *Adversary):
        for drawn in (sampled(trust=trust), sampled(trust=trust, roster_sent=True)):
            assert events_of([drawn], adversary) == events_of([plain], adversary)
            assert not drawn.hides_cohort


def test_a_cohort_of_fixed_size_amplifies_for_nobody() -> None:
    kind = SamplingKind.FIXED_SIZE
    for adversary in (None, *Adversary):
        drawn = sampled(declared=kind, implemented=kind)
        assert events_of([drawn], adversary) == events_of([terms(Trust.CENTRAL)], adversary)
        assert not drawn.hides_cohort


def test_a_ledger_that_says_poisson_of_another_sampler_is_accounted_for_against_nobody() -> None:
    lying = sampled(implemented=SamplingKind.FIXED_SIZE)
    for adversary in (None, A1, A2, A6):
        with pytest.raises(PrivacyError, match="drawn as 'fixed-size' cannot be"):
            events_of([lying], adversary)
