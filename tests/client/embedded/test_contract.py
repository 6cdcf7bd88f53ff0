"""The installed Flower still speaks the protocol that the embedded device was written for.

If one of these fails after an upgrade of flwr: compare its `proto` folder and its Fleet handlers with
the tables, adapt `privet.client.embedded`, and widen or narrow the range in pyproject.toml.
"""

import datetime
from base64 import b64decode
from importlib.metadata import version
from typing import Any

import pytest
from tests.client.embedded.flower import flower_class

from privet.client.embedded import transport
from privet.client.embedded.identity import NodeIdentity
from privet.client.embedded.schema import OPAQUE, SCHEMA, Field
from privet.privacy.minimization.envelope import MESSAGE_TYPE

CALLS = {
    "activate-node": "ActivateNode",
    "deactivate-node": "DeactivateNode",
    "send-node-heartbeat": "SendNodeHeartbeat",
    "pull-messages": "PullMessages",
    "push-messages": "PushMessages",
    "pull-object": "PullObject",
    "push-object": "PushObject",
    "confirm-message-received": "ConfirmMessageReceived",
}


def described(descriptor: Any) -> tuple[Field, ...]:
    """A message type as the installed Flower describes it, in the form of our tables."""
    from google.protobuf.descriptor_pb2 import FieldDescriptorProto

    kinds = {number: name for name, number in FieldDescriptorProto.Type.items()}
    fields = []
    for field in descriptor.fields:
        message = field.message_type
        name = "" if message is None else message.full_name.removeprefix("flwr.proto.")
        optional = not field.is_repeated and field.has_presence
        kind = kinds[field.type].removeprefix("TYPE_").lower()
        fields.append((field.number, field.name, kind, name, field.is_repeated, optional))
    return tuple(Field(*field) for field in sorted(fields))


@pytest.mark.parametrize("name", sorted(SCHEMA))
def test_a_table_is_what_the_installed_flower_describes(name: str) -> None:
    found = described(flower_class(name).DESCRIPTOR)
    assert found == SCHEMA[name], (
        f"flwr {version('flwr')} changed its message {name}; privet.client.embedded.schema was "
        "written for 1.41. See this file's first lines."
    )


def test_opaque_messages_are_all_that_tables_name_and_do_not_have() -> None:
    named = {field.message for fields in SCHEMA.values() for field in fields if field.message}
    assert named - set(SCHEMA) == OPAQUE
    assert all(flower_class(name) is not None for name in OPAQUE)


def test_the_calls_are_where_they_were_and_take_what_they_took() -> None:
    from flwr.supercore.protobuf.translation import PROTOBUF_REQUEST_TYPES

    for path, name in CALLS.items():
        expected = flower_class(f"{name}Request")
        assert PROTOBUF_REQUEST_TYPES[("POST", f"/v1/fleet/{path}")] is expected


def test_the_constants_are_flowers() -> None:
    from flwr.app.metadata import validate_message_type
    from flwr.common.constant import (
        HEARTBEAT_MAX_INTERVAL,
        HEARTBEAT_MIN_INTERVAL,
        TIMESTAMP_HEADER,
    )
    from flwr.supercore.constant import FLEET_HTTP_PUBLIC_KEY_HEADER, FLEET_HTTP_SIGNATURE_HEADER
    from flwr.supercore.error import ApiErrorCode
    from flwr.supercore.protobuf.constants import PROTOBUF_MEDIA_TYPE

    headers = NodeIdentity.generate().headers(0.0)
    expected = {FLEET_HTTP_PUBLIC_KEY_HEADER, TIMESTAMP_HEADER, FLEET_HTTP_SIGNATURE_HEADER}
    assert set(headers) == expected
    assert transport._MEDIA_TYPE == PROTOBUF_MEDIA_TYPE
    assert transport._ACTIVATION_FAILED == ApiErrorCode.FLEET_NODE_ACTIVATION_FAILED
    assert (HEARTBEAT_MIN_INTERVAL, HEARTBEAT_MAX_INTERVAL) == (10, 1800)
    assert validate_message_type(MESSAGE_TYPE)


def test_flower_verifies_our_headers_and_registers_our_keys() -> None:
    from flwr.supercore.primitives.asymmetric import (
        bytes_to_public_key,
        uses_nist_ec_curve,
        verify_signature,
    )

    identity = NodeIdentity.generate()
    headers = identity.headers(1_800_000_000.9)
    key = bytes_to_public_key(identity.public_pem())
    timestamp = headers["flwr-timestamp"]
    assert uses_nist_ec_curve(key)
    assert b64decode(headers["flwr-public-key"]) == identity.public_pem()
    assert verify_signature(key, timestamp.encode(), b64decode(headers["flwr-signature"]))
    assert not verify_signature(key, b"2027-01-01", b64decode(headers["flwr-signature"]))
    assert datetime.datetime.fromisoformat(timestamp).timestamp() == 1_800_000_000
