"""The codec writes what Flower's protobuf writes, reads what it writes, and refuses the rest."""

import math
import struct
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.client.embedded.flower import flower_class

from privet.client.embedded.errors import ProtocolError
from privet.client.embedded.schema import SCHEMA, Field, Kind
from privet.client.embedded.wire import MAX_DEPTH, MAX_FIELDS, decode, encode

U64 = st.integers(0, 2**64 - 1)
SCALARS: dict[Kind, st.SearchStrategy[Any]] = {
    Kind.UINT32: st.integers(0, 2**32 - 1),
    Kind.UINT64: U64 | st.sampled_from([0, 127, 128, 2**63]),
    Kind.SINT64: st.integers(-(2**63), 2**63 - 1) | st.sampled_from([0, -1, 63, 64]),
    Kind.BOOL: st.booleans(),
    Kind.DOUBLE: st.floats(allow_nan=False),
    Kind.STRING: st.text(max_size=20),
    Kind.BYTES: st.binary(max_size=20),
}
PLAIN = [  # what lies in an opaque message is not looked into
    name
    for name, fields in SCHEMA.items()
    if all(field.kind is not Kind.MESSAGE for field in fields)
]
NAMES = st.sampled_from(sorted(SCHEMA))


def values_of(name: str, depth: int = 4) -> st.SearchStrategy[dict[str, Any]]:
    """Values of a message type, with every field present in the form that decode() returns."""
    fields = [field for field in SCHEMA[name] if field.name != "clientapp_runtime_list"]
    if name == "ConfigRecordValue":  # a oneof: at most one of them
        return st.one_of(*(one_of_all(field, depth) for field in fields))
    return st.fixed_dictionaries({field.name: value_of(field, depth) for field in fields})


def one_of_all(field: Field, depth: int) -> st.SearchStrategy[dict[str, Any]]:
    """A oneof with this field set."""
    nothing: dict[str, Any] = {other.name: None for other in SCHEMA["ConfigRecordValue"]}
    return st.builds(lambda value: {**nothing, field.name: value}, value_of(field, depth))


def value_of(field: Field, depth: int) -> st.SearchStrategy[Any]:
    """Values of a field; None or an empty list where the message would become too deep."""
    if field.kind is not Kind.MESSAGE:
        value = SCALARS[field.kind]
    elif field.message not in SCHEMA and not field.repeated:
        value = st.just(b"")
    elif depth == 0 or field.message not in SCHEMA:
        return st.just([]) if field.repeated else st.none()
    else:
        value = st.deferred(lambda: values_of(field.message, depth - 1))
    if field.repeated:
        return st.lists(value, max_size=3)
    return st.none() | value if field.optional else value


def official(name: str, values: Mapping[str, Any]) -> Any:
    """The same message as Flower's class."""
    message = flower_class(name)()
    for field in SCHEMA[name]:
        value = values.get(field.name)
        if value is None or value == []:
            continue
        if field.kind is not Kind.MESSAGE:
            if field.repeated:
                getattr(message, field.name).extend(value)
            else:
                setattr(message, field.name, value)
        elif field.repeated:
            made = [part(field, entry) for entry in value]
            getattr(message, field.name).extend(made)
        else:
            getattr(message, field.name).CopyFrom(part(field, value))
            getattr(message, field.name).SetInParent()
    return message


def part(field: Field, value: Any) -> Any:
    known = field.message in SCHEMA
    return official(field.message, value) if known else flower_class(field.message)()


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(NAMES.flatmap(lambda name: st.tuples(st.just(name), values_of(name))))
def test_the_codec_agrees_with_flowers_protobuf_in_both_directions(
    case: tuple[str, dict[str, Any]],
) -> None:
    name, values = case
    written = official(name, values).SerializeToString(deterministic=True)
    assert encode(name, values) == written
    unsent: dict[str, Any] = {"clientapp_runtime_list": []} if name == "PushMessagesRequest" else {}
    assert decode(name, written) == {**values, **unsent}


@given(st.sampled_from([*PLAIN, "ObjectTree"]), st.binary(max_size=200))
def test_arbitrary_bytes_are_read_or_refused_and_never_more_than_flower_reads(
    name: str, data: bytes
) -> None:
    try:
        decode(name, data)
    except ProtocolError:
        return
    flower_class(name).FromString(data)


@given(values_of("PushObjectRequest"), st.data())
def test_a_message_that_is_cut_short_is_refused_or_has_fewer_fields(
    values: dict[str, Any], data: st.DataObject
) -> None:
    whole = encode("PushObjectRequest", values)
    cut = data.draw(st.integers(0, max(len(whole) - 1, 0)))
    try:
        found = decode("PushObjectRequest", whole[:cut])
    except ProtocolError:
        return
    assert encode("PushObjectRequest", found) == whole[:cut]


def test_unknown_fields_are_skipped() -> None:
    more = b"\x78\x05" + b"\x7a\x03abc" + b"\x71" + bytes(8) + b"\x75" + bytes(4)
    assert decode("Node", encode("Node", {"node_id": 7}) + more) == {"node_id": 7}


@pytest.mark.parametrize(
    ("name", "data"),
    {
        "twice": ("Node", b"\x08\x01\x08\x02"),
        "of another type": ("Node", b"\x0a\x01\x01"),
        "a group": ("Node", b"\x0b\x0c"),
        "number 0": ("Node", b"\x00\x01"),
        "a number of 11 bytes": ("Node", b"\x08" + b"\x80" * 10 + b"\x01"),
        "a number of 65 bits": ("Node", b"\x08" + b"\xff" * 9 + b"\x02"),
        "a length beyond the end": ("PullObjectResponse", b"\x1a\xff\xff\xff\xff\x0f"),
        "not UTF-8": ("ObjectTree", b"\x0a\x01\xff"),
        "a list of numbers": ("PushMessagesRequest", b"\x22\x08" + bytes(8)),
    }.values(),
)
def test_what_is_malformed_is_refused(name: str, data: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode(name, data)


def test_a_small_message_cannot_unfold_into_a_large_one() -> None:
    deep: dict[str, Any] = {}
    for _ in range(MAX_DEPTH):
        deep = {"children": [deep]}
    with pytest.raises(ProtocolError, match="deep"):
        decode("ObjectTree", encode("ObjectTree", deep))
    wide: dict[str, Any] = {"children": [{}] * (MAX_FIELDS + 1)}
    with pytest.raises(ProtocolError, match="too many"):
        decode("ObjectTree", encode("ObjectTree", wide))


@pytest.mark.parametrize("number", [math.inf, -0.0, 5e-324, math.nan])
def test_odd_numbers_survive(number: float) -> None:
    found = decode("Metadata", encode("Metadata", {"ttl": number}))["ttl"]
    assert struct.pack("<d", found) == struct.pack("<d", number)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("Node", {"node": 1}),
        ("Node", {"node_id": -1}),
        ("Node", {"node_id": 2**64}),
        ("ConfigRecordValue", {"sint64": 2**63}),
        ("PushMessagesRequest", {"clientapp_runtime_list": [1.0]}),
    ],
)
def test_what_cannot_be_written_is_not_written_wrongly(name: str, values: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        encode(name, values)
