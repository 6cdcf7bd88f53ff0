"""What tests of the embedded device share: what a gate admits, requests, devices on a SuperLink."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from tests.superlink import HOST, SuperLink

from privet.client.embedded.device_loop import EmbeddedDevice, Handler, Outcome, Step
from privet.client.embedded.fleet_server import FleetServer
from privet.client.embedded.identity import NodeIdentity
from privet.client.embedded.transport import FleetConnection
from privet.privacy.accounting.adversaries import Adversary
from privet.privacy.minimization.envelope import MESSAGE_TYPE, RECORD, Envelope
from privet.privacy.minimization.gate import AdmittedMessage, Gate
from privet.privacy.minimization.messages import Message
from privet.privacy.minimization.policy import EgressPolicy, FieldRule, FieldType

if TYPE_CHECKING:
    from flwr.app import Message as FlowerMessage

_RULE = FieldRule(
    field="digest",
    type=FieldType.UINT8,
    shapes={"echo": (32,)},
    bits=8,
    purpose="tests the transport",
    mechanism="a hash of what came",
    retention="until the test ends",
    adversaries=(Adversary.CURIOUS_SERVER,),
)
POLICY = EgressPolicy(rules=(_RULE,))


def admitted(digest: bytes) -> AdmittedMessage:
    """32 bytes that went through a gate."""
    vector = np.frombuffer(digest, np.uint8)
    return Gate(POLICY).admit_message(Message(step="echo", fields={"digest": vector}))


def echo(asked: Envelope) -> AdmittedMessage:
    """A handler that answers with the SHA-256 of what came."""
    return admitted(hashlib.sha256(asked.payload).digest())


def envelope(payload: bytes = b"", *, stage: str = "echo", number: int = 0) -> Envelope:
    """A request's envelope."""
    return Envelope(stage=stage, run="a-run", round=number, payload=payload)


def flower_message(node_id: int, asked: Envelope, *, ttl: float = 60.0) -> "FlowerMessage":
    """A request as the server's side makes it."""
    from flwr.app import ConfigRecord, RecordDict
    from flwr.app import Message as FlowerMessage

    content = RecordDict({RECORD: ConfigRecord(dict(asked.fields))})
    return FlowerMessage(content, dst_node_id=node_id, message_type=MESSAGE_TYPE, ttl=ttl)


def record_of(message: "FlowerMessage") -> Envelope:
    """The envelope in a reply; nothing else may be in it."""
    assert list(message.content) == [RECORD]
    fields: Mapping[str, object] = dict(message.content.config_records[RECORD])
    return Envelope.from_fields(fields)


def server_of(link: SuperLink, *, port: int = 0, max_request_bytes: int = 64 << 20) -> FleetServer:
    """A SuperLink, or what listens before it on another port, as a device knows it."""
    return FleetServer(
        host=HOST,
        port=port or link.port,
        authority=link.certificates.authority,
        max_request_bytes=max_request_bytes,
    )


def new_device(
    link: SuperLink, handler: Handler = echo, *, port: int = 0, max_request_bytes: int = 64 << 20
) -> EmbeddedDevice:
    """A registered device that has not joined yet."""
    identity = NodeIdentity.generate()
    link.register(identity.public_pem())
    server = server_of(link, port=port, max_request_bytes=max_request_bytes)
    return EmbeddedDevice(FleetConnection(server, identity), handler)


def steps_until(device: EmbeddedDevice, *wanted: Outcome, tries: int = 200) -> Sequence[Step]:
    """Let a device take steps until one has a wanted outcome; all steps so far."""
    taken: list[Step] = []
    while not taken or taken[-1].outcome not in wanted:
        taken.append(device.step())
        assert len(taken) < tries, f"no {wanted} in {tries} steps: {taken[-3:]}"
    return taken
