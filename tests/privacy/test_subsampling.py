"""Sampled cohorts: published numbers, laws, refusals, and an oracle of our own."""

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privet.privacy.accounting import library
from privet.privacy.accounting.accountants import (
    check_agreement,
    claimed_delta,
    claimed_epsilon,
    own_accounts,
    second_opinion,
)
from privet.privacy.accounting.calibration import calibrate_noise
from privet.privacy.accounting.composition import counted
from privet.privacy.accounting.events import (
    Event,
    FixedSizeGaussianEvent,
    GaussianEvent,
    MatrixEvent,
    PoissonGaussianEvent,
    RandomizedResponseEvent,
    RepeatedEvent,
    SamplingKind,
    SkellamEvent,
    event_from_dict,
    event_to_dict,
)
from privet.privacy.accounting.fourier import fourier_epsilon
from privet.privacy.accounting.library import library_renyi_epsilon, loss_epsilon
from privet.privacy.accounting.renyi import renyi_epsilon
from privet.privacy.accounting.sampling import Sampling
from privet.privacy.contribution import NeighbouringRelation
from privet.privacy.errors import InputError, IntegrityError, PrivacyError

REPLACE = NeighbouringRelation.REPLACE_ONE
DELTA = 1e-6


def poisson(sigma: float, q: float = 0.01, times: int = 1000, **more: Any) -> list[Event]:
    event = PoissonGaussianEvent(
        **{
            "noise_multiplier": sigma,
            "sampling_probability": q,
            "implemented": SamplingKind.POISSON,
            "secret": True,
            **more,
        }
    )
    return [RepeatedEvent(event=event, times=times)]


def fixed(sigma: float, cohort: int = 100, times: int = 1000, **more: Any) -> list[Event]:
    event = FixedSizeGaussianEvent(
        **{
            "noise_multiplier": sigma,
            "cohort": cohort,
            "population": 10_000,
            "implemented": SamplingKind.FIXED_SIZE,
            "secret": True,
            **more,
        }
    )
    return [RepeatedEvent(event=event, times=times)]


def answers(epsilon: float, categories: int, times: int) -> list[Event]:
    event = RandomizedResponseEvent(epsilon=epsilon, categories=categories)
    return [RepeatedEvent(event=event, times=times)]


# --- anchors: PRIVACY.md, section 2 ---


@pytest.mark.parametrize(
    ("sigma", "times", "losses", "renyi"),
    [(1.0, 1000, 2.1245, 2.4367), (0.5, 1000, 15.484, 17.568), (1.0, 10_000, 6.911, 7.414)],
)
def test_poisson_anchors(sigma: float, times: int, losses: float, renyi: float) -> None:
    events = poisson(sigma, times=times)
    assert loss_epsilon(events, DELTA, 1e-4) == pytest.approx(losses, rel=6e-4)
    assert library_renyi_epsilon(events, DELTA) == pytest.approx(renyi, abs=6e-4)
    assert claimed_epsilon(events, DELTA) == pytest.approx(losses, rel=6e-4)
    assert renyi <= renyi_epsilon(events, DELTA) + 5e-5 <= 1.02 * renyi


def test_replace_one_and_fixed_size_anchors() -> None:
    assert claimed_epsilon(poisson(1.0, relation=REPLACE), DELTA) == pytest.approx(3.2142, abs=1e-4)
    assert library_renyi_epsilon(fixed(1.0), DELTA) == pytest.approx(4.0212, abs=1e-4)
    assert claimed_epsilon(fixed(1.0), DELTA) == pytest.approx(4.0212, abs=2e-4)


def test_calibration_finds_the_published_noise_and_errs_on_the_private_side() -> None:
    def release(sigma: float) -> Event:
        return poisson(sigma)[0]

    found = calibrate_noise(release, epsilon=2.0, delta=DELTA, tolerance=1e-3)
    assert found == pytest.approx(1.0292, abs=1e-3)
    assert 1.99 <= claimed_epsilon([release(found)], DELTA) <= 2.0
    with pytest.raises(PrivacyError, match="No noise multiplier"):
        calibrate_noise(lambda s: GaussianEvent(noise_multiplier=1), epsilon=1.0, delta=DELTA)


@pytest.mark.parametrize(("sigma", "q", "times"), [(1.0, 0.01, 1000), (2.0, 0.1, 100)])
def test_the_claim_is_our_own_estimate_on_another_grid(sigma: float, q: float, times: int) -> None:
    oracle = fourier_epsilon(poisson(sigma, q, times), DELTA, 20.0)
    assert claimed_epsilon(poisson(sigma, q, times), DELTA) == pytest.approx(oracle, rel=2e-3)
    # and neither half the probability nor another noise would pass for it
    assert abs(claimed_epsilon(poisson(sigma, q / 2, times), DELTA) / oracle - 1) > 0.2
    assert abs(claimed_epsilon(poisson(sigma * 1.1, q, times), DELTA) / oracle - 1) > 0.05


# --- laws ---


@pytest.mark.parametrize(
    "once",
    [poisson(1.0, times=1), poisson(1.0, times=1, relation=REPLACE), fixed(1.0, times=1),
     answers(0.3, 4, 1), [GaussianEvent(noise_multiplier=9.0)],
     [MatrixEvent(noise_multiplier=30.0, rounds=8, bands=4, separation=4, participations=2)]],
    ids=["poisson", "replaced", "fixed", "response", "gaussian", "matrix"],
)  # fmt: skip
@pytest.mark.parametrize("times", [7])
def test_composing_n_times_is_n_single_compositions_in_any_nesting(
    once: list[Event], times: int
) -> None:
    repeated = [RepeatedEvent(event=once[0], times=times)]
    nested: list[Event] = [RepeatedEvent(event=RepeatedEvent(event=once[0], times=2), times=1)]
    nested += once * (times - 2)
    for account in (claimed_epsilon, lambda e, d: second_opinion(e, d).epsilon):
        single = account(once * times, DELTA)
        assert account(repeated, DELTA) == pytest.approx(single, rel=1e-12)
        assert account(nested, DELTA) == pytest.approx(single, rel=1e-12)
        assert single > account(once, DELTA) * 1.05


def test_the_order_of_releases_does_not_matter() -> None:
    events = [*poisson(1.0, times=3), GaussianEvent(noise_multiplier=5), *poisson(2.0, times=2)]
    one, other = own_accounts(events, DELTA), own_accounts(events[::-1], DELTA)
    for a, b in zip(one, other, strict=True):
        assert a.epsilon == pytest.approx(b.epsilon, rel=1e-12)


@settings(deadline=None, max_examples=5)
@given(
    sigma=st.floats(0.6, 20),
    more=st.floats(1.05, 4),
    q=st.floats(1e-4, 0.5),
    times=st.integers(1, 2000),
    sampled=st.sampled_from(["poisson", "fixed"]),
)
def test_epsilon_falls_with_noise_and_delta_and_rises_with_sampling_and_releases(
    sigma: float, more: float, q: float, times: int, sampled: str
) -> None:
    def epsilon(s: float, share: float, n: int, delta: float = DELTA) -> float:
        if sampled == "poisson":
            return claimed_epsilon(poisson(s, share, n), delta)
        return claimed_epsilon(fixed(s, max(1, round(share * 10_000)), n), delta)

    here, slack = epsilon(sigma, q, times), 2e-3
    bound = here * (1 + slack) + slack
    assert epsilon(sigma * more, q, times) <= bound
    assert epsilon(sigma, q / more, times) <= bound
    assert epsilon(sigma, q, times, DELTA * more) <= bound
    assert epsilon(sigma, q, math.ceil(times * more)) >= here * (1 - slack) - slack


@settings(deadline=None, max_examples=6)
@given(sigma=st.floats(0.6, 20), q=st.floats(1e-4, 0.9), times=st.integers(1, 2000))
def test_no_accountant_that_is_selected_is_below_the_loss_distributions(
    sigma: float, q: float, times: int
) -> None:
    # Central-limit accounting says 1.8357 for the first anchor, below the true 2.1245.
    events = poisson(sigma, q, times)
    losses = loss_epsilon(events, DELTA, 1e-4)
    for account in (*own_accounts(events, DELTA), second_opinion(events, DELTA)):
        assert account.epsilon >= losses * (1 - 1e-3) - 1e-3, account.name


@pytest.mark.parametrize("sigma", [1e-200, 1e-8, 0.05, 1.0, 1e3, 1e200])
@pytest.mark.parametrize("q", [0.0, 1e-12, 1e-3, 0.5, 1.0])
def test_sampled_epsilon_is_never_nan_or_negative(sigma: float, q: float) -> None:
    cases = [poisson(sigma, q, 1), poisson(sigma, q, 1000), poisson(sigma, q, 3, relation=REPLACE)]
    cases += [fixed(sigma, max(1, int(q * 10_000)), times) for times in (1, 1000)]
    for events in cases:
        for delta in (1e-12, 1e-3):
            for account in own_accounts(events, delta):
                assert account.epsilon >= 0, account
        assert 0 <= claimed_delta(events, 0.0) <= 1
        assert 0 <= claimed_delta(events, 50.0) <= 1


def test_nobody_sampled_costs_nothing_and_everybody_sampled_is_no_sampling() -> None:
    assert claimed_epsilon(poisson(1.0, 0.0), DELTA) == 0
    assert claimed_epsilon(poisson(1.0, 1.0, 10), DELTA) == pytest.approx(19.4237, abs=1e-4)
    assert claimed_epsilon(fixed(1.0, 10_000, 10), DELTA) == pytest.approx(19.4237, abs=1e-4)


@pytest.mark.parametrize("events", [
    poisson(1.0), poisson(0.5), poisson(3.0, 0.2, 50), poisson(1.0, relation=REPLACE), fixed(1.0),
    answers(0.1, 5, 50), answers(1.0, 2, 3), [*poisson(2.0), GaussianEvent(noise_multiplier=4.0)],
], ids=["anchor", "little", "often", "replaced", "fixed", "answers", "coins", "both"])  # fmt: skip
def test_two_accountants_agree_about_sampled_releases(events: list[Event]) -> None:
    check_agreement(events, DELTA)


# --- randomised response ---


@pytest.mark.parametrize(("epsilon", "categories"), [(0.5, 2), (1.0, 10), (3.0, 100)])
def test_one_answer_is_as_private_as_its_two_most_telling_categories(
    epsilon: float, categories: int
) -> None:
    truth = math.exp(epsilon) / (math.exp(epsilon) + categories - 1)
    lie = (1 - truth) / (categories - 1)
    for at in (0.0, epsilon / 2):
        exact = truth - math.exp(at) * lie
        found = claimed_delta(answers(epsilon, categories, 1), at)
        assert exact <= found + 1e-12 and found <= exact * 1.01 + 1e-3
    assert claimed_epsilon(answers(epsilon, categories, 1), 1e-9) <= epsilon
    assert claimed_epsilon(answers(epsilon, categories, 7), 1e-30) <= 7 * epsilon


# --- what is refused ---


def test_a_cohort_announced_as_poisson_but_drawn_otherwise_is_refused() -> None:
    for kind in (SamplingKind.FIXED_SIZE, SamplingKind.SHUFFLED, SamplingKind.EVERYONE):
        with pytest.raises(PrivacyError, match=f"drawn as '{kind}' cannot be .* 'poisson'"):
            poisson(1.0, implemented=kind)
        with pytest.raises(PrivacyError, match="cannot be"):
            event_from_dict({**event_to_dict(_only(poisson(1.0))), "implemented": str(kind)})
    with pytest.raises(PrivacyError, match="drawn as 'poisson' cannot"):
        fixed(1.0, implemented=SamplingKind.POISSON)


def test_amplification_against_one_who_sees_the_cohort_is_refused() -> None:
    for make in (poisson, fixed):
        for seen in (False, 0, None):
            with pytest.raises(PrivacyError, match="who sees the cohort"):
                make(1.0, secret=seen)


def test_amplification_needs_a_secret_cohort_and_the_sampler_that_was_declared() -> None:
    sampling = Sampling(
        declared=SamplingKind.POISSON,
        implemented=SamplingKind.POISSON,
        population=1000,
        probability=0.01,
        roster_sent=False,
    )
    release = GaussianEvent(noise_multiplier=1.0)
    assert sampling.amplified(release, secret=True) == _only(poisson(1.0))
    assert sampling.cohort == 10
    fixed_size, shuffled = (
        replace(sampling, declared=kind, implemented=kind)
        for kind in (SamplingKind.FIXED_SIZE, SamplingKind.SHUFFLED)
    )
    refused = [
        (sampling, release, False, "sees the cohort"),
        (replace(sampling, roster_sent=True), release, True, "sees the cohort"),
        (replace(sampling, implemented=SamplingKind.FIXED_SIZE), release, True, "cannot be"),
        (shuffled, release, True, "no amplification"),
        (fixed_size, release, True, "zero-out"),
        (sampling, replace(release, relation=REPLACE), True, "replace-one"),
    ]
    for changed, event, secret, says in refused:
        with pytest.raises(PrivacyError, match=says):
            changed.amplified(event, secret=secret)


@pytest.mark.parametrize(
    "change",
    [{"probability": 0}, {"probability": 1.1}, {"population": 0}, {"roster_sent": "no"},
     {"declared": "lottery"}, {"extra": 1}, {"declared": None}],
)  # fmt: skip
def test_a_sampling_that_cannot_be_is_refused(change: dict[str, Any]) -> None:
    body = {
        "declared": "poisson",
        "implemented": "poisson",
        "population": 10,
        "probability": 0.5,
        "roster_sent": False,
    }
    assert Sampling.from_dict(body).to_dict() == body
    with pytest.raises(InputError):
        Sampling.from_dict({**body, **change})


def test_relations_mixed_in_one_total_are_refused_by_every_accountant() -> None:
    mixed: list[Event] = [GaussianEvent(noise_multiplier=1.0), *poisson(1.0, relation=REPLACE)]
    for account in (own_accounts, second_opinion, claimed_epsilon, check_agreement, claimed_delta):
        with pytest.raises(PrivacyError, match="replace-one and zero-out"):
            account(mixed, DELTA)
    with pytest.raises(PrivacyError, match="replace-one and zero-out"):
        counted(mixed)
    counted([GaussianEvent(noise_multiplier=1.0, relation=REPLACE), *fixed(1.0)])


def test_kinds_that_no_accountant_composes_are_refused_by_name() -> None:
    skellam = SkellamEvent(
        l2_sensitivity=1, l1_sensitivity=1, variance=9, dimension=1, relation=REPLACE
    )
    with pytest.raises(PrivacyError, match="PoissonGaussianEvent, SkellamEvent"):
        claimed_epsilon([skellam, *poisson(1.0, relation=REPLACE)], DELTA)
    with pytest.raises(PrivacyError, match="only under 'replace-one'"):
        fixed(1.0, relation=NeighbouringRelation.ZERO_OUT)
    with pytest.raises(PrivacyError, match="PoissonGaussianEvent under 'replace-one'"):
        library_renyi_epsilon(poisson(1.0, relation=REPLACE), DELTA)


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan, "1", None, True])
def test_impossible_sampling_is_refused_by_name(value: Any) -> None:
    with pytest.raises(InputError, match="sampling_probability"):
        poisson(1.0, value)
    for field in ("cohort", "population"):
        with pytest.raises(InputError, match=field):
            fixed(1.0, **{field: value})
    with pytest.raises(InputError, match="at most population"):
        fixed(1.0, 10_001)
    with pytest.raises(InputError, match="times"):
        RepeatedEvent(event=GaussianEvent(noise_multiplier=1), times=value)
    with pytest.raises(InputError, match="categories"):
        answers(1.0, value, 1)


@pytest.mark.parametrize("events", [poisson(1.5), fixed(2.0), answers(1.0, 3, 9)])
def test_sampled_events_survive_a_round_trip(events: list[Event]) -> None:
    for event in (events[0], _only(events)):
        assert event_from_dict(event_to_dict(event)) == event
        with pytest.raises(InputError, match="malformed"):
            event_from_dict({**event_to_dict(event), "extra": 1})
    for change in ({"event": None}, {"event": 3}):
        with pytest.raises(InputError, match="malformed"):
            event_from_dict({**event_to_dict(events[0]), **change})
    with pytest.raises(InputError, match="malformed"):
        event_from_dict({**event_to_dict(_only(events)), "relation": "cousins"})


# --- mutants ---


@pytest.mark.parametrize("factor", [0.1, 0.5])
def test_a_loss_accountant_with_a_wrong_probability_is_caught(
    factor: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = library._loss_of

    def wrong(event: Any, times: int, interval: float) -> Any:
        share = event.sampling_probability * factor
        return honest(replace(event, sampling_probability=share), times, interval)

    library._losses.cache_clear()
    monkeypatch.setattr(library, "_loss_of", wrong)
    with pytest.raises(IntegrityError, match="disagree"):
        check_agreement(poisson(1.0), DELTA)
    library._losses.cache_clear()


def _only(events: list[Event]) -> Event:
    (event,) = counted(events)
    return event
