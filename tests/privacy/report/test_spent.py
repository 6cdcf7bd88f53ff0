"""What a report says of attacks and spending follows from the ledger, and errs on the safe side."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.privacy.report.example import make_report
from tests.privacy.report.ledgers import planned, view_of

from privet.privacy.accounting.accountants import claimed_delta, claimed_epsilon
from privet.privacy.accounting.adversaries import Adversary, Trust
from privet.privacy.accounting.gaussian import gaussian_delta
from privet.privacy.accounting.profile import true_positive_rate
from privet.privacy.errors import IntegrityError, PrivacyError
from privet.privacy.report.assemble import adversary_rows, mechanism_steps
from privet.privacy.report.checks import check_accounting, check_profiles
from privet.privacy.report.profile_chart import profile_curve
from privet.privacy.report.sections import Identity
from privet.privacy.report.spending import Accounting
from privet.privacy.report.spent import accounting, privacy_rows, profiles
from privet.privacy.report.tables import kind_figure, spending_facts
from privet.privacy.report.text import percent_up, rounded_down

TRUSTS = list(Trust)
IDENTITY: Identity = make_report().identity


def spent(view: object) -> Accounting:
    return accounting(view, IDENTITY)  # type: ignore[arg-type]


@pytest.mark.parametrize("trust", TRUSTS)
def test_every_adversary_with_a_guarantee_has_one_profile_with_its_figures(trust: Trust) -> None:
    view = view_of(planned(trust))
    rows, found = adversary_rows(view), profiles(view)
    check_profiles(found, rows)
    covered = sorted(code for profile in found for code in profile.adversaries)
    assert covered == [row.adversary for row in rows if row.epsilon is not None]
    for profile in found:
        events = view.events(Adversary(profile.adversaries[0]))
        assert profile.epsilon == claimed_epsilon(events, view.delta)
        claimed = [p.delta for p in profile.points if p.epsilon == profile.epsilon]
        assert len(claimed) == 1 and claimed[0] <= profile.delta
        for point in profile.points:
            assert point.delta >= claimed_delta(events, point.epsilon) * (1 - 1e-12)
            assert point.delta >= 1e-12 or point.epsilon <= profile.epsilon


@pytest.mark.parametrize("epsilon", [0.003, 1.0, 12.0, 60.0])
@pytest.mark.parametrize("trust", TRUSTS)
def test_profiles_of_every_strength_hold_together_and_can_be_drawn(
    trust: Trust, epsilon: float
) -> None:
    view = view_of(planned(trust, epsilon=epsilon))
    check_profiles(profiles(view), adversary_rows(view))
    check_accounting(spent(view))
    for profile in profiles(view):
        assert profile.epsilon == pytest.approx(epsilon, rel=0.02) or profile.epsilon < epsilon
        assert profile.points[-1].epsilon >= profile.epsilon
        assert profile_curve(profile, identifier="p")


@pytest.mark.parametrize(
    ("trust", "colluders", "groups"),
    [
        (Trust.CENTRAL, 1, [("A1", "A2", "A6")]),
        (Trust.SECURE_AGGREGATION, 0, [("A1", "A3"), ("A2", "A6")]),
        (Trust.SECURE_AGGREGATION, 1, [("A1",), ("A2", "A3", "A6")]),
        (Trust.SECURE_AGGREGATION, 5, [("A1",), ("A2",), ("A3", "A6")]),
        (Trust.LOCAL, 1, [("A1", "A2", "A3", "A4", "A6", "A8")]),
    ],
)
def test_adversaries_share_a_profile_if_they_see_the_same(
    trust: Trust, colluders: int, groups: list[tuple[str, ...]]
) -> None:
    found = profiles(view_of(planned(trust, colluders=colluders)))
    assert [profile.adversaries for profile in found] == groups
    assert len({profile.epsilon for profile in found}) == len(found)
    best = [profile.attacks[1].true_positive_rate for profile in found]
    assert best == sorted(best), "who knows more noise can do more"


@pytest.mark.parametrize("trust", TRUSTS)
def test_mu_is_exact_of_gaussian_noise_and_not_claimed_of_skellam_noise(trust: Trust) -> None:
    view = view_of(planned(trust))
    (profile, *_), rows = profiles(view), adversary_rows(view)
    if trust is Trust.CENTRAL:
        assert (profile.mu_kind, profile.rho_kind) == ("exact", "exact")
        assert profile.mu is not None and profile.rho == pytest.approx(profile.mu**2 / 2)
        for point in profile.points:
            assert point.delta == pytest.approx(gaussian_delta(profile.mu, point.epsilon))
        return
    assert profile.mu is None and profile.mu_kind is None
    assert profile.rho_kind == "upper"
    points = [(p.epsilon, p.delta) for p in profile.points]
    for rate in profile.attacks:  # a reader can do it again from the points
        again = true_positive_rate(points, rate.false_positive_rate)
        assert rate.true_positive_rate == again
    assert all(row.mu is None and row.mu_kind is None for row in rows)


def test_an_exact_mu_is_refused_where_devices_add_the_noise() -> None:
    report = make_report()
    forged = tuple(
        row if row.epsilon is None else replace(row, mu=0.5, mu_kind="exact")
        for row in report.adversaries
    )
    with pytest.raises(PrivacyError, match="cannot be exact"):
        replace(report, adversaries=forged)


def test_without_a_guarantee_there_is_no_profile_and_nothing_spent() -> None:
    view = view_of(planned(Trust.CENTRAL, epsilon=math.inf), budget=3.0)
    found = spent(view)
    assert profiles(view) == () and found.results == () and found.gap is None
    assert found.budget.spent is None and found.budget.remaining is None
    assert all(row["true_positive_rates"] == [] for row in privacy_rows(adversary_rows(view), ()))


def test_accountants_say_who_is_claimed_and_how_they_were_set() -> None:
    for trust, step in ((Trust.CENTRAL, 1e-3), (Trust.SECURE_AGGREGATION, None)):
        found = spent(view_of(planned(trust)))
        roles = [result.role for result in found.results]
        assert roles.count("claimed") == 1 and roles[-1] == "check" and "check" not in roles[:-1]
        claimed = next(result for result in found.results if result.role == "claimed")
        assert claimed.epsilon == min(result.epsilon for result in found.results[:-1])
        assert found.gap == found.results[-1].epsilon - claimed.epsilon
        assert [r.version for r in found.results] == ["0.1.0"] * (len(roles) - 1) + ["0.6.0"]
        assert found.results[-1].settings.get("discretisation") == step
        assert all(result.settings for result in found.results)


def test_repeats_are_composed_and_counted() -> None:
    plan = planned(Trust.SECURE_AGGREGATION)
    once = view_of(plan)
    twice = view_of(plan, [(0, 2850), (0, 2900), (1, 2900)], budget=9.0)
    composition = spent(twice).composition
    assert (composition.releases, composition.repeats, composition.participations) == (3, 1, 3)
    assert composition.runs == (plan.hash,)
    assert any("other runs" in text for text in composition.not_counted)
    assert profiles(twice)[0].epsilon > profiles(once)[0].epsilon
    assert [step.devices for step in mechanism_steps(twice)] == [2850, 2900, 2900]
    assert {step.cohort for step in mechanism_steps(twice)} == {3000}


def test_the_budget_is_held_against_the_best_informed_adversary() -> None:
    view = view_of(planned(Trust.SECURE_AGGREGATION, colluders=0), budget=2.5)
    found = spent(view)
    assert found.budget.spent == max(profile.epsilon for profile in profiles(view))
    headline = found.spent[-1].epsilon
    assert found.budget.spent > headline
    assert found.budget.remaining == 2.5 - found.budget.spent
    assert found.budget.stop == "plan finished"
    assert found.delta_limit.holds and found.delta_limit.limit == 1 / 3000


@pytest.mark.parametrize(
    ("trust", "charged", "closed", "budget", "stop"),
    [
        (Trust.SECURE_AGGREGATION, [(0, 3000)], 1, 2.0, "unfinished"),
        (Trust.SECURE_AGGREGATION, [(0, 3000)], 1, 1.0, "budget"),
        (Trust.SECURE_AGGREGATION, [(0, 3000), (1, 3000)], 1, 2.0, "budget"),
        (Trust.SECURE_AGGREGATION, [(0, 3000), (1, 3000)], 1, 5.0, "unfinished"),
        (Trust.CENTRAL, [(0, 3000)], 1, 1.0, "budget"),
        (Trust.CENTRAL, [(0, 3000), (1, 3000)], 1, 2.0, "unfinished"),
        (Trust.CENTRAL, [(0, 3000), (1, 3000)], 2, 2.0, "unfinished"),
    ],
)
def test_why_a_run_stopped_follows_from_its_ledger(
    trust: Trust, charged: list[tuple[int, int]], closed: int, budget: float, stop: str
) -> None:
    found = spent(view_of(planned(trust), charged, closed=closed, budget=budget))
    assert found.budget.stop == stop


def test_differences_that_do_not_follow_are_refused() -> None:
    honest = spent(view_of(planned(Trust.SECURE_AGGREGATION), budget=3.0))
    check_accounting(honest)
    limit, budget = honest.delta_limit, honest.budget
    for forged in (
        replace(honest, gap=0.0),
        replace(honest, gap=None),
        replace(honest, budget=replace(budget, remaining=2.0)),
        replace(honest, budget=replace(budget, remaining=None)),
        replace(honest, delta_limit=replace(limit, limit=0.1)),
        replace(honest, delta_limit=replace(limit, holds=False)),
        replace(honest, delta_limit=replace(limit, users=0)),
    ):
        with pytest.raises(IntegrityError):
            check_accounting(forged)


def test_profiles_that_contradict_themselves_or_their_rows_are_refused() -> None:
    view = view_of(planned(Trust.SECURE_AGGREGATION))
    (honest, *others), rows = profiles(view), adversary_rows(view)
    points, attacks = honest.points, honest.attacks
    at = next(i for i, point in enumerate(points) if point.epsilon == honest.epsilon)
    for forged in (
        (),
        (honest, honest, *others),
        (replace(honest, epsilon=honest.epsilon / 2), *others),
        (replace(honest, mu=0.5, mu_kind="upper"), *others),
        (replace(honest, mu_kind="upper"), *others),
        (replace(honest, rho_kind=None), *others),
        (replace(honest, points=()), *others),
        (replace(honest, points=points[1:]), *others),
        (replace(honest, points=(*points[:at], *points[at + 1 :])), *others),
        (replace(honest, points=points[::-1]), *others),
        (replace(honest, advantage=honest.advantage / 2), *others),
        (replace(honest, attacks=()), *others),
        (replace(honest, attacks=attacks[:2]), *others),
        (replace(honest, adversaries=()), honest, *others),
        (replace(honest, attacks=attacks[::-1]), *others),
        (replace(honest, attacks=(replace(attacks[0], true_positive_rate=0.0),)), *others),
        (replace(honest, attacks=(replace(attacks[0], true_positive_rate=0.9),)), *others),
    ):
        with pytest.raises(IntegrityError):
            check_profiles(forged, rows)


@given(st.floats(0, 1e300))
def test_what_is_left_is_never_rounded_above_it(value: float) -> None:
    shown = float(rounded_down(value).replace(",", ""))
    assert value * 0.998 <= shown <= value or value < 1e-300


@given(st.floats(0, 1))
def test_a_bound_in_percent_is_never_below_it(value: float) -> None:
    shown = float(percent_up(value).removesuffix(" %").replace(",", "")) / 100
    assert value * (1 - 1e-12) <= shown <= max(value * 1.011, 1e-300)


def test_an_upper_bound_is_never_shown_as_exact() -> None:
    assert kind_figure(0.123456, "exact").text == "0.1235"
    assert kind_figure(0.123456, "exact").kind == "exact, rounded up"
    assert "exact" not in kind_figure(0.5, "upper").kind
    assert kind_figure(0.5, "upper").text.startswith("≤")
    assert kind_figure(None, None).text == "none proven"


def test_what_is_left_is_rounded_down_and_what_is_spent_up() -> None:
    honest = spent(view_of(planned(Trust.SECURE_AGGREGATION)))
    budget = replace(honest.budget, epsilon=2.0, spent=1.00001, remaining=0.99999)
    facts = spending_facts(replace(honest, budget=budget))
    assert facts["Left of it"] == "ε 0.9999" and facts["Spent of it"].startswith("ε 1.001")
    assert spending_facts(replace(honest, gap=-0.25))["Check by other code"].endswith(
        "0.25 below the claim"
    )
