"""What a device records: events, and entries by name; and their bytes before they are sealed."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from privet.privacy.canonical import Json
from privet.privacy.errors import InputError, IntegrityError

MAX_TEXT_BYTES = 1 << 20
"""Longest item identifier, kind or name, in UTF-8."""
MAX_VALUE_BYTES = 1 << 26
MAX_TIME = 1 << 53
_DTYPES = ("|b1", "|i1", "|u1", *(f"<{kind}{n}" for kind in "iuf" for n in (2, 4, 8)))

Value: TypeAlias = "Json | NDArray[Any]"


class EntryKind(StrEnum):
    """What an entry with a name is.

    Attributes:
        PROFILE: An answer or a wish of the user; JSON.
        SETTING: A setting of the app or the client; JSON.
        STATE: A local state: an array of numbers, derived from the history.
        CONSENT: What the user agreed to or refused on this device, and receipts of it; JSON. An
            import leaves it out.
        USAGE: What taking part has cost this device, and when it did; JSON. An import leaves it out.
    """

    PROFILE = "profile"
    SETTING = "setting"
    STATE = "state"
    CONSENT = "consent"
    USAGE = "usage"


@dataclass(frozen=True, kw_only=True, repr=False)
class Event:
    """One interaction of the user. Its representation shows nothing of it.

    Attributes:
        kind: What happened: view, click, like, dislike, rate, buy, skip, finish, search, ...
        item: The item's identifier, any text of 1 MiB at most; empty where there is none.
        time: Unix seconds, 0 if unknown.
        value: Strength or rating, finite, or None.
        context: Anything else, JSON: a query, a device, a session.

    Raises:
        InputError: One of them cannot be kept; nothing of it is quoted.
    """

    kind: str
    item: str = ""
    time: int = 0
    value: float | None = None
    context: Mapping[str, Json] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check what can be kept."""
        check_text("an event's kind", self.kind)
        check_text("an item's identifier", self.item)
        if not self.kind:
            raise InputError("Expected an event's kind, found an empty text.")
        if type(self.time) is not int or not 0 <= self.time <= MAX_TIME:
            raise InputError("Expected an event's time in whole Unix seconds, 0 if unknown.")
        number = isinstance(self.value, (int, float)) and not isinstance(self.value, bool)
        if self.value is not None and not (number and _is_finite(self.value)):
            raise InputError("Expected an event's value to be a finite number or None.")
        if not isinstance(self.context, Mapping):
            raise InputError("Expected an event's context to be a mapping.")
        if self.context:
            encoded("an event's context", self.context)

    def to_bytes(self) -> bytes:
        """JSON of what is not the default."""
        fields = {"k": self.kind, "i": self.item, "t": self.time, "v": self.value}
        given = {name: value for name, value in fields.items() if value not in ("", None)}
        return encoded("an event", given | ({"c": dict(self.context)} if self.context else {}))

    @classmethod
    def from_bytes(cls, data: bytes) -> "Event":
        """Read what `to_bytes` wrote."""
        found = _decoded(data)
        return cls(
            kind=found["k"],
            item=found.get("i", ""),
            time=found["t"],
            value=found.get("v"),
            context=found.get("c", {}),
        )


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Entry:
    """A value under a name.

    Attributes:
        kind: What it is.
        name: Its name, unique among its kind.
        value: JSON, or an array of numbers if it is a state.

    Raises:
        InputError: The value cannot be kept.
    """

    kind: EntryKind
    name: str
    value: Value

    def __post_init__(self) -> None:
        """Check what can be kept."""
        check_text("an entry's name", self.name)
        if not isinstance(self.kind, EntryKind):
            raise InputError("Expected an entry's kind.")
        if (self.kind is EntryKind.STATE) != isinstance(self.value, np.ndarray):
            raise InputError("Expected an array for a state, and JSON for any other entry.")
        if isinstance(self.value, np.ndarray) and described(self.value)["dtype"] not in _DTYPES:
            raise InputError(f"Expected a state of numbers, found dtype {self.value.dtype}.")

    def to_bytes(self) -> bytes:
        """A line of JSON, and the numbers of an array."""
        head: dict[str, Json] = {"kind": str(self.kind), "name": self.name}
        tail = b""
        if isinstance(self.value, np.ndarray):
            head["value"], tail = described(self.value), raw(self.value)
        else:
            head["value"] = self.value
        data = encoded("an entry", head) + b"\n" + tail
        if len(data) > MAX_VALUE_BYTES:
            raise InputError(f"Expected an entry of {MAX_VALUE_BYTES} bytes at most.")
        return data

    @classmethod
    def from_bytes(cls, data: bytes) -> "Entry":
        """Read what `to_bytes` wrote."""
        head, _, tail = data.partition(b"\n")
        found = _decoded(head)
        kind, value = EntryKind(found["kind"]), found["value"]
        if kind is EntryKind.STATE:
            value = array_of(value, tail)
        return cls(kind=kind, name=found["name"], value=value)


def check_text(what: str, text: object) -> None:
    """Refuse what is no text, too long, or not writable as UTF-8."""
    if not isinstance(text, str):
        raise InputError(f"Expected {what} to be a text.")
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise InputError(f"Expected {what} in whole Unicode characters.") from None
    if size > MAX_TEXT_BYTES:
        raise InputError(f"Expected {what} of {MAX_TEXT_BYTES} bytes at most, found {size}.")


def encoded(what: str, value: object) -> bytes:
    """A value as compact JSON without line breaks.

    Raises:
        InputError: It is no JSON: another type, NaN, infinity, a key that is no text, too deep.
    """
    try:
        text = json.dumps(_plain(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        data = text.encode()
    except (TypeError, ValueError, RecursionError):
        raise InputError(f"Expected {what} to be JSON with finite numbers.") from None
    if len(data) > MAX_VALUE_BYTES:
        raise InputError(f"Expected {what} of {MAX_VALUE_BYTES} bytes at most.")
    return data


def described(array: NDArray[Any]) -> dict[str, Json]:
    """Number type and shape of an array, for JSON."""
    return {"dtype": array.dtype.newbyteorder("<").str, "shape": list(array.shape)}


def raw(array: NDArray[Any]) -> bytes:
    """An array's numbers, little-endian, in C order."""
    return array.astype(array.dtype.newbyteorder("<")).tobytes()


def array_of(description: Any, data: bytes) -> NDArray[Any]:
    """The array of a description and its numbers.

    Raises:
        IntegrityError: They do not fit together.
    """
    try:
        dtype, shape = description["dtype"], description["shape"]
        if dtype not in _DTYPES or not all(type(n) is int and n >= 0 for n in shape):
            raise ValueError
        return (
            (np.frombuffer(data, dtype) if data else np.zeros(0, dtype))
            .reshape([int(n) for n in shape])
            .copy()
        )
    except (ValueError, TypeError, KeyError, OverflowError):
        raise IntegrityError("Expected an array of numbers; it is damaged.") from None


def _is_finite(value: float | None) -> bool:
    try:
        return math.isfinite(float(value or 0))
    except OverflowError:
        return False


def _plain(value: object) -> object:
    """The same with every mapping a dict whose keys are texts."""
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise TypeError
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return value


def _decoded(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise IntegrityError("A sealed value is damaged: it is no record.")
    return found
