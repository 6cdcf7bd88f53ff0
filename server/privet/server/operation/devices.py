"""The devices that may take part: two public keys and a public number each, in ``devices.db``.

No name, address or time of anybody is kept: who holds which key is for the operator to know
elsewhere, if at all.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from privet.models.federation import Federation
from privet.models.invitation import EnrolmentRequest
from privet.privacy.errors import InputError, IntegrityError
from privet.server.delivery import Receipt

_TABLE = (
    "device (identity BLOB PRIMARY KEY, number INTEGER NOT NULL UNIQUE, node TEXT NOT NULL UNIQUE, "
    "version INTEGER, decision INTEGER)"
)
_PATIENCE = 60.0


@dataclass(frozen=True, kw_only=True)
class EnrolledDevice:
    """A device that may take part.

    Attributes:
        identity: Its Ed25519 key.
        number: Its public number.
        node: Its key at the transport, PEM.
        version: Model that it last said it keeps, or None.
        decision: By which decision of the registry, or None.
    """

    identity: bytes
    number: int
    node: str
    version: int | None
    decision: int | None


class Devices:
    """The enrolled devices of one federation; each change is durable when it returns.

    Args:
        path: Of the file.
        create: Make a new one; there must be none.

    Raises:
        InputError: No file there, or one already when a new one is to be made.
        IntegrityError: The file is damaged or something else.
    """

    def __init__(self, path: Path, *, create: bool = False) -> None:
        """Open or create the file."""
        if create == path.exists():
            there = "already there." if create else "missing: bring it back, or enrol again."
            raise InputError(f"The list of devices {path} is {there}")
        self._path = path
        self._db = sqlite3.connect(path, isolation_level=None, timeout=_PATIENCE)
        try:
            with self._reported():
                self._db.execute("PRAGMA synchronous=EXTRA")
                if create:
                    self._db.execute(f"CREATE TABLE {_TABLE}")
                tables = self._db.execute("SELECT sql FROM sqlite_master WHERE type = 'table'")
                if tables.fetchall() != [(f"CREATE TABLE {_TABLE}",)]:
                    raise IntegrityError(f"{path} is no list of devices.")
        except BaseException:
            self._db.close()
            raise

    @property
    def all(self) -> tuple[EnrolledDevice, ...]:
        """Every enrolled device, in the order of identities."""
        with self._reported():
            rows = self._db.execute(
                "SELECT identity, number, node, version, decision FROM device ORDER BY identity"
            ).fetchall()
        return tuple(
            EnrolledDevice(identity=bytes(i), number=int(n), node=str(k), version=v, decision=d)
            for i, n, k, v, d in rows
        )

    def enrol(
        self, requests: Iterable[EnrolmentRequest], *, federation: Federation, plan_hash: str
    ) -> int:
        """Enrol devices, all or none; one that is enrolled with the same request stays so.

        Returns:
            How many are new.

        Raises:
            InputError: A request is for another federation or plan, or one of its keys or its
                number is another device's.
            IntegrityError: A request is not signed by its identity.
        """
        checked = list(requests)
        for request in checked:
            request.check(federation=federation, plan_hash=plan_hash)
        new = 0
        with self._transaction():
            for request in checked:
                row = (request.identity, request.number, request.node)
                found = self._db.execute(
                    "SELECT identity, number, node FROM device "
                    "WHERE identity = ? OR number = ? OR node = ?",
                    row,
                ).fetchall()
                if found == [row]:
                    continue
                if found:
                    raise InputError(
                        "A request has the identity, the number or the transport key of another "
                        "device. No device of this call was enrolled. Let it join anew."
                    )
                self._db.execute("INSERT INTO device VALUES (?, ?, ?, NULL, NULL)", row)
                new += 1
        return new

    def keep(self, receipts: Iterable[Receipt]) -> None:
        """Write down which models devices say that they keep."""
        with self._transaction():
            self._db.executemany(
                "UPDATE device SET version = ?, decision = ? WHERE identity = ?",
                [(r.version, r.decision, r.identity) for r in receipts],
            )

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._reported():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def _reported(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, UnicodeError) as error:
            raise IntegrityError(
                f"The list of devices {self._path} could not be read or written: it is damaged, "
                "held by another process, or the disk is full."
            ) from error
