"""Stock SuperNodes on loopback, with TLS and authentication, that run our ClientApp.

The SuperNode is the installed one. The app that it is sent imports the installed library and
nothing else; each message is a process of its own.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.superlink import APP, HOST, ServerSide, SuperLink, free_port

ROOT = Path(__file__).parents[2]
SUPERNODE_APP = {
    "pyproject.toml": APP["pyproject.toml"].replace(
        b'clientapp = "nothing:', b'clientapp = "ours:'
    ),
    "nothing.py": APP["nothing.py"],
    "ours.py": b"import tests.federation.superapp\n\napp = tests.federation.superapp.app\n",
}


class SuperNode:
    """One SuperNode's process."""

    def __init__(self, link: SuperLink, folder: Path, config: Mapping[str, int | str]) -> None:
        """Make its key and register it."""
        from cryptography.hazmat.primitives import serialization as s
        from cryptography.hazmat.primitives.asymmetric import ec

        folder.mkdir(parents=True)
        self.link, self.folder, self.config = link, folder, config
        key = ec.generate_private_key(ec.SECP384R1())
        plain = s.NoEncryption()
        pem = key.private_bytes(s.Encoding.PEM, s.PrivateFormat.OpenSSH, plain)
        (folder / "key").write_bytes(pem)
        public = key.public_key().public_bytes(s.Encoding.OpenSSH, s.PublicFormat.OpenSSH)
        (folder / "key.pub").write_bytes(public)
        self.node_id = link.register(
            key.public_key().public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo)
        )
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it connects in its own time."""
        config = " ".join(
            f"{name}={value}" if isinstance(value, int) else f'{name}="{value}"'
            for name, value in self.config.items()
        )
        command = [
            str(Path(sys.executable).with_name("flower-supernode")),
            *("--superlink", self.link.address, "--host", HOST, "--port", str(free_port())),
            *("--root-certificates", str(self.link.certificates.authority)),
            *("--auth-supernode-private-key", str(self.folder / "key")),
            *("--node-config", config),
        ]
        environment = {
            **os.environ,
            "FLWR_HOME": str(self.folder / "flwr"),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
        }
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self) -> None:
        """Kill it with the processes that it started."""
        if self.process is not None:
            os.killpg(self.process.pid, 9)
            self.process.wait(timeout=30)
            self.process = None


@contextmanager
def heartbeat(side: ServerSide) -> Iterator[None]:
    """Say that the run's task is alive, as Flower's own process of a ServerApp does."""
    from flwr.proto.runtime_pb2 import SendTaskHeartbeatRequest

    done = threading.Event()

    def beat() -> None:
        while not done.wait(3):
            side.grid._runtime_client.SendTaskHeartbeat(SendTaskHeartbeatRequest())

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(timeout=30)
        side.close()
