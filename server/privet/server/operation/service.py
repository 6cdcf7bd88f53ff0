"""``privet server up``: a SuperLink, the run that is to be done, and models to whom they are due."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from privet.models.invitation import Invitation
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.errors import (
    BudgetError,
    InputError,
    PoisoningError,
    PrivacyError,
)
from privet.server.coordinator import Phase, Progress
from privet.server.courier import Attendance, Courier, Deadlines
from privet.server.operation.delivering import Deliveries
from privet.server.operation.devices import Devices
from privet.server.operation.directory import Directory
from privet.server.operation.link import Link, LinkMaker
from privet.server.operation.logs import EventLog, LogEvent
from privet.server.operation.metrics import Metrics
from privet.server.operation.status import status_of
from privet.server.operation.training import Training
from privet.server.operation.witness import Witness
from privet.server.population import Population
from privet.server.registry import ModelVersion, Registry
from privet.server.remote_fleet import RemoteFleet
from privet.server.superlink import SuperLink

_POLL = 1.0
_SHOWN = 16  # numbers of groups in a line of the log


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of it.

    Attributes:
        version: The model of the last run; None if there is none.
        trained: Whether a run was finished now.
        delivered: Devices that keep the model that they are to have.
        waiting: Devices that do not, yet.
    """

    version: ModelVersion | None
    trained: bool
    delivered: int
    waiting: int


class Service:
    """A server on a directory.

    Args:
        directory: The federation's; locked by the caller.
        log: For events.
        again: Whether another run is to begin if the last one is finished.
        deliver: Whether to train nothing, and deliver models only.
        budget: Limit on the run's epsilon, the recorded one or the plan's if not given. The
            population's budget is a limit whatever this is.
        witness: About the population's ledger, if anything was written down elsewhere.
        link: To devices; a SuperLink by the settings if not given.

    Formal Guarantees:
        Nothing is asked of a device for a run that does not fit the population's budget. Charges
        are durable before sums are learnt (`Coordinator`), under this process or the next.
    """

    def __init__(
        self,
        directory: Directory,
        log: EventLog,
        *,
        again: bool = False,
        deliver: bool = False,
        budget: float | None = None,
        witness: Witness | None = None,
        link: LinkMaker | None = None,
    ) -> None:
        """Open nothing yet."""
        if deliver and (again or budget is not None):
            raise InputError(
                "A server that only delivers models trains nothing: leave --again and --budget away."
            )
        self._directory, self._log = directory, log
        self._again, self._only_deliver = again, deliver
        self._budget, self._witness = budget, witness
        self._make_link = self._superlink if link is None else link
        self._settings = directory.settings
        self._invitation: Invitation = directory.invitation
        self._metrics = Metrics(self._invitation.plan.facts.trust)

    @property
    def metrics_text(self) -> str:
        """What the metrics' port serves, if there is one."""
        return self._metrics.text()

    def run(self, *, once: bool, until: Callable[[], bool] = lambda: False) -> Outcome:
        """Serve.

        Args:
            once: End when the run is finished and models are delivered, as far as devices are
                there; otherwise when ``until`` says so.
            until: Asked between deliveries.

        Raises:
            BudgetError: A release does not fit.
            PrivacyError: A round ended without a sum, as often as it was tried.
            IntegrityError: A ledger is damaged or an older copy.
            TransportError: The SuperLink cannot be started or does not answer.
            PoisoningError: A released sum was poisoned, beyond what the plan bears.
            InputError: The server's certificate cannot be used, or a port is taken.
        """
        self._directory.check_certificate()
        with self._opened() as (population, registry, devices), self._metrics_served():
            try:
                return self._serve(population, registry, devices, once, until)
            except BudgetError:
                self._metrics.refused()
                self._log.write(LogEvent.REFUSED)
                raise
            except PoisoningError:
                self._metrics.poisoned()
                self._log.write(LogEvent.POISONED)
                raise
            finally:
                self._log.write(LogEvent.STOPPED)

    def _serve(
        self,
        population: Population,
        registry: Registry,
        devices: Devices,
        once: bool,
        until: Callable[[], bool],
    ) -> Outcome:
        if self._witness is not None:
            self._witness.check(population)
        population.set_budget(self._settings.privacy.budget)
        self._begin_metrics(population, devices)
        plan, runs = self._invitation.plan, self._directory.path / "runs"
        training = None
        if not self._only_deliver:
            start = self._directory.start
            training = Training(plan, start, runs, population, registry, again=self._again)
        link = self._make_link(self._link_restarted)
        trained = training is not None and training.wanted
        with link.running():
            self._log.write(LogEvent.STARTED, plan=plan.hash)
            if trained:
                self._await_devices(link, devices)
            with link.courier() as courier:
                if training is not None:
                    if trained:
                        self._train(training, courier, population, devices)
                    self._offer(registry, training.publish(registry))
                deliveries = Deliveries(
                    self._invitation,
                    self._directory.key,
                    registry=registry,
                    devices=devices,
                    deadlines=self._deadlines,
                    enrolled=self._metrics.enrolled,
                )
                delivered, waiting = deliveries.run(link, courier, once=once, until=until)
        version = registry.versions[-1] if registry.versions else None
        return Outcome(version=version, trained=trained, delivered=delivered, waiting=waiting)

    def _begin_metrics(self, population: Population, devices: Devices) -> None:
        """What the directory knows before anything happens."""
        self._count(population)
        self._metrics.enrolled(len(devices.all))
        found: dict[str, Any] = status_of(self._directory)
        until = datetime.fromisoformat(found["certificate_until"])
        self._metrics.certificate(until.timestamp())
        if (run := found["run"]) is not None:
            budget = float("inf") if run["budget"] is None else run["budget"]
            self._metrics.run(spent=run["epsilon"], budget=budget)

    def _superlink(self, restarted: Callable[[], None]) -> Link:
        network = self._settings.network
        return SuperLink(
            self._directory.superlink, host=network.host, port=network.port, restarted=restarted
        )

    def _link_restarted(self) -> None:
        self._metrics.link_restarted()
        self._log.write(LogEvent.LINK_RESTARTED)

    def _await_devices(self, link: Link, devices: Devices) -> None:
        """Let devices in as they enrol, until there are as many as planned or enough in time."""
        facts = self._invitation.plan.facts
        deadline = time.monotonic() + self._settings.rounds.gather_seconds
        known = -1
        while True:
            enrolled = devices.all
            if len(enrolled) != known:
                link.register([device.node for device in enrolled])
                known = len(enrolled)
                self._metrics.enrolled(known)
                self._log.write(LogEvent.ENROLLED, devices=known)
            if known >= facts.devices:
                return
            if time.monotonic() >= deadline:
                break
            time.sleep(_POLL)
        if known < facts.fewest_devices:
            raise PrivacyError(
                f"Only {known} devices are enrolled; the plan needs at least "
                f"{facts.fewest_devices}. Nothing was asked of them."
            )

    def _train(
        self, training: Training, courier: Courier, population: Population, devices: Devices
    ) -> None:
        self._log.write(LogEvent.RUN_STARTED if training.new else LogEvent.RUN_RESUMED)
        fleet = RemoteFleet(
            courier,
            federation=self._invitation.federation,
            key=self._directory.key,
            allowed={device.identity: device.number for device in devices.all},
            deadlines=self._deadlines,
        )

        def observe(progress: Progress) -> None:
            self._observe(progress, population, fleet)

        def aborted() -> None:
            self._metrics.aborted()
            self._log.write(LogEvent.ROUND_ABORTED)
            self._stages(fleet.attendance)

        training.run(
            fleet,
            observe,
            budget=self._budget,
            attempts=self._settings.rounds.attempts,
            aborted=aborted,
        )
        self._log.write(LogEvent.RUN_FINISHED)

    def _observe(self, progress: Progress, population: Population, fleet: RemoteFleet) -> None:
        self._metrics.observe(progress)
        values: dict[str, int | float | str] = {
            "phase": str(progress.phase),
            "step": progress.index,
            "steps": progress.steps,
            "epsilon": progress.epsilon_spent,
        }
        if progress.phase is Phase.CHARGED:
            entries = population.view.entries
            values |= {"population_length": len(entries), "population_head": entries[-1].hash}
            self._count(population)
        self._log.write(LogEvent.PHASE, **values)
        if progress.phase is Phase.SUMMED:
            self._stages(fleet.attendance)
        if progress.phase is Phase.CLOSED and progress.spoiled_groups:
            groups = progress.spoiled_groups
            numbers = " ".join(map(str, groups[:_SHOWN]))
            self._log.write(
                LogEvent.SPOILED, step=progress.index, groups=len(groups), numbers=numbers
            )

    def _stages(self, attendance: Attendance) -> None:
        """Counts by stage; under central trust who takes part is nobody's business."""
        if self._invitation.plan.facts.trust is Trust.CENTRAL:
            return
        for stage, asked in attendance.asked.items():
            refused = sum(n for (of, _), n in attendance.refused.items() if of is stage)
            answered = attendance.answered[stage]
            self._log.write(
                LogEvent.STAGE,
                stage=str(stage),
                asked=asked,
                answered=answered,
                refused=refused,
                silent=asked - answered - refused,
            )
            self._metrics.stage(str(stage), answered=answered, refused=refused)

    def _offer(self, registry: Registry, version: ModelVersion) -> None:
        """Roll a new version out to as many as the settings say, once."""
        if version.version in registry.tried:
            return
        self._log.write(LogEvent.PUBLISHED, version=version.version, state=version.state_hash)
        permille = self._settings.rounds.rollout_permille
        registry.roll_out(version.version, permille)
        self._log.write(LogEvent.ROLLED_OUT, version=version.version, permille=permille)

    @property
    def _deadlines(self) -> Deadlines:
        rounds = self._settings.rounds
        names = {field.name for field in fields(Deadlines)} - {"gather"}
        return Deadlines(gather=rounds.gather_seconds, **dict.fromkeys(names, rounds.stage_seconds))

    def _count(self, population: Population) -> None:
        view = population.view
        self._metrics.population(spent=view.spent, left=max(view.budget - view.spent, 0.0))

    @contextmanager
    def _opened(self) -> Iterator[tuple[Population, Registry, Devices]]:
        population = self._directory.population()
        try:
            registry = self._directory.registry()
            try:
                devices = self._directory.devices()
                try:
                    yield population, registry, devices
                finally:
                    devices.close()
            finally:
                registry.close()
        finally:
            population.close()

    @contextmanager
    def _metrics_served(self) -> Iterator[None]:
        port = self._settings.network.metrics_port
        if port == 0:
            yield
            return
        stop, _ = self._metrics.serve(port)
        try:
            yield
        finally:
            stop()
