"""A small strict protobuf codec for the messages of :mod:`privet.client.embedded.schema`.

It reads and writes binary protobuf (https://protobuf.dev/programming-guides/encoding/, proto3) as
plain dictionaries. Its output is what the official library writes with ``deterministic=True``. On
input it is stricter than the official library: a field that comes twice, a known field of another
wire type, text that is not UTF-8 and anything cut short are refused. Unknown fields are skipped, as
proto3 asks for.

Edge Case Handling:
    Depth and number of fields are bounded, so that a small message cannot unfold into a large one.
    Lists of numbers are refused in both directions: no message that a device sends or reads has one.
    NaN and infinity pass as numbers; who uses a number checks it.
"""

import struct
from collections.abc import Mapping
from typing import Any

from privet.client.embedded.errors import ProtocolError
from privet.client.embedded.schema import SCHEMA, Field, Kind

MAX_DEPTH = 8
MAX_FIELDS = 1000

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_SIZES = {_FIXED64: 8, _FIXED32: 4}
_WIRE_TYPES = {
    Kind.UINT32: _VARINT,
    Kind.UINT64: _VARINT,
    Kind.SINT64: _VARINT,
    Kind.BOOL: _VARINT,
    Kind.DOUBLE: _FIXED64,
    Kind.STRING: _LENGTH,
    Kind.BYTES: _LENGTH,
    Kind.MESSAGE: _LENGTH,
}
_ZEROS: dict[Kind, Any] = {
    Kind.UINT32: 0,
    Kind.UINT64: 0,
    Kind.SINT64: 0,
    Kind.BOOL: False,
    Kind.DOUBLE: 0.0,
    Kind.STRING: "",
    Kind.BYTES: b"",
}


def encode(name: str, values: Mapping[str, Any]) -> bytes:
    """Write a message; fields that are not given keep their zero and take no space.

    Args:
        name: Of the message type.
        values: By field name: numbers, text, bytes, dictionaries for messages, lists.

    Raises:
        ValueError: A field that the message does not have, or a number out of range.
    """
    fields = SCHEMA[name]
    if unknown := set(values) - {field.name for field in fields}:
        raise ValueError(f"{name} has no field {sorted(unknown)}.")
    parts: list[bytes] = []
    for field in fields:
        value = values.get(field.name)
        if value is None:
            continue
        if field.repeated and _WIRE_TYPES[field.kind] != _LENGTH:
            raise ValueError(f"{field.name} is a list of numbers, which no device sends.")
        if field.repeated:
            parts.extend(_single(field, entry) for entry in value)
        elif field.optional or not _is_zero(field.kind, value):
            parts.append(_single(field, value))
    return b"".join(parts)


def decode(name: str, data: bytes | memoryview) -> dict[str, Any]:
    """Read a message.

    Returns:
        Every field of the type: absent ones as their zero, as None if that differs, or as an empty
        list. Messages without a table are bytes.

    Raises:
        ProtocolError: It is not a message of this type, or unfolds beyond the bounds.
    """
    return _Decoder().message(name, memoryview(data), MAX_DEPTH)


def _single(field: Field, value: Any) -> bytes:
    match field.kind:
        case Kind.DOUBLE:
            return _varint(field.number << 3 | _FIXED64) + struct.pack("<d", value)
        case Kind.STRING:
            return _tagged(field.number, value.encode())
        case Kind.BYTES:
            return _tagged(field.number, value)
        case Kind.MESSAGE:
            known = field.message in SCHEMA
            return _tagged(field.number, encode(field.message, value) if known else value)
        case Kind.SINT64:
            if not -(1 << 63) <= value < 1 << 63:
                raise ValueError(f"{field.name} is not a signed 64-bit number.")
            value = value << 1 ^ value >> 63
    return _varint(field.number << 3 | _VARINT) + _varint(int(value))


def _is_zero(kind: Kind, value: Any) -> bool:
    if kind is Kind.DOUBLE:
        return struct.pack("<d", value) == bytes(8)  # minus zero is not zero on the wire
    return bool(value == _ZEROS[kind])


def _tagged(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | _LENGTH) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    if not 0 <= value < 1 << 64:
        raise ValueError("Only numbers of 0 to 2**64 - 1 can be written.")
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


class _Decoder:
    """One message on its way in; counts the fields of all its parts."""

    def __init__(self) -> None:
        self.fields_left = MAX_FIELDS

    def message(self, name: str, data: memoryview, depth: int) -> dict[str, Any]:
        if depth == 0:
            raise ProtocolError("A message is nested too deeply.")
        fields = {field.number: field for field in SCHEMA[name]}
        values: dict[str, Any] = {
            field.name: [] if field.repeated else None if field.optional else _ZEROS[field.kind]
            for field in fields.values()
        }
        seen: set[int] = set()
        at = 0
        while at < len(data):
            self.fields_left -= 1
            if self.fields_left < 0:
                raise ProtocolError("A message has too many fields.")
            tag, after = _read_varint(data, at)
            number, wire_type = tag >> 3, tag & 7
            if not 0 < number < 1 << 29 or after - at > 5:
                raise ProtocolError("A message has a field with a number that no field can have.")
            at = after
            raw, at = _read_raw(data, at, wire_type)
            if (field := fields.get(number)) is None:
                continue
            if wire_type != _WIRE_TYPES[field.kind]:
                raise ProtocolError(f"Field {field.name} of {name} is of another type.")
            value = self.value(field, raw, depth)
            if field.repeated:
                values[field.name].append(value)
            elif number in seen:
                raise ProtocolError(f"Field {field.name} of {name} comes twice.")
            else:
                values[field.name] = value
            seen.add(number)
        return values

    def value(self, field: Field, raw: Any, depth: int) -> Any:
        match field.kind:
            case Kind.MESSAGE if field.message in SCHEMA:
                return self.message(field.message, raw, depth - 1)
            case Kind.MESSAGE | Kind.BYTES:
                return bytes(raw)
            case Kind.STRING:
                try:
                    return str(raw, "utf-8")
                except UnicodeDecodeError:
                    raise ProtocolError(f"Field {field.name} is not UTF-8.") from None
            case Kind.DOUBLE:
                return struct.unpack("<d", raw)[0]
            case Kind.SINT64:
                return raw >> 1 ^ -(raw & 1)
            case Kind.BOOL:
                return bool(raw)
            case Kind.UINT32 if raw >> 32:
                raise ProtocolError(f"Field {field.name} does not fit 32 bits.")
        return raw


def _read_raw(data: memoryview, at: int, wire_type: int) -> tuple[Any, int]:
    """A field's value as a number or as a slice, and where the next field begins."""
    if wire_type == _VARINT:
        return _read_varint(data, at)
    if wire_type == _LENGTH:
        size, at = _read_varint(data, at)
    elif wire_type in _SIZES:
        size = _SIZES[wire_type]
    else:
        raise ProtocolError("A message has a field of a type that is not in use.")
    if size > len(data) - at:
        raise ProtocolError("A message is cut short.")
    return data[at : at + size], at + size


def _read_varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise ProtocolError("A message is cut short.")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >> 64:
                break
            return value, at
    raise ProtocolError("A number of a message does not fit 64 bits.")
