"""A report as one HTML page: no script, no network, nothing outside the file."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from importlib import resources
from typing import Any

from privet.privacy.errors import InputError
from privet.privacy.report import audit_charts, audit_text, charts, tables
from privet.privacy.report.aggregation import aggregation_facts, aggregation_table
from privet.privacy.report.audit import Attack
from privet.privacy.report.claims import ADVERSARIES, TRUST_TEXTS, guarantee
from privet.privacy.report.declared import Declared
from privet.privacy.report.document import OUTSIDE_EPSILON, SCHEMA, Report
from privet.privacy.report.glossary import GLOSSARY
from privet.privacy.report.population import remaining_text, together_sentence
from privet.privacy.report.profile_chart import profile_curve
from privet.privacy.report.sections import AdversaryGuarantee, MechanismStep, QualityRow
from privet.privacy.report.text import (
    bound,
    epsilon_text,
    initial,
    number,
    rounded_up,
    short_hash,
    size,
)

LEDGER_ROWS = 500
"""Ledger entries shown in the page; the canonical JSON has them all."""
RUN_ROWS = 50
"""Runs of a population shown in the page, the last ones."""

ROC_FIGURES = 4
"""Curves of attacks drawn in the page; its tables have them all."""
_GROUP_METRIC = "ndcg@20"

_VERDICT_NOTES = {
    "PRIVATE": "a bound holds, as stated",
    "NO GUARANTEE": "nothing is bounded",
    "NOT PRIVATE": "for tests only",
}


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One figure of the first screen."""

    label: str
    value: str
    note: str
    title: str = ""


def render_html(report: Report) -> str:
    """Renders a report as a self-contained page, for a desk, a phone and paper.

    Equal reports give equal pages. Everything that came from outside is escaped.

    Raises:
        InputError: If jinja2 is not installed.
    """
    try:
        import jinja2
        from markupsafe import Markup
    except ModuleNotFoundError as error:
        raise InputError("HTML reports need jinja2: pip install 'privet[sim]'.") from error
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "number": number,
        "epsilon": epsilon_text,
        "size": size,
        "short": short_hash,
        "initial": initial,
    }
    environment.loader = jinja2.FunctionLoader(_packaged)
    template = environment.get_template("report.html.j2")
    return template.render(
        report=report,
        css=Markup(_packaged("report.css")),
        figures={name: Markup(svg) for name, svg in _figures(report).items()},
        **_context(report),
    )


def _context(report: Report) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "stamp": "NOT PRIVATE" if report.verdict == "NOT PRIVATE" else "",
        "verdict_note": _VERDICT_NOTES[report.verdict],
        "tiles": _tiles(report),
        "trust_text": TRUST_TEXTS[report.definition.trust],
        "adversaries": ADVERSARIES,
        "guarantee": _guarantee,
        "question": tables.QUESTIONS[report.definition.relation],
        "attack_rates": tables.attack_rates(report),
        "attack_rows": tables.attack_rows(report),
        "headline_profile": tables.headline_profile(report),
        "roles": tables.ROLES,
        "settings_text": tables.settings_text,
        "spending": tables.spending_facts(report.accounting),
        "tags": _tags(report),
        "metrics": metric_names(report),
        "row_label": charts.row_label,
        "mechanism": mechanism_table(report.mechanism),
        "aggregation_facts": aggregation_facts(report.aggregation) if report.aggregation else {},
        "aggregation_table": aggregation_table(report.aggregation.rounds)
        if report.aggregation
        else [],
        "entries": [_entry(entry) for entry in report.ledger.entries[:LEDGER_ROWS]],
        "together": together_sentence(report.population) if report.population else "",
        "remaining": remaining_text(report.population.remaining) if report.population else "",
        "population_runs": report.population.runs[-RUN_ROWS:] if report.population else (),
        "outside_epsilon": OUTSIDE_EPSILON,
        "digest": report.digest(),
        "glossary": GLOSSARY,
        **_audit_context(report),
    }


def _audit_context(report: Report) -> dict[str, Any]:
    """What the sections on audits, groups and declared facts need."""
    record, declared = report.audit, report.declared
    attacks = () if record is None else record.attacks
    return {
        "audit_verdict": "" if record is None else audit_text.verdict_sentence(record),
        "noise_lines": [audit_text.noise_line(t) for t in record.noise_tests] if record else [],
        "bound_lines": [audit_text.bound_line(b) for b in record.bounds] if record else [],
        "attack_lines": [audit_text.attack_line(a) for a in attacks if a.role == "attack"],
        "control_lines": [audit_text.attack_line(a) for a in attacks if a.role != "attack"],
        "roc_figures": [f"roc-{index}" for index, _ in enumerate(_drawn_attacks(report))],
        "loss_figures": [f"loss-{name}" for name in _attributes(report)],
        "group_cells": audit_text.group_cells,
        "declared_facts": {
            field.name.replace("_", " ").capitalize(): getattr(declared, field.name, None)
            for field in fields(Declared)
        },
        "signature_facts": _signature_facts(report),
    }


def _signature_facts(report: Report) -> dict[str, str]:
    """Who issued the report, and what that proves."""
    if report.signature is None:
        return {"Signature": "none: this report is not signed"}
    found = report.signature
    return {
        "Signature": found.algorithm,
        "Fingerprint of the signer's key": found.fingerprint,
        "What it proves": found.proves,
    }


def _drawn_attacks(report: Report) -> list[Attack]:
    """Attacks with a curve, those that a claim bounds first; a few are enough for a page."""
    attacks = [] if report.audit is None else [a for a in report.audit.attacks if a.roc]
    ordered = sorted(attacks, key=lambda a: (a.role != "attack", a.outcome == "nothing claimed"))
    return ordered[:ROC_FIGURES]


def _attributes(report: Report) -> list[str]:
    return list(dict.fromkeys(row.attribute for row in report.quality.groups if row.loss))


def metric_names(report: Report) -> list[str]:
    """The curve's metrics first, then the others by name, so that equal reports look the same."""
    names = sorted({name for row in report.quality.rows for name in row.metrics})
    return list(dict.fromkeys([*(point.metric for point in report.quality.curve), *names]))


def sampling_text(step: MechanismStep) -> str:
    """How a step's devices were drawn, in words."""
    drawn = step.sampling
    if drawn is None:
        return "all" if step.matrix is None else "by turns"
    hidden = f", secret from {', '.join(drawn.secret_from)}" if drawn.secret_from else ", public"
    return f"{drawn.declared}, probability {number(drawn.probability, 6)}{hidden}"


def matrix_text(step: MechanismStep) -> str:
    """The matrix mechanism that a step is a round of, in words."""
    found = step.matrix
    if found is None:
        return "no"
    return (
        f"{found.series}, round {found.round_number + 1} of {found.rounds}: {found.bands} bands, "
        f"every {found.separation} rounds, {found.participations} times at most"
    )


def _spoiled(step: MechanismStep) -> str:
    """Which groups' sums no honest devices can have made."""
    if step.groups == 1:
        return "-"
    numbers = ", ".join(number(group) for group in step.spoiled_groups)
    return f"{number(len(step.spoiled_groups))}: {numbers}" if numbers else "none"


def mechanism_table(steps: Sequence[MechanismStep]) -> list[list[str]]:
    """A row for each property of the steps, its name first."""
    readers: dict[str, Callable[[MechanismStep], str]] = {
        "Step": lambda s: s.name,
        "Length of the vector": lambda s: number(s.dimension),
        "L2 clip norm": lambda s: number(s.l2_clip_norm, 6),
        "Scale to whole numbers": lambda s: number(s.scale, 6),
        "Bound after rounding": lambda s: number(s.integer_bound, 6),
        "Noise": lambda s: s.noise,
        "Noise std, planned, before scaling": lambda s: number(s.noise_std_planned, 6),
        "Noise std, effective, before scaling": lambda s: number(s.noise_std_effective, 6),
        "Noise multiplier, effective": lambda s: number(s.noise_multiplier, 6),
        "Devices asked, in all groups": lambda s: number(s.cohort),
        "Groups, each with a sum": lambda s: number(s.groups),
        "Groups are combined by": lambda s: "-" if s.groups == 1 else s.combination,
        "Spoiled groups, which it bore": _spoiled,
        "Devices in the (smallest group's) sum": lambda s: number(s.devices),
        "Fewest survivors allowed there": lambda s: number(s.min_survivors),
        "Colluders assumed there": lambda s: number(s.colluders),
        "Cohort": sampling_text,
        "Correlated noise": matrix_text,
    }
    return [[label, *(read(step) for step in steps)] for label, read in readers.items()]


def _tiles(report: Report) -> list[Tile]:
    epsilon, delta = _headline_tiles(report)
    who = ADVERSARIES[report.definition.headline_adversary]
    messages = len(report.egress.steps)
    return [
        Tile(label="Unit", value=report.definition.unit, note="with the whole history"),
        epsilon,
        delta,
        Tile(label="Against", value=report.definition.headline_adversary, note=who),
        Tile(
            label="Leaves a device",
            value=size(report.egress.upload_bytes_per_device),
            note=f"in the whole run, in {messages} message{'' if messages == 1 else 's'}",
            title=f"{report.egress.upload_bytes_per_device} bytes",
        ),
    ]


def _headline_tiles(report: Report) -> tuple[Tile, Tile]:
    held = guarantee(report.facts)
    if report.verdict != "PRIVATE" or held is None:
        note = "no figure here is a guarantee" if held else "nothing is bounded"
        epsilon = Tile(label="Epsilon (ε)", value="none", note=note)
        return epsilon, Tile(label="Delta (δ)", value="none", note="without an epsilon, no delta")
    texts = [rounded_up(value) for value in held]
    shown = [text if exact else f"≤ {text}" for text, exact in texts]
    return (
        Tile(
            label="Epsilon (ε)",
            value=shown[0],
            note="smaller is more private",
            title=repr(held[0]),
        ),
        Tile(
            label="Delta (δ)",
            value=shown[1],
            note=f"of {number(report.data.users)} users",
            title=repr(held[1]),
        ),
    )


def _guarantee(row: AdversaryGuarantee) -> list[tuple[str, str]]:
    """An adversary's figures in lines, each with the whole number; empty stands for none."""
    if row.epsilon is None or math.isinf(row.epsilon) or (row.delta is not None and row.delta >= 1):
        return []
    lines = [(bound("ε", row.epsilon), repr(row.epsilon))]
    if row.delta is not None:
        lines.append((bound("δ", row.delta), repr(row.delta)))
    if row.mu is not None:
        figure = tables.kind_figure(row.mu, row.mu_kind)
        sign = "= " if figure.kind.startswith("exact") else ""
        lines += [(f"μ {sign}{figure.text}", repr(row.mu)), (figure.kind, "")]
    return lines


def _figures(report: Report) -> dict[str, str]:
    """Every chart twice, for a desk and for a phone; the style sheet shows one of them."""
    stamp = "NOT PRIVATE:" if report.verdict == "NOT PRIVATE" else ""
    references = [row for row in report.quality.rows if _is_line(row)]
    found: dict[str, str] = {}
    for form, width in (("wide", charts.WIDE), ("narrow", charts.NARROW)):
        for index, metric in enumerate(metric_names(report)):
            found[f"bars-{metric}-{form}"] = charts.quality_bars(
                report.quality.rows,
                metric=metric,
                identifier=f"bars-{index}-{form}",
                width=width,
                stamp=stamp,
            )
            found[f"curve-{metric}-{form}"] = charts.quality_curve(
                report.quality.curve,
                references,
                metric=metric,
                identifier=f"curve-{index}-{form}",
                width=width,
                stamp=stamp,
            )
        found[f"spent-{form}"] = charts.epsilon_spent(
            report.accounting.spent,
            budget=report.accounting.budget.epsilon,
            identifier=f"spent-{form}",
            width=width,
            stamp=stamp,
        )
        found |= _audit_figures(report, form, width, stamp)
        profile = tables.headline_profile(report)
        if profile is not None:
            found[f"profile-{form}"] = profile_curve(
                profile, identifier=f"profile-{form}", width=width, stamp=stamp
            )
    return found


def _audit_figures(report: Report, form: str, width: int, stamp: str) -> dict[str, str]:
    """Curves of attacks, losses of groups, and bytes that leave."""
    found = {}
    for index, attack in enumerate(_drawn_attacks(report)):
        name = f"roc-{index}-{form}"
        found[name] = audit_charts.roc_chart(attack, identifier=name, width=width, stamp=stamp)
    metric = _GROUP_METRIC
    for index, attribute in enumerate(_attributes(report)):
        found[f"loss-{attribute}-{form}"] = audit_charts.loss_chart(
            report.quality.groups,
            attribute=attribute,
            metric=metric,
            identifier=f"loss-{index}-{form}",
            width=width,
            stamp=stamp,
        )
    parts = [
        (f"{item.field}, {step.step}", step.bytes)
        for item in report.minimization.leaving
        for step in item.sizes
    ]
    found[f"bytes-{form}"] = audit_charts.bytes_chart(
        parts, identifier=f"bytes-{form}", width=width, stamp=stamp
    )
    return found


def _is_line(row: QualityRow) -> bool:
    return row.kind != "private"


def _tags(report: Report) -> dict[str, list[tuple[str, str]]]:
    """Where each section's figures come from, fields that differ after it."""
    names = [field.name for field in fields(report)]
    tags: dict[str, list[tuple[str, str]]] = {n: [("", report.source_of(n))] for n in names}
    for name, source in sorted(report.sources.items()):
        section, _, inner = name.partition(".")
        if inner:
            tags[section].append((inner.replace("_", " "), source))
    return tags


def _entry(entry: Any) -> dict[str, str]:
    return {
        "seq": str(entry["seq"]),
        "kind": str(entry["kind"]),
        "hash": str(entry["hash"]),
        "previous": str(entry["previous_hash"]),
        "body": json.dumps(entry["body"], indent=2, sort_keys=True, ensure_ascii=False),
    }


def _packaged(name: str) -> str:
    return resources.files("privet.privacy.report").joinpath(name).read_text(encoding="utf-8")
