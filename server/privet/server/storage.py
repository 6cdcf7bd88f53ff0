"""A run's durable state: ledger, checkpoint and plan in one SQLite file, ``run.db``.

Closing a release and storing its checkpoint are one transaction; each transaction is on the disk
before the call returns (``synchronous=FULL``).
"""

import io
import json
import os
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np

from privet.models.model import SharedState, state_hash
from privet.privacy.canonical import canonical_bytes
from privet.privacy.errors import InputError, IntegrityError
from privet.privacy.ledger import Entry, EntryKind, check_chain, next_entry

DATABASE = "run.db"
_NOISE_KEY = "noise.key"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS ledger (
    seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, body TEXT NOT NULL,
    previous_hash TEXT NOT NULL, hash TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS head (
    id INTEGER PRIMARY KEY CHECK (id = 0), length INTEGER NOT NULL, hash TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS checkpoint (
    id INTEGER PRIMARY KEY CHECK (id = 0), step TEXT NOT NULL, state BLOB NOT NULL);
"""


class RunStore:
    """The durable state of one run, in its directory.

    Args:
        directory: The run's directory; made if ``create``.
        create: Start a new run; the directory must not hold one already.

    Raises:
        InputError: No run there, or already one when a new one is to start.
        IntegrityError: The file is damaged, or its ledger's chain or length does not match.
    """

    def __init__(self, directory: Path, *, create: bool = False) -> None:
        """Open or create ``run.db``."""
        self.directory = directory
        path = directory / DATABASE
        if create and path.exists():
            raise InputError(
                f"{directory} already holds a run. Resume it with --resume, or give another --out."
            )
        if not create and not path.is_file():
            raise InputError(f"No run in {directory}: expected a file {DATABASE} there.")
        if create:
            directory.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None)
        try:
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.executescript(_SCHEMA)
            self._entries = self._read_ledger()
            if not (create or self._entries):  # a ledger emptied would forget what was spent
                raise IntegrityError(f"{path} has no ledger: it was cut off, or never started.")
        except (sqlite3.Error, UnicodeError) as error:  # SQLite quotes damaged text in its errors
            self._db.close()
            raise IntegrityError(f"{path} is damaged or not a run's database.") from error
        except IntegrityError:
            self._db.close()
            raise

    def _read_ledger(self) -> list[Entry]:
        rows = self._db.execute(
            "SELECT seq, kind, body, previous_hash, hash FROM ledger ORDER BY seq"
        ).fetchall()
        try:
            entries = [
                Entry.from_dict(
                    {"seq": s, "kind": k, "body": json.loads(b), "previous_hash": p, "hash": h}
                )
                for s, k, b, p, h in rows
            ]
            head = self._db.execute("SELECT length, hash FROM head").fetchone()
            if head is None and entries:
                raise IntegrityError("The ledger's recorded head and length are missing.")
            length, last = head if head is not None else (0, None)
            check_chain(entries, head=last, length=length)
        except (TypeError, ValueError, InputError) as error:
            raise IntegrityError("A ledger entry is not JSON.") from error
        return entries

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The whole ledger."""
        return tuple(self._entries)

    def append(self, kind: EntryKind, body: dict[str, Any]) -> Entry:
        """Append an entry, durably."""
        return self._commit(kind, body, None)

    def close_release(self, step: str, body: dict[str, Any], shared: SharedState) -> Entry:
        """Append the closing entry of a release and store its checkpoint, in one transaction."""
        return self._commit(EntryKind.CLOSE, {"step": step, **body}, (step, shared))

    def _commit(
        self, kind: EntryKind, body: dict[str, Any], checkpoint: tuple[str, SharedState] | None
    ) -> Entry:
        entry = next_entry(self._entries[-1] if self._entries else None, kind, body)
        with self._db:  # commits, or rolls back if anything raises
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute(
                "INSERT INTO ledger VALUES (?, ?, ?, ?, ?)",
                (
                    entry.seq,
                    entry.kind,
                    canonical_bytes(body).decode(),
                    entry.previous_hash,
                    entry.hash,
                ),
            )
            self._db.execute(
                "INSERT OR REPLACE INTO head VALUES (0, ?, ?)", (entry.seq + 1, entry.hash)
            )
            if checkpoint is not None:
                step, shared = checkpoint
                self._db.execute(
                    "INSERT OR REPLACE INTO checkpoint VALUES (0, ?, ?)", (step, _pack(shared))
                )
        self._entries.append(entry)
        return entry

    def checkpoint(self) -> tuple[str, SharedState] | None:
        """The last closed step and the shared state after it, None before the first.

        Raises:
            IntegrityError: It is damaged, missing or not the one that the ledger closed with.
        """
        row = self._db.execute("SELECT step, state FROM checkpoint").fetchone()
        closed = [entry.body for entry in self._entries if entry.kind is EntryKind.CLOSE]
        if row is None and not closed:
            return None
        try:
            step, shared = str(row[0]), _unpack(row[1])
        except Exception as error:  # whatever zip and npy readers say about damaged bytes
            raise IntegrityError("The run's checkpoint is damaged or missing.") from error
        if not closed or (step, state_hash(shared)) != (
            closed[-1]["step"],
            closed[-1].get("state_hash"),
        ):
            raise IntegrityError("The run's checkpoint is not the one that its ledger records.")
        return step, shared

    def keep_noise_key(self) -> bytes:
        """The run's noise key under central trust, readable by its owner only, until the end.

        With it an interrupted release can be repeated exactly, so that it is one release.
        """
        path = self.directory / _NOISE_KEY
        if not path.exists():
            partial = path.with_suffix(".partial")
            partial.unlink(missing_ok=True)
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(os.urandom(32))
                file.flush()
                os.fsync(file.fileno())
            partial.rename(path)
        return path.read_bytes()

    def destroy_noise_key(self) -> None:
        """Remove the noise key: whoever had it could subtract the noise."""
        path = self.directory / _NOISE_KEY
        if path.exists():
            with path.open("r+b") as file:
                file.write(bytes(32))
                file.flush()
                os.fsync(file.fileno())
            path.unlink()

    def close(self) -> None:
        """Close the database."""
        self._db.close()


def _pack(shared: SharedState) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **dict(shared))
    return buffer.getvalue()


def _unpack(blob: bytes) -> SharedState:
    with np.load(io.BytesIO(blob), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays}
