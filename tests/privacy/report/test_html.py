"""The page is self-contained, escapes what it is given and says what the report says."""

import math
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from tests.privacy.report.example import make_report, seeded, without_guarantee

from privet.privacy.report.claims import ADVERSARIES
from privet.privacy.report.document import OUTSIDE_EPSILON, Report
from privet.privacy.report.html import render_html
from privet.privacy.report.sections import Quality
from privet.privacy.report.svg import NAMESPACE

VOID = {"meta", "br", "link", "img", "input", "hr"}


class Page(HTMLParser):
    """Texts, tags and attributes of a page, and whether its elements nest."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def cell(page: str, code: str) -> str:
    """The guarantee of an adversary, as the table shows it."""
    found = re.search(
        rf'class="code">{code}</span>.*?data-label="Guarantee"[^>]*>(.*?)</td>', page, re.DOTALL
    )
    assert found
    return found[1]


@pytest.mark.parametrize("report", [make_report(), seeded(), without_guarantee()])
def test_the_page_refers_to_nothing_outside_itself(report: Report) -> None:
    page = render_html(report).replace(f'xmlns="{NAMESPACE}"', "")
    for reference in ("http://", "https://", "src=", "@import", "url(", "<script", "<link", "//"):
        assert reference not in page
    assert all(v and v.startswith("#") for k, v in Page(page).attributes if k == "href")
    assert "default-src 'none'" in page


@pytest.mark.parametrize("report", [make_report(), seeded(), without_guarantee(math.inf)])
def test_elements_nest_and_identifiers_are_unique(report: Report) -> None:
    page = Page(render_html(report))
    assert page.open == []
    names = [value for key, value in page.attributes if key == "id"]
    assert len(names) == len(set(names))
    for key, value in page.attributes:
        if key == "aria-labelledby" and value:
            assert set(value.split()) <= set(names)


def test_hostile_strings_are_escaped_everywhere() -> None:
    hostile = "<script>alert('x')</script>\"><img onerror=x>&"
    report = make_report()
    row = replace(
        report.quality.rows[0],
        name=hostile,
        metrics={hostile: report.quality.rows[0].metrics["Recall@20"]},
    )
    point = replace(report.quality.curve[0], metric=hostile)
    entry = {**report.ledger.entries[0], "kind": hostile, "body": {hostile: hostile}}
    bad = replace(
        report,
        identity=replace(
            report.identity,
            report_id=hostile,
            toolkit_version=hostile,
            reproduction_command=hostile,
            dependencies={hostile: hostile},
            plan_hash=hostile,
        ),
        definition=replace(
            report.definition,
            relation_text=hostile,
            not_protected=(hostile,),
            outputs_released=(hostile,),
        ),
        profiles=tuple(replace(p, accountants=(hostile,)) for p in report.profiles),
        adversaries=tuple(
            replace(a, who=hostile, mechanism=hostile, assumption=hostile, reason=hostile)
            for a in report.adversaries
        ),
        mechanism=tuple(replace(s, name=hostile, noise=hostile) for s in report.mechanism),
        accounting=replace(
            report.accounting,
            results=tuple(
                replace(r, name=hostile, method=hostile, version=hostile, settings={hostile: 1.0})
                for r in report.accounting.results
            ),
            composition=replace(
                report.accounting.composition, counted=(hostile,), not_counted=(hostile,)
            ),
        ),
        egress=replace(
            report.egress,
            steps=tuple(replace(s, name=hostile, fields=(hostile,)) for s in report.egress.steps),
        ),
        quality=Quality(rows=(row,), curve=(point,), interval=hostile),
        data=replace(report.data, name=hostile, split=hostile, catalogue_hash=hostile),
        ledger=replace(report.ledger, entries=(entry, *report.ledger.entries[1:])),
        verification=replace(report.verification, commands=(hostile,), note=hostile),
        sources={**report.sources, f"data.{hostile}": "declared"},
    )
    written = render_html(bad)
    assert "<script" not in written
    assert "<img" not in written
    page = Page(written)
    assert "script" not in page.tags and "img" not in page.tags
    assert not [key for key, _ in page.attributes if key.startswith("on")]
    assert page.text.count(hostile) > 30


def test_seeded_noise_stamps_every_part_of_the_page_not_private() -> None:
    page = render_html(seeded())
    assert "<title>NOT PRIVATE" in page
    sections = re.findall(r"<section.*?</section>", page, re.DOTALL)
    assert len(sections) >= 8
    for section in sections:
        if "glossary-heading" not in section:
            assert "NOT PRIVATE" in section
    for code in ("A1", "A2", "A3", "A6"):
        assert "NOT PRIVATE" in cell(page, code)
    for title in re.findall(r'<title id="[^"]*">(.*?)</title>', page):
        assert title.startswith("NOT PRIVATE")
    assert "NOT PRIVATE" not in render_html(make_report())


@pytest.mark.parametrize("epsilon", [None, math.inf])
def test_without_an_epsilon_the_page_says_that_there_is_no_guarantee(epsilon: float | None) -> None:
    page = render_html(without_guarantee(epsilon))
    assert "NO GUARANTEE" in page
    assert "There is NO privacy guarantee" in page
    assert all(">none<" in cell(page, code) for code in ADVERSARIES)


def test_adversaries_without_a_guarantee_are_shown_as_none() -> None:
    page = render_html(make_report())
    for row in make_report().adversaries:
        assert (">none<" in cell(page, row.adversary)) == (row.epsilon is None)
        assert ("ε" in cell(page, row.adversary)) == (row.epsilon is not None)


def test_the_first_screen_has_the_claim_the_figures_and_what_is_not_protected() -> None:
    report = make_report()
    first = render_html(report).partition("</section>")[0]
    text = Page(first.replace("<!doctype html>", "")).text
    assert report.claim in text
    assert "PRIVATE" in text
    for shown in ("≤ 0.9988", "1e-6", "A3", "194.0 KiB", "secure aggregation", OUTSIDE_EPSILON):
        assert shown in text
    assert all(quantity in text for quantity in report.not_protected)


def test_the_page_says_what_an_attacker_could_achieve_beside_guessing() -> None:
    report = make_report()
    page = render_html(report)
    section = page.partition('<section id="attacks"')[2].partition("</section>")[0]
    for shown in ("0.1 %", "1 %", "5 %", "≤ 0.264 %", "≤ 2.13 %", "≤ 8.71 %", "≤ 10 %",
                  "Guessing", "none proven", "≤ 0.067", "upper bound", "<svg"):  # fmt: skip
        assert shown in section
    assert "it is in the data, or empty" in section
    assert "exact" not in section
    nothing = render_html(without_guarantee()).partition('<section id="attacks"')[2]
    assert "Nothing bounds what an attacker could achieve" in nothing.partition("</section>")[0]


def test_the_page_says_what_is_added_up_and_what_is_left() -> None:
    report = make_report()
    section = (
        render_html(report).partition('<section id="accounting"')[2].partition("</section>")[0]
    )
    accounting = report.accounting
    for text in (*accounting.composition.counted, *accounting.composition.not_counted):
        assert text in section
    for shown in ("the plan came to its end", "ε 3.999e-4", "is below 1 / 6,040 users", "0.6.0",
                  "largest order 4,095", "check by other code"):  # fmt: skip
        assert shown in section


def test_mu_is_shown_with_its_kind() -> None:
    report = make_report()
    rows = tuple(
        row if row.epsilon is None else replace(row, mu=0.26014, mu_kind="upper")
        for row in report.adversaries
    )
    own = tuple(replace(p, mu=0.26014, mu_kind="upper") for p in report.profiles)
    page = render_html(replace(report, adversaries=rows, profiles=own))
    assert "μ ≤ 0.2602" in cell(page, "A1") and "upper bound" in cell(page, "A1")
    assert "exact" not in cell(page, "A1")


def test_sources_hashes_and_the_digest_are_shown() -> None:
    report = make_report()
    page = render_html(report)
    assert report.digest() in page
    assert "catalogue public: declared" in page
    for entry in report.ledger.entries:
        assert f'title="{entry["hash"]}"' in page


def test_equal_reports_give_equal_pages() -> None:
    assert render_html(Report.from_bytes(make_report().to_bytes())) == render_html(make_report())


def test_an_empty_report_still_renders() -> None:
    report = without_guarantee()
    empty = replace(
        report,
        mechanism=(),
        quality=Quality(rows=()),
        egress=replace(report.egress, steps=(), upload_bytes_per_device=0),
        minimization=replace(report.minimization, leaving=()),
        ledger=replace(report.ledger, entries=(), length=0),
        sources={},
    )
    page = Page(render_html(empty))
    assert "svg" not in page.tags
    assert "absent" in page.text


def test_many_steps_are_a_table_of_steps() -> None:
    report = make_report()
    steps = tuple(replace(report.mechanism[0], name=f"round {i}") for i in range(30))
    text = Page(render_html(replace(report, mechanism=steps))).text
    assert all(step.name in text for step in steps)


def test_the_document_is_made_without_jinja2() -> None:
    code = (
        "import sys, privet.privacy.report.document, privet.privacy.report.html;"
        "assert not {'jinja2', 'scipy', 'dp_accounting', 'privet.models'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
