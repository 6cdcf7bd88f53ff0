"""The server's loop: ask the ledger, run the fleet, apply the update, checkpoint."""

import math
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from privet.models.model import Model, Release, SharedState, state_hash
from privet.models.plan import Plan, StepPlan
from privet.privacy.accounting.accountants import claimed_epsilon
from privet.privacy.accounting.adversaries import ReleaseTerms, Trust, events_of
from privet.privacy.accounting.series import SeriesRound
from privet.privacy.encoding import wrap
from privet.privacy.errors import (
    BudgetError,
    InputError,
    IntegrityError,
    PrivacyError,
    PrivetError,
)
from privet.privacy.ledger import Charge, EntryKind, charges, closed_steps
from privet.privacy.minimization.messages import scrub
from privet.privacy.noise import server_noise
from privet.privacy.population import recorded_membership
from privet.privacy.randomness import Randomness
from privet.server.combining import combined_release, spoiled_groups
from privet.server.fleet import Aggregate, Fleet, Round
from privet.server.series import destroy_series, release_round
from privet.server.spending import Spending
from privet.server.storage import RunStore


class Phase(StrEnum):
    """The moments of a round, in order; a crash may come between any two."""

    ALLOWED = "allowed"
    COLLECTED = "collected"
    CHARGED = "charged"
    SUMMED = "summed"
    UPDATED = "updated"
    CLOSED = "closed"


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where a run is, for whoever watches.

    Attributes:
        phase: Just reached.
        step: Name of the step.
        index: Of the step, from 0.
        steps: Number of steps.
        epsilon_spent: In the worst case over adversaries, by the ledger.
        budget: The limit.
        seconds: Since the run or its resumption began.
        devices: In the sum as anyone may know them, from ``UPDATED`` on; 0 before.
        spoiled_groups: Numbers of the groups that were spoiled but borne, likewise.
    """

    phase: Phase
    step: str
    index: int
    steps: int
    epsilon_spent: float
    budget: float
    seconds: float
    devices: int = 0
    spoiled_groups: tuple[int, ...] = ()


Observer = Callable[[Progress], None]


@dataclass(frozen=True, kw_only=True, eq=False)
class Released:
    """One release, as the server has it before it makes a model of it. For audits.

    Attributes:
        round: As it was asked for: the step, the shared state before, and who took part, which
            nobody may be told where the plan keeps the cohort secret.
        sums: Noisy sum of each group in integers of the grid, centred on 0; of a round of a series
            its estimate, which is no integer. Shape ``(dimension,)`` each.
        release: What was handed to the model.
    """

    round: Round
    sums: tuple[NDArray[np.float64], ...]
    release: Release


OnRelease = Callable[[Released], None]


class Coordinator:
    """Runs a plan over a fleet, durably.

    Args:
        model: Whose server half runs.
        plan: Its public constants.
        fleet: The devices.
        store: The run's ledger and checkpoint.
        randomness: For the cohorts' draw, and the server's own noise under central trust.
        repeatable: True if repeating an interrupted release gives the very same release, noise
            included: then it is one release and is charged once. Never with remote devices.
        start: What the model makes of the public catalogue before its first release; nothing if not
            given.
        budget: Limit on epsilon, the plan's target if not given. Raising it is recorded.
        spending: A budget that other runs spend from too; None if this run is counted alone.
        observer: Called at each phase.
        on_release: Called with each release, before a model is made of it.

    Raises:
        IntegrityError: The store belongs to another plan, or to another population.
        InputError: A budget that is not a number above 0.
        PrivacyError: Cohorts would be drawn otherwise than the plan declares.

    Formal Guarantees:
        A charge is durable before the sum that it pays for can be learnt. A release whose worst
        case would bring the total above the budget is not run. A round that ends before it is charged
        is in the ledger as such, unless the process died or the disk is full. Charges are never removed; a
        release left open by a crash stays charged, and its repeat with fresh noise is charged
        again; of a series, whose rounds share their noise, it is refused. What other runs spend
        from too is charged first: a crash between the two charges counts a release there that was
        not learnt, and never the other way round. Of a cohort that is kept secret neither the
        members nor their number get into the ledger, a release or the checkpoint; an empty one is
        noised and charged like any other.
    """

    def __init__(
        self,
        *,
        model: Model,
        plan: Plan,
        fleet: Fleet,
        store: RunStore,
        randomness: Randomness,
        repeatable: bool,
        start: SharedState | None = None,
        budget: float | None = None,
        spending: Spending | None = None,
        observer: Observer | None = None,
        on_release: OnRelease | None = None,
    ) -> None:
        """Record the plan in a new ledger, or check that the ledger is this plan's."""
        self._model, self._plan, self._fleet = model, plan, fleet
        self._store, self._randomness, self._repeatable = store, randomness, repeatable
        self._start: SharedState = {} if start is None else start
        self._spending, self._observer = spending, observer or (lambda _: None)
        self._on_release = on_release or (lambda _: None)
        self._started = time.monotonic()
        self._sampler = plan.facts.cohort.checked_sampler(plan.facts.devices)
        self._open_ledger(budget)

    def _open_ledger(self, budget: float | None) -> None:
        if budget is not None and not budget > 0:  # NaN too: it would be no limit at all
            raise InputError(f"Expected budget={budget} to be a number > 0, or inf.")
        entries = self._store.entries
        if not entries:
            plan = {"plan": self._plan.to_dict(), "plan_hash": self._plan.hash}
            self._store.append(EntryKind.PLAN, {**plan, "population": self._membership})
        elif entries[0].body.get("plan_hash") != self._plan.hash:
            raise IntegrityError(
                "This run was started with another plan (data, model, privacy target or trust "
                "differ). Resume it with the same options, or start a new run elsewhere."
            )
        elif recorded_membership(entries) != self._membership:
            raise IntegrityError(
                "This run's releases are counted in a population whose ledger was not given, or "
                "in another one. Resume it with the --population that it was started with."
            )
        recorded = [e.body["epsilon"] for e in self._store.entries if e.kind is EntryKind.BUDGET]
        target = self._plan.facts.epsilon
        if not recorded or (budget is not None and budget != recorded[-1]):
            limit = target if budget is None else budget
            self._store.append(
                EntryKind.BUDGET,
                {
                    "epsilon": limit if math.isfinite(limit) else None,
                    "delta": self._plan.facts.delta,
                },
            )

    @property
    def _membership(self) -> dict[str, str] | None:
        return None if self._spending is None else self._spending.membership

    @property
    def budget(self) -> float:
        """The limit on epsilon, in force now."""
        last = [e.body["epsilon"] for e in self._store.entries if e.kind is EntryKind.BUDGET][-1]
        return math.inf if last is None else float(last)

    @property
    def epsilon_spent(self) -> float:
        """Of everything charged so far, in the worst case over adversaries."""
        return self._epsilon([c.terms for c in charges(self._store.entries)])

    def _epsilon(self, releases: list[ReleaseTerms]) -> float:
        return claimed_epsilon(events_of(releases) or (), self._plan.facts.delta)

    def run(self) -> SharedState:
        """Run what is left of the plan and return the final shared state.

        Raises:
            BudgetError: The next release would overspend; nothing was released.
                PrivacyError: Fewer survivors than the noise was set for; nothing was learnt.
            PoisoningError: A sum is beyond what honest devices can make. It stays charged.
        """
        checkpoint = self._store.checkpoint()
        shared = self._start if checkpoint is None else checkpoint[1]
        done = len(closed_steps(self._store.entries))
        for index, step in enumerate(self._plan.steps[done:], start=done):
            shared = self._run_step(index, step, shared)
        if not any(entry.kind is EntryKind.END for entry in self._store.entries):
            self._store.append(EntryKind.END, {"model_hash": state_hash(shared)})
        destroy_series(self._store.directory)
        self._store.destroy_noise_key()
        return shared

    def _run_step(self, index: int, step: StepPlan, shared: SharedState) -> SharedState:
        def reached(phase: Phase, devices: int = 0, spoiled: tuple[int, ...] = ()) -> None:
            self._observer(
                Progress(
                    phase=phase,
                    step=step.name,
                    index=index,
                    steps=len(self._plan.steps),
                    epsilon_spent=self.epsilon_spent,
                    budget=self.budget,
                    seconds=time.monotonic() - self._started,
                    devices=devices,
                    spoiled_groups=spoiled,
                )
            )

        counted: list[int] = []

        def charge(survivors: Sequence[int]) -> None:
            reached(Phase.COLLECTED)
            if len(survivors) != step.terms.groups:
                raise PrivacyError(
                    f"Step {step.name!r} has {step.terms.groups} groups; the fleet has "
                    f"{len(survivors)} sums. None was learnt."
                )
            if devices is not None and sum(survivors) > len(devices):
                raise PrivacyError(f"More devices are in step {step.name!r} than were drawn.")
            self._charge(step, min(survivors))
            counted.extend(survivors)
            reached(Phase.CHARGED)

        self._check_budget(step)
        reached(Phase.ALLOWED)
        before = len(self._open_charges(step))
        attempt = 0 if self._repeatable else before
        devices = self._devices(step, attempt)
        round_ = Round(
            plan=self._plan,
            step=step,
            shared=shared,
            attempt=attempt,
            devices=devices,
            repeats=self._repeatable and before > 0,
        )
        try:
            aggregate = self._fleet.run(round_, charge)
        except Exception as error:
            self._record_abort(step, before, error)
            raise
        reached(Phase.SUMMED)
        if not self._open_charges(step):
            raise PrivacyError(f"The fleet learnt the sum of step {step.name!r} uncharged.")
        if not _as_charged(self._plan, aggregate, counted):
            raise PrivacyError(f"The fleet learnt other sums of {step.name!r} than were charged.")
        release, spoiled = self._release(round_, aggregate)
        shared = self._model.update(step.step, shared, release, self._plan.facts)
        published = _published(step, aggregate)
        reached(Phase.UPDATED, published, spoiled)
        self._store.close_release(
            step.name,
            {
                "devices": published,
                "state_hash": state_hash(shared),
                **({"spoiled_groups": list(spoiled)} if spoiled else {}),
                **self._aggregation(step, aggregate),
            },
            shared,
        )
        reached(Phase.CLOSED, published, spoiled)
        return shared

    def _record_abort(self, step: StepPlan, before: int, error: Exception) -> None:
        """Leave a trace of a round that ended uncharged; one that was charged has left its charge.

        Where even that cannot be written, what went wrong first is what the caller is told.
        """
        if len(self._open_charges(step)) > before:
            return
        body = {"step": step.name, "attempt": before, "reason": scrub(error)}
        with suppress(sqlite3.Error, PrivetError):
            self._store.append(EntryKind.ABORT, body)

    def _aggregation(self, step: StepPlan, aggregate: Aggregate) -> dict[str, Any]:
        """What the ledger says about secure aggregation: what it did, or that it was simulated."""
        if step.terms.trust is not Trust.SECURE_AGGREGATION:
            return {}
        record = aggregate.protocol
        if record is None and self._plan.protocol is not None:
            raise PrivacyError("The plan has secure aggregation run, but the fleet simulated it.")
        return {"secure_aggregation": "simulated" if record is None else record.to_dict()}

    def _devices(self, step: StepPlan, attempt: int) -> NDArray[np.int64] | None:
        """Who takes part: whose turn it is, or whom the draw chose; None for all."""
        series, everyone = step.terms.series, self._plan.facts.devices
        if series is not None:
            turn = series.turn(everyone)
            self._store.claim_round(series, turn)
            return turn
        if self._sampler is None:
            return None
        stream = self._randomness.stream("cohort", step.name, attempt)
        return self._sampler.draw(everyone, stream)

    def _open_charges(self, step: StepPlan) -> list[Charge]:
        return [c for c in charges(self._store.entries) if c.step == step.name]

    def _check_budget(self, step: StepPlan) -> None:
        """Refuse a release whose worst case would overspend."""
        if self._repeatable and self._open_charges(step):
            return
        spent = [c.terms for c in charges(self._store.entries)]
        needed = self._epsilon([*spent, step.terms])
        # Calibration stops at the target from below; the last digits are rounding.
        if needed > self.budget * (1 + 1e-9):
            repeat = " again, after an interruption," if self._open_charges(step) else ""
            raise BudgetError(
                f"Releasing step {step.name!r}{repeat} would bring epsilon to {needed:.4g}, above "
                f"the budget of {self.budget:.4g}; {self.epsilon_spent:.4g} is spent. Nothing was "
                f"released. Allow more with --budget {math.ceil(needed * 100) / 100}, which the "
                "ledger records."
            )
        if self._spending is not None:
            planned = Charge(
                step=step.name, attempt=len(self._open_charges(step)), terms=step.terms
            )
            self._spending.allow(planned, repeatable=self._repeatable)

    def _charge(self, step: StepPlan, survivors: int) -> None:
        """Charge a release before it is learnt, unless this very release was charged already."""
        if step.terms.hides_cohort:
            survivors = step.terms.survivors  # nothing may depend on how many were drawn
        if survivors < step.terms.survivors:
            raise PrivacyError(
                f"Only {survivors} devices are left in {_a_group(step)}step {step.name!r}; the noise "
                f"was set for at least {step.terms.survivors}. The sum was not learnt."
            )
        before = self._open_charges(step)
        if before and self._repeatable:
            if before[-1].terms.survivors != survivors:  # equal noise would show the difference
                raise PrivacyError(
                    f"Step {step.name!r} was charged for another number of devices than are left "
                    "now: this is not the same release. The sum was not learnt."
                )
            return
        charge = Charge(
            step=step.name, attempt=len(before), terms=step.terms.with_survivors(survivors)
        )
        if self._spending is not None:  # first: what is counted there must never be less
            self._spending.charge(charge, repeatable=self._repeatable)
        self._store.append(EntryKind.CHARGE, charge.to_dict())

    def _release(self, round_: Round, aggregate: Aggregate) -> tuple[Release, tuple[int, ...]]:
        """The release, server's noise included, and which groups of it are spoiled but borne."""
        step = round_.step
        series = step.terms.series
        if series is not None and step.terms.noise_multiplier > 0:
            return self._release_of_series(round_, series, aggregate), ()
        sums = [
            self._with_server_noise(step, group.total, round_.attempt) for group in aggregate.groups
        ]
        devices = [group.survivors for group in aggregate.groups]
        if step.terms.hides_cohort:
            spoiled = spoiled_groups(self._plan, step, sums, [self._plan.facts.devices])
            devices = [step.terms.survivors]
        else:
            spoiled = spoiled_groups(self._plan, step, sums, devices)
        release = combined_release(self._plan, step, sums, devices)
        centred = tuple(sum_.astype(np.int32).astype(np.float64) for sum_ in sums)
        self._on_release(Released(round=round_, sums=centred, release=release))
        return release, spoiled

    def _release_of_series(
        self, round_: Round, series: SeriesRound, aggregate: Aggregate
    ) -> Release:
        step = round_.step
        devices = _published(step, aggregate)
        stream = self._randomness.stream("server", step.name, round_.attempt)
        integers = release_round(self._store.directory, step, series, aggregate.total, stream)
        release = Release(
            step=step.step,
            total=integers / step.encoding.scale,
            noise_std=step.noise_std(devices),
            devices=devices,
        )
        self._on_release(Released(round=round_, sums=(integers,), release=release))
        return release

    def _with_server_noise(
        self, step: StepPlan, total: NDArray[np.uint32], attempt: int
    ) -> NDArray[np.uint32]:
        terms = step.terms
        if terms.trust is not Trust.CENTRAL or terms.noise_multiplier == 0:
            return total
        stream = self._randomness.stream("server", step.name, attempt)
        return wrap(total.astype(np.int64) + server_noise(terms, len(total), stream))


def _as_charged(plan: Plan, aggregate: Aggregate, charged: list[int]) -> bool:
    """Whether the sums are those charged; under local trust all that were asked are charged."""
    found = [group.survivors for group in aggregate.groups]
    if plan.facts.trust is Trust.LOCAL and len(found) == len(charged) == 1:
        return found[0] <= charged[0]
    return found == charged


def _a_group(step: StepPlan) -> str:
    return "a group of " if step.terms.groups > 1 else ""


def _published(step: StepPlan, aggregate: Aggregate) -> int:
    """Devices in a sum as anyone may know them: expected, where the real number is a secret."""
    return step.terms.survivors if step.terms.hides_cohort else aggregate.survivors
