"""Flower's simulation engine: nodes whose messages are answered in the actors of a Ray cluster.

The one file that knows ``flwr.simulation`` and how Ray is started.
"""

import logging
import os
import queue
import secrets
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from importlib.util import find_spec
from io import StringIO
from typing import TYPE_CHECKING, Any

from privet.client.flower_app import OpenSession, client_app
from privet.privacy.errors import InputError
from privet.privacy.minimization.flower_environment import ENVIRONMENT, quiet_flower
from privet.server.flower import server_app

if TYPE_CHECKING:
    from flwr.clientapp import ClientApp
    from flwr.serverapp import Grid, ServerApp

_START_SECONDS = 120.0


@dataclass(frozen=True, kw_only=True)
class FlowerEngine:
    """How Flower simulates.

    Attributes:
        device_cpus: Cores that a device has while it answers, above 0: as many actors work at the
            same time as fit into the cluster's cores.
        address: Of a Ray cluster that is there, as ``ray.init`` takes it; None or ``"local"`` to
            start one on this machine, which ends with the simulation.

    Raises:
        InputError: Not above 0.
    """

    device_cpus: float = 1.0
    address: str | None = None

    def __post_init__(self) -> None:
        """Check the number of cores."""
        if not 0 < self.device_cpus < float("inf"):
            raise InputError(f"Expected the CPUs of a device above 0, found {self.device_cpus}.")

    @contextmanager
    def grid(self, open_session: OpenSession, nodes: int) -> Iterator["Grid"]:
        """A Grid of nodes, each of which runs our ClientApp, until the context is left.

        Flower calls a ServerApp in a thread of its own. Here that one only hands out its Grid and
        waits, so that whoever enters the context stays where errors and interruptions reach him.
        What is printed in the context goes to standard error: Ray tells there what its workers do.

        Args:
            open_session: Pickled for an actor with each message. What a session suspends goes with
                the next message, and is all that lasts between two.
            nodes: How many; their configurations count them from 0 as ``partition-id``.

        Raises:
            InputError: Ray is not installed, does not start, or has too few cores.
        """
        quiet_flower()
        if not all(find_spec(name) for name in ("flwr", "ray")):
            raise InputError(
                "Flower's simulation needs Flower and Ray, which are not installed here: "
                "pip install 'privet[ray]'."
            )
        _start_ray(self.address)
        self._check_cores()
        grids: queue.Queue[Grid] = queue.Queue()
        done = threading.Event()

        def hand_out(grid: "Grid", _: Mapping[str, object]) -> None:
            grids.put(grid)
            done.wait()

        apps = server_app(hand_out), client_app(open_session)
        with _silent(logging.getLogger("flwr")), redirect_stdout(sys.stderr):
            thread = threading.Thread(target=self._simulate, args=(*apps, nodes), daemon=True)
            thread.start()
            try:
                yield _taken(grids)
            finally:
                done.set()
                with redirect_stdout(StringIO()):  # Ray takes the end of its actors for a failure
                    thread.join()

    def _simulate(self, server: "ServerApp", client: "ClientApp", nodes: int) -> None:
        from flwr.simulation import run_simulation

        # Flower hands these on to Ray as options of its actors. One that dies is started again, and
        # its message goes to it once more, for nothing of it had left; those that come meanwhile
        # wait. What dies again is an error, and so no answer.
        resources: dict[str, Any] = {"num_cpus": self.device_cpus, "num_gpus": 0.0}
        resources |= {"max_restarts": -1, "max_task_retries": 1}
        run_simulation(
            server_app=server,
            client_app=client,
            num_supernodes=nodes,
            backend_config={"client_resources": resources},
        )

    def _check_cores(self) -> None:
        import ray

        nodes = ray.nodes()  # type: ignore[no-untyped-call]
        most = max((node["Resources"].get("CPU", 0.0) for node in nodes), default=0.0)
        if most < self.device_cpus:
            ray.shutdown()
            raise InputError(
                f"A device is to have {self.device_cpus:g} CPUs, but no machine of the Ray cluster "
                f"has more than {most:g}. Give it fewer."
            )


def guard_ray() -> None:
    """Give every cluster that this process starts a token; call it before ``ray`` is imported.

    Ray listens on all network interfaces, and runs the code of whoever connects. With a token it
    turns away whoever has none; this one is known to this process and those that it starts.
    """
    os.environ["RAY_AUTH_MODE"] = "token"
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


def _start_ray(address: str | None) -> None:
    """Connect to a cluster, or start one on this machine."""
    own = address in (None, "local")
    if own:
        guard_ray()
    import ray

    there: dict[str, Any] = {"address": address, "runtime_env": {"env_vars": ENVIRONMENT}}
    # The workers of a cluster that is started here have this process's environment.
    here: dict[str, Any] = {"address": "local"}
    try:
        ray.init(
            **(here if own else there),
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        where = "on this machine" if own else f"at {address}"
        raise InputError(f"Ray does not run {where}: {error}") from error


def _taken(grids: "queue.Queue[Grid]") -> "Grid":
    try:
        return grids.get(timeout=_START_SECONDS)
    except queue.Empty:
        raise InputError("Flower's simulation does not start.") from None


@contextmanager
def _silent(logger: logging.Logger) -> Iterator[None]:
    """Say nothing of each device that failed; who did not answer is counted."""
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)
