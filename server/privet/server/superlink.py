"""A stock SuperLink as a server runs it: its process, its nodes, and the grid of a run.

Beside :mod:`privet.server.flower` the only file that knows Flower. What it uses of Flower is not
public: the Control API as ``flower-superlink`` 1.41 serves it, and the part of a ServerApp's
process, so that no code is shipped to the SuperLink and none of ours runs in Flower's processes.
"""

import hashlib
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from privet.privacy.errors import InputError, TransportError
from privet.privacy.minimization.flower_environment import quiet_flower
from privet.server.courier import Courier
from privet.server.flower import GridCourier

if TYPE_CHECKING:
    from flwr.supercore.retry import RetryInvoker
    from flwr.superlink.grid import HttpGrid

START_SECONDS = 120.0
STOP_SECONDS = 10.0
HEARTBEAT_SECONDS = 3.0
RESTARTS, RESTARTS_SECONDS = 5, 600.0  # as often in this time; then something else is wrong
# A SuperLink that is away for longer has given the run up: it waits a minute for a heartbeat.
PATIENCE_SECONDS = 45.0
_PROCESS, _LOG = "superlink.pid", "superlink.log"
_OURS = "privet.server"
_LOOK_SECONDS = 0.5
# No part of this app ever runs; a run needs a bundle of the right form.
_APP = {
    "nothing.py": b"app = None\n",
    "pyproject.toml": b"""
[project]
name = "nothing"
version = "1.0.0"
license = "Apache-2.0"
dependencies = ["flwr>=1.41"]

[tool.flwr.app]
publisher = "privet"

[tool.flwr.app.components]
serverapp = "nothing:app"
clientapp = "nothing:app"

[tool.flwr.app.config]
""",
}


@dataclass(frozen=True, kw_only=True)
class SuperLinkFiles:
    """Where a SuperLink's files are.

    Attributes:
        folder: For its database, log and process id; there already, nobody else's.
        authority: Certificate of the authority, PEM.
        certificate: Of the server, PEM.
        key: Its key, PEM.
    """

    folder: Path
    authority: Path
    certificate: Path
    key: Path


class SuperLink:
    """A SuperLink with TLS and node authentication, in a process of its own.

    It starts no app (``--isolation process``) and keeps nodes and messages in a database. If it
    dies, it is started again on it; a round that is on goes on with those whose
    replies come in time.

    Args:
        files: Where its files are.
        host: Address to listen on.
        port: Port to listen on.
        restarted: Called, in a thread, when it was started again.
    """

    def __init__(
        self,
        files: SuperLinkFiles,
        *,
        host: str,
        port: int,
        restarted: Callable[[], None] = lambda: None,
    ) -> None:
        """Start nothing yet."""
        self._files, self._host, self._port = files, host, port
        self._restarted = restarted
        self._process: subprocess.Popen[bytes] | None = None

    @contextmanager
    def running(self) -> Iterator["SuperLink"]:
        """The process, from listening to its end.

        One that is left from a server that was killed is ended first.

        Raises:
            TransportError: It ends at once, or does not listen in time.
            InputError: Something else listens on the port.
        """
        self._end_orphan()
        if self._listens():
            raise InputError(f"Something else listens on {self._host}:{self._port} already.")
        done = threading.Event()
        keeper = threading.Thread(target=self._keep, args=(done,), daemon=True)
        with _flowers_log(self._files.folder / _LOG):
            self._start()
            try:
                self._await()
                keeper.start()
                yield self
            finally:
                done.set()
                if keeper.is_alive():
                    keeper.join(timeout=STOP_SECONDS)
                self._stop()

    def _keep(self, done: threading.Event) -> None:
        """Start the process again whenever it ends by itself, unless it does so all the time."""
        starts: deque[float] = deque(maxlen=RESTARTS)
        while not done.wait(_LOOK_SECONDS):
            if self._process is None or self._process.poll() is None:
                continue
            if len(starts) == RESTARTS and time.monotonic() - starts[0] < RESTARTS_SECONDS:
                return
            starts.append(time.monotonic())
            self._start()
            self._restarted()

    def register(self, keys: Collection[str]) -> None:
        """Let nodes with these public keys (PEM) in, as ``flwr supernode register`` does.

        Keys that are registered already stay so.

        Raises:
            TransportError: The SuperLink does not answer, or refuses a key.
        """
        from flwr.proto.control_pb2 import ListNodesRequest, RegisterNodeRequest
        from flwr.supercore.control.control_http_client import ControlHttpClient

        with (
            _reported("register devices"),
            ControlHttpClient.from_server_address(*self._where, interceptors=[]) as client,
        ):
            nodes = client.ListNodes(ListNodesRequest()).nodes_info
            known = {bytes(node.public_key) for node in nodes if not node.unregistered_at}
            for key in keys:
                if key.encode() not in known:
                    client.RegisterNode(RegisterNodeRequest(public_key=key.encode()))

    @contextmanager
    def courier(self) -> Iterator[Courier]:
        """A courier over the grid of a new run, with this process in the ServerApp's place.

        A process has one at a time.

        Raises:
            TransportError: The SuperLink does not answer.
        """
        with _reported("start a run"):
            grid = self._claim_run()
        done = threading.Event()
        beating = threading.Thread(target=_beat, args=(grid, done), daemon=True)
        beating.start()
        try:
            yield GridCourier(grid)
        finally:
            done.set()
            beating.join(timeout=STOP_SECONDS)
            grid.close()

    def _claim_run(self) -> "HttpGrid":
        from flwr.cli.build import build_fab_from_files
        from flwr.common.serde import run_from_proto
        from flwr.proto.control_pb2 import StartRunRequest
        from flwr.proto.fab_pb2 import Fab
        from flwr.proto.runtime_pb2 import AcquireTaskRequest, PullTaskInputRequest
        from flwr.supercore.control.control_http_client import ControlHttpClient
        from flwr.supercore.runtime import RuntimeHttpClient
        from flwr.supercore.task_identity import TaskIdentity
        from flwr.superlink.grid import HttpGrid

        bundle, _ = build_fab_from_files(dict(_APP))
        fab = Fab(hash_str=hashlib.sha256(bundle).hexdigest(), content=bundle)
        with ControlHttpClient.from_server_address(*self._where, interceptors=[]) as control:
            control.StartRun(StartRunRequest(fab=fab))
        with RuntimeHttpClient.from_server_address(*self._where, interceptors=[]) as runtime:
            claim = AcquireTaskRequest(supported_task_types=["flwr-serverapp"])
            token = runtime.AcquireTask(claim).token
        grid = HttpGrid(*self._where, token=token)
        grid._retry_invoker = _patience()
        task = grid._runtime_client.PullTaskInput(PullTaskInputRequest())
        grid.set_run(run_from_proto(task.run))
        TaskIdentity.task_id = task.task_id
        TaskIdentity.run_id = task.run.run_id
        TaskIdentity.node_id = task.context.node_id
        return grid

    @property
    def _where(self) -> tuple[str, bool, bytes]:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{host}:{self._port}", False, self._files.authority.read_bytes()

    def _start(self) -> None:
        quiet_flower()
        folder = self._files.folder
        command = [
            str(Path(sys.executable).with_name("flower-superlink")),
            *("--host", self._host, "--port", str(self._port), "--isolation", "process"),
            *("--ssl-ca-certfile", str(self._files.authority)),
            *("--ssl-certfile", str(self._files.certificate)),
            *("--ssl-keyfile", str(self._files.key)),
            *("--database", str(folder / "superlink.db"), "--enable-supernode-auth"),
        ]
        environment = {**os.environ, "FLWR_HOME": str(folder / "flwr")}
        with (folder / _LOG).open("ab") as log:
            self._process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        (folder / _PROCESS).write_text(f"{self._process.pid}\n")

    def _await(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            if self._listens():
                return
            time.sleep(0.05)
        raise TransportError(
            f"The SuperLink does not listen on {self._host}:{self._port}: "
            f"{self._files.folder / _LOG} says why."
        )

    def _listens(self) -> bool:
        with socket.socket(socket.AF_INET6 if ":" in self._host else socket.AF_INET) as probe:
            probe.settimeout(2.0)
            return probe.connect_ex((self._host, self._port)) == 0

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        (self._files.folder / _PROCESS).unlink(missing_ok=True)

    def _end_orphan(self) -> None:
        """End the SuperLink of a server that died; it is known by its number and its database."""
        path = self._files.folder / _PROCESS
        if not path.exists():
            return
        try:
            number = int(path.read_text())
            command = Path(f"/proc/{number}/cmdline").read_bytes()
        except (OSError, ValueError):
            number, command = 0, b""
        if number > 1 and str(self._files.folder / "superlink.db").encode() in command:
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
            deadline = time.monotonic() + STOP_SECONDS
            while self._listens() and time.monotonic() < deadline:
                time.sleep(0.05)
        path.unlink(missing_ok=True)


def _patience() -> "RetryInvoker":
    """When a call to the SuperLink is tried again: while it is away, but not for ever.

    Flower's own way has no end, and interrupts the process where the SuperLink forgot the run.
    """
    import httpx
    from flwr.supercore.retry.retry_invoker import RetryInvoker, constant

    busy = {502, 503, 504}

    def lasting(error: Exception) -> bool:
        return isinstance(error, httpx.HTTPStatusError) and error.response.status_code not in busy

    return RetryInvoker(
        wait_gen_factory=lambda: constant(_LOOK_SECONDS),
        recoverable_exceptions=(httpx.TransportError, httpx.HTTPStatusError),
        max_tries=None,
        max_time=PATIENCE_SECONDS,
        should_giveup=lasting,
    )


@contextmanager
def _flowers_log(path: Path) -> Iterator[None]:
    """Let what this process says of its transport go to the SuperLink's log, not standard error."""
    quiet_flower()
    from flwr.supercore.logger import FLOWER_LOGGER

    file = logging.FileHandler(path)
    before = [(one, list(one.handlers)) for one in (FLOWER_LOGGER, logging.getLogger(_OURS))]
    for logger, _ in before:
        logger.handlers[:] = [file]
    try:
        yield
    finally:
        for logger, handlers in before:
            logger.handlers[:] = handlers
        file.close()


def _beat(grid: "HttpGrid", done: threading.Event) -> None:
    """Say that the run's task is alive, as Flower's own process of a ServerApp does."""
    from flwr.proto.runtime_pb2 import SendTaskHeartbeatRequest

    while not done.wait(HEARTBEAT_SECONDS):
        with suppress(Exception):  # the grid's own calls report what lasts
            grid._runtime_client.SendTaskHeartbeat(SendTaskHeartbeatRequest())


@contextmanager
def _reported(what: str) -> Iterator[None]:
    """Flower's errors as ours."""
    try:
        yield
    except Exception as error:
        raise TransportError(
            f"The SuperLink could not {what}: {type(error).__name__}. Its log says why."
        ) from error
