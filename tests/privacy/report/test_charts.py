"""Charts draw the figures where they belong, and can be read without seeing them."""

import math
import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.privacy.report.example import make_report

from privet.privacy.report.charts import NARROW, WIDE, epsilon_spent, quality_bars, quality_curve
from privet.privacy.report.profile_chart import profile_curve
from privet.privacy.report.sections import CurvePoint
from privet.privacy.report.spending import SpentPoint
from privet.privacy.report.svg import NAMESPACE, log_ticks, ticks

QUALITY = make_report().quality
PROFILE = make_report().profiles[0]
WEAK = replace(
    PROFILE,
    epsilon=PROFILE.points[-1].epsilon,
    delta=PROFILE.points[-1].delta,
)
REFERENCES = [row for row in QUALITY.rows if row.kind != "private"]


def parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


def found(svg: str, tag: str) -> list[ElementTree.Element]:
    return parsed(svg).findall(f".//{{{NAMESPACE}}}{tag}")


def curve(points: tuple[CurvePoint, ...] = QUALITY.curve, width: int = WIDE) -> str:
    return quality_curve(points, REFERENCES, metric="Recall@20", identifier="c", width=width)


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_epsilon_is_drawn_on_a_logarithmic_axis(width: int) -> None:
    dots = found(curve(width=width), "circle")
    at = {p.epsilon: float(dot.attrib["cx"]) for p, dot in zip(QUALITY.curve, dots, strict=True)}
    assert at[2] - at[1] == pytest.approx(at[10] - at[5], abs=0.02)
    assert at[20] - at[10] == pytest.approx(at[2] - at[1], abs=0.02)


def test_better_is_higher() -> None:
    heights = [float(dot.attrib["cy"]) for dot in found(curve(), "circle")]
    assert heights == sorted(heights, reverse=True)
    assert len(set(heights)) == len(heights)


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_every_reference_has_a_line_and_a_name(width: int) -> None:
    texts = " ".join(t.text or "" for t in found(curve(width=width), "text"))
    for row in REFERENCES:
        assert row.name in texts


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_nothing_is_drawn_outside_the_picture(width: int) -> None:
    report = make_report()
    charts = [
        curve(width=width),
        quality_bars(QUALITY.rows, metric="NDCG@20", identifier="b", width=width),
        epsilon_spent(report.accounting.spent, budget=1.0, identifier="s", width=width),
        profile_curve(report.profiles[0], identifier="p", width=width),
        profile_curve(WEAK, identifier="p", width=width),
    ]
    for svg in charts:
        _, _, right, bottom = map(float, parsed(svg).attrib["viewBox"].split())
        for element in parsed(svg).iter():
            for names, end in ((("x", "x1", "x2", "cx"), right), (("y", "y1", "y2", "cy"), bottom)):
                for name in names:
                    assert 0 <= float(element.attrib.get(name, 0)) <= end


def test_a_chart_has_a_title_and_a_description_with_its_figures() -> None:
    svg = curve()
    root = parsed(svg)
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-labelledby"] == "c-title c-desc"
    (description,) = found(svg, "desc")
    for point in QUALITY.curve:
        assert f"{point.mean} at epsilon {point.epsilon:g}" in (description.text or "")


def test_bars_are_as_long_as_their_means() -> None:
    svg = quality_bars(QUALITY.rows, metric="Recall@20", identifier="b")
    lengths = [float(r.attrib["width"]) for r in found(svg, "rect")]
    means = [row.metrics["Recall@20"].mean for row in QUALITY.rows]
    ratios = [length / mean for length, mean in zip(lengths, means, strict=True)]
    assert max(ratios) == pytest.approx(min(ratios), rel=1e-3)


def test_the_budget_line_is_above_what_was_spent_within_it() -> None:
    spent = [SpentPoint(release=i, epsilon=i / 10) for i in range(1, 8)]
    svg = epsilon_spent(spent, budget=1.0, identifier="s")
    (budget,) = [e for e in found(svg, "line") if "dasharray" in e.attrib["style"]]
    (steps,) = [e for e in found(svg, "path") if "fill:none" in e.attrib["style"]]
    heights = [float(y) for y in re.findall(r",([\d.]+)", steps.attrib["d"])]
    assert float(budget.attrib["y1"]) < min(heights)


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_the_claim_is_marked_on_the_profile_and_named_off_it(width: int) -> None:
    for profile in (PROFILE, WEAK):
        svg = profile_curve(profile, identifier="p", width=width)
        _, line = [e.attrib["d"] for e in found(svg, "path")]
        corners = [tuple(map(float, c.split(","))) for c in line.strip("M").split(" L")]
        (dot,) = found(svg, "circle")
        at = [p.epsilon for p in profile.points].index(profile.epsilon)
        assert (float(dot.attrib["cx"]), float(dot.attrib["cy"])) == pytest.approx(corners[at])
        texts = [t for t in found(svg, "text") if (t.text or "").startswith("claimed")]
        left = float(texts[0].attrib["x"]) - 8 * len(texts[0].text or "")
        height = float(texts[0].attrib["y"])
        for x, y in corners:
            assert x < left or not height - 13 < y < height + 4, "the name is not on the curve"


def test_delta_is_drawn_on_a_logarithmic_axis_with_names_and_units() -> None:
    svg = profile_curve(PROFILE, identifier="p")
    texts = {t.text for t in found(svg, "text")}
    marks = {t.text: t for t in found(svg, "text") if t.attrib["text-anchor"] == "end"}
    heights = [float(marks[name].attrib["y"]) for name in ("1", "0.01", "1e-4", "1e-12")]
    assert heights[1] - heights[0] == pytest.approx(heights[2] - heights[1], abs=0.02)
    assert heights[3] - heights[0] == pytest.approx(6 * (heights[1] - heights[0]), abs=0.05)
    assert "delta, a probability, logarithmic" in texts and "epsilon, no unit, linear" in texts
    (description,) = found(svg, "desc")
    assert "The claim is epsilon 0.9987 at delta 1e-6" in (description.text or "")


def test_a_chart_without_figures_is_nothing() -> None:
    assert profile_curve(replace(PROFILE, points=PROFILE.points[:1]), identifier="p") == ""
    endless = replace(QUALITY.curve[0], epsilon=math.inf)
    assert curve(()) == ""
    assert curve((endless,)) == ""
    assert quality_bars(QUALITY.rows, metric="unknown", identifier="b") == ""
    assert epsilon_spent((), budget=1.0, identifier="s") == ""


def test_a_single_point_and_equal_values_can_be_drawn() -> None:
    point = replace(QUALITY.curve[0], mean=0.0, low=0.0, high=0.0)
    assert found(quality_curve((point,), (), metric="Recall@20", identifier="c"), "circle")


@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e3))
def test_ticks_cover_the_range_and_are_few(low: float, width: float) -> None:
    marks = ticks(low, low + width)
    step = marks[1] - marks[0]
    assert marks[0] <= low + 1e-6 * step
    assert marks[-1] >= low + width - 1e-6 * step
    assert 2 <= len(marks) <= 8


def test_log_ticks_are_ones_twos_and_fives() -> None:
    assert log_ticks(0.08, 12) == [0.1, 0.2, 0.5, 1, 2, 5, 10]
