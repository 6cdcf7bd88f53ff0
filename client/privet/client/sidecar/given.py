"""What was given out and may be spoken of later, and how results become JSON."""

import secrets
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from threading import Lock
from typing import Any, Generic, TypeVar

from privet.privacy.canonical import Json, to_json
from privet.privacy.errors import InputError

MOST_REMEMBERED = 8
"""Lists, for one: each holds scores of the whole catalogue."""
_T = TypeVar("_T")
Answer = dict[str, Json]


class Remembered(Generic[_T]):
    """The last things that were given out, by name."""

    def __init__(self) -> None:
        """Remember nothing yet."""
        self._held: OrderedDict[str, _T] = OrderedDict()
        self._lock = Lock()

    def keep(self, what: _T, name: str = "") -> str:
        """Remember one more, and forget the oldest if there are too many."""
        name = name or secrets.token_urlsafe(12)
        with self._lock:
            self._held[name] = what
            while len(self._held) > MOST_REMEMBERED:
                self._held.popitem(last=False)
        return name

    def find(self, name: str, what: str) -> _T:
        """What has this name.

        Raises:
            InputError: Nothing has, or not any more.
        """
        with self._lock:
            if name in self._held:
                return self._held[name]
        raise InputError(f"Expected the name of {what} that was given before, and not long ago.")

    def forget(self) -> None:
        """Remember nothing any more."""
        with self._lock:
            self._held.clear()


def plain(value: object) -> Json:
    """JSON of results: of a dataclass, its members but private ones."""
    if is_dataclass(value):
        return members(value)
    if isinstance(value, Mapping):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [plain(one) for one in value]
    return to_json(value)


def members(value: Any) -> Answer:
    """JSON of a dataclass: its members but private ones."""
    names = [field.name for field in fields(value) if not field.name.startswith("_")]
    return {name: plain(getattr(value, name)) for name in names}
