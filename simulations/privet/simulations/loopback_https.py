"""An HTTPS server for tests on this machine: calls in, answers out, and faults on the way."""

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

LARGEST_CALL = 64 << 20
_HANG_UP_SECONDS = 5.0

Answer = Callable[[str, Mapping[str, str], bytes], bytes]
"""Answers a call, from its path, headers and body."""


@dataclass
class Faults:
    """What goes wrong on the way; set by a test at any time.

    Attributes:
        refuse: So many of the next calls are answered with status 503.
        away: Whether calls are hung up on, unanswered.
        late: Seconds by which each answer is held back.
    """

    refuse: int = 0
    away: bool = False
    late: float = 0.0


class TurnedAway(Exception):
    """A call gets no answer but an HTTP status, and a code of Flower's."""

    def __init__(self, status: int, code: int = 0) -> None:
        """Keep both."""
        super().__init__(status)
        self.status, self.code = status, code


def loopback_port() -> socket.socket:
    """A free port of the loopback interface, listening."""
    return socket.create_server(("127.0.0.1", 0))


class LoopbackServer:
    """Serves calls over TLS 1.3, each connection in a thread, until it is closed.

    Args:
        listening: Bound to a port of loopback, and listening.
        certificate: Of the server, PEM.
        key: Of the certificate, PEM.
        answer: Raises `TurnedAway` for a call that gets none.
        faults: What is to go wrong.
    """

    def __init__(
        self,
        listening: socket.socket,
        certificate: Path,
        key: Path,
        *,
        answer: Answer,
        faults: Faults,
    ) -> None:
        """Serve."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(certificate, key)
        self._server = _Server(listening, context, answer, faults)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self) -> None:
        """Serve no more; waits for devices to hang up, five seconds at most."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # closing waits for them

    def __init__(
        self, listening: socket.socket, context: ssl.SSLContext, answer: Answer, faults: Faults
    ) -> None:
        super().__init__(listening.getsockname()[:2], _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        self.answer, self.faults = answer, faults
        self._context = context

    def get_request(self) -> tuple[socket.socket, Any]:
        """A connection, whose handshake its own thread makes."""
        connection, address = super().get_request()
        return (
            self._context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False),
            address,
        )

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A device that hung up, or does not trust this server, is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _HANG_UP_SECONDS
    wbufsize, disable_nagle_algorithm = -1, True  # an answer goes out at once and as a whole
    server: _Server

    def do_POST(self) -> None:
        """Answer a call."""
        size = int(self.headers.get("Content-Length", "0"))
        body = self.rfile.read(min(size, LARGEST_CALL))
        faults = self.server.faults
        time.sleep(faults.late)
        if faults.away:
            self.close_connection = True
            return
        try:
            if faults.refuse > 0:
                faults.refuse -= 1
                raise TurnedAway(503)
            status, content = 200, self.server.answer(self.path, dict(self.headers), body)
        except TurnedAway as turned:
            status, content = turned.status, json.dumps({"code": turned.code}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/protobuf")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is written down."""
