"""A stock SuperLink on loopback with TLS and node authentication, for tests and benchmarks.

The SuperLink is the installed one, in a process of its own. It starts no app by itself
(``--isolation process``); :meth:`SuperLink.start_run` takes the place of Flower's SuperExec and
ServerApp: it starts a run, claims its task, and hands back a ``Grid`` of that run.
"""

import hashlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.certificates import Certificates, make_certificates

if TYPE_CHECKING:
    from flwr.app import Message
    from flwr.superlink.grid import HttpGrid

HOST = "127.0.0.1"
SILENCE = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
}
os.environ.update(SILENCE)  # Flower reads them when it is imported, so it is imported in functions

# No part of this app ever runs; a run needs a bundle of the right form.
APP = {
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


@contextmanager
def superlink(folder: Path, *, durable: bool = True) -> Iterator["SuperLink"]:
    """A running SuperLink whose files lie in `folder`; killed at the end."""
    certificates = make_certificates(folder / "certificates")
    link = SuperLink(folder=folder, certificates=certificates, durable=durable)
    try:
        link.start()
        yield link
    finally:
        link.kill()


def free_port() -> int:
    """A port on loopback on which nothing listens."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@dataclass(kw_only=True, eq=False)
class SuperLink:
    """A SuperLink's process and what its operator would do with it.

    It keeps its state in a file if it is ``durable``, else in memory, as it comes.
    """

    folder: Path
    certificates: Certificates
    durable: bool = True
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{HOST}:{self.port}"

    @property
    def log(self) -> str:
        """What it wrote to its log so far."""
        return (self.folder / "superlink.log").read_text()

    def start(self) -> None:
        """Start it on its port and database, as often as wanted; wait until it listens."""
        command = [
            str(Path(sys.executable).with_name("flower-superlink")),
            *("--host", HOST, "--port", str(self.port), "--isolation", "process"),
            *("--ssl-ca-certfile", str(self.certificates.authority)),
            *("--ssl-certfile", str(self.certificates.server)),
            *("--ssl-keyfile", str(self.certificates.key)),
            "--enable-supernode-auth",
        ]
        if self.durable:
            command += ["--database", str(self.folder / "superlink.db")]
        environment = {**os.environ, "FLWR_HOME": str(self.folder / "flwr")}
        with (self.folder / "superlink.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex((HOST, self.port)) == 0:
                    return
            time.sleep(0.05)
        raise AssertionError(f"The SuperLink does not listen:\n{self.log[-2000:]}")

    def kill(self) -> None:
        """Kill it, as a power failure would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(timeout=30)
            self.process = None

    def register(self, public_key: bytes) -> int:
        """Register a node's public key (PEM) as ``flwr supernode register`` does; its node id."""
        from flwr.proto.control_pb2 import RegisterNodeRequest
        from flwr.supercore.control.control_http_client import ControlHttpClient

        with ControlHttpClient.from_server_address(*self._where, interceptors=[]) as client:
            return int(client.RegisterNode(RegisterNodeRequest(public_key=public_key)).node_id)

    def start_run(self, app: Mapping[str, bytes] | None = None) -> "ServerSide":
        """Start a run of an app's files and take its ServerApp's place."""
        from flwr.cli.build import build_fab_from_files
        from flwr.proto.control_pb2 import StartRunRequest
        from flwr.proto.fab_pb2 import Fab
        from flwr.proto.runtime_pb2 import AcquireTaskRequest
        from flwr.supercore.control.control_http_client import ControlHttpClient
        from flwr.supercore.runtime import RuntimeHttpClient
        from flwr.superlink.grid import HttpGrid

        bundle, _ = build_fab_from_files(dict(app or APP))
        fab = Fab(hash_str=hashlib.sha256(bundle).hexdigest(), content=bundle)
        with ControlHttpClient.from_server_address(*self._where, interceptors=[]) as control:
            control.StartRun(StartRunRequest(fab=fab))
        with RuntimeHttpClient.from_server_address(*self._where, interceptors=[]) as runtime:
            claim = AcquireTaskRequest(supported_task_types=["flwr-serverapp"])
            token = runtime.AcquireTask(claim).token
        return ServerSide(HttpGrid(*self._where, token=token))

    @property
    def _where(self) -> tuple[str, bool, bytes]:
        return self.address, False, self.certificates.authority.read_bytes()


class ServerSide:
    """A run's server side: its grid, and replies polled for more often than Flower does."""

    def __init__(self, grid: "HttpGrid") -> None:
        """Start the run's task."""
        from flwr.common.serde import run_from_proto
        from flwr.proto.runtime_pb2 import PullTaskInputRequest

        self.grid = grid
        self.task = grid._runtime_client.PullTaskInput(PullTaskInputRequest())
        grid.set_run(run_from_proto(self.task.run))
        self.identify()

    @property
    def run_id(self) -> int:
        """The run's id."""
        return int(self.task.run.run_id)

    def identify(self) -> None:
        """Make this process's messages be of this run; a process has one such run at a time."""
        from flwr.supercore.task_identity import TaskIdentity

        TaskIdentity.task_id = self.task.task_id
        TaskIdentity.run_id = self.task.run.run_id
        TaskIdentity.node_id = self.task.context.node_id

    def push(self, messages: Sequence["Message"]) -> list[str]:
        """Send messages; their ids."""
        return list(self.grid.push_messages(list(messages)))

    def replies(
        self, message_ids: Sequence[str], *, timeout: float = 20.0, poll_seconds: float = 0.05
    ) -> list["Message"]:
        """Replies to messages, in the order in which they came, as many as come in time."""
        from flwr.proto.runtime_pb2 import SendTaskHeartbeatRequest

        self.grid._runtime_client.SendTaskHeartbeat(SendTaskHeartbeatRequest())
        waiting, found = set(message_ids), []
        deadline = time.monotonic() + timeout
        while waiting and time.monotonic() < deadline:
            for reply in self.grid.pull_messages(list(waiting)):
                waiting.discard(reply.metadata.reply_to_message_id)
                found.append(reply)
            time.sleep(poll_seconds if waiting else 0.0)
        return found

    def close(self) -> None:
        """Hang up; the run stays as it is."""
        self.grid.close()
