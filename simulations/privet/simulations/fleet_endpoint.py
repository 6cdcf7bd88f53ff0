"""What a SuperLink is to a device, in memory: the eight calls of the Fleet protocol, for rehearsals.

It is for tests of apps. It lets a device that did not leave back in at once, where a SuperLink makes
it wait, and keeps nothing.
"""

import threading
import time
from base64 import b64decode
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any

from privet.client.embedded.wire import decode, encode
from privet.privacy.errors import PrivetError
from privet.privacy.minimization.envelope import Envelope
from privet.server.courier import Reply
from privet.simulations.fleet_messages import Outgoing, ids_of, outgoing, payload_of
from privet.simulations.loopback_https import TurnedAway

FIRST_NODE = 1 << 32
BEHIND_SECONDS, AHEAD_SECONDS = 300.0, 5.0
_NOT_ACTIVATED = 2004  # of flwr.supercore.error.ApiErrorCode
_PREFIX = "/v1/fleet/"

Values = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Received:
    """What the server got from a device.

    Attributes:
        node: The device's number at the transport.
        stage: What it was asked for.
        size_bytes: Of the payload that the gate admitted; None if it said that there is no answer.
    """

    node: int
    stage: str
    size_bytes: int | None


@dataclass(eq=False)
class _Asked:
    """A request that is not answered, and what came of its answer so far."""

    sent: Outgoing
    answer_id: str = ""
    wanted: frozenset[str] = frozenset()
    contents: dict[str, bytes] = field(default_factory=dict)


@dataclass(eq=False)
class _Node:
    """A device, and what it was asked."""

    number: int
    online_until: float = 0.0
    waiting: deque[Outgoing] = field(default_factory=deque)
    asked: dict[str, _Asked] = field(default_factory=dict)


class FleetEndpoint:
    """Devices' calls on one side, a server's requests on the other.

    Attributes:
        received: All answers, in their order.
    """

    def __init__(self) -> None:
        """Know nobody."""
        self.received: list[Received] = []
        self._changed = threading.Condition()
        self._nodes: dict[str, _Node] = {}
        self._answers: dict[str, bytes | None] = {}
        self._calls: dict[str, tuple[str, Callable[[_Node, Values], Values]]] = {
            "activate-node": ("ActivateNode", self._beat),
            "send-node-heartbeat": ("SendNodeHeartbeat", self._beat),
            "deactivate-node": ("DeactivateNode", self._leave),
            "pull-messages": ("PullMessages", self._announce),
            "pull-object": ("PullObject", self._give),
            "confirm-message-received": ("ConfirmMessageReceived", lambda node, values: {}),
            "push-messages": ("PushMessages", self._expect),
            "push-object": ("PushObject", self._take),
        }

    def register(self, key: str) -> None:
        """Let the device with this public key (PEM) in."""
        with self._changed:
            self._nodes.setdefault(key, _Node(FIRST_NODE + len(self._nodes)))

    def nodes(self) -> list[int]:
        """The devices that are online."""
        now = time.monotonic()
        with self._changed:
            return [node.number for node in self._nodes.values() if node.online_until > now]

    def ask(self, envelopes: Mapping[int, Envelope], seconds: float) -> Iterator[Reply]:
        """Ask devices, at once; what is returned yields their answers as they come, until the end."""
        end = time.monotonic() + seconds
        asked: dict[str, _Node] = {}
        with self._changed:
            here = {node.number: node for node in self._nodes.values()}
            for number, envelope in envelopes.items():
                sent = outgoing(envelope, node=number, seconds=seconds)
                here[number].waiting.append(sent)
                here[number].asked[sent.message_id] = _Asked(sent)
                asked[sent.message_id] = here[number]
        return self._collect(asked, end)

    def _collect(self, asked: dict[str, _Node], end: float) -> Iterator[Reply]:
        try:
            while asked:
                with self._changed:
                    self._changed.wait_for(
                        lambda: asked.keys() & self._answers.keys(), end - time.monotonic()
                    )
                    there = asked.keys() & self._answers.keys()
                    found = {key: self._answers.pop(key) for key in there}
                if not found:
                    return
                for key, payload in found.items():
                    yield Reply(asked.pop(key).number, payload)
        finally:
            with self._changed:  # what comes from now on is too late
                for key, node in asked.items():
                    self._answers.pop(key, None)
                    left = node.asked.pop(key, None)
                    if left is not None and left.sent in node.waiting:
                        node.waiting.remove(left.sent)

    def call(self, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
        """The answer to one call of a device.

        Raises:
            TurnedAway: There is none: the call is unknown or malformed, or not by a registered
                device that signed the time, or of another one than it says.
        """
        name, act = self._calls.get(path.removeprefix(_PREFIX), ("", None))
        if act is None or not path.startswith(_PREFIX):
            raise TurnedAway(404)
        key = _signed_by({header.lower(): text for header, text in headers.items()})
        with self._changed:
            node = self._nodes.get(key)
            if node is None:
                raise TurnedAway(403, _NOT_ACTIVATED)
            try:
                values = decode(f"{name}Request", body)
                said = values.get("public_key", key.encode())
                number = (values.get("node") or values).get("node_id", node.number)
                if said != key.encode() or number != node.number:
                    raise TurnedAway(403)
                return encode(f"{name}Response", act(node, values))
            except (PrivetError, ValueError, KeyError, IndexError, TypeError):
                raise TurnedAway(400) from None

    def _beat(self, node: _Node, values: Values) -> Values:
        node.online_until = time.monotonic() + 2 * values["heartbeat_interval"]
        return {"node_id": node.number} if "public_key" in values else {"success": True}

    def _leave(self, node: _Node, values: Values) -> Values:
        node.online_until = 0.0
        return {}

    def _announce(self, node: _Node, values: Values) -> Values:
        if not node.waiting:
            return {}
        return {"messages_list": [{"metadata": node.waiting.popleft().metadata}]}

    def _give(self, node: _Node, values: Values) -> Values:
        for asked in node.asked.values():
            content = asked.sent.contents.get(values["object_id"])
            if content is not None:
                return {"object_found": True, "object_available": True, "object_content": content}
        return {"object_found": False}

    def _expect(self, node: _Node, values: Values) -> Values:
        (message,), (tree,) = values["messages_list"], values["message_object_trees"]
        asked = node.asked.get(message["metadata"]["reply_to_message_id"])
        if asked is None:
            return {}
        if not asked.answer_id:
            asked.answer_id, asked.wanted = tree["object_id"], frozenset(ids_of(tree))
        if asked.answer_id != tree["object_id"]:
            return {}
        missing = sorted(asked.wanted - asked.contents.keys())
        return {"objects_to_push": missing, "session_id": "rehearsal"}

    def _take(self, node: _Node, values: Values) -> Values:
        object_id, content = values["object_id"], values["object_content"]
        for key, asked in [*node.asked.items()]:
            if object_id in asked.wanted and sha256(content).hexdigest() == object_id:
                asked.contents[object_id] = content
                if asked.contents.keys() == asked.wanted:
                    self._answered(node, key, asked)
                return {"stored": True}
        return {"stored": False}

    def _answered(self, node: _Node, key: str, asked: _Asked) -> None:
        payload = payload_of(asked.answer_id, asked.contents, asked.sent)
        del node.asked[key]
        self._answers[key] = payload
        size = None if payload is None else len(payload)
        stage = asked.sent.envelope.stage
        self.received.append(Received(node=node.number, stage=stage, size_bytes=size))
        self._changed.notify_all()


def _signed_by(headers: Mapping[str, str]) -> str:
    """The key (PEM) that signed the time in a call's headers.

    Raises:
        TurnedAway: None did, or the time is not now.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        pem = b64decode(headers["flwr-public-key"], validate=True)
        signature = b64decode(headers["flwr-signature"], validate=True)
        timestamp = headers["flwr-timestamp"]
        behind = time.time() - datetime.fromisoformat(timestamp).timestamp()
        key = load_pem_public_key(pem)
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise TurnedAway(401)
        key.verify(signature, timestamp.encode(), ec.ECDSA(SHA256()))
        text = pem.decode("ascii")
    except (KeyError, ValueError, InvalidSignature):
        raise TurnedAway(401) from None
    if not -AHEAD_SECONDS <= behind <= BEHIND_SECONDS:
        raise TurnedAway(401)
    return text
