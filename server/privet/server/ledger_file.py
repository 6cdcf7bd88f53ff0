"""A ledger in an SQLite file: appended in transactions, read back with its whole chain checked.

Each transaction is on the disk before the call returns, across a loss of power too
(``synchronous=EXTRA``: the folder is synced after the journal is gone, which ``FULL`` leaves out).
"""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from privet.privacy.canonical import canonical_bytes
from privet.privacy.errors import InputError, IntegrityError
from privet.privacy.ledger import Entry, EntryKind, check_chain, next_entry

_TABLES = {
    "ledger": "seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, body TEXT NOT NULL, "
    "previous_hash TEXT NOT NULL, hash TEXT NOT NULL",
    "head": "id INTEGER PRIMARY KEY CHECK (id = 0), length INTEGER NOT NULL, hash TEXT NOT NULL",
}


class LedgerFile:
    """An append-only chain of entries in one file, and other tables of the same transactions.

    Args:
        path: Of the file.
        kinds: Of entries that belong there.
        what: Whose file it is, for messages, as ``a run's``.
        tables: Columns of further tables, by name.
        create: Make the tables; they must be there otherwise.
        patience: Seconds to wait for another process's transaction.

    Raises:
        IntegrityError: The file is damaged, of another sort, or its chain or length does not match.

    Formal Guarantees:
        Entries of a transaction are durable together when it ends, or none is there. What is
        appended continues the chain that was read last: of two processes that append to the same
        chain without :meth:`refresh`, the second fails.
    """

    def __init__(
        self,
        path: Path,
        *,
        kinds: frozenset[EntryKind],
        what: str,
        tables: dict[str, str] | None = None,
        create: bool = False,
        patience: float = 5.0,
    ) -> None:
        """Open or create the file."""
        self.path, self._kinds, self._what = path, kinds, what
        self._entries: list[Entry] = []
        every = {**_TABLES, **(tables or {})}
        self.connection = sqlite3.connect(path, isolation_level=None, timeout=patience)
        try:
            self.connection.execute("PRAGMA synchronous=EXTRA")
            if create:
                with self.transaction():
                    for name, columns in every.items():
                        self.connection.execute(f"CREATE TABLE IF NOT EXISTS {name} ({columns})")
            self._check_tables(set(every))
            self._check_size()
            self.refresh()
            if not (create or self._entries):  # a ledger emptied would forget what was spent
                raise IntegrityError(f"{path} has no ledger: it was cut off, or never started.")
        except (sqlite3.Error, UnicodeError) as error:  # SQLite quotes damaged text in its errors
            self.connection.close()
            raise self._damaged(error) from error
        except BaseException:
            self.connection.close()
            raise

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The whole ledger, as last read or appended."""
        return tuple(self._entries)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """One durable change: all of it when the block ends, nothing if it raises.

        No other process writes meanwhile, so what is read in it stays true until it ends.
        """
        kept = len(self._entries)
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.connection.execute("COMMIT")
        except BaseException:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            del self._entries[kept:]
            raise

    def append(self, kind: EntryKind, body: dict[str, Any]) -> Entry:
        """Append an entry; in a transaction of the caller's."""
        entry = next_entry(self._entries[-1] if self._entries else None, kind, body)
        self._check_kind(entry)
        self.connection.execute(
            "INSERT INTO ledger VALUES (?, ?, ?, ?, ?)",
            (
                entry.seq,
                entry.kind,
                canonical_bytes(body).decode(),
                entry.previous_hash,
                entry.hash,
            ),
        )
        self.connection.execute(
            "INSERT OR REPLACE INTO head VALUES (0, ?, ?)", (entry.seq + 1, entry.hash)
        )
        self._entries.append(entry)
        return entry

    def refresh(self) -> None:
        """Read what other processes appended, and check that it continues the chain.

        Raises:
            IntegrityError: It does not, or was cut off.
        """
        known = self._entries[-1] if self._entries else None
        start = 0 if known is None else known.seq
        rows, head = self._read(None if known is None else start)
        try:
            found = [
                Entry.from_dict(
                    {"seq": s, "kind": k, "body": json.loads(b), "previous_hash": p, "hash": h}
                )
                for s, k, b, p, h in rows
            ]
            if head is None and found:
                raise IntegrityError("The ledger's recorded head and length are missing.")
            if known is not None and found[:1] != [known]:
                raise IntegrityError("The ledger was cut off or rewritten while it was open.")
            new = found if known is None else found[1:]
            length, last = (0, None) if head is None else head
            check_chain(new, head=last, length=length - len(self._entries), after=known)
        except (TypeError, ValueError, InputError, RecursionError) as error:
            raise IntegrityError("A ledger entry is not JSON.") from error
        for entry in new:
            self._check_kind(entry)
        self._entries.extend(new)

    def close(self) -> None:
        """Close the database."""
        self.connection.close()

    def _read(self, start: int | None) -> tuple[list[tuple[Any, ...]], tuple[int, str] | None]:
        """Rows from a position on (all if None) and the head, as of one moment."""
        outer = self.connection.in_transaction
        if not outer:
            self.connection.execute("BEGIN")
        try:
            query = "SELECT seq, kind, body, previous_hash, hash FROM ledger"
            if start is None:
                rows = self.connection.execute(f"{query} ORDER BY seq").fetchall()
            else:
                rows = self.connection.execute(
                    f"{query} WHERE seq >= ? ORDER BY seq", (start,)
                ).fetchall()
            head = self.connection.execute("SELECT length, hash FROM head").fetchone()
        finally:
            if not outer and self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
        return rows, head

    def _check_tables(self, wanted: set[str]) -> None:
        found = self.connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        if not wanted <= {str(name) for (name,) in found}:
            raise IntegrityError(f"{self.path} is damaged or not {self._what} database.")

    def _check_size(self) -> None:
        """A file that was cut off within a page reads as if the rest of it were empty."""
        (pages,), (size,) = (
            self.connection.execute(f"PRAGMA {name}").fetchone()
            for name in ("page_count", "page_size")
        )
        in_a_file = self.path.is_file()  # and not in memory
        if in_a_file and self.path.stat().st_size < pages * size:
            raise IntegrityError(f"{self.path} was cut off.")

    def _check_kind(self, entry: Entry) -> None:
        if entry.kind not in self._kinds:
            raise IntegrityError(
                f"{self.path} holds an entry of kind {entry.kind.value!r}: it is another sort of "
                f"ledger than {self._what}."
            )

    def _damaged(self, error: Exception) -> Exception:
        busy = isinstance(error, sqlite3.OperationalError) and "locked" in str(error)
        if busy:
            return IntegrityError(f"{self.path} is held by another process: try again later.")
        return IntegrityError(f"{self.path} is damaged or not {self._what} database.")
