"""The device's side of Flower's Fleet protocol: one HTTPS connection to one pinned server.

The only module of the client that opens a connection. It sends the protocol's fixed envelopes (the
node's key and id, ids of messages and objects, "no answer"), which hold nothing of a history, and the
payload of an :class:`AdmittedMessage`, which only the gate makes. It never asks for code or settings.

Formal Guarantees:
    No byte of a request is sent before the server has shown a certificate for its name that the
    pinned authority signed, over TLS 1.3. No other host is contacted: proxies of the environment
    and redirects are ignored, the system's own authorities are not trusted, and TLS keys are
    written nowhere.
"""

import http.client
import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from privet.client.embedded.errors import (
    ProtocolError,
    RejectedError,
    UnreachableError,
    UntrustedServerError,
    refusal,
)
from privet.client.embedded.fleet_server import FleetServer
from privet.client.embedded.identity import NodeIdentity, ServerClock
from privet.client.embedded.objects import (
    Reply,
    Request,
    check_announcement,
    make_refusal,
    make_reply,
    read_request,
)
from privet.client.embedded.wire import decode, encode
from privet.privacy.errors import EgressError, InputError
from privet.privacy.minimization.gate import AdmittedMessage

IDLE_SECONDS = 3.0  # a SuperLink hangs up after five
CONTROL_MAX_BYTES = 64 << 10
_ACTIVATION_FAILED = 2004  # of flwr.supercore.error.ApiErrorCode
_MEDIA_TYPE = "application/protobuf"


class FleetConnection:
    """Speaks to one server for one device. Not to be shared between threads.

    Args:
        server: Whom to speak to.
        identity: As whom.
        clock: The server's time; starts from the device's own if not given.

    Raises:
        InputError: The authority's file cannot be read.

    Every method but ``close`` raises a ``TransportError`` of :mod:`privet.client.embedded.errors`.
    Only :meth:`poll` must not be repeated blindly: the server hands out a message once, and one
    whose announcement was lost on the way is lost, as if the device had dropped out.
    """

    def __init__(
        self, server: FleetServer, identity: NodeIdentity, *, clock: ServerClock | None = None
    ) -> None:
        """Read the authority's file; connect later."""
        self.server = server
        self.identity = identity
        self.clock = ServerClock() if clock is None else clock
        self._context = _context(server.authority)
        self._connection: http.client.HTTPSConnection | None = None
        self._used = 0.0

    def activate(self, heartbeat_interval: float) -> int:
        """Go online; the device's node id.

        Raises:
            RejectedError: The key is not registered, or the device is online already; Flower does
                not say which.
        """
        values = {
            "public_key": self.identity.public_pem(),
            "heartbeat_interval": heartbeat_interval,
        }
        try:
            return int(self._call("activate-node", "ActivateNode", values)["node_id"])
        except RejectedError as error:
            if error.code != _ACTIVATION_FAILED:
                raise
        raise RejectedError(
            "The server did not activate this device. Either its key is not registered, or it was "
            "online a moment ago and did not leave: then it can come back after two heartbeat "
            "intervals, and at once with the node id that it had.",
            code=_ACTIVATION_FAILED,
        )

    def heartbeat(self, node_id: int, heartbeat_interval: float) -> None:
        """Stay online, or come back, for twice the interval (10 to 1,800 seconds)."""
        values = {"node": {"node_id": node_id}, "heartbeat_interval": heartbeat_interval}
        if not self._call("send-node-heartbeat", "SendNodeHeartbeat", values)["success"]:
            raise RejectedError("The server does not know this device any more. Enrol it again.")

    def deactivate(self, node_id: int) -> None:
        """Go offline."""
        self._call("deactivate-node", "DeactivateNode", {"node_id": node_id})

    def poll(self, node_id: int) -> Mapping[str, Any] | None:
        """Ask for a message; its metadata, or None if there is none."""
        answer = self._call("pull-messages", "PullMessages", {"node": {"node_id": node_id}})
        messages = answer["messages_list"]
        if not messages:
            return None
        if len(messages) > 1:
            raise ProtocolError("The server announced more than one message.")
        return check_announcement(messages[0], node_id=node_id)

    def fetch(self, announced: Mapping[str, Any]) -> Request:
        """Fetch an announced message, check it, and tell the server that it came."""
        limit = self.server.max_request_bytes
        run = {"node": {"node_id": announced["dst_node_id"]}, "run_id": announced["run_id"]}

        def pull(object_id: str) -> bytes:
            wanted = {**run, "object_id": object_id}
            whole = limit + CONTROL_MAX_BYTES
            answer = self._call("pull-object", "PullObject", wanted, limit=whole)
            if not answer["object_found"]:
                raise ProtocolError("The server announced a message that it does not have.")
            if not answer["object_available"]:
                raise UnreachableError("The server does not have all of a message yet.")
            return bytes(answer["object_content"])

        request = read_request(announced, pull)
        if len(request.envelope.payload) > limit:
            raise ProtocolError("A message is larger than this device accepts.")
        received = {**run, "message_object_id": request.message_id}
        with suppress(UnreachableError):  # else the server keeps the bytes longer, no more
            self._call("confirm-message-received", "ConfirmMessageReceived", received)
        return request

    def send(self, request: Request, admitted: AdmittedMessage) -> bool:
        """Answer a request with what the gate admitted; may be repeated, it counts once.

        Returns:
            Whether the server wanted any of it. If not, it has all of it from an earlier try, or
            takes no reply: the request is forgotten, or was answered otherwise.

        Raises:
            EgressError: It is not the gate that made `admitted`.
        """
        if type(admitted) is not AdmittedMessage:
            raise EgressError("A device sends what its gate admitted, and nothing else.")
        return self._push(request, make_reply(request, admitted.payload))

    def refuse(self, request: Request) -> bool:
        """Say that there is no answer to a request, and not why; otherwise as :meth:`send`."""
        return self._push(request, make_refusal(request))

    def _push(self, request: Request, reply: Reply) -> bool:
        node = {"node": {"node_id": request.metadata["dst_node_id"]}}
        answer = self._call(
            "push-messages",
            "PushMessages",
            {**node, "messages_list": [reply.message], "message_object_trees": [reply.tree]},
        )
        wanted = {*answer["objects_to_push"]}
        if not wanted <= set(reply.contents):
            raise ProtocolError("The server asked for an object that is not part of the reply.")
        values = {**node, "run_id": request.metadata["run_id"], "session_id": answer["session_id"]}
        for object_id, content in reply.contents.items():
            if object_id in wanted:
                part = {**values, "object_id": object_id, "object_content": content}
                if not self._call("push-object", "PushObject", part)["stored"]:
                    raise UnreachableError("The server did not keep a part of the reply.")
        return bool(wanted)

    def close(self) -> None:
        """Hang up; the next call connects again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _call(
        self, path: str, name: str, values: Mapping[str, Any], *, limit: int = CONTROL_MAX_BYTES
    ) -> dict[str, Any]:
        body = encode(f"{name}Request", values)
        status, date, content = self._exchange(path, body, limit)
        if status == 401 and self.clock.follow(date):
            status, date, content = self._exchange(path, body, limit)
        if status == 200:
            return decode(f"{name}Response", content)
        raise refusal(status, content)

    def _exchange(self, path: str, body: bytes, limit: int) -> tuple[int, str | None, bytes]:
        """One request and its answer; again on a new connection if the old one was dead."""
        if time.monotonic() - self._used > IDLE_SECONDS:
            self.close()
        reused = self._connection is not None
        try:
            return self._exchange_once(path, body, limit)
        except ConnectionError:
            self.close()
            if not reused:
                raise UnreachableError("The server hung up.") from None
        except BaseException:
            self.close()
            raise
        return self._exchange(path, body, limit)

    def _exchange_once(self, path: str, body: bytes, limit: int) -> tuple[int, str | None, bytes]:
        connection = self._connected()
        headers = {
            "Content-Type": _MEDIA_TYPE,
            "Accept": _MEDIA_TYPE,
            **self.identity.headers(self.clock.now()),
        }
        try:
            connection.request("POST", f"/v1/fleet/{path}", body, headers)
            answer = connection.getresponse()
            expected = answer.length
            if expected is None and not answer.chunked:
                raise ProtocolError("The server does not say where its answer ends.")
            content = b"" if (expected or 0) > limit else answer.read(limit + 1)
        except ConnectionError:
            raise
        except http.client.IncompleteRead:
            raise UnreachableError("The server hung up in the middle of an answer.") from None
        except http.client.HTTPException:
            raise ProtocolError("The server does not speak HTTP as expected.") from None
        except OSError:
            raise UnreachableError("The server did not answer, or not in time.") from None
        if max(len(content), expected or 0) > limit:
            raise ProtocolError("The server's answer is larger than this device accepts.")
        if expected is not None and len(content) < expected:  # read() would not say so
            raise UnreachableError("The server hung up in the middle of an answer.")
        if answer.will_close:
            self.close()
        self._used = time.monotonic()
        return answer.status, answer.headers.get("Date"), content

    def _connected(self) -> http.client.HTTPSConnection:
        if self._connection is not None:
            return self._connection
        server = self.server
        connection = http.client.HTTPSConnection(
            server.host, server.port, timeout=server.timeout_seconds, context=self._context
        )
        try:
            connection.connect()
        except ssl.SSLEOFError:
            raise UnreachableError("The server hung up before it said who it is.") from None
        except ssl.SSLError as error:
            raise UntrustedServerError(
                f"{server.host} port {server.port} did not show, over TLS 1.3, a certificate for "
                f"its name by the authority in {server.authority} ({error.reason}). Nothing was "
                "sent. Check the address, the authority's file and the certificate's dates."
            ) from None
        except OSError:
            raise UnreachableError(
                f"No connection to {server.host} port {server.port}: nothing answers there now."
            ) from None
        self._connection = connection
        return connection


def _context(authority: Path) -> ssl.SSLContext:
    """TLS that trusts one authority; unlike Python's default context, it writes its keys nowhere."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        context.load_verify_locations(cafile=str(authority))
    except OSError:
        raise InputError(
            f"The server's certificate authority is expected in {authority}, as PEM; no "
            "certificate could be read there."
        ) from None
    return context
