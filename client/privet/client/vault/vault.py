"""The encrypted store of what a device holds about its user, in one SQLite file.

Every value is sealed (:mod:`privet.client.vault.sealing`) before SQLite sees it: kinds, items, times
and names too. See ``docs/store.md`` for what someone with the file learns, and what not.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from privet.client.vault.event import Entry, EntryKind, Event, Value
from privet.client.vault.key_source import KeySource
from privet.client.vault.receipt import Receipt, Retention, Scope
from privet.client.vault.rows import Rows, Table, Tally
from privet.client.vault.sealed_store import SealedStore
from privet.privacy.errors import InputError


class Vault:
    """What a device holds: events, and entries by name.

    Args:
        path: The file.
        key: Where the key comes from; there is no store without one.
        create: Make a new store; the file must not exist or be empty.
        busy_seconds: How long to wait for another process that writes.
        at_least: The least `changes` that the file must have, if the caller kept that number
            somewhere else.
        clock: Unix seconds; for receipts and for the age of events.

    Raises:
        InputError: No key, or a wrong one; no file, or already one; others may use it; it is of
            another version; the disk is full; another process holds it. Nothing was changed.
        IntegrityError: The file is damaged, cut off, or older than `at_least`.

    Formal Guarantees:
        What `record`, `put` and `drop` were given is on the disk when they return, as far as the
        operating system and the disk keep what they confirm (``fsync``). In the file and its log
        there are sealed values only, each bound to its place. Changes, moves, removals and returns
        of single rows are noticed before any of a table's content is given out. An older copy of
        the whole file shows only to whoever kept `changes`, or had it open all the time.
    """

    def __init__(
        self,
        path: Path,
        *,
        key: KeySource,
        create: bool = False,
        busy_seconds: float = 10.0,
        at_least: int = 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Open or create the file, find the key, and count the rows."""
        self._store = SealedStore(
            path, key=key, create=create, busy_seconds=busy_seconds, at_least=at_least
        )
        self._clock = clock
        # What was read, with the mark of its table; other tables' changes leave it in place.
        self._events: tuple[int, dict[int, Event]] | None = None
        self._entries: tuple[int, dict[int, Entry]] | None = None

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file and forget what was read; everything is in the file already."""
        self._store.close()
        self._events = self._entries = None

    @property
    def changes(self) -> int:
        """Number of transactions that changed something; keep it elsewhere to notice old copies."""
        with self._store.rows("BEGIN") as rows:
            return rows.tally.changes

    @property
    def state_digest(self) -> str:
        """A keyed digest of the content, as in receipts."""
        with self._store.rows("BEGIN") as rows:
            return rows.tally.digest

    @property
    def events_mark(self) -> int:
        """A keyed mark of all events: as long as it is equal, so are they, whoever writes."""
        with self._store.rows("BEGIN") as rows:
            return rows.tally.marks[Table.EVENT]

    def record(self, *events: Event) -> tuple[int, int]:
        """Add events, all or none, durably; returns as `add`."""
        return self.add(events=events)

    def events(self) -> tuple[Event, ...]:
        """All events in order of time; of one time in the order in which they were recorded."""
        with self._store.rows("BEGIN") as rows:
            kept = self._read_events(rows)
        return tuple(kept[row] for row in sorted(kept, key=lambda row: (kept[row].time, row)))

    def put(self, *entries: Entry) -> None:
        """Set entries, all or none, durably."""
        self.add(entries=entries)

    def add(
        self, *, events: Iterable[Event] = (), entries: Iterable[Entry] = ()
    ) -> tuple[int, int]:
        """Add events and set entries, all or none, durably; of one name the last entry counts.

        Returns:
            `events_mark` just before and just after: no other process came in between.
        """
        new, wanted = [(event.to_bytes(), event) for event in events], list(entries)
        with self._store.rows() as rows:
            before = rows.tally.marks[Table.EVENT]
            if wanted:
                self._set(rows, wanted)
            added = {rows.insert(Table.EVENT, data): event for data, event in new}
        after = rows.tally.marks[Table.EVENT]
        if self._events is not None and self._events[0] == before:
            self._events[1].update(added)
            self._events = (after, self._events[1])
        return before, after

    def amend(
        self, kind: EntryKind, change: Callable[[Mapping[str, Value]], Iterable[Entry]]
    ) -> None:
        """Set entries by what those of a kind are now: nobody comes in between; durably.

        Args:
            kind: Which entries `change` is given, by name.
            change: The entries to set; if it raises, nothing is.
        """
        with self._store.rows() as rows:
            kept = self._read_entries(rows).values()
            self._set(rows, change({e.name: e.value for e in kept if e.kind is kind}))

    def entries(self, kind: EntryKind) -> dict[str, Value]:
        """All entries of a kind by name."""
        with self._store.rows("BEGIN") as rows:
            kept = self._read_entries(rows)
        return {entry.name: entry.value for entry in kept.values() if entry.kind is kind}

    def drop(self, kind: EntryKind, names: Iterable[str]) -> int:
        """Erase entries, as thoroughly as `erase` does; how many there were."""
        wanted = set(names)
        with self._store.rows() as rows:
            kept = self._read_entries(rows)
            gone = [r for r, e in kept.items() if e.kind is kind and e.name in wanted]
            self._store.delete(rows, Table.ENTRY, gone)
        self._store.finish()
        return len(gone)

    def erase(
        self, *, items: Iterable[str] | None = None, before: int | None = None, all: bool = False
    ) -> Receipt:
        """Erase for good: events of some items, events before a time, or everything.

        Local states are derived from the events, so any erasure of events drops them too. Erasing
        everything replaces the data key, and the key that wraps it where its source keeps it.

        Args:
            items: Identifiers.
            before: Unix seconds, not included; events without a time are kept.
            all: Everything: events and entries.

        Raises:
            InputError: Not exactly one of the three was given. Or the rows are erased, but another
                process, or a full disk, kept the file from being scrubbed: the message says so, and
                the next opening or erasure goes on with it.

        Formal Guarantees:
            When it returns, no sealed byte of what was erased is in the file, its free pages or its
            log. It cannot reach copies: backups, snapshots of the file system, blocks that a flash
            disk has set aside, memory of this process.
        """
        if (items is not None) + (before is not None) + bool(all) != 1:
            raise InputError("Expected one of items, before and all. Nothing was erased.")
        if items is not None:
            if isinstance(items, str):
                raise InputError("Expected several identifiers, found a text. Nothing was erased.")
            wanted = frozenset(items)
            return self._erase(
                Scope.ITEMS, lambda kept: [r for r in kept if kept[r].item in wanted]
            )
        if before is not None:
            limit = before
            return self._erase(Scope.BEFORE, lambda kept: _older(kept, limit))
        held, left, destroyed = self._store.change_key(None, new_data_key=True, keep=False)
        return self._receipt(Scope.ALL, held.counts, left, key=True, wrapping_key=destroyed)

    def retain(self, retention: Retention) -> Receipt:
        """Erase what a policy no longer allows to keep, as thoroughly as `erase` does."""
        now = int(self._clock())

        def expired(kept: Mapping[int, Event]) -> list[int]:
            age, most = retention.max_age_seconds, retention.max_events
            gone = set() if age is None else set(_older(kept, now - age))
            left = sorted((r for r in kept if r not in gone), key=lambda r: (kept[r].time, r))
            return sorted(gone | set(left[:-most] if most is not None else ()))

        return self._erase(Scope.RETENTION, expired)

    def rotate_wrapping_key(self, key: KeySource | None = None) -> None:
        """Wrap the data key anew, under a fresh key of this source or another; rows stay.

        Whoever has the old key and an old copy of the file can still open the data key: where the
        old key may be known, rotate the data key.
        """
        self._store.change_key(key, new_data_key=False)

    def rotate_data_key(self, key: KeySource | None = None) -> None:
        """Seal everything anew under a fresh data key; all or nothing, whatever crashes."""
        self._store.change_key(key, new_data_key=True)

    def _set(self, rows: Rows, entries: Iterable[Entry]) -> None:
        new = {(entry.kind, entry.name): entry.to_bytes() for entry in entries}
        kept = self._read_entries(rows)
        rows.delete(Table.ENTRY, [r for r, e in kept.items() if (e.kind, e.name) in new])
        for data in new.values():
            rows.insert(Table.ENTRY, data)

    def _erase(self, scope: Scope, chosen: Callable[[Mapping[int, Event]], list[int]]) -> Receipt:
        with self._store.rows() as rows:
            gone = chosen(self._read_events(rows))
            entries = self._read_entries(rows) if gone else {}
            states = [r for r, entry in entries.items() if entry.kind is EntryKind.STATE]
            self._store.delete(rows, Table.EVENT, gone)
            self._store.delete(rows, Table.ENTRY, states)
        self._store.finish()
        counts = {Table.EVENT: len(gone), Table.ENTRY: len(states)}
        return self._receipt(scope, counts, rows.tally, key=False, wrapping_key=False)

    def _receipt(
        self,
        scope: Scope,
        erased: Mapping[Table, int],
        tally: Tally,
        *,
        key: bool,
        wrapping_key: bool,
    ) -> Receipt:
        return Receipt(
            scope=scope,
            events=erased[Table.EVENT],
            entries=erased[Table.ENTRY],
            events_left=tally.counts[Table.EVENT],
            entries_left=tally.counts[Table.ENTRY],
            at=int(self._clock()),
            key_destroyed=key,
            wrapping_key_destroyed=wrapping_key,
            state_digest=tally.digest,
        )

    def _read_events(self, rows: Rows) -> Mapping[int, Event]:
        mark = rows.tally.marks[Table.EVENT]
        if self._events is None or self._events[0] != mark:
            found = {r: Event.from_bytes(b) for r, b in rows.read(Table.EVENT).items()}
            self._events = (mark, found)
        return self._events[1]

    def _read_entries(self, rows: Rows) -> Mapping[int, Entry]:
        mark = rows.tally.marks[Table.ENTRY]
        if self._entries is None or self._entries[0] != mark:
            found = {r: Entry.from_bytes(b) for r, b in rows.read(Table.ENTRY).items()}
            self._entries = (mark, found)
        return self._entries[1]


def _older(kept: Mapping[int, Event], limit: int) -> list[int]:
    """Rows of events with a time before a limit."""
    return [row for row, event in kept.items() if 0 < event.time < limit]
