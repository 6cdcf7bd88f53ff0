"""Structured logs of a server: one JSON object a line, of fixed events, with nothing personal.

A line has a time, an event and numbers, words of a closed kind or hashes. Free text never gets in:
an exception's text may quote what a device sent, and a device's number beside a time is a record of
when somebody used it.
"""

import json
import re
import time
from collections.abc import Callable
from enum import StrEnum
from typing import IO

from privet.privacy.errors import EgressError

Value = int | float | str
_WORD = re.compile(r"[a-z0-9][a-z0-9 ._-]{0,63}")
_FORBIDDEN = frozenset({"device", "node", "user", "item", "identity", "address"})


class LogEvent(StrEnum):
    """All that a server writes about itself."""

    STARTED = "server started"
    STOPPED = "server stopped"
    RUN_STARTED = "run started"
    RUN_RESUMED = "run resumed"
    RUN_FINISHED = "run finished"
    PHASE = "round reached a phase"
    ROUND_ABORTED = "round aborted"
    STAGE = "stage finished"
    REFUSED = "budget refused a release"
    SPOILED = "groups were spoiled and borne"
    POISONED = "a released sum was poisoned"
    LINK_RESTARTED = "superlink died and was started again"
    PUBLISHED = "model published"
    ROLLED_OUT = "model rolled out"
    ROLLED_BACK = "model rolled back"
    ENROLLED = "devices enrolled"


class EventLog:
    """Writes events to a stream, a line each, at once.

    Args:
        stream: Text, for example standard error or a file opened for appending.
        clock: Seconds since 1970.

    Formal Guarantees:
        A line holds the event, the time, and values that are numbers or short words of lower-case
        letters, digits, dots, dashes and spaces (so also hashes in hexadecimal), under names that
        are none of a device's. Anything else raises before it is written.
    """

    def __init__(self, stream: IO[str], *, clock: Callable[[], float] = time.time) -> None:
        """Write nothing yet."""
        self._stream, self._clock = stream, clock

    def write(self, event: LogEvent, **values: Value) -> None:
        """Write one event.

        Raises:
            EgressError: A name or value that could say something about a person. Quotes nothing.
        """
        for name, value in values.items():
            if name in _FORBIDDEN or not _harmless(value):
                raise EgressError(
                    "A log line holds numbers and short lower-case words, and nothing about a "
                    "device. Nothing was written."
                )
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._clock()))
        line = {"time": moment, "event": str(LogEvent(event)), **values}
        self._stream.write(json.dumps(line, allow_nan=False) + "\n")
        self._stream.flush()


def _harmless(value: object) -> bool:
    if isinstance(value, str):
        return _WORD.fullmatch(value) is not None
    return type(value) in (int, bool) or (type(value) is float and abs(value) < float("inf"))
