"""The sidecar: one client behind HTTP on the loopback interface. It listens, and connects nowhere."""

import ipaddress
import secrets
from dataclasses import dataclass
from pathlib import Path
from socketserver import TCPServer, ThreadingMixIn
from threading import BoundedSemaphore, Thread
from types import TracebackType
from typing import Any, Self

from privet.client.client import Client
from privet.client.sidecar.admission import Admission
from privet.client.sidecar.handler import Handler, reply
from privet.client.sidecar.problem import MEDIA_TYPE, Refused
from privet.client.sidecar.service import Service
from privet.client.sidecar.token_file import TokenFile
from privet.privacy.errors import InputError

LOOPBACK = "127.0.0.1"
_FULL = Refused(503, "busy", "Expected fewer connections at once.")


@dataclass(frozen=True, kw_only=True)
class SidecarLimits:
    """What one app may take of a device.

    Attributes:
        connections: At once; one more is turned away.
        seconds: For a whole request to arrive, and for its answer to be taken.
    """

    connections: int = 16
    seconds: float = 10.0


class Sidecar(ThreadingMixIn, TCPServer):
    """A server for one client, which it closes when it is closed.

    Args:
        client: An open one.
        token_file: Where port and token are written, and removed from by `close`.
        host: An address of the loopback interface, IPv4.
        port: 0 for a free one.
        limits: On connections and time.

    Raises:
        InputError: The address is not of the loopback interface, the port cannot be had, or the
            token file cannot be written.

    Formal Guarantees:
        It listens on the loopback interface alone. Nothing is called on the client for a request
        that does not show the token, or that `Admission` refuses. No path, header or body is logged
        or quoted in an answer; errors tell their kind, and what Privet's own errors say.
    """

    daemon_threads = False
    allow_reuse_address = True
    request_queue_size = 16

    def __init__(
        self,
        client: Client,
        token_file: Path,
        *,
        host: str = LOOPBACK,
        port: int = 0,
        limits: SidecarLimits | None = None,
    ) -> None:
        """Bind, and write the token file; answers from `start` on."""
        _check_loopback(host)
        self.limits = limits or SidecarLimits()
        self.service = Service(client)
        self._room = BoundedSemaphore(self.limits.connections)
        self._thread: Thread | None = None
        try:
            super().__init__((host, port), Handler)
        except (OSError, OverflowError):
            raise InputError(f"Expected a free port, 0 for any, found port {port}.") from None
        try:
            self.port: int = self.socket.getsockname()[1]
            token = secrets.token_urlsafe(32)
            hosts = frozenset(f"{name}:{self.port}" for name in (host, "localhost"))
            self.admission = Admission(hosts=hosts, token=token.encode())
            self._token_file = TokenFile(token_file, port=self.port, token=token)
        except BaseException:
            self.server_close()
            raise

    def start(self) -> None:
        """Answer, in a thread, until `close`."""
        self._thread = Thread(target=self.serve_forever, name="privet-sidecar")
        self._thread.start()

    def close(self) -> None:
        """Remove the token file, answer nobody new, close the client, wait for who is answered."""
        try:
            self._token_file.remove()
        finally:
            if self._thread is not None:
                self.shutdown()
                self._thread.join()
                self._thread = None
            try:
                self.service.client.close()  # which ends training that somebody waits for
            finally:
                self.server_close()

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        """Close."""
        self.close()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread, if there is room."""
        if not self._room.acquire(blocking=False):
            try:
                request.sendall(reply(_FULL.status, MEDIA_TYPE, _FULL.to_dict()))
            finally:
                self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._room.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, then make room."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a connection that broke tells of nobody."""


def _check_loopback(host: str) -> None:
    try:
        found = ipaddress.IPv4Address(host).is_loopback
    except ValueError:
        found = False
    if not found:
        raise InputError(
            f"The sidecar listens on this device alone: expected an address such as {LOOPBACK}."
        )
