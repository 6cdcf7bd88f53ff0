"""The runs of a federation's directory: begun once, gone on with after a crash, paid for together."""

import shutil
from collections.abc import Callable
from pathlib import Path

from privet.models.known import model_of
from privet.models.model import SharedState
from privet.models.plan import Plan
from privet.privacy.errors import IntegrityError, PrivacyError
from privet.privacy.ledger import Entry, EntryKind, charges
from privet.privacy.randomness import Randomness
from privet.server.coordinator import Coordinator, Observer
from privet.server.fleet import Fleet
from privet.server.operation.directory import MORE_BUDGET
from privet.server.population import Population, PopulationRun
from privet.server.registry import ModelVersion, Origin, Registry
from privet.server.storage import RunStore


class Training:
    """One run, from where it is to its end.

    Args:
        plan: Of the run.
        start: What its model made of the catalogue.
        folder: Of all runs; the last of them is gone on with.
        population: That pays.
        registry: With the models of earlier runs.
        again: Whether to begin another run if the last one is finished or lost.

    Raises:
        BudgetError: A new run's whole plan does not fit into what the population has left.
        IntegrityError: A ledger is damaged, an older copy, or lost.
    """

    def __init__(
        self,
        plan: Plan,
        start: SharedState,
        folder: Path,
        population: Population,
        registry: Registry,
        *,
        again: bool,
    ) -> None:
        """See what there is to do; nothing is begun."""
        self._plan, self._folder, self._population = plan, folder, population
        self._start = start
        self._last = max((int(p.name) for p in folder.iterdir() if _is_run(p)), default=0)
        published = self._hold_together(registry)
        lost = published > self._last or (self._last == 0 and bool(population.view.spends))
        if lost and not again:
            raise IntegrityError(
                f"The last run is not in {folder}, and other ledgers know of its releases. Bring "
                "it back. If it is lost, --again begins another, which is charged as well."
            )
        self._last = max(self._last, published)
        finished = lost or (self._last > 0 and self._finished())
        self.new = self._last == 0 or (again and finished)
        """Whether a run is to begin."""
        self.wanted = self.new or not finished
        """Whether there is anything to train."""
        if self.new:
            population.require([plan], remedy=MORE_BUDGET)

    def run(
        self,
        fleet: Fleet,
        observer: Observer,
        *,
        budget: float | None,
        attempts: int,
        aborted: Callable[[], None],
    ) -> SharedState:
        """Begin or go on, and return the final shared state.

        Args:
            fleet: The devices.
            observer: Called at each phase.
            budget: Limit on its epsilon, the recorded one or the plan's if not given.
            attempts: How often a round is tried that ended without a sum and cost nothing.
            aborted: Called for each round that ended without a sum.

        Raises:
            BudgetError: The next release does not fit; nothing was asked of devices for it.
            PrivacyError: Too few devices, as often as it was tried; or after the round was
                charged, which is for the operator to repeat, for it is charged again.
        """
        if self.new:
            self._begin(fleet)
        store = RunStore(self._folder / str(self._last))
        try:
            spending = self._population.resume(store.entries)
            for left in reversed(range(attempts)):
                paid = len(charges(store.entries))
                try:
                    return self._coordinator(store, fleet, spending, observer, budget).run()
                except PrivacyError:
                    aborted()
                    if left == 0 or len(charges(store.entries)) > paid:
                        raise
            raise AssertionError("there is at least one attempt")
        finally:
            store.close()

    def publish(self, registry: Registry) -> ModelVersion:
        """Put the finished run's model into the registry, once."""
        store = RunStore(self._folder / str(self._last))
        try:
            checkpoint = store.checkpoint()
            assert checkpoint is not None  # a finished run has one
            entries, plan = store.entries, self._plan
            origin = Origin(
                model=plan.model,
                run=str(self._last),
                plan_hash=plan.hash,
                catalogue_hash=plan.catalogue_hash,
                ledger_length=len(entries),
                ledger_head=entries[-1].hash,
                private=not plan.seeded_noise and plan.facts.epsilon != float("inf"),
            )
            return registry.publish(checkpoint[1], origin)
        finally:
            store.close()

    def _hold_together(self, registry: Registry) -> int:
        """Hold all ledgers against each other; the last run that a model was made of.

        Raises:
            IntegrityError: The population's ledger lacks a run or what it released, or a run's
                what its model was made of: one of them is an older copy.
        """
        ledgers = {
            path.name: self._entries(path) for path in self._folder.iterdir() if _is_run(path)
        }
        for entries in ledgers.values():
            self._population.resume(entries)
        origins = [version.origin for version in registry.versions]
        for origin in origins:
            found, at = ledgers.get(origin.run), origin.ledger_length - 1
            if found is not None and (len(found) <= at or found[at].hash != origin.ledger_head):
                raise IntegrityError(
                    f"The ledger of run {origin.run} lacks what its model was made of: it is an "
                    "older copy. Bring the newest back, and the population's with it."
                )
        published = max((int(origin.run) for origin in origins), default=0)
        if len(self._population.view.runs) < max(self._last, published):
            raise IntegrityError(
                f"{self._population.path} counts fewer runs than there were: it is an older copy, "
                "and has forgotten what was spent. Bring the newest back."
            )
        return published

    def _entries(self, path: Path) -> tuple[Entry, ...]:
        store = RunStore(path)
        try:
            return store.entries
        finally:
            store.close()

    def _finished(self) -> bool:
        entries = self._entries(self._folder / str(self._last))
        return any(entry.kind is EntryKind.END for entry in entries)

    def _begin(self, fleet: Fleet) -> None:
        """Make the next run's folder, whole: a crash leaves a partial one, which is thrown away.

        Nothing was charged in it, for nothing runs before it has its name.
        """
        partial, final = self._folder / ".partial", self._folder / str(self._last + 1)
        if partial.exists():
            shutil.rmtree(partial)
        spending = self._population.start(self._plan, tuning=False)
        store = RunStore(partial, create=True)
        try:
            self._coordinator(store, fleet, spending, None, None)
        finally:
            store.close()
        partial.rename(final)
        self._last, self.new = self._last + 1, False

    def _coordinator(
        self,
        store: RunStore,
        fleet: Fleet,
        spending: PopulationRun,
        observer: Observer | None,
        budget: float | None,
    ) -> Coordinator:
        return Coordinator(
            model=model_of(self._plan),
            plan=self._plan,
            fleet=fleet,
            store=store,
            randomness=Randomness.secret(),
            repeatable=False,
            start=self._start,
            budget=budget,
            spending=spending,
            observer=observer,
        )


def _is_run(path: Path) -> bool:
    return path.name.isdigit()
