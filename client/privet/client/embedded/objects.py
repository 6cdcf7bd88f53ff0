"""Flower's content-addressed objects: how a request comes in and a reply goes out.

An object is ``"<Type> <ids of its children, by commas> <length of the body>"``, a zero byte, and its
body; its id is the SHA-256 of all of that. A message of ours is a chain of three: a Message (its
metadata), the RecordDict of its content (JSON: record names to ids), and one ConfigRecord with the
fields of an :class:`~privet.privacy.minimization.envelope.Envelope`. Anything else is refused unread.

Formal Guarantees:
    A reply's objects are a function of the request and of the payload alone, a refusal's of the
    request alone. All that Flower would
    have a node say about itself (its clock, how long it computed, an error's text) is left out:
    time and lifetime repeat the request's.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from privet.client.embedded.errors import ProtocolError
from privet.client.embedded.wire import decode, encode
from privet.privacy.errors import InputError
from privet.privacy.minimization.envelope import (
    MESSAGE_TYPE,
    NO_ANSWER,
    NO_ANSWER_CODE,
    RECORD,
    Envelope,
)

HEAD_MAX_BYTES = 128  # a type, an id of 64 characters, a length
_ID = re.compile(r"[0-9a-f]{64}")
_ENVELOPE_KINDS = {"stage": "string", "run": "string", "round": "sint64", "payload": "bytes"}


@dataclass(frozen=True, kw_only=True)
class Request:
    """A message for this device.

    Attributes:
        metadata: As Flower delivered it.
        envelope: Its content.
    """

    metadata: Mapping[str, Any]
    envelope: Envelope

    @property
    def message_id(self) -> str:
        """The hash by which Flower knows it."""
        return str(self.metadata["message_id"])


@dataclass(frozen=True, kw_only=True)
class Reply:
    """A reply, ready to be pushed.

    Attributes:
        message: Flower's Message for ``push-messages``: metadata, and an empty content or an error.
        tree: The objects' ids, nested.
        contents: The objects by id; children come first.
    """

    message: Mapping[str, Any]
    tree: Mapping[str, Any]
    contents: Mapping[str, bytes]

    @property
    def message_id(self) -> str:
        """The hash by which Flower knows it."""
        return str(self.tree["object_id"])


def pack(kind: str, children: tuple[str, ...], body: bytes) -> tuple[str, bytes]:
    """An object's id and bytes."""
    content = f"{kind} {','.join(children)} {len(body)}\0".encode() + body
    return hashlib.sha256(content).hexdigest(), content


def unpack(
    object_id: str, content: bytes, *, kind: str, children: int
) -> tuple[list[str], memoryview]:
    """Check an object and take it apart.

    Args:
        object_id: What it was asked for by.
        content: What came.
        kind: The type that it has to have.
        children: How many children it has to have.

    Returns:
        The children's ids, and the body.

    Raises:
        ProtocolError: It does not have this hash, type or number of children, or is malformed.
    """
    if hashlib.sha256(content).hexdigest() != object_id:
        raise ProtocolError("An object is not the one that was asked for: its hash differs.")
    head, found, _ = content[:HEAD_MAX_BYTES].partition(b"\0")
    body = memoryview(content)[len(head) + 1 :]
    listed = head.decode("latin-1").partition(" ")[2].partition(" ")[0]
    ids = listed.split(",") if listed else []
    expected = f"{kind} {','.join(ids)} {len(body)}".encode()
    if not found or head != expected or len(ids) != children or not all(map(is_id, ids)):
        raise ProtocolError(f"An object is not a well-formed {kind} with {children} children.")
    return ids, body


def is_id(text: str) -> bool:
    """Whether it can be an object's id."""
    return _ID.fullmatch(text) is not None


def check_announcement(message: Mapping[str, Any], *, node_id: int) -> Mapping[str, Any]:
    """Check what the server says of a message before anything of it is fetched; its metadata.

    Args:
        message: Flower's Message, with metadata alone.
        node_id: This device's.

    Raises:
        ProtocolError: The message is not for this device, or not of our type.
    """
    metadata = message["metadata"]
    if metadata is None or message["content"] or message["error"]:
        raise ProtocolError("The server announced something else than a message's metadata.")
    if metadata["dst_node_id"] != node_id or metadata["reply_to_message_id"]:
        raise ProtocolError("A message is addressed to another device, or is a reply.")
    if metadata["message_type"] != MESSAGE_TYPE or not is_id(metadata["message_id"]):
        raise ProtocolError(f"A message is not of type {MESSAGE_TYPE!r}, or has no proper id.")
    return dict(metadata)


def read_request(metadata: Mapping[str, Any], pull: Callable[[str], bytes]) -> Request:
    """Fetch and check the objects of an announced message.

    All three are fetched, though two follow from the third: until the server has them all, it must
    not be told that the message came, since it would throw away what its app is still sending.

    Args:
        metadata: From :func:`check_announcement`.
        pull: Fetches an object by its id, bounded in size.

    Raises:
        ProtocolError: The message does not hash to its id, or its content is not one record of ours.
    """
    message_id = str(metadata["message_id"])
    (content_id,), body = unpack(message_id, pull(message_id), kind="Message", children=1)
    if not _is_announced(decode("Message", body), metadata):
        raise ProtocolError("A message's metadata is not the one that its id stands for.")
    (record_id,), body = unpack(content_id, pull(content_id), kind="RecordDict", children=1)
    if body != _references(record_id):
        raise ProtocolError(f"A message's content is not one record named {RECORD!r}.")
    _, body = unpack(record_id, pull(record_id), kind="ConfigRecord", children=0)
    return Request(metadata=metadata, envelope=_read_record(body))


def make_reply(request: Request, payload: bytes) -> Reply:
    """The objects of a reply; the same for the same request and payload."""
    metadata = _reply_metadata(request)
    record_id, record = pack("ConfigRecord", (), _write_record(request.envelope.reply(payload)))
    content_id, content = pack("RecordDict", (record_id,), _references(record_id))
    body = encode("Message", {"metadata": metadata})
    message_id, message = pack("Message", (content_id,), body)
    leaf = {"object_id": record_id}
    return Reply(
        message={"metadata": {**metadata, "message_id": message_id}, "content": b""},
        tree={
            "object_id": message_id,
            "children": [{"object_id": content_id, "children": [leaf]}],
        },
        contents={record_id: record, content_id: content, message_id: message},
    )


def make_refusal(request: Request) -> Reply:
    """The object of a reply that there is no answer; the same for the same request."""
    metadata = _reply_metadata(request)
    error = {"code": NO_ANSWER_CODE, "reason": NO_ANSWER}
    message_id, message = pack(
        "Message", (), encode("Message", {"metadata": metadata, "error": error})
    )
    return Reply(
        message={"metadata": {**metadata, "message_id": message_id}, "error": error},
        tree={"object_id": message_id},
        contents={message_id: message},
    )


def _reply_metadata(request: Request) -> dict[str, Any]:
    asked = request.metadata
    return {
        **{name: asked[name] for name in ("run_id", "group_id", "message_type")},
        **{name: asked[name] for name in ("created_at", "ttl")},
        "src_node_id": asked["dst_node_id"],
        "dst_node_id": asked["src_node_id"],
        "src_task_id": asked["dst_task_id"],
        "dst_task_id": asked["src_task_id"],
        "reply_to_message_id": request.message_id,
    }


def _is_announced(signed: Mapping[str, Any], metadata: Mapping[str, Any]) -> bool:
    """Whether a Message object is what was announced; a SuperLink's database drops task ids."""
    if signed["metadata"] is None or signed["content"] or signed["error"]:
        return False
    unsaid = {"message_id": "", "src_task_id": None, "dst_task_id": None}
    return {**signed["metadata"], **unsaid} == {**metadata, **unsaid}


def _references(record_id: str) -> bytes:
    return json.dumps({RECORD: record_id}).encode()


def _write_record(envelope: Envelope) -> bytes:
    items = [
        {"key": name, "value": {_ENVELOPE_KINDS[name]: value}}
        for name, value in envelope.fields.items()
    ]
    return encode("ConfigRecord", {"items": items})


def _read_record(body: memoryview) -> Envelope:
    fields: dict[str, object] = {}
    for item in decode("ConfigRecord", body)["items"]:
        key, value = item["key"], item["value"] or {}
        given = {kind: entry for kind, entry in value.items() if entry is not None}
        if key in fields or set(given) != {_ENVELOPE_KINDS.get(key)}:
            raise ProtocolError("A message's record has a field twice, or one of another type.")
        fields[key] = given[_ENVELOPE_KINDS[key]]
    try:
        return Envelope.from_fields(fields)
    except InputError as error:
        raise ProtocolError(str(error)) from None
