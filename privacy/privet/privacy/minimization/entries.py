"""Where the entries of a device's chain are kept, and how one is read."""

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from privet.privacy.canonical import parse_canonical
from privet.privacy.errors import InputError, IntegrityError
from privet.privacy.ledger import Entry


class EntryStore(Protocol):
    """Where a device's chain is kept."""

    def read(self) -> Iterator[Entry]:
        """All entries, in order, as they are there: whoever reads them checks the chain."""

    def extend(
        self,
        after: Entry | None,
        build: Callable[[Iterable[Entry]], list[Entry]],
        *,
        answer: bytes | None = None,
    ) -> None:
        """Append entries, in one step that no other process can come between.

        Args:
            after: The last entry that the caller has seen.
            build: Gets the entries that others appended since, and returns those to append; if it
                raises, nothing is.
            answer: The bytes of the message that the last of them is about, if there is one to
                append; the bytes kept before are dropped.

        Returns when all of it is as durable as the store is; if it raises, nothing was appended.
        """

    def answer(self, seq: int) -> bytes | None:
        """The bytes of the message that this entry is about, if they are the ones kept."""

    def forget_answer(self) -> None:
        """Drop the bytes that are kept."""


class MemoryEntries:
    """A chain in memory, forgotten when the process ends.

    Args:
        entries: To go on from.
        answer: The message that is kept, with the number of the entry that it is of.
    """

    def __init__(
        self, entries: Iterable[Entry] = (), answer: tuple[int, bytes] | None = None
    ) -> None:
        """Hold these entries."""
        self._entries = list(entries)
        self._answer = answer

    @property
    def kept(self) -> tuple[int, bytes] | None:
        """The message that is kept, with the number of its entry."""
        return self._answer

    def read(self) -> Iterator[Entry]:
        """All entries."""
        return iter(self._entries)

    def extend(
        self,
        after: Entry | None,
        build: Callable[[Iterable[Entry]], list[Entry]],
        *,
        answer: bytes | None = None,
    ) -> None:
        """Append entries; see `EntryStore`."""
        more = build(self._entries[0 if after is None else after.seq + 1 :])
        self._entries.extend(more)
        if more and answer is not None:
            self._answer = (len(self._entries) - 1, answer)

    def answer(self, seq: int) -> bytes | None:
        """The bytes kept, if they are of this entry."""
        return self._answer[1] if self._answer is not None and self._answer[0] == seq else None

    def forget_answer(self) -> None:
        """Drop the bytes that are kept."""
        self._answer = None


def read_entry(line: bytes) -> Entry:
    """One entry from its canonical JSON.

    Raises:
        InputError: Not JSON.
        IntegrityError: Not an entry.
    """
    try:
        body = parse_canonical(line)
    except RecursionError:
        raise InputError("A ledger entry is nested too deeply.") from None
    if not isinstance(body, dict):
        raise IntegrityError("A ledger entry is malformed.")
    entry = Entry.from_dict(body)
    if type(entry.seq) is not int or not isinstance(entry.body, dict):
        raise IntegrityError("A ledger entry is malformed.")
    return entry
