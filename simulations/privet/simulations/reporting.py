"""From a finished simulation to its report."""

import importlib.metadata
import math
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from privet.privacy.ledger import Entry
from privet.privacy.population import PopulationView
from privet.privacy.report.aggregation import aggregation
from privet.privacy.report.assemble import (
    adversary_rows,
    definition,
    egress,
    ledger_record,
    mechanism_steps,
)
from privet.privacy.report.document import Report
from privet.privacy.report.html import render_html
from privet.privacy.report.minimization import minimization, policy_of
from privet.privacy.report.population import population_section
from privet.privacy.report.sections import (
    CurvePoint,
    Data,
    GroupRow,
    Identity,
    Interval,
    Quality,
    QualityRow,
    Source,
    Verification,
)
from privet.privacy.report.security import security
from privet.privacy.report.spent import accounting, profiles
from privet.privacy.report.view import LedgerView
from privet.simulations.comparison import Row
from privet.simulations.evaluation.intervals import Estimate
from privet.simulations.federation import write_durably
from privet.simulations.preparation import Task

_PACKAGES = ("numpy", "scipy", "cryptography", "dp-accounting")
_INTERVAL = "95 % over users with a held-out item"
_SOURCES: dict[str, Source] = {
    "identity": "declared",
    "definition": "declared",
    "adversaries": "computed",
    "profiles": "computed",
    "mechanism": "computed",
    "aggregation": "measured",
    "accounting": "computed",
    "accounting.composition": "declared",
    "egress": "computed",
    "minimization": "computed",
    "minimization.on_device": "declared",
    "minimization.telemetry": "declared",
    "minimization.pseudonyms": "declared",
    "minimization.denied": "absent",
    "security": "declared",
    "security.generators": "computed",
    "quality": "measured",
    "data": "measured",
    "data.catalogue_public": "declared",
    "population": "computed",
    "ledger": "measured",
}


def build_report(
    entries: tuple[Entry, ...],
    task: Task,
    rows: Sequence[Row],
    *,
    command: str,
    groups: Sequence[GroupRow] = (),
    curve: Sequence[CurvePoint] = (),
    curve_note: str = "",
    population: PopulationView | None = None,
) -> Report:
    """A report on a run.

    Args:
        entries: The run's ledger; every privacy figure comes from it.
        task: For the section on data.
        rows: Measured quality, references among them.
        command: What to type to run it again.
        groups: Quality by group of users.
        curve: Quality against epsilon, from a sweep.
        curve_note: What the curve's intervals and points are, in words.
        population: What the run is counted in, as of now.
    """
    view = LedgerView(entries=entries)
    identity = _identity(view, command)
    masked = aggregation(view)
    absent = {"aggregation": masked is None, "population": population is None}
    return Report(
        identity=identity,
        definition=definition(view),
        adversaries=adversary_rows(view),
        profiles=profiles(view),
        mechanism=mechanism_steps(view),
        aggregation=masked,
        accounting=accounting(view, identity),
        population=None if population is None else population_section(view, population),
        egress=egress(view),
        minimization=minimization(view),
        security=security(view),
        quality=Quality(
            rows=tuple(_quality_row(row) for row in rows),
            curve=tuple(curve),
            groups=tuple(groups),
            interval="; ".join(filter(None, (_INTERVAL, curve_note))),
        ),
        data=Data(
            name=task.name,
            users=len(task.train),
            items=len(task.catalogue),
            interactions=len(task.train.items),
            split=task.split,
            catalogue_hash=task.catalogue.hash,
            catalogue_public=task.catalogue.declared_public,
        ),
        ledger=ledger_record(entries),
        verification=Verification(
            commands=("privet verify report.json",),
            note="Recomputes the hash chain, every epsilon by two accountants, and what an "
            "attacker could achieve, from the ledger and without the data. It does not show that devices added noise, nor, "
            "since reports are not signed yet, that the whole ledger was not rewritten."
            + (f" The curve: {curve_note}." if curve_note else ""),
        ),
        sources={k: v for k, v in _SOURCES.items() if not absent.get(k, False)},
    )


def _identity(view: LedgerView, command: str) -> Identity:
    return Identity(
        report_id=secrets.token_hex(8),
        created_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        toolkit_version=importlib.metadata.version("privet"),
        dependencies={name: importlib.metadata.version(name) for name in _PACKAGES},
        reproduction_command=command,
        noise_randomness=view.randomness,
        private=view.private,
        ledger_head=view.entries[-1].hash,
        plan_hash=view.plan_hash,
        policy_hash=policy_of(view).hash,
    )


def write_report(report: Report, directory: Path) -> tuple[Path, Path]:
    """Write ``report.json`` and ``report.html`` into a folder; returns their paths."""
    as_json, as_html = directory / "report.json", directory / "report.html"
    write_durably(as_html, render_html(report).encode())
    write_durably(as_json, report.to_bytes())
    return as_json, as_html


def _quality_row(row: Row) -> QualityRow:
    metrics = {name: interval(estimate) for name, estimate in row.metrics.items()}
    return QualityRow(name=row.name, kind=row.kind, epsilon=row.epsilon, metrics=metrics)


def interval(estimate: Estimate) -> Interval:
    """An estimate for the report; one without an interval becomes a point."""
    low = estimate.low if math.isfinite(estimate.low) else estimate.mean
    high = estimate.high if math.isfinite(estimate.high) else estimate.mean
    return Interval(mean=estimate.mean, low=min(low, estimate.mean), high=max(high, estimate.mean))
