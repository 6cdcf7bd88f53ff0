"""Canonical JSON: one value, one string of bytes, one hash.

Keys are sorted by code point, nothing is spaced, text is UTF-8 and floats are the shortest text that
reads back to the same float. JSON has no infinity, so an infinite number is written as null with a
text beside it; NaN is refused, since no figure of a report may be one.

Example:
    >>> canonical_bytes({"epsilon": float("inf"), "delta": 1e-6})
    b'{"delta":1e-06,"epsilon":{"text":"infinity","value":null}}'
    >>> sha256({"b": 1, "a": 2}) == sha256({"a": 2, "b": 1})
    True
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np

from privet.privacy.errors import InputError, IntegrityError

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"

INFINITY: dict[str, Json] = {"text": "infinity", "value": None}
MINUS_INFINITY: dict[str, Json] = {"text": "minus infinity", "value": None}


def to_json(value: object, where: str = "value") -> Json:
    """Turns a value into plain JSON types, with infinities spelled out.

    Args:
        value: Mappings with text keys, sequences, text, numbers (numpy's too), booleans and None.
        where: The name of the value, for the error message.

    Returns:
        A new value made of dict, list, str, int, float, bool and None only.

    Raises:
        InputError: If something in it is NaN, or has no place in JSON.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return _number(float(value), where)
    if isinstance(value, Mapping):
        return {_key(k, where): to_json(v, f"{where}.{k}") for k, v in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [to_json(v, f"{where}[{i}]") for i, v in enumerate(value)]
    raise InputError(f"Expected {where} to be JSON, found a {type(value).__name__}.")


def canonical_bytes(value: object) -> bytes:
    """Writes a value as canonical JSON.

    Raises:
        InputError: If the value is not JSON, see `to_json`, or holds text that is not Unicode.
    """
    text = json.dumps(
        to_json(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError("Expected Unicode text, found half of a surrogate pair.") from error


def sha256(value: object) -> str:
    """The SHA-256 of a value's canonical JSON, in hexadecimal."""
    return hashlib.sha256(canonical_bytes(value)).hexdigest()


def parse_canonical(data: bytes) -> Json:
    """Reads canonical JSON, and refuses any other spelling of it.

    Raises:
        InputError: If the bytes are not JSON, or name a key twice.
        IntegrityError: If they are JSON but not canonical, so that their hash means nothing.
    """
    try:
        value: Json = json.loads(
            data.decode("utf-8"), object_pairs_hook=_object, parse_constant=_refuse
        )
        spelled = canonical_bytes(value)
    except (ValueError, RecursionError) as error:
        raise InputError(f"Expected JSON in UTF-8: {error}.") from error
    if spelled != data:
        raise IntegrityError("The JSON is not canonical: its bytes were changed or reformatted.")
    return value


def _number(value: float, where: str) -> Json:
    if math.isnan(value):
        raise InputError(f"Expected a number for {where}, found NaN.")
    if math.isinf(value):
        return dict(INFINITY if value > 0 else MINUS_INFINITY)
    return value


def _key(key: object, where: str) -> str:
    if not isinstance(key, str):
        raise InputError(f"Expected text as keys of {where}, found {key!r}.")
    return str(key)


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key appears twice in one object")
    return found


def _refuse(name: str) -> Json:
    raise ValueError(f"{name} is not JSON")
