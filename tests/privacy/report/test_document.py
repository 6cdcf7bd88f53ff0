"""A report reads back to itself, and one that contradicts itself cannot be made."""

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from tests.privacy.report.example import make_report, seeded, without_guarantee

from privet.privacy.errors import InputError, IntegrityError, PrivacyError
from privet.privacy.report.document import (
    CATALOGUE_NOT_DECLARED,
    NOTHING_PROTECTED,
    OUTSIDE_EPSILON,
    Report,
)
from privet.privacy.report.sections import Interval


@pytest.mark.parametrize(
    "report", [make_report(), seeded(), without_guarantee(), without_guarantee(math.inf)]
)
def test_a_report_reads_back_to_itself(report: Report) -> None:
    assert Report.from_dict(json.loads(json.dumps(report.to_dict(), allow_nan=False))) == report
    again = Report.from_bytes(report.to_bytes())
    assert again == report
    assert again.to_bytes() == report.to_bytes()
    assert again.digest() == report.digest()


def test_whole_numbers_in_float_fields_do_not_change_the_hash() -> None:
    report = make_report()
    whole = replace(
        report,
        accounting=replace(report.accounting, budget=replace(report.accounting.budget, epsilon=1)),
    )
    assert whole.digest() == report.digest()


def test_a_change_of_any_figure_changes_the_hash() -> None:
    report = make_report()
    other = replace(report, data=replace(report.data, items=3705))
    assert other.digest() != report.digest()


def test_the_claim_is_about_the_headline_adversary() -> None:
    report = make_report()
    for code in ("A1", "A2", "A3", "A6"):
        row = next(r for r in report.adversaries if r.adversary == code)
        definition = replace(report.definition, headline_adversary=row.adversary)
        facts = replace(report, definition=definition).facts
        assert (facts.adversary, facts.epsilon, facts.delta) == (code, row.epsilon, row.delta)


GONE = "<gone>"


def edited(where: str, value: object) -> dict[str, Any]:
    """The example's JSON with one place changed, or gone."""
    report: Any = json.loads(make_report().to_bytes())
    *path, last = [int(key) if key.isdigit() else key for key in where.split(".")]
    place = report
    for key in path:
        place = place[key]
    if value == GONE:
        place.pop(last)
    else:
        place[last] = value
    changed: dict[str, Any] = report
    return changed


@pytest.mark.parametrize(
    ("where", "value", "message"),
    [
        ("schema", "privet.report/2", "privet.report/3"),
        ("egress", GONE, "egress"),
        ("extra", 1, "1 unknown"),
        ("data.users", GONE, "users"),
        ("data.users", "many", "data.users"),
        ("data.users", True, "data.users"),
        ("data.users", 2.5, "data.users"),
        ("definition.relation", "add-or-remove", "definition.relation"),
        ("adversaries.7", GONE, "A1 to A8"),
        ("adversaries.2.epsilon", "1", r"adversaries\[2\].epsilon"),
        ("adversaries.2.epsilon", -1.0, "epsilon of A3"),
        ("adversaries.2.delta", None, "delta"),
        ("mechanism", {}, "mechanism"),
        ("sources.data", "guessed", "sources.data"),
        ("sources.weather", "measured", "weather"),
        ("identity.created_at", "yesterday", "ISO 8601"),
        ("identity.created_at", "2026-11-23T20:00:00", "UTC"),
        ("ledger.entries.0.hash", GONE, "hash"),
    ],
)
def test_a_malformed_report_is_refused_with_the_name_of_the_field(
    where: str, value: object, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        Report.from_dict(edited(where, value))


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ("claim.sentence", "Everything is perfectly anonymous."),
        ("claim.facts.epsilon", 0.1),
        ("claim.verdict", "NOT PRIVATE"),
        ("claim.not_protected.0", GONE),
        ("identity.noise_randomness", "seeded"),
        ("ledger.length", 4),
        ("ledger.head", "0" * 64),
        ("ledger.entries.1.hash", "0" * 64),
        ("ledger.entries.2.previous_hash", "0" * 64),
        ("accounting.results.2.epsilon", 3.0),
        ("egress.upload_bytes_per_device", 1000),
    ],
)
def test_a_report_whose_figures_contradict_each_other_is_refused(where: str, value: object) -> None:
    with pytest.raises(IntegrityError):
        Report.from_dict(edited(where, value))


@pytest.mark.parametrize("value", ["report", None, [], 3])
def test_what_is_not_an_object_is_no_report(value: Any) -> None:
    with pytest.raises(InputError):
        Report.from_dict(value)


def test_reformatted_bytes_are_refused() -> None:
    with pytest.raises(IntegrityError):
        Report.from_bytes(json.dumps(make_report().to_dict(), indent=1).encode())


def test_a_claim_below_what_the_accountants_reach_is_refused() -> None:
    report = make_report()
    rows = tuple(
        replace(row, epsilon=0.9) if row.adversary == "A3" else row for row in report.adversaries
    )
    with pytest.raises(PrivacyError, match="only reach"):
        replace(report, adversaries=rows)


def test_a_delta_that_is_not_below_one_in_the_users_is_refused() -> None:
    report = make_report()
    with pytest.raises(PrivacyError, match="below 1 / 1000000 users"):
        replace(report, data=replace(report.data, users=1_000_000))


@pytest.mark.parametrize(
    ("trust", "code"), [("secure-aggregation", "A5"), ("central", "A3"), ("central", "A4")]
)
def test_no_guarantee_can_be_claimed_against_whom_one_has_to_trust(trust: Any, code: str) -> None:
    report = make_report()
    rows = tuple(
        replace(row, epsilon=1.0 if row.adversary == code else None, delta=1e-6)
        for row in report.adversaries
    )
    with pytest.raises(PrivacyError, match=code):
        replace(report, adversaries=rows, definition=replace(report.definition, trust=trust))


def test_no_guarantee_can_be_claimed_without_noise() -> None:
    report = make_report()
    identity = replace(report.identity, noise_randomness="none", private=False)
    with pytest.raises(PrivacyError, match="without noise"):
        replace(report, identity=identity)


@pytest.mark.parametrize("report", [seeded(), without_guarantee()])
def test_without_a_guarantee_histories_are_listed_as_not_protected(report: Report) -> None:
    assert report.not_protected[0] == NOTHING_PROTECTED
    assert NOTHING_PROTECTED not in make_report().not_protected


def test_local_trust_is_stated_under_replace_one() -> None:
    report = make_report()
    with pytest.raises(PrivacyError, match="replace-one"):
        replace(report, definition=replace(report.definition, trust="local"))


@pytest.mark.parametrize("epsilon", [None, math.inf])
def test_private_without_a_finite_epsilon_is_refused(epsilon: float | None) -> None:
    report = without_guarantee(epsilon)
    identity = replace(report.identity, noise_randomness="operating-system", private=True)
    with pytest.raises(IntegrityError, match="private"):
        replace(report, identity=identity)


def test_nan_is_refused_wherever_it_is() -> None:
    report = make_report()
    step = replace(report.mechanism[0], noise_std_planned=math.nan)
    with pytest.raises(InputError, match=r"mechanism\[0\].noise_std_planned"):
        replace(report, mechanism=(step,))


def test_a_mean_outside_its_interval_is_refused() -> None:
    report = make_report()
    row = replace(report.quality.rows[0], metrics={"HR": Interval(mean=0.3, low=0.1, high=0.2)})
    with pytest.raises(IntegrityError, match="HR of Spectral"):
        replace(report, quality=replace(report.quality, rows=(row,)))


def test_accountants_at_other_deltas_are_not_held_against_each_other() -> None:
    report = make_report()
    loose = replace(report.accounting.results[2], epsilon=0.2, delta=1e-3, bound="exact")
    results = (*report.accounting.results, loose)
    kept = replace(report, accounting=replace(report.accounting, results=results))
    assert kept.accounting.results[-1] == loose


def test_metrics_and_an_undeclared_catalogue_are_listed_as_not_protected() -> None:
    report = make_report()
    assert {OUTSIDE_EPSILON, CATALOGUE_NOT_DECLARED} <= set(report.not_protected)
    declared = replace(report, data=replace(report.data, catalogue_public=True))
    assert CATALOGUE_NOT_DECLARED not in declared.not_protected
    assert OUTSIDE_EPSILON in declared.not_protected


def test_a_field_without_a_source_of_its_own_has_its_section_s_and_else_none() -> None:
    report = replace(make_report(), sources={"data": "measured", "data.split": "declared"})
    assert report.source_of("data.split") == "declared"
    assert report.source_of("data.users") == "measured"
    assert report.source_of("egress") == "absent"
