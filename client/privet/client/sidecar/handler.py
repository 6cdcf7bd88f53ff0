"""One request to the sidecar: read within a time, admitted, answered; nothing of it is logged."""

import json
import logging
import socket
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from io import BufferedReader, RawIOBase
from pathlib import Path
from traceback import extract_tb
from typing import TYPE_CHECKING, Any

from privet.client.sidecar.admission import asks_not_to_share, body_bytes, route_of
from privet.client.sidecar.fields import read_body
from privet.client.sidecar.openapi import openapi
from privet.client.sidecar.problem import MEDIA_TYPE, Refused
from privet.privacy.canonical import Json
from privet.privacy.errors import PrivetError

if TYPE_CHECKING:
    from privet.client.sidecar.server import Sidecar

_MAX_LINE = 4096
_DRAIN_BYTES, _DRAIN_SECONDS = 4 << 20, 1.0
_LOG = logging.getLogger("privet.client")


class Handler(BaseHTTPRequestHandler):
    """One request on one connection."""

    protocol_version = "HTTP/1.1"
    server: "Sidecar"
    _waits_for_continue = False
    _unread = True

    def setup(self) -> None:
        """Begin to count the time."""
        super().setup()
        self.connection.settimeout(self.server.limits.seconds)
        self.rfile = BufferedReader(_Timely(self.connection, self.server.limits.seconds))

    def handle(self) -> None:
        """Answer one request."""
        try:
            self._answer(200, "application/json", self._asked())
        except Refused as refused:
            self._answer(refused.status, MEDIA_TYPE, refused.to_dict(), refused.header)

    def _asked(self) -> Json:
        """The answer to the one request.

        Raises:
            Refused: There is none.
        """
        try:
            self.raw_requestline = self.rfile.readline(_MAX_LINE + 1)
            if len(self.raw_requestline) > _MAX_LINE:
                raise Refused(414, "request", "Expected a shorter path.")
            if not self.parse_request() or not self.request_version.startswith("HTTP/1."):
                raise Refused(400, "request", "Expected a request of HTTP/1.1.")
            self.server.admission.check(self.headers)
            if asks_not_to_share(self.headers):
                self._called(self.server.service.honour_gpc, signal=True)
            route = route_of(self.command, self.path)
            reads = route is None or route.reads
            size = body_bytes(self.headers, reads=reads)
            if size and self._waits_for_continue:
                self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            data = self.rfile.read(size)
        except TimeoutError:
            raise Refused(408, "time", "Expected the whole request sooner.") from None
        self._unread = False
        if len(data) < size:
            raise Refused(400, "length", "Expected a body as long as its Content-Length.")
        if route is None:
            return openapi(self.server.port)
        given = {} if reads else read_body(data, route.takes)
        return self._called(route.call, self.server.service, **given)

    def _called(self, call: Any, *arguments: Any, **given: Any) -> Json:
        """What the client says; of an error that is not Privet's, no word."""
        try:
            found: Json = call(*arguments, **given)
            return found
        except PrivetError as error:
            raise Refused.of(error) from None
        except Exception as error:  # noqa: BLE001 - its message may quote the user's data
            last = extract_tb(error.__traceback__)[-1]
            where = f"{Path(last.filename).name}, line {last.lineno}"
            _LOG.error("The sidecar failed: %s in %s.", type(error).__name__, where)
            raise Refused(500, "failed", "A bug in Privet; its log says where.") from None

    def _answer(
        self, status: int, media: str, body: Json, header: tuple[str, str] | None = None
    ) -> None:
        self.connection.settimeout(self.server.limits.seconds)
        head_only = getattr(self, "command", None) == "HEAD"
        self.wfile.write(reply(status, media, body, header, head_only=head_only))
        if self._unread:
            self._drain()

    def _drain(self) -> None:
        """Take what was not read, for a while, so that the answer is not lost with it."""
        self.connection.shutdown(socket.SHUT_WR)
        timely, left = _Timely(self.connection, _DRAIN_SECONDS), _DRAIN_BYTES
        while left > 0 and (found := timely.readinto(bytearray(1 << 16))):
            left -= found

    def handle_expect_100(self) -> bool:
        """Ask for the body once the request is admitted."""
        self._waits_for_continue = True
        return True

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the standard library refuses; without its words, which quote the request."""
        raise Refused(int(code), "request", "Expected a request of HTTP/1.1.")

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: paths tell what a user does."""


def reply(
    status: int,
    media: str,
    body: Json,
    header: tuple[str, str] | None = None,
    *,
    head_only: bool = False,
) -> bytes:
    """The bytes of an answer, the last on its connection."""
    data = json.dumps(body, allow_nan=False).encode()
    headers = {
        "Content-Type": media,
        "Content-Length": str(len(data)),
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Connection": "close",
        **dict([header] if header else []),
    }
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + (b"" if head_only else data)


class _Timely(RawIOBase):
    """Reads a socket until a moment, however slowly something comes."""

    def __init__(self, connection: socket.socket, seconds: float) -> None:
        """Begin now."""
        self._connection, self._end = connection, time.monotonic() + seconds

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """What has come."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        return self._connection.recv_into(buffer)
