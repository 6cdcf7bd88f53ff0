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

MAX_BYTES = 1 << 24
"""Longest text that is read; parsed, it takes some thirty times that in memory."""

_Path: TypeAlias = "tuple[_Path | None, object]"

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
        InputError: If something in it is NaN, has no place in JSON, or is nested too deeply.
    """
    try:
        return _plain(value, (None, where))
    except RecursionError:
        raise InputError(f"Expected {where} to be JSON, found a value nested too deeply.") from None


def _plain(value: object, path: _Path) -> Json:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return _number(float(value), path)
    if isinstance(value, Mapping):
        return {_key(k, path): _plain(v, (path, k)) for k, v in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [_plain(v, (path, i)) for i, v in enumerate(value)]
    raise InputError(f"Expected {_name(path)} to be JSON, found a {type(value).__name__}.")


def canonical_bytes(value: object) -> bytes:
    """Writes a value as canonical JSON.

    Raises:
        InputError: If the value is not JSON, see `to_json`, or holds text that is not Unicode.
    """
    plain = to_json(value)
    try:
        text = json.dumps(
            plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
        )
        return text.encode("utf-8")
    except RecursionError:
        raise InputError("Expected JSON, found a value nested too deeply.") from None
    except UnicodeEncodeError as error:
        raise InputError("Expected Unicode text, found half of a surrogate pair.") from error


def sha256(value: object) -> str:
    """The SHA-256 of a value's canonical JSON, in hexadecimal."""
    return hashlib.sha256(canonical_bytes(value)).hexdigest()


def parse_canonical(data: bytes) -> Json:
    """Reads canonical JSON, and refuses any other spelling of it.

    Raises:
        InputError: If the bytes are too many, not JSON, or name a key twice.
        IntegrityError: If they are JSON but not canonical, so that their hash means nothing.
    """
    if len(data) > MAX_BYTES:
        raise InputError(f"Expected at most {MAX_BYTES} bytes of JSON, found {len(data)}.")
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


def _number(value: float, path: _Path) -> Json:
    if math.isnan(value):
        raise InputError(f"Expected a number for {_name(path)}, found NaN.")
    if math.isinf(value):
        return dict(INFINITY if value > 0 else MINUS_INFINITY)
    return value


def _key(key: object, path: _Path) -> str:
    if not isinstance(key, str):
        raise InputError(f"Expected text as keys of {_name(path)}, found a {type(key).__name__}.")
    return str(key)


def _name(path: _Path) -> str:
    """The name of a value from where it lies; only errors need it, so it is not made before."""
    parts: list[str] = []
    above: _Path | None = path
    while above is not None:
        above, part = above
        parts.append(f"[{part}]" if isinstance(part, int) else f".{str(part)[:60]}")
    return "".join(reversed(parts)).removeprefix(".")


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key appears twice in one object")
    return found


def _refuse(name: str) -> Json:
    raise ValueError(f"{name} is not JSON")
