"""How the command line shows things: JSON for scripts, tables and live progress for people."""

import json
import math
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from privet.models.combination import Combination
from privet.models.plan import Plan, StepPlan
from privet.privacy.accounting.profile import PrivacyProfile
from privet.privacy.population import PopulationView
from privet.privacy.report.text import percent_up, rounded_up
from privet.server.coordinator import Phase
from privet.server.coordinator import Progress as RoundProgress
from privet.simulations.comparison import Row
from privet.simulations.evaluation.intervals import Estimate
from privet.simulations.simulation import Result, Watcher
from privet.simulations.sweep import Point

console = Console(highlight=False)
_SHOWN = ("recall@20", "ndcg@20", "hr@10", "sampled_hr@10", "sampled_ndcg@10")
_WIDE = 110
_FALSE_ALARMS = 0.01
_STAMPS = {
    "NOT PRIVATE": "[bold red]NOT PRIVATE:[/] ",
    "NO GUARANTEE": "[bold red]NO GUARANTEE:[/] ",
}


def print_json(body: Mapping[str, Any]) -> None:
    """One JSON object on standard output, nothing else."""
    print(json.dumps(body, indent=2, allow_nan=False))


def quiet(*, as_json: bool) -> bool:
    """Whether to leave progress away: for scripts and where nobody watches."""
    return as_json or not sys.stderr.isatty()


def print_plan(plan: Plan) -> None:
    """What is assumed and derived, before training starts."""
    facts = plan.facts
    if math.isinf(facts.epsilon):
        console.print(f"{_STAMPS['NO GUARANTEE']}epsilon is infinite, no noise is added.")
    else:
        console.print(
            f"Target: epsilon [bold]{facts.epsilon:g}[/], delta {facts.delta:g}, per user "
            f"({facts.trust.relation}), trust {facts.trust}"
        )
    if plan.seeded_noise:
        console.print(f"{_STAMPS['NOT PRIVATE']}noise follows from the seed, for tests only.")
    period = ", the period of the events" if facts.end else ""
    console.print(
        f"Assumed public: {facts.devices:,} users, {facts.items:,} items, {_who(plan)}, "
        f"sizes{period}"
    )
    where = "a sum" if facts.groups == 1 else f"the sum of each of {facts.groups} groups"
    if facts.combination is not Combination.SUM:
        where += f" (combined by {facts.combination})"
    fewest = min(step.terms.survivors for step in plan.steps)
    sure = "some" if facts.hides_cohort else "at least"
    console.print(f"Assumed: {sure} {fewest:,} devices in {where}, {facts.colluders} colluding")
    console.print(_steps_table(plan))
    console.print()


def _who(plan: Plan) -> str:
    """Who takes part, and who is told."""
    cohort = f" ({plan.facts.cohort})" if plan.facts.cohort.sampler() else ""
    series = any(step.step.series for step in plan.steps)
    period = ", the period and whose turn is when" if series else ""
    hidden = ", but to A1" if plan.facts.hides_cohort else ""
    return f"who takes part{cohort}{hidden}{period}"


def _shown_steps(plan: Plan) -> Iterator[tuple[StepPlan, str]]:
    """Each step with its name; of a series the last round only, as the others' noise is like it."""
    for step in plan.steps:
        series = step.step.series
        if series is None:
            yield step, step.name
        elif series.round_number == series.rounds - 1:
            yield step, f"{series.name}, {series.rounds} rounds"


def _steps_table(plan: Plan) -> Table:
    table = _table("step", "numbers", "norm at most", "noise in the sum", "MB a device")
    least = plan.facts.min_survivors * plan.facts.groups
    for step, name in _shown_steps(plan):
        table.add_row(
            name,
            f"{step.encoding.dimension:,}",
            f"{step.encoding.l2_clip_norm:g}",
            f"{step.noise_std(least) * plan.facts.noise_growth:.3g}",
            f"{step.upload_bytes / 1e6:.3f}",
        )
    return table


def _table(first: str, *rest: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(first, no_wrap=True)
    for name in rest:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def quality_table(rows: Sequence[Row], *, width: int) -> Table:
    """The comparison, one line a recommender; without intervals where the console is narrow."""
    metrics = [name for name in _SHOWN if name in rows[0].metrics]
    table = _table("recommender", "epsilon", *(name.replace("_", "\n") for name in metrics))
    for row in rows:
        shown = "-" if row.epsilon is None else rounded_up(row.epsilon)[0]
        cells = (figure(row.metrics[name], wide=width >= _WIDE) for name in metrics)
        table.add_row(row.name, shown, *cells, style="bold" if row.kind == "private" else "")
    return table


def curve_table(points: Sequence[Point], *, width: int) -> Table:
    """Quality against privacy, one line an epsilon."""
    table = _table("epsilon", "recall@20", "ndcg@20", "seeds")
    for point in points:
        recall, ndcg = (point.metrics[name] for name in ("recall@20", "ndcg@20"))
        wide = width >= _WIDE or len(point.run_dirs) > 1
        cells = figure(recall, wide=wide), figure(ndcg, wide=wide)
        table.add_row(f"{point.epsilon:g}", *cells, str(len(point.run_dirs)))
    return table


def figure(estimate: Estimate, *, wide: bool) -> str:
    """A mean, with half its interval where there is one and room for it."""
    half = (estimate.high - estimate.low) / 2
    return f"{estimate.mean:.4f}" + (f" ±{half:.3f}" if wide and math.isfinite(half) else "")


def print_guarantees(result: Result) -> None:
    """Against whom what holds, what leaves a device, and how to check it."""
    known = [g for g in result.federated.guarantees if g.epsilon is not None]
    for g in known:
        epsilon, _ = rounded_up(g.epsilon or 0.0)
        console.print(f"  against {g.adversary}: epsilon {epsilon} at delta {g.delta:g}")
    if known:
        worst = max(_found(profile) for _, profile in result.federated.view.profiles)
        console.print(
            f"  their tests with {percent_up(_FALSE_ALARMS)} false alarms find a history in at most "
            f"{percent_up(worst)} of cases"
        )
    none = [str(g.adversary) for g in result.federated.guarantees if g.epsilon is None]
    console.print(f"  no guarantee against: {', '.join(none)}")
    if not known:
        console.print(f"{_STAMPS[result.verdict]}nothing is guaranteed against anyone.")
    elif result.federated.plan.secure_aggregation == "simulated":
        console.print("  (masks of secure aggregation cancel; their effect is simulated)")
    elif result.federated.plan.secure_aggregation == "protocol":
        console.print("  (secure aggregation was run: every device masked its vector)")
        agreed = result.federated.plan.protocol
        if agreed is not None and agreed.simulated_certifier:
            console.print(
                "  (A4: what a deployment with a certifier would have; this one certifies nobody)"
            )
    console.print(
        f"Upload: {result.federated.plan.upload_bytes / 1e6:.3f} MB a device in the whole run"
    )
    print_population(result.federated.population)
    console.print(f"Check it: privet verify {shlex.quote(str(result.run_dir))}", soft_wrap=True)


def _found(profile: PrivacyProfile) -> float:
    return dict(profile.true_positive_rates)[_FALSE_ALARMS]


def print_population(view: PopulationView | None) -> None:
    """What all runs on the same users spent together, if anybody counts them."""
    if view is None:
        return
    worst, limit = (rounded_up(value)[0] for value in (view.spent, view.budget))
    console.print(
        f"Population {view.opening.name}: {len(view.runs)} runs, {len(view.spends)} releases, "
        f"epsilon {worst} of {limit} at delta {view.opening.delta:g}",
        soft_wrap=True,
    )


def print_table(rows: Sequence[Row], run_dir: Path) -> None:
    """The comparison, and where the report is."""
    console.print()
    console.print(quality_table(rows, width=console.width))
    console.print(f"Report: {run_dir / 'report.html'}", soft_wrap=True)


@contextmanager
def live(*, silent: bool, on_plan: Callable[[Plan], None] | None = None) -> Iterator[Watcher]:
    """A watcher that shows live progress on standard error, or nothing but the plan.

    Args:
        silent: Show no progress.
        on_plan: Called with each plan, before progress starts.
    """
    planned = on_plan or (lambda _: None)
    if silent:
        yield Watcher(planned=planned)
        return
    shown = LiveProgress(Console(stderr=True, highlight=False))

    def begin(plan: Plan) -> None:
        planned(plan)
        shown.planned(plan)

    try:
        yield Watcher(
            planned=begin,
            observer=shown.observer,
            on_devices=shown.on_devices,
            on_row=shown.on_row,
        )
    finally:
        shown.stop()


class LiveProgress:
    """Round, epsilon spent of the budget, devices a second, time left, and quality once measured.

    Args:
        target: Where to show it.
    """

    def __init__(self, target: Console) -> None:
        """Show nothing until the first plan."""
        self._progress = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=16),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(compact=True),
            console=target,
            transient=True,
            redirect_stdout=False,
        )
        self._task = self._progress.add_task("planning", total=None, note="")
        self._spent, self._begun, self._devices = "", 0.0, 0
        self._done = 0

    def planned(self, plan: Plan) -> None:
        """A run begins: its work is all devices in all steps."""
        self._devices, self._done = plan.facts.devices, 0
        total = self._devices * len(plan.steps)
        self._progress.reset(self._task, total=total, description="starting", note="")
        self._progress.start()

    def observer(self, at: RoundProgress) -> None:
        """A phase was reached."""
        limit = "inf" if math.isinf(at.budget) else f"{at.budget:.3g}"
        self._spent = f"epsilon {at.epsilon_spent:.3g} of {limit}"
        if at.phase is Phase.ALLOWED:
            self._begun, self._done = time.monotonic(), at.index * self._devices
        name = f"round {at.index + 1}/{at.steps} {at.step}: {at.phase}"
        self._progress.update(self._task, description=name, note=self._spent)

    def on_devices(self, done: int) -> None:
        """Some devices of the round are done."""
        rate = done / max(time.monotonic() - self._begun, 1e-6)
        note = f"{self._spent}, {rate:,.0f} devices/s"
        self._progress.update(self._task, completed=self._done + done, note=note)

    def on_row(self, row: Row) -> None:
        """A recommender was measured."""
        note = f"{row.name}: NDCG@20 {row.metrics['ndcg@20'].mean:.4f}"
        self._progress.update(self._task, description="measuring", note=note)

    def stop(self) -> None:
        """Clear the line."""
        self._progress.stop()
