"""Readers of what comes over a network: Flower's messages on a device, tasks, suspended rounds."""

import hashlib
import json
from typing import Any

import numpy as np
from tests.fuzz.harness import Target
from tests.privacy.secagg.world import cohort, run_until
from tests.server.world import plan_of

from privet.client.embedded.errors import refusal
from privet.client.embedded.identity import NodeIdentity, ServerClock
from privet.client.embedded.objects import (
    Request,
    check_announcement,
    make_reply,
    pack,
    read_request,
)
from privet.client.embedded.wire import decode, encode
from privet.models.federation import Federation
from privet.models.invitation import EnrolmentRequest, Invitation
from privet.models.model import Array, state_hash
from privet.models.model_message import ModelMessage
from privet.models.requests import TaskMessage
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.canonical import canonical_bytes, parse_canonical
from privet.privacy.contribution import NeighbouringRelation
from privet.privacy.errors import InputError
from privet.privacy.minimization.envelope import MESSAGE_TYPE, RECORD, Envelope
from privet.privacy.population import Opening, RunRecord
from privet.privacy.secagg.primitives import SigningKey
from privet.privacy.secagg.suspended import Suspended
from privet.server.operation.certificates import make_authority
from privet.server.operation.settings import Settings, read_settings, write_settings

NODE = 7
METADATA = {
    "run_id": 1, "message_id": "0" * 64, "src_node_id": 1, "dst_node_id": NODE,
    "reply_to_message_id": "", "group_id": "", "ttl": 60.0, "message_type": MESSAGE_TYPE,
    "created_at": 1.7e9,
}  # fmt: skip
ENVELOPE = Envelope(stage="masked", run="a-run", round=3, payload=b"bytes")


def _request() -> tuple[bytes, bytes]:
    """What a server announces, and the record that a device then fetches."""
    blank = dict.fromkeys(("src_task_id", "dst_task_id"))
    asked = Request(metadata={**METADATA, **blank}, envelope=ENVELOPE)
    reply = make_reply(asked, b"payload")
    message = {"metadata": {**METADATA, "message_id": reply.message_id}}
    listed = {"messages_list": [message], "message_object_trees": [reply.tree]}
    record = next(c for c in reply.contents.values() if c.startswith(b"ConfigRecord"))
    return encode("PullMessagesResponse", listed), record


def _joining() -> list[Target]:
    """Files that people carry between a federation and its devices, and a published model."""
    plan, key = plan_of(Trust.SECURE_AGGREGATION), SigningKey.from_secret(bytes(32))
    federation = Federation(run="a-run", server_key=key.public)
    invitation = Invitation(
        name="A test", host="localhost", port=443, federation=federation, plan=plan, answers=3,
        authority=make_authority("a test").certificate.decode(),
    )  # fmt: skip
    node = NodeIdentity.generate().public_pem()
    request = EnrolmentRequest.sign(key, 7, node, federation=federation, plan_hash=plan.hash)
    shared: dict[str, Array] = {"popularity": np.arange(3.0)}
    model = ModelMessage(
        plan=plan, version=1, decision=2, rolled_back=0, state_hash=state_hash(shared),
        shared=shared,
    )  # fmt: skip

    def enrolled(data: bytes) -> None:
        found = EnrolmentRequest.from_bytes(data)
        found.check(federation=federation, plan_hash=plan.hash)

    return [
        Target(name="invitation", read=Invitation.from_bytes, seeds=(invitation.to_bytes(),),
               json=True, slow=True, may_quote=True),
        Target(name="enrolment request", read=enrolled, seeds=(request.to_bytes(),), json=True),
        Target(name="published model", read=ModelMessage.parse, seeds=(model.encode(),),
               may_quote=True),
        Target(name="settings of a federation", read=_settings, may_quote=True,
               seeds=(write_settings(Settings()).encode(),)),
    ]  # fmt: skip


def _settings(data: bytes) -> None:
    try:
        text = data.decode()
    except UnicodeError as error:
        raise InputError("not text") from error
    read_settings(text)


def _announced(data: bytes) -> None:
    announced = decode("PullMessagesResponse", data)["messages_list"]
    if not announced:
        raise InputError("nothing for this device")
    for message in announced:
        check_announcement(message, node_id=NODE)


def _record(data: bytes) -> None:
    """The server chooses the record, and so its hash and those of what refers to it."""
    record_id = hashlib.sha256(data).hexdigest()
    references = json.dumps({RECORD: record_id}).encode()
    content_id, content = pack("RecordDict", (record_id,), references)
    signed = encode("Message", {"metadata": {**METADATA, "message_id": ""}})
    message_id, message = pack("Message", (content_id,), signed)
    objects = {record_id: data, content_id: content, message_id: message}
    read_request({**METADATA, "message_id": message_id}, objects.__getitem__)


def _refusal(data: bytes) -> None:
    raise refusal(400, data)


def _date(data: bytes) -> None:
    if not ServerClock(limit=1e12).follow(data.decode("latin-1")):
        raise InputError("no date")


def _object(data: bytes) -> dict[str, Any]:
    body = parse_canonical(data)
    if not isinstance(body, dict):
        raise InputError("no object")
    return body


def federation_targets() -> list[Target]:
    """All of them."""
    announced, record = _request()
    plan = plan_of(Trust.SECURE_AGGREGATION)
    shared: dict[str, Array] = {
        "popularity": np.arange(12.0),
        "counts": np.arange(6, dtype=np.int64).reshape(2, 3),
    }
    task = TaskMessage(plan=plan, step=plan.steps[0].name, attempt=0, shared=shared)
    world = cohort(8)
    run_until(world, "cosignature")
    opening = Opening(
        id="ab" * 16, name="readers", delta=1e-6, relation=NeighbouringRelation.ZERO_OUT
    )
    opened = RunRecord(
        run="cd" * 16, plan_hash=plan.hash, model=plan.model, epsilon=2.0, delta=1e-6,
        trust=Trust.SECURE_AGGREGATION, devices=10, tuning=False,
    )  # fmt: skip
    return [
        Target(name="announcement", read=_announced, seeds=(announced,)),
        Target(name="record", read=_record, seeds=(record,)),
        Target(name="refusal", read=_refusal, seeds=(b'{"code":601,"message":"no"}',), json=True),
        Target(name="server's date", read=_date, seeds=(b"Mon, 14 Nov 1994 22:00:00 GMT",)),
        Target(name="task", read=TaskMessage.parse, seeds=(task.encode(),), may_quote=True),
        Target(name="suspended round", read=Suspended.parse, json=True,
               seeds=(world.clients[2].suspend(),)),
        Target(name="population", read=lambda d: Opening.from_dict(_object(d)), json=True,
               seeds=(canonical_bytes(opening.to_dict()),)),
        Target(name="run of a population", read=lambda d: RunRecord.from_dict(_object(d)),
               json=True, seeds=(canonical_bytes(opened.to_dict()),)),
        *_joining(),
    ]  # fmt: skip
