"""The page says what an audit found, who pays and what is absent, and draws it with units."""

import dataclasses
import re

import pytest
from tests.privacy.report.example import make_report
from tests.privacy.report.test_audit_record import ATTACK, BOUND, RECORD, TEST

from privet.privacy.report.audit import Figure, RocPoint
from privet.privacy.report.audit_charts import bytes_chart, loss_chart, roc_chart
from privet.privacy.report.audit_text import attack_line, bound_line, noise_line, verdict_sentence
from privet.privacy.report.html import render_html
from privet.privacy.report.sections import GroupRow, Interval

ROC = dataclasses.replace(
    ATTACK,
    roc=tuple(
        RocPoint(fpr=fpr, tpr=Interval(mean=fpr, low=fpr / 2, high=2 * fpr), allowed=3 * fpr)
        for fpr in (0.001, 0.01, 0.1)
    ),
)
CONTROL = dataclasses.replace(
    ATTACK,
    role="negative control",
    figures=(Figure(name="recall", value=Interval(mean=0.9, low=0.9, high=0.9), needed=0.99),),
)


ATTACK_WITHOUT = dataclasses.replace(ATTACK, roc=())


def losses(*epsilons: float) -> list[GroupRow]:
    return [
        GroupRow(
            attribute="gender",
            group=group,
            users=50,
            epsilon=epsilon,
            metric="ndcg@20",
            value=Interval(mean=0.3, low=0.2, high=0.4),
            loss=Interval(mean=0.25, low=-0.01, high=0.5),
        )
        for group in ("F", "M")
        for epsilon in epsilons
    ]


@pytest.mark.parametrize("width", [360, 760])
def test_every_chart_has_units_a_description_and_nothing_outside(width: int) -> None:
    drawings = {
        "false alarms": roc_chart(ROC, identifier="a", width=width),
        "loss of ndcg@20 in %": loss_chart(
            losses(1.0, 2.0), attribute="gender", metric="ndcg@20", identifier="b", width=width
        ),
        "bytes": bytes_chart([("contribution, head", 5000)], identifier="c", width=width),
    }
    for unit, svg in drawings.items():
        assert unit in svg and "<desc" in svg
        places = [float(x) for x in re.findall(r' (?:x|cx|x1|x2)="(-?[\d.]+)"', svg)]
        assert min(places) >= 0 and max(places) <= width
    assert "2.50 %" not in drawings["false alarms"] and "0.1 %" in drawings["false alarms"]


def test_nothing_is_drawn_of_nothing() -> None:
    assert roc_chart(ATTACK_WITHOUT, identifier="a", width=360) == ""
    assert bytes_chart([("x", 0)], identifier="b", width=360) == ""
    rows = [dataclasses.replace(row, loss=None) for row in losses(1.0)]
    drawn = loss_chart(rows, attribute="gender", metric="ndcg@20", identifier="c", width=360)
    assert drawn == ""


def test_lines_say_what_was_found_what_is_allowed_and_how_much_would_have_been_seen() -> None:
    bound, noise, attack = bound_line(BOUND), noise_line(TEST), attack_line(ROC)
    assert "mu of at least 0.4" in bound.found and "at most 0.5" in bound.limit
    assert "0.65 of what is claimed" in bound.note and not bound.bad
    assert noise.outcome == "passed"
    assert len(attack.found) == len(attack.limit) == 1 + len(ROC.roc)
    assert bound_line(dataclasses.replace(BOUND, mu=0.6)).bad
    assert attack_line(CONTROL).bad and "needs 0.990" in attack_line(CONTROL).limit


def test_the_verdict_of_an_audit_comes_first_and_a_blind_attack_is_told() -> None:
    assert "Nothing that was tried" in verdict_sentence(RECORD)
    broken = dataclasses.replace(RECORD, bounds=(dataclasses.replace(BOUND, mu=0.6),))
    assert "DISPROVES" in verdict_sentence(broken)
    assert "blind" in verdict_sentence(dataclasses.replace(RECORD, attacks=(CONTROL,)))


def test_the_page_shows_an_audit_groups_and_gaps() -> None:
    report = make_report()
    epsilon, delta = report.headline.epsilon, report.headline.delta
    assert epsilon is not None and delta is not None
    quality = dataclasses.replace(report.quality, groups=tuple(losses(epsilon)))
    page = render_html(dataclasses.replace(report, quality=quality))
    assert "Nobody attacked this run" in page and "Nobody declared" in page
    assert "Loss of ndcg@20 by gender" in page and "gender: F" in page
    bound = dataclasses.replace(BOUND, claimed_epsilon=epsilon, delta=delta)
    record = dataclasses.replace(
        RECORD,
        plan_hash=str(report.identity.plan_hash),
        attacks=(ROC, CONTROL),
        bounds=(dataclasses.replace(bound, adversary=report.headline.adversary),),
    )
    sources = {**report.sources, "audit": "measured"}
    page = render_html(dataclasses.replace(report, audit=record, sources=sources))
    assert "What was lost at least" in page and "control fails" in page and "blind" in page
