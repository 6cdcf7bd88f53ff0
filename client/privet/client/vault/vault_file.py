"""The SQLite file of an encrypted store: tables, transactions, and scrubbing of what was erased."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import RLock

from privet.client.store_file import check_file, committed, connect, make_file, sqlite_errors
from privet.privacy.errors import InputError, IntegrityError

APPLICATION_ID = 0x50525648
"""Marks the file as an encrypted store: the letters PRVH."""
SCHEMA_VERSION = 1

_SCHEMA = (
    """CREATE TABLE meta (
    id INTEGER PRIMARY KEY CHECK (id = 0), store BLOB NOT NULL, wrapping TEXT NOT NULL,
    wrapped BLOB NOT NULL, retired TEXT NOT NULL, scrub INTEGER NOT NULL, tally BLOB NOT NULL)""",
    "CREATE TABLE event (id INTEGER PRIMARY KEY, sealed BLOB NOT NULL)",
    "CREATE TABLE entry (id INTEGER PRIMARY KEY, sealed BLOB NOT NULL)",
)
# A write-ahead log needs one fsync a transaction, a rollback journal four. Log and file hold sealed
# values only; the log is emptied when something was erased. Freed cells are overwritten with zeros.
_PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "fullfsync=ON",
    "checkpoint_fullfsync=ON",
    "secure_delete=ON",
    "temp_store=MEMORY",
    "wal_autocheckpoint=200",
)
OUTCOME = "Nothing was changed"
_ADVICE = "Create one; or look for the file, if there was one: without it the history is lost."


@dataclass(frozen=True, kw_only=True, repr=False)
class Meta:
    """The one row of the table meta.

    Attributes:
        store: Random identifier, 16 bytes.
        wrapping: Kind of the key source and its parameters; canonical JSON.
        wrapped: The data key, sealed under the wrapping key.
        retired: Parameters of a wrapping key that is still to be destroyed; empty if none is.
        scrub: Whether erased rows may still be in the file's free pages or in its log.
        tally: The rows' tally, sealed under the data key.
    """

    store: bytes
    wrapping: str
    wrapped: bytes
    retired: str
    scrub: int
    tally: bytes


class VaultFile:
    """The file, by itself: no key, nothing opened.

    Args:
        path: The file.
        create: Make a new one with this header, for its owner only; None to open one.
        busy_seconds: How long to wait for another process that writes.

    Raises:
        InputError: There is none, or already one; others may use it; it is another program's or of
            another version; it cannot be written.
        IntegrityError: It is damaged.
    """

    def __init__(self, path: Path, *, create: Meta | None, busy_seconds: float) -> None:
        """Open the file, and check that it is a store."""
        self.path = path
        self._lock = RLock()
        self._process = os.getpid()
        if create is not None:
            make_file(path)
        check_file(path, advice=_ADVICE)
        with sqlite_errors(path, outcome=OUTCOME):
            self.db = connect(path, busy_seconds)
        try:
            if create is not None:
                self._make_tables(create)
            self._check_tables()
            with sqlite_errors(path, outcome=OUTCOME):
                for pragma in _PRAGMAS:
                    self.db.execute(f"PRAGMA {pragma}").close()
        except BaseException:
            self.db.close()
            raise

    def close(self) -> None:
        """Close the file; the last to close it empties its log."""
        self.db.close()

    @contextmanager
    def transaction(self, begin: str = "BEGIN IMMEDIATE") -> Iterator[None]:
        """One writer at a time; on the disk when it is left, or as if it had not been."""
        if os.getpid() != self._process:
            raise InputError("A store was opened by another process: a fork must open its own.")
        with self._lock, sqlite_errors(self.path, outcome=OUTCOME), committed(self.db, begin):
            yield

    def _make_tables(self, meta: Meta) -> None:
        with self.transaction():
            if self.db.execute("SELECT count(*) FROM sqlite_master").fetchone() != (0,):
                raise InputError(f"{self.path} already holds something. Open it without create.")
            for statement in _SCHEMA:
                self.db.execute(statement)
            self.db.execute(f"PRAGMA application_id={APPLICATION_ID}").close()
            self.db.execute(f"PRAGMA user_version={SCHEMA_VERSION}").close()
            self.db.execute("INSERT INTO meta VALUES (0, ?, ?, ?, ?, ?, ?)", _values(meta))

    def read_meta(self) -> Meta:
        """The row of meta.

        Raises:
            IntegrityError: There is none, or it is not of its types.
        """
        row = self.db.execute("SELECT * FROM meta").fetchone()
        kinds = (int, bytes, str, bytes, str, int, bytes)
        if row is None or tuple(type(value) for value in row) != kinds:
            raise IntegrityError(f"{self.path} is damaged: it has no header.")
        return Meta(**dict(zip(Meta.__dataclass_fields__, row[1:], strict=True)))

    def write_meta(self, meta: Meta) -> None:
        """Replace the row of meta."""
        self.db.execute(
            "UPDATE meta SET store = ?, wrapping = ?, wrapped = ?, retired = ?, scrub = ?, "
            "tally = ?",
            _values(meta),
        )

    def write_tally(self, tally: bytes) -> None:
        """Replace the tally."""
        self.db.execute("UPDATE meta SET tally = ?", (tally,))

    def scrub(self) -> None:
        """Build the file anew and empty its log, so that nothing of what was deleted is in either.

        Raises:
            InputError: The disk is full, or another process reads or writes.
        """
        with self._lock, sqlite_errors(self.path, outcome="What was erased was not yet scrubbed"):
            self.db.execute("VACUUM")
            self.empty_log()
            self.db.execute("UPDATE meta SET scrub = 0")
            self.empty_log()

    def empty_log(self) -> None:
        """Write the log into the file, and cut it to nothing."""
        (busy, _, _) = self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise InputError(f"{self.path} is held by another process; its log is not yet empty.")

    def _check_tables(self) -> None:
        with self.transaction("BEGIN"):
            (application,) = self.db.execute("PRAGMA application_id").fetchone()
            (version,) = self.db.execute("PRAGMA user_version").fetchone()
            tables = self.db.execute("SELECT sql FROM sqlite_master").fetchall()
        if application != APPLICATION_ID:
            raise InputError(f"{self.path} is not an encrypted store, or an empty one.")
        if version != SCHEMA_VERSION:
            raise InputError(
                f"{self.path} is of version {version}; this program reads {SCHEMA_VERSION}. Use "
                "the program that wrote it, or a newer one. Nothing was changed."
            )
        if {sql for (sql,) in tables} != set(_SCHEMA):
            raise IntegrityError(f"{self.path} is damaged: its tables are not those of a store.")


def _values(meta: Meta) -> tuple[bytes, str, bytes, str, int, bytes]:
    return meta.store, meta.wrapping, meta.wrapped, meta.retired, meta.scrub, meta.tally
