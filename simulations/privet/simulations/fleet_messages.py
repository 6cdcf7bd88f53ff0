"""The server's side of Flower's content-addressed objects: a request goes out, an answer comes in.

The mirror image of :mod:`privet.client.embedded.objects`, in the same tables of messages.
"""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from privet.client.embedded.errors import ProtocolError
from privet.client.embedded.objects import pack, unpack
from privet.client.embedded.wire import decode, encode
from privet.privacy.minimization.envelope import MESSAGE_TYPE, RECORD, Envelope

SERVER_NODE, RUN = 1, 1
_KINDS = {"stage": "string", "run": "string", "round": "sint64", "payload": "bytes"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Outgoing:
    """A request, ready to be pulled.

    Attributes:
        metadata: As it is announced.
        envelope: Its content.
        contents: Its objects by id.
    """

    metadata: Mapping[str, Any]
    envelope: Envelope
    contents: Mapping[str, bytes]

    @property
    def message_id(self) -> str:
        """The hash by which it is known."""
        return str(self.metadata["message_id"])


def outgoing(envelope: Envelope, *, node: int, seconds: float) -> Outgoing:
    """A request to a device.

    Args:
        envelope: Its content.
        node: The device.
        seconds: How long it may be answered.
    """
    metadata = {
        "run_id": RUN,
        "src_node_id": SERVER_NODE,
        "dst_node_id": node,
        "ttl": seconds,
        "message_type": MESSAGE_TYPE,
        "created_at": time.time(),
    }
    items = [{"key": k, "value": {_KINDS[k]: value}} for k, value in envelope.fields.items()]
    record_id, record = pack("ConfigRecord", (), encode("ConfigRecord", {"items": items}))
    references = json.dumps({RECORD: record_id}).encode()
    content_id, content = pack("RecordDict", (record_id,), references)
    message_id, message = pack("Message", (content_id,), encode("Message", {"metadata": metadata}))
    return Outgoing(
        metadata={**metadata, "message_id": message_id},
        envelope=envelope,
        contents={message_id: message, content_id: content, record_id: record},
    )


def ids_of(tree: Mapping[str, Any]) -> Iterator[str]:
    """The ids of a tree of objects, the root first."""
    yield str(tree["object_id"])
    for child in tree["children"]:
        yield from ids_of(child)


def payload_of(message_id: str, contents: Mapping[str, bytes], asked: Outgoing) -> bytes | None:
    """What a device answered; None if it says that there is no answer.

    Args:
        message_id: Of the answer.
        contents: Its objects by id.
        asked: The request.

    Raises:
        ProtocolError: It is no answer to this request.
    """
    head = contents[message_id].partition(b"\0")[0].split(b" ")
    children = len(head[1].split(b",")) if head[1] else 0
    below, body = unpack(message_id, contents[message_id], kind="Message", children=children)
    message = decode("Message", body)
    if (message["metadata"] or {}).get("reply_to_message_id") != asked.message_id:
        raise ProtocolError("An answer is to another request.")
    if message["error"] is not None:
        return None
    (content_id,) = below
    (record_id,), _ = unpack(content_id, contents[content_id], kind="RecordDict", children=1)
    _, body = unpack(record_id, contents[record_id], kind="ConfigRecord", children=0)
    items = decode("ConfigRecord", body)["items"]
    fields = {item["key"]: item["value"][_KINDS[item["key"]]] for item in items}
    answer = Envelope.from_fields(fields)
    if answer != asked.envelope.reply(answer.payload):
        raise ProtocolError("An answer says more than its payload.")
    return answer.payload
