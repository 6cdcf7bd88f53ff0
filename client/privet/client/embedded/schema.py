"""The protobuf messages of Flower's Fleet protocol that an embedded device needs, as tables.

Written for flwr 1.41 and the same in 1.42 (``flwr/proto/{fleet,message,node,heartbeat,recorddict,
error}.proto``). Every field of every message is listed, also those that a device never sets, so
that a test can compare the tables with the installed package's descriptors. A message type without
a table of its own is opaque: its bytes are carried and never looked into.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """A field's type, by its name in a ``.proto`` file."""

    UINT32 = "uint32"
    UINT64 = "uint64"
    SINT64 = "sint64"
    BOOL = "bool"
    DOUBLE = "double"
    STRING = "string"
    BYTES = "bytes"
    MESSAGE = "message"


@dataclass(frozen=True)
class Field:
    """A field of a message.

    Attributes:
        number: On the wire.
        name: In decoded messages.
        kind: Its type.
        message: Name of the message type, for kind MESSAGE.
        repeated: Whether it is a list.
        optional: Whether its absence differs from its zero, as in a ``oneof``.
    """

    number: int
    name: str
    kind: Kind
    message: str = ""
    repeated: bool = False
    optional: bool = False


def _one(number: int, name: str, kind: str, *, optional: bool = False) -> Field:
    return Field(number, name, Kind(kind), optional=optional)


def _many(number: int, name: str, kind: str) -> Field:
    return Field(number, name, Kind(kind), repeated=True)


def _inner(number: int, name: str, message: str, *, repeated: bool = False) -> Field:
    return Field(number, name, Kind.MESSAGE, message, repeated, optional=not repeated)


_NODE = _inner(1, "node", "Node")
_RUN = _one(2, "run_id", "uint64")

SCHEMA: Mapping[str, tuple[Field, ...]] = {
    "Node": (_one(1, "node_id", "uint64"),),
    "ActivateNodeRequest": (
        _one(1, "public_key", "bytes"),
        _one(2, "heartbeat_interval", "double"),
    ),
    "ActivateNodeResponse": (_one(1, "node_id", "uint64"),),
    "DeactivateNodeRequest": (_one(1, "node_id", "uint64"),),
    "DeactivateNodeResponse": (),
    "SendNodeHeartbeatRequest": (_NODE, _one(2, "heartbeat_interval", "double")),
    "SendNodeHeartbeatResponse": (_one(1, "success", "bool"),),
    "PullMessagesRequest": (_NODE, _many(2, "message_ids", "string")),
    "PullMessagesResponse": (
        _inner(1, "reconnect", "Reconnect"),
        _inner(2, "messages_list", "Message", repeated=True),
        _inner(3, "message_object_trees", "ObjectTree", repeated=True),
    ),
    "PushMessagesRequest": (
        _NODE,
        _inner(2, "messages_list", "Message", repeated=True),
        _inner(3, "message_object_trees", "ObjectTree", repeated=True),
        _many(4, "clientapp_runtime_list", "double"),
    ),
    "PushMessagesResponse": (
        _inner(1, "reconnect", "Reconnect"),
        _inner(2, "results", "PushMessagesResponse.ResultsEntry", repeated=True),
        _many(3, "objects_to_push", "string"),
        _one(4, "session_id", "string"),
    ),
    "PushObjectRequest": (
        _NODE,
        _RUN,
        _one(3, "object_id", "string"),
        _one(4, "object_content", "bytes"),
        _one(5, "session_id", "string"),
    ),
    "PushObjectResponse": (_one(1, "stored", "bool"),),
    "PullObjectRequest": (_NODE, _RUN, _one(3, "object_id", "string")),
    "PullObjectResponse": (
        _one(1, "object_found", "bool"),
        _one(2, "object_available", "bool"),
        _one(3, "object_content", "bytes"),
    ),
    "ConfirmMessageReceivedRequest": (_NODE, _RUN, _one(3, "message_object_id", "string")),
    "ConfirmMessageReceivedResponse": (),
    "ObjectTree": (
        _one(1, "object_id", "string"),
        _inner(2, "children", "ObjectTree", repeated=True),
    ),
    "Message": (
        _inner(1, "metadata", "Metadata"),
        _inner(2, "content", "RecordDict"),
        _inner(3, "error", "Error"),
    ),
    "Error": (_one(1, "code", "sint64"), _one(2, "reason", "string")),
    "Metadata": (
        _one(1, "run_id", "uint64"),
        _one(2, "message_id", "string"),
        _one(3, "src_node_id", "uint64"),
        _one(4, "dst_node_id", "uint64"),
        _one(5, "reply_to_message_id", "string"),
        _one(6, "group_id", "string"),
        _one(7, "ttl", "double"),
        _one(8, "message_type", "string"),
        _one(9, "created_at", "double"),
        _one(10, "src_task_id", "uint64", optional=True),
        _one(11, "dst_task_id", "uint64", optional=True),
    ),
    "ConfigRecord": (_inner(1, "items", "ConfigRecord.Item", repeated=True),),
    "ConfigRecord.Item": (_one(1, "key", "string"), _inner(2, "value", "ConfigRecordValue")),
    "ConfigRecordValue": (
        _one(1, "double", "double", optional=True),
        _one(2, "sint64", "sint64", optional=True),
        _one(3, "uint64", "uint64", optional=True),
        _one(4, "bool", "bool", optional=True),
        _one(5, "string", "string", optional=True),
        _one(6, "bytes", "bytes", optional=True),
        _inner(21, "double_list", "DoubleList"),
        _inner(22, "sint_list", "SintList"),
        _inner(23, "uint_list", "UintList"),
        _inner(24, "bool_list", "BoolList"),
        _inner(25, "string_list", "StringList"),
        _inner(26, "bytes_list", "BytesList"),
    ),
}
OPAQUE = {
    *("Reconnect", "PushMessagesResponse.ResultsEntry", "RecordDict"),
    *("DoubleList", "SintList", "UintList", "BoolList", "StringList", "BytesList"),
}
