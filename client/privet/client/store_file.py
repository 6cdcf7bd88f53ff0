"""The file of a store: who may use it, and what SQLite's errors about it mean."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from privet.privacy.errors import InputError, IntegrityError

_FULL = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_CLOSED_OFF = {
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_AUTH,
}


@contextmanager
def sqlite_errors(path: Path, *, outcome: str = "Nothing was sent") -> Iterator[None]:
    """SQLite's errors in words; nothing that it quotes from the file.

    Args:
        path: The file.
        outcome: What did not happen.

    Raises:
        InputError: The disk is full or fails, another process holds the file, it cannot be
            written, or it was closed.
        IntegrityError: Anything else: the file is damaged.
    """
    try:
        yield
    except UnicodeError as error:
        raise IntegrityError(f"{path} is damaged: it has text that is none.") from error
    except sqlite3.ProgrammingError as error:
        raise InputError(f"{path} was closed by this program. {outcome}.") from error
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", -1) & 0xFF
        if code in _FULL:
            raise InputError(
                f"{path} cannot be written: the disk is full or fails. {outcome}."
            ) from error
        if code in _BUSY:
            raise InputError(
                f"{path} is held by another process. {outcome}; try again later."
            ) from error
        if code in _CLOSED_OFF:
            raise InputError(f"{path} cannot be opened for writing. {outcome}.") from error
        raise IntegrityError(f"{path} is damaged or not a device's store.") from error


@contextmanager
def committed(db: sqlite3.Connection, begin: str) -> Iterator[None]:
    """A transaction: committed when it is left, rolled back if anything is raised in it."""
    db.execute(begin)
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def connect(path: Path, busy_seconds: float) -> sqlite3.Connection:
    """Connect to a file that is there; transactions are begun and ended by hand."""
    return sqlite3.connect(
        path.absolute().as_uri() + "?mode=rw",
        uri=True,
        isolation_level=None,
        timeout=busy_seconds,
        check_same_thread=False,
    )


def make_file(path: Path) -> None:
    """Make an empty file that only its owner may use.

    Raises:
        InputError: It holds something already, or cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if os.fstat(descriptor).st_size > 0:
                raise InputError(f"{path} already holds something. Open it without create.")
        finally:
            os.close(descriptor)
    except OSError as error:
        raise InputError(f"{path} cannot be made: {error.strerror}.") from error


def wipe(path: Path) -> None:
    """Overwrite a file with zeros and remove it.

    What the disk keeps beside the file, such as blocks that a flash disk has set aside, or snapshots,
    is out of reach.

    Raises:
        InputError: It cannot be.
    """
    try:
        with path.open("r+b") as file:
            file.write(bytes(path.stat().st_size))
            file.flush()
            os.fsync(file.fileno())
        path.unlink()
    except OSError as error:
        raise InputError(f"{path} cannot be erased: {error.strerror}.") from error


LOST_PROMISES = (
    "If this device never took part, create one; if it did, what it promised is lost, and it must "
    "not take part again under the same identity."
)


def check_file(path: Path, *, advice: str = LOST_PROMISES) -> None:
    """Refuse what is no file, or one that others may use.

    Args:
        path: The file.
        advice: What to do if there is none.

    Raises:
        InputError: Which of the two, and what to do.
    """
    if not path.is_file():
        raise InputError(f"No device's store at {path}. {advice}")
    if os.name == "posix" and path.stat().st_mode & 0o077:
        raise InputError(f"Others than its owner may use {path}. Run: chmod 600 {path}")
