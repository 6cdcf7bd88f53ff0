"""Frozen dataclasses to JSON and back, driven by their annotations, and strict about both ways.

It knows the few types that reports and plans are made of: text, numbers, booleans, `Literal`, text
enums, optional values, tuples, mappings with text keys and further dataclasses. `object` and `Any`
stand for opaque JSON. Errors name fields and types, never a value: whoever reads them may not be
whoever wrote it.
"""

import dataclasses
import math
import types
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from privet.privacy.canonical import INFINITY, MINUS_INFINITY, Json, to_json
from privet.privacy.errors import InputError

T = TypeVar("T")

_LARGEST_INTEGER = 1 << 63  # beyond it a number would not fit where it is computed with


def encode(value: object, hint: Any, where: str) -> Json:
    """Writes a value of the annotated type as JSON; a float field is always a float.

    Args:
        value: The value.
        hint: Its annotation.
        where: Its name, for the error message.

    Raises:
        InputError: If the value is not of that type, or NaN.
    """
    if dataclasses.is_dataclass(hint):
        _require(isinstance(value, cast(type, hint)), where, _name(hint), value)
        hints = _hints(cast(type, hint))
        return {k: encode(getattr(value, k), h, f"{where}.{k}") for k, h in hints.items()}
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return None if value is None else encode(value, _inner(hint), where)
    if origin is tuple:
        _require(isinstance(value, tuple | list), where, "a tuple", value)
        element = get_args(hint)[0]
        return [encode(v, element, f"{where}[{i}]") for i, v in enumerate(cast(Any, value))]
    if origin is Mapping:
        _require(isinstance(value, Mapping), where, "a mapping", value)
        element = get_args(hint)[1]
        items = cast(Mapping[str, object], value).items()
        return {k: encode(v, element, f"{where}.{k}") for k, v in items}
    return to_json(_scalar(value, hint, where), where)


def decode(hint: Any, value: object, where: str) -> Any:
    """Reads a value of the annotated type from JSON.

    Args:
        hint: The annotation.
        value: The JSON.
        where: Its name, for the error message.

    Raises:
        InputError: If a field is missing, unknown or of another type.
    """
    if dataclasses.is_dataclass(hint):
        return _decode_dataclass(cast(type, hint), value, where)
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return None if value is None else decode(_inner(hint), value, where)
    if origin is tuple:
        _require(isinstance(value, list), where, "a list", value)
        element = get_args(hint)[0]
        return tuple(
            decode(element, v, f"{where}[{i}]") for i, v in enumerate(cast(list[object], value))
        )
    if origin is Mapping:
        element = get_args(hint)[1]
        return {k: decode(element, v, f"{where}.{k}") for k, v in mapping(value, where).items()}
    if hint is float and value == INFINITY:
        return math.inf
    if hint is float and value == MINUS_INFINITY:
        return -math.inf
    return _scalar(value, hint, where)


def mapping(value: object, where: str) -> dict[str, object]:
    """The value, if it is a JSON object; an `InputError` otherwise."""
    _require(isinstance(value, dict), where, "an object", value)
    return cast(dict[str, object], value)


def require_keys(found: Mapping[str, object], expected: set[str], where: str) -> None:
    """Raises an `InputError` that names missing fields and counts unknown ones."""
    if missing := sorted(expected - found.keys()):
        raise InputError(f"Expected {where} to have {', '.join(missing)}: missing.")
    if unknown := sorted(found.keys() - expected):
        raise InputError(f"Expected only known fields in {where}, found {len(unknown)} unknown.")


def _decode_dataclass(cls: type[T], value: object, where: str) -> T:
    found = mapping(value, where)
    hints = _hints(cast(type, cls))
    require_keys(found, set(hints), where)
    return cls(**{k: decode(h, found[k], f"{where}.{k}") for k, h in hints.items()})


def _scalar(value: object, hint: Any, where: str) -> object:
    if hint is object or hint is Any:
        return value
    if get_origin(hint) is Literal:
        choices = get_args(hint)
        known = type(value) in (str, int, bool) and value in choices
        _require(known, where, f"one of {', '.join(map(repr, choices))}", value)
        return value
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        names = [str(member) for member in hint]
        _require(isinstance(value, str) and value in names, where, f"one of {names}", value)
        return hint(cast(str, value))
    value = to_json(value, where) if not isinstance(value, float) else float(value)
    accepted = (int, float) if hint is float else hint
    is_number = not isinstance(value, bool) or hint is bool
    _require(isinstance(value, accepted) and is_number, where, _name(hint), value)
    if isinstance(value, int) and abs(value) > _LARGEST_INTEGER:
        raise InputError(f"Expected {where} to be a number of at most 64 bits.")
    return float(cast(float, value)) if hint is float else value


@cache
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)


def _inner(hint: Any) -> Any:
    """The type inside an optional one; reports have no other unions."""
    return next(h for h in get_args(hint) if h is not type(None))


def _name(hint: Any) -> str:
    return {str: "text", int: "a whole number", float: "a number", bool: "true or false"}.get(
        hint, getattr(hint, "__name__", str(hint))
    )


def _require(holds: bool, where: str, expected: str, value: object) -> None:
    if not holds:
        raise InputError(f"Expected {where} to be {expected}, found a {type(value).__name__}.")
