"""Metrics of a server in Prometheus' text format: counts, times and budgets, no device's anything.

The number of devices in a sum is public under secure aggregation and local trust, where it is
exported. Under central trust a cohort may be secret, so it is not.
"""

import time
from collections.abc import Callable
from functools import partial

from privet.privacy.accounting.adversaries import Trust
from privet.server.coordinator import Phase, Progress

HOST = "127.0.0.1"


class Metrics:
    """A server's metrics; :meth:`observe` is an observer of the coordinator.

    Args:
        trust: Of the federation.
        clock: Seconds since 1970.
    """

    def __init__(self, trust: Trust, *, clock: Callable[[], float] = time.time) -> None:
        """Everything is zero."""
        from prometheus_client import CollectorRegistry, Counter, Gauge

        self._trust, self._clock = trust, clock
        self.registry = CollectorRegistry()
        gauge = partial(Gauge, registry=self.registry)
        counter = partial(Counter, registry=self.registry)
        self._epsilon = gauge("privet_run_epsilon_spent", "Charged by this run.")
        self._budget = gauge("privet_run_epsilon_budget", "Limit of this run.")
        self._population = gauge("privet_population_epsilon", "Charged by all runs.")
        self._left = gauge("privet_population_epsilon_left", "Before runs are refused.")
        self._enrolled = gauge("privet_devices_enrolled", "Devices that may take part.")
        self._devices = gauge("privet_devices_in_last_sum", "If it is public.")
        self._certificate = gauge("privet_certificate_until_seconds", "End of the server's.")
        self._links = counter("privet_superlink_restarts", "After it died.")
        self._spoiled = counter("privet_groups_spoiled", "Beyond honest devices, but borne.")
        self._poisoned = counter("privet_sums_poisoned", "Beyond honest devices: no model.")
        self._releases = counter("privet_releases", "Closed releases.")
        self._aborted = counter("privet_rounds_aborted", "Rounds without a sum.")
        self._refused = counter("privet_releases_refused", "Stopped by a budget.")
        self._answers = counter("privet_answers", "Of use, by stage.", ["stage"])
        self._refusals = counter("privet_answers_refused", "Not of use, by stage.", ["stage"])
        self._phase = gauge("privet_phase_time_seconds", "Time of a phase.", ["phase"])

    def observe(self, progress: Progress) -> None:
        """Take over what the coordinator says of a phase."""
        self._epsilon.set(progress.epsilon_spent)
        self._budget.set(progress.budget)
        self._phase.labels(phase=str(progress.phase)).set(self._clock())
        if progress.phase is Phase.CLOSED:
            self._releases.inc()
            self._spoiled.inc(len(progress.spoiled_groups))
            if self._trust is not Trust.CENTRAL:
                self._devices.set(progress.devices)

    def stage(self, stage: str, *, answered: int, refused: int) -> None:
        """A stage had so many answers; not to be told under central trust."""
        if self._trust is not Trust.CENTRAL:
            self._answers.labels(stage=stage).inc(answered)
            self._refusals.labels(stage=stage).inc(refused)

    def aborted(self) -> None:
        """A round ended without a sum."""
        self._aborted.inc()

    def refused(self) -> None:
        """A budget stopped a release."""
        self._refused.inc()

    def poisoned(self) -> None:
        """No honest devices can have made a released sum, and it could not be borne."""
        self._poisoned.inc()

    def link_restarted(self) -> None:
        """The SuperLink died and was started again."""
        self._links.inc()

    def certificate(self, until: float) -> None:
        """When the server's certificate ends, in seconds since 1970."""
        self._certificate.set(until)

    def run(self, *, spent: float, budget: float) -> None:
        """Where the last run is."""
        self._epsilon.set(spent)
        self._budget.set(budget)

    def enrolled(self, devices: int) -> None:
        """This many devices may take part."""
        self._enrolled.set(devices)

    def population(self, *, spent: float, left: float) -> None:
        """What all runs on these users have spent, and what is left."""
        self._population.set(spent)
        self._left.set(left)

    def text(self) -> str:
        """Everything in Prometheus' text format."""
        from prometheus_client import generate_latest

        return generate_latest(self.registry).decode()

    def serve(self, port: int) -> tuple[Callable[[], None], int]:
        """Serve them on a port of 127.0.0.1 (0: any that is free), in a thread.

        Returns:
            What ends it, and the port.
        """
        from prometheus_client import start_http_server

        server, thread = start_http_server(port, addr=HOST, registry=self.registry)

        def stop() -> None:
            server.shutdown()
            server.server_close()
            thread.join()

        return stop, server.server_port
