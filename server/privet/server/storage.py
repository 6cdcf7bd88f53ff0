"""A run's durable state: ledger, checkpoint and plan in one SQLite file, ``run.db``.

Closing a release and storing its checkpoint are one transaction; each transaction is on the disk
before the call returns.
"""

import io
import os
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from privet.models.archive import check_archive
from privet.models.model import SharedState, state_hash
from privet.privacy.accounting.series import SeriesRound
from privet.privacy.errors import InputError, IntegrityError, PrivacyError
from privet.privacy.ledger import RUN_KINDS, Entry, EntryKind
from privet.server.ledger_file import LedgerFile

DATABASE = "run.db"
_NOISE_KEY = "noise.key"
_TABLES = {
    "checkpoint": "id INTEGER PRIMARY KEY CHECK (id = 0), step TEXT NOT NULL, state BLOB NOT NULL",
    "participation": "series TEXT NOT NULL, device INTEGER NOT NULL, rounds INTEGER NOT NULL, "
    "last INTEGER NOT NULL, PRIMARY KEY (series, device)",
}


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
        self._file = LedgerFile(
            path, kinds=RUN_KINDS, what="a run's", tables=_TABLES, create=create
        )
        self._db = self._file.connection

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The whole ledger."""
        return self._file.entries

    def append(self, kind: EntryKind, body: dict[str, Any]) -> Entry:
        """Append an entry, durably."""
        with self._file.transaction():
            return self._file.append(kind, body)

    def close_release(self, step: str, body: dict[str, Any], shared: SharedState) -> Entry:
        """Append the closing entry of a release and store its checkpoint, in one transaction."""
        with self._file.transaction():
            entry = self._file.append(EntryKind.CLOSE, {"step": step, **body})
            self._db.execute(
                "INSERT OR REPLACE INTO checkpoint VALUES (0, ?, ?)", (step, pack_state(shared))
            )
            return entry

    def claim_round(self, series: SeriesRound, devices: NDArray[np.int64]) -> None:
        """Count, durably, the devices that are to take part in a round of a series, or none.

        A round that was claimed before and is repeated for the same devices counts once.

        Raises:
            PrivacyError: A device would take part too soon again, or too often.
        """
        try:
            rows = self._db.execute(
                "SELECT device, rounds, last FROM participation WHERE series = ?", (series.name,)
            ).fetchall()
        except (sqlite3.Error, UnicodeError) as error:
            raise IntegrityError("The run's record of participation is damaged.") from error
        known = {device: (rounds, last) for device, rounds, last in rows}
        wanted, claimed = [int(device) for device in devices], []
        for device in wanted:
            rounds, last = known.get(device, (0, -series.separation))
            if last == series.round_number:
                continue
            soon = series.round_number - last < series.separation
            if soon or rounds >= series.participations:
                raise PrivacyError(
                    f"Round {series.round_number} of series {series.name!r} would have a device "
                    f"take part again within {series.separation} rounds, or more often than "
                    f"{series.participations} times, which its noise was not set for. The round "
                    "was not run."
                )
            claimed.append((series.name, device, rounds + 1, series.round_number))
        if len(set(wanted)) != len(wanted):
            raise PrivacyError(f"A device is twice in one round of series {series.name!r}.")
        with self._file.transaction():
            self._db.executemany(
                "INSERT OR REPLACE INTO participation VALUES (?, ?, ?, ?)", claimed
            )

    def checkpoint(self) -> tuple[str, SharedState] | None:
        """The last closed step and the shared state after it, None before the first.

        Raises:
            IntegrityError: It is damaged, missing or not the one that the ledger closed with.
        """
        try:
            row = self._db.execute("SELECT step, state FROM checkpoint").fetchone()
        except (sqlite3.Error, UnicodeError) as error:
            raise IntegrityError("The run's checkpoint is damaged.") from error
        closed = [entry.body for entry in self.entries if entry.kind is EntryKind.CLOSE]
        if row is None and not closed:
            return None
        try:
            step, shared = str(row[0]), unpack_state(row[1])
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
        self._file.close()


def pack_state(shared: SharedState) -> bytes:
    """A shared state as bytes."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **dict(shared))
    return buffer.getvalue()


def unpack_state(blob: bytes) -> SharedState:
    """A shared state from its bytes; whatever readers of archives raise if they are damaged."""
    file = io.BytesIO(blob)
    check_archive(file, compressed=False)
    with np.load(file, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays}
