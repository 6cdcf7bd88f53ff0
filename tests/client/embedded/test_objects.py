"""Requests that Flower makes are read, replies are what Flower reads, and nothing else passes."""

import hashlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.client.embedded.flower import flower_class
from tests.client.embedded.world import envelope, flower_message, record_of

from privet.client.embedded.errors import ProtocolError
from privet.client.embedded.objects import (
    Request,
    check_announcement,
    make_refusal,
    make_reply,
    pack,
    read_request,
    unpack,
)
from privet.client.embedded.wire import decode, encode
from privet.privacy.minimization.envelope import NO_ANSWER, NO_ANSWER_CODE, Envelope

NODE = 7
ENVELOPES = st.builds(
    Envelope,
    stage=st.sampled_from(["advertise", "x"]),
    run=st.just("a-run"),
    round=st.integers(0, 2**31 - 1),
    payload=st.binary(max_size=300),
)
Announced = tuple[dict[str, Any], dict[str, bytes]]


@pytest.fixture(autouse=True, scope="module")
def task() -> None:
    """Flower makes messages only within a task."""
    from flwr.supercore.task_identity import TaskIdentity

    TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 3, 2**64 - 5, 1


def announced(asked: Envelope, *, node_id: int = NODE) -> Announced:
    """A request as Flower makes it: the message as polled, and its objects, children first."""
    from flwr.app.message import remove_content_from_message
    from flwr.common.serde import message_to_proto
    from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects

    message = flower_message(node_id, asked)
    message.metadata.__dict__["_message_id"] = message.object_id
    polled = message_to_proto(remove_content_from_message(message)).SerializeToString()
    objects = {name: part.deflate() for name, part in get_all_nested_objects(message).items()}
    return decode("Message", polled), objects


def read(asked: Announced) -> Request:
    message, objects = asked
    return read_request(check_announcement(message, node_id=NODE), objects.__getitem__)


def repacked(
    bodies: dict[str, bytes] | None = None, children: dict[str, tuple[str, ...]] | None = None
) -> Announced:
    """A request whose Message, RecordDict or ConfigRecord has another body or other children.

    Ids are made anew, so that every hash is right.
    """
    message, objects = announced(envelope())
    below: tuple[str, ...] = ()
    made: dict[str, bytes] = {}
    for kind, content in zip(
        ("ConfigRecord", "RecordDict", "Message"), objects.values(), strict=True
    ):
        body = (bodies or {}).get(kind, content.partition(b"\0")[2])
        if kind == "RecordDict" and kind not in (bodies or {}):
            body = b'{"privet": "%s"}' % below[0].encode()
        object_id, packed = pack(kind, (children or {}).get(kind, below), body)
        made[object_id], below = packed, (object_id,)
    message["metadata"]["message_id"] = below[0]
    return message, made


@given(ENVELOPES)
def test_a_request_that_flower_made_is_read(asked: Envelope) -> None:
    request = read(announced(asked))
    assert request.envelope == asked
    assert request.metadata["run_id"] == 2**64 - 5


@given(ENVELOPES, st.binary(max_size=300))
def test_a_reply_is_what_flower_makes_of_the_same_content(asked: Envelope, payload: bytes) -> None:
    from flwr.common.serde import message_from_proto
    from flwr.supercore.inflatable.inflatable_object import get_object_tree
    from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents

    request = read(announced(asked))
    reply = make_reply(request, payload)
    read_by_flower: Any = inflate_object_from_contents(reply.message_id, dict(reply.contents))
    assert record_of(read_by_flower) == asked.reply(payload)
    assert read_by_flower.object_id == reply.message_id
    tree = get_object_tree(read_by_flower).SerializeToString(deterministic=True)
    assert tree == encode("ObjectTree", reply.tree)
    pushed = message_from_proto(
        flower_class("Message").FromString(encode("Message", reply.message))
    )
    assert pushed.metadata.message_id == reply.message_id
    assert pushed.metadata.reply_to_message_id == request.message_id
    assert (pushed.metadata.src_node_id, pushed.metadata.dst_node_id) == (NODE, 1)
    assert pushed.has_content() and not pushed.has_error()


@given(ENVELOPES)
def test_a_refusal_is_an_error_that_flower_reads_and_says_nothing_of_the_payload(
    asked: Envelope,
) -> None:
    from flwr.common.serde import message_from_proto
    from flwr.supercore.inflatable.inflatable_object import get_object_tree
    from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents

    request = read(announced(asked))
    refusal = make_refusal(request)
    assert refusal == make_refusal(replace(request, envelope=asked.reply(b"else")))
    found: Any = inflate_object_from_contents(refusal.message_id, dict(refusal.contents))
    tree = get_object_tree(found).SerializeToString(deterministic=True)
    assert tree == encode("ObjectTree", refusal.tree)
    pushed = message_from_proto(
        flower_class("Message").FromString(encode("Message", refusal.message))
    )
    assert pushed.metadata.reply_to_message_id == request.message_id
    for message in (found, pushed):
        assert message.has_error() and not message.has_content()
        assert (message.error.code, message.error.reason) == (NO_ANSWER_CODE, NO_ANSWER)


def test_a_reply_says_nothing_but_the_payload(monkeypatch: pytest.MonkeyPatch) -> None:
    request = read(announced(envelope(b"question")))
    first = make_reply(request, b"answer")
    monkeypatch.setattr("time.time", lambda: 0.0)
    again = make_reply(request, b"answer")
    assert first == again
    said = first.message["metadata"]
    asked = request.metadata
    assert set(said) == {*asked}
    repeated = {"run_id", "group_id", "message_type", "created_at", "ttl"}
    assert all(said[name] == asked[name] for name in repeated)
    other = make_reply(request, b"ANSWER")
    sizes = [[len(part) for part in reply.contents.values()] for reply in (first, other)]
    assert sizes[0] == sizes[1]


@given(ENVELOPES, st.integers(0, 2), st.data())
def test_an_object_that_was_tampered_with_is_refused(
    asked: Envelope, which: int, data: st.DataObject
) -> None:
    message, objects = announced(asked)
    object_id = list(objects)[which]
    content = bytearray(objects[object_id])
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    for changed in (bytes(content), bytes(content[:at]), bytes(content) + b"\0"):
        with pytest.raises(ProtocolError, match="hash differs"):
            read((message, {**objects, object_id: changed}))


@pytest.mark.parametrize(
    "change",
    [
        {"dst_node_id": 8},
        {"reply_to_message_id": "x"},
        {"message_type": "train"},
        {"message_type": "query.other"},
        {"message_id": "../../etc/passwd"},
        {"message_id": "A" * 64},
        {"run_id": 1},
        {"created_at": 0.0},
        {"ttl": 1e9},
        {"src_node_id": 2},
        {"group_id": "x"},
    ],
)
def test_an_announcement_that_is_not_its_message_is_refused(change: dict[str, Any]) -> None:
    message, objects = announced(envelope())
    with pytest.raises((ProtocolError, KeyError)) as raised:
        read(({**message, "metadata": {**message["metadata"], **change}}, objects))
    assert raised.type is ProtocolError


@pytest.mark.parametrize(
    "change", [{"metadata": None}, {"content": b"\x0a\x00"}, {"error": {"code": 1, "reason": ""}}]
)
def test_an_announcement_of_anything_else_is_refused(change: dict[str, Any]) -> None:
    message, objects = announced(envelope())
    with pytest.raises(ProtocolError):
        read(({**message, **change}, objects))


OTHER = "0" * 64


def test_a_repacked_request_is_read_if_nothing_else_changed() -> None:
    assert read(repacked()).envelope == envelope()


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("Message", b""),
        ("Message", b"\xff"),
        ("RecordDict", b"{}"),
        ("RecordDict", b'{"other": "%s"}' % OTHER.encode()),
        ("RecordDict", b"[" * 100_000),
    ],
)
def test_a_message_with_another_body_is_refused(kind: str, body: bytes) -> None:
    with pytest.raises(ProtocolError):
        read(repacked({kind: body}))


@pytest.mark.parametrize("kind", ["Message", "RecordDict", "ConfigRecord"])
@pytest.mark.parametrize("children", [(), (OTHER, OTHER), ("x",)])
def test_an_object_with_other_children_is_refused(kind: str, children: tuple[str, ...]) -> None:
    if kind == "ConfigRecord" and not children:
        return
    with pytest.raises(ProtocolError, match="well-formed"):
        read(repacked(children={kind: children}))


def record(*items: tuple[str, dict[str, Any]]) -> bytes:
    entries = [{"key": key, "value": value} for key, value in items]
    return encode("ConfigRecord", {"items": entries})


STAGE, RUN = ("stage", {"string": "s"}), ("run", {"string": "r"})
ROUND, PAYLOAD = ("round", {"sint64": 1}), ("payload", {"bytes": b""})
RECORDS = {
    "a field is missing": record(STAGE, RUN, ROUND),
    "a field comes twice": record(STAGE, STAGE, RUN, ROUND, PAYLOAD),
    "a field is unknown": record(STAGE, RUN, ROUND, PAYLOAD, ("x", {})),
    "a field has no value": record(STAGE, RUN, ROUND, ("payload", {})),
    "text for bytes": record(STAGE, RUN, ROUND, ("payload", {"string": ""})),
    "a number out of range": record(STAGE, RUN, ("round", {"sint64": -1}), PAYLOAD),
    "no record at all": b"\xff",
}


@pytest.mark.parametrize("other", RECORDS)
def test_a_record_of_anything_else_is_refused(other: str) -> None:
    assert read(repacked({"ConfigRecord": record(STAGE, RUN, ROUND, PAYLOAD)})).envelope.round == 1
    with pytest.raises(ProtocolError):
        read(repacked({"ConfigRecord": RECORDS[other]}))


@pytest.mark.parametrize(
    "content",
    [
        b"ConfigRecord  3\0ab",
        b"ConfigRecord  03\0abc",
        b"ConfigRecord " + b"0" * 64 + b" 3\0abc",
        b"ConfigRecord 3\0abc",
        b"ArrayRecord  3\0abc",
        b"ConfigRecord  3abc",
        b"\xff  3\0abc",
        b"",
        b"\0",
    ],
)
def test_a_malformed_object_is_refused_though_its_hash_is_right(content: bytes) -> None:
    with pytest.raises(ProtocolError, match="well-formed"):
        unpack(hashlib.sha256(content).hexdigest(), content, kind="ConfigRecord", children=0)
