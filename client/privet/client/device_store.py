"""What a device must never forget, in one SQLite file: the chain of its ledger.

The file holds the chain (:class:`privet.privacy.minimization.egress_log.EgressLedger` decides what
goes into it), its length and head, and the bytes of the last answer. A transaction is on the disk
before the call that made it returns, and is written by one process at a time.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from types import TracebackType
from typing import Any, Self

from privet.client.store_file import (
    check_file,
    committed,
    connect,
    make_file,
    sqlite_errors,
)
from privet.privacy.canonical import canonical_bytes
from privet.privacy.errors import InputError, IntegrityError, PrivetError
from privet.privacy.ledger import GENESIS, Entry
from privet.privacy.minimization.egress_log import EgressLedger
from privet.privacy.minimization.entries import read_entry

APPLICATION_ID = 0x50525644
"""Marks the file as a device's store: the letters PRVD."""
SCHEMA_VERSION = 1

_SCHEMA = (
    """CREATE TABLE ledger (
    seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, body TEXT NOT NULL,
    previous_hash TEXT NOT NULL, hash TEXT NOT NULL)""",
    """CREATE TABLE tip (
    id INTEGER PRIMARY KEY CHECK (id = 0), length INTEGER NOT NULL, hash TEXT NOT NULL)""",
    """CREATE TABLE answer (
    id INTEGER PRIMARY KEY CHECK (id = 0), seq INTEGER NOT NULL, message BLOB NOT NULL)""",
)
# A rollback journal and no write-ahead log: between transactions the one file is all there is. EXTRA
# also syncs the directory once the journal is gone, without which a power cut could bring it back
# and undo a claim.
_PRAGMAS = ("journal_mode=DELETE", "synchronous=EXTRA", "fullfsync=ON", "secure_delete=ON")


class DeviceStore:
    """A device's durable memory.

    Args:
        path: The file.
        create: Start a new one, readable by its owner only; the file must not exist or be empty.
        busy_seconds: How long to wait for another process that writes.

    Raises:
        InputError: There is no such file, or already one; others may read or write it; it is
            another program's or a newer version's; it cannot be written; the disk is full.
        IntegrityError: It is damaged, or its chain is not as long or not the one that it says.

    Formal Guarantees:
        Those of `EgressLedger`, for every process that opens the file: what a call recorded is on
        the disk when the call returns, as far as the operating system and the disk keep what they
        confirm (``fsync``), and a call that cannot record raises before anything is sent. Damage,
        truncation and changes of single entries are noticed. Whoever can write the file can also
        rewrite all of it, delete it, or put back an older copy; the last shows only to whoever
        kept its head and length (`EgressLedger.check_contains`).
    """

    def __init__(self, path: Path, *, create: bool = False, busy_seconds: float = 10.0) -> None:
        """Open or create the file, and check all of it."""
        self.path = path
        self._lock = RLock()
        self._process = os.getpid()
        if create:
            make_file(path)
        check_file(path)
        with sqlite_errors(self.path):
            self._db = connect(path, busy_seconds)
        try:
            if create:
                self._make_tables()
            self._check_tables()
            self._set_pragmas()
            self.ledger = EgressLedger(self)
            """The chain, and the decisions that rest on it."""
        except BaseException:
            self._db.close()
            raise

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
        """Close the file; everything is in it already."""
        self._db.close()

    def read(self) -> Iterator[Entry]:
        """All entries; see `EntryStore`."""
        with self._transaction("BEGIN"):
            found = self._since(None)
        return iter(found)

    def extend(
        self,
        after: Entry | None,
        build: Callable[[Iterable[Entry]], list[Entry]],
        *,
        answer: bytes | None = None,
    ) -> None:
        """Append entries, durably; see `EntryStore`."""
        with self._transaction():
            more = build(self._since(after))
            for entry in more:
                row = (entry.kind, canonical_bytes(entry.body).decode(), entry.previous_hash)
                self._db.execute(
                    "INSERT INTO ledger VALUES (?, ?, ?, ?, ?)", (entry.seq, *row, entry.hash)
                )
            if more:
                tip = (more[-1].seq + 1, more[-1].hash)
                self._db.execute("UPDATE tip SET length = ?, hash = ?", tip)
            if more and answer is not None:
                self._db.execute(
                    "INSERT OR REPLACE INTO answer VALUES (0, ?, ?)", (more[-1].seq, answer)
                )

    def answer(self, seq: int) -> bytes | None:
        """The bytes of the message that this entry is about, if they are the ones kept."""
        with self._transaction("BEGIN"):
            row = self._db.execute("SELECT message FROM answer WHERE seq = ?", (seq,)).fetchone()
        if row is not None and type(row[0]) is not bytes:
            raise IntegrityError(f"{self.path} is damaged: the answer that it keeps is no message.")
        return None if row is None else row[0]

    def forget_answer(self) -> None:
        """Drop the bytes that are kept, and overwrite them in the file."""
        with self._transaction():
            self._db.execute("DELETE FROM answer")

    def _since(self, after: Entry | None) -> list[Entry]:
        """The entries after one, up to the length and head that the file records."""
        seq, last = (-1, GENESIS) if after is None else (after.seq, after.hash)
        rows = self._db.execute(
            "SELECT seq, kind, body, previous_hash, hash FROM ledger WHERE seq > ? ORDER BY seq",
            (seq,),
        ).fetchall()
        entries = [self._entry(*row) for row in rows]
        if entries:
            seq, last = entries[-1].seq, entries[-1].hash
        if self._db.execute("SELECT length, hash FROM tip").fetchone() != (seq + 1, last):
            raise IntegrityError(
                f"{self.path} was cut off or changed: its ledger does not end where it says. What "
                "the device promised is not known any more; it must take part no more."
            )
        return entries

    def _entry(self, *row: Any) -> Entry:
        names = ("seq", "kind", "body", "previous_hash", "hash")
        try:
            fields = dict(zip(names, row, strict=True))
            return read_entry(canonical_bytes({**fields, "body": json.loads(fields["body"])}))
        except (PrivetError, TypeError, ValueError, RecursionError) as error:
            raise IntegrityError(f"{self.path} is damaged: a ledger entry is none.") from error

    def _set_pragmas(self) -> None:
        with sqlite_errors(self.path):
            for pragma in _PRAGMAS:
                self._db.execute(f"PRAGMA {pragma}").close()

    def _make_tables(self) -> None:
        self._set_pragmas()
        with self._transaction():
            if self._db.execute("SELECT count(*) FROM sqlite_master").fetchone() != (0,):
                raise InputError(f"{self.path} already holds something. Open it without create.")
            for statement in _SCHEMA:
                self._db.execute(statement)
            self._db.execute("INSERT INTO tip VALUES (0, 0, ?)", (GENESIS,))
            self._db.execute(f"PRAGMA application_id={APPLICATION_ID}").close()
            self._db.execute(f"PRAGMA user_version={SCHEMA_VERSION}").close()

    def _check_tables(self) -> None:
        """Refuse what is no store, before anything in it is changed."""
        with self._transaction("BEGIN"):
            (application,) = self._db.execute("PRAGMA application_id").fetchone()
            (version,) = self._db.execute("PRAGMA user_version").fetchone()
            tables = self._db.execute("SELECT sql FROM sqlite_master").fetchall()
            (health,) = self._db.execute("PRAGMA quick_check(1)").fetchone()
        if application != APPLICATION_ID:
            raise InputError(f"{self.path} is not a device's store, or an empty one.")
        if version != SCHEMA_VERSION:
            raise InputError(
                f"{self.path} is of version {version}; this program reads {SCHEMA_VERSION}. Use "
                "the program that wrote it, or a newer one."
            )
        if health != "ok" or {sql for (sql,) in tables} != set(_SCHEMA):
            raise IntegrityError(f"{self.path} is damaged: its tables are not those of a store.")

    @contextmanager
    def _transaction(self, begin: str = "BEGIN IMMEDIATE") -> Iterator[None]:
        """One writer at a time; committed, and on the disk, when it is left.

        What only reads begins with BEGIN: it sees one moment, and waits for nobody who reads.
        """
        if os.getpid() != self._process:
            raise InputError(
                "A device's store was opened by another process than this one: a fork must open "
                "its own."
            )
        with self._lock, sqlite_errors(self.path), committed(self._db, begin):
            yield
