"""The sealed rows of a store within one transaction, and the tally that keeps them together."""

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from privet.client.vault.sealing import Sealer
from privet.privacy.canonical import canonical_bytes, sha256
from privet.privacy.errors import IntegrityError, PrivetError

_MODULUS = 1 << 256


class Table(StrEnum):
    """The tables of sealed rows; a name is put into SQL, so the list is closed."""

    EVENT = "event"
    ENTRY = "entry"


@dataclass
class Tally:
    """How many rows there are, what they add up to, and how often they were changed.

    Attributes:
        changes: Transactions that changed something; never decreases.
        next_row: Identifier of the next row; none is ever used again.
        counts: Rows of each table.
        marks: Sum of the marks of each table's rows, modulo 2^256.
    """

    changes: int = 0
    next_row: int = 1
    counts: dict[Table, int] = field(default_factory=lambda: dict.fromkeys(Table, 0))
    marks: dict[Table, int] = field(default_factory=lambda: dict.fromkeys(Table, 0))

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        marks = {table: f"{mark:064x}" for table, mark in self.marks.items()}
        return canonical_bytes(
            {"changes": self.changes, "next": self.next_row, "counts": self.counts, "marks": marks}
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> "Tally":
        """Read what `to_bytes` wrote, which only a holder of the key could write."""
        found = json.loads(data)
        return cls(
            changes=found["changes"],
            next_row=found["next"],
            counts={table: found["counts"][table] for table in Table},
            marks={table: int(found["marks"][table], 16) for table in Table},
        )

    @property
    def digest(self) -> str:
        """A digest of the content that says nothing without the data key: the marks are keyed."""
        return sha256([f"{self.marks[table]:064x}" for table in Table])


class Rows:
    """The rows of one transaction.

    Args:
        db: The connection, within a transaction.
        sealer: Seals and opens.
        tally: Of the rows as they are; kept up to date, for whoever writes it back.

    Formal Guarantees:
        `read` gives a table's rows as they were last written under this data key, or raises: rows
        that were changed, moved, swapped, removed, added, or put back from an earlier time. That
        the whole file, tally included, is an earlier one does not show here.
    """

    def __init__(self, db: sqlite3.Connection, sealer: Sealer, tally: Tally) -> None:
        """Take over the transaction."""
        self._db = db
        self._sealer = sealer
        self.tally = tally
        self.changed = False

    def insert(self, table: Table, plain: bytes) -> int:
        """Seal a row and add it."""
        row, self.tally.next_row = self.tally.next_row, self.tally.next_row + 1
        sealed = self._sealer.seal(plain, table=table, row=row)
        self._db.execute(f"INSERT INTO {table} VALUES (?, ?)", (row, sealed))
        self._count(table, row, sealed, +1)
        return row

    def delete(self, table: Table, rows: Iterable[int]) -> int:
        """Remove rows.

        Raises:
            IntegrityError: One of them is not there.
        """
        removed = 0
        for row in rows:
            found = self._db.execute(f"SELECT sealed FROM {table} WHERE id = ?", (row,)).fetchone()
            if found is None or type(found[0]) is not bytes:
                raise IntegrityError("The store is damaged: a row is missing.")
            self._db.execute(f"DELETE FROM {table} WHERE id = ?", (row,))
            self._count(table, row, found[0], -1)
            removed += 1
        return removed

    def read(self, table: Table) -> dict[int, bytes]:
        """All rows of a table, opened and checked against the tally.

        Raises:
            IntegrityError: They are not those that were written.
        """
        opened, total = {}, 0
        for row, sealed in self._db.execute(f"SELECT id, sealed FROM {table} ORDER BY id"):
            if type(row) is not int or not 0 < row < self.tally.next_row:
                raise IntegrityError("The store is damaged: a row has no place.")
            opened[row] = self._sealer.open(sealed, table=table, row=row)
            total += self._sealer.mark(sealed, table=table, row=row)
        if len(opened) != self.tally.counts[table] or total % _MODULUS != self.tally.marks[table]:
            raise IntegrityError(
                "The store was changed or cut off by someone else than Privet: rows are missing, "
                "or were put back from an earlier time."
            )
        return opened

    def check_counts(self) -> None:
        """Compare the number of rows with the tally, without opening any.

        Raises:
            IntegrityError: It is another.
        """
        for table in Table:
            (found,) = self._db.execute(f"SELECT count(*) FROM {table}").fetchone()
            if found != self.tally.counts[table]:
                raise IntegrityError("The store was cut off or changed: rows are missing.")

    def _count(self, table: Table, row: int, sealed: bytes, sign: int) -> None:
        mark = self._sealer.mark(sealed, table=table, row=row)
        self.tally.counts[table] += sign
        self.tally.marks[table] = (self.tally.marks[table] + sign * mark) % _MODULUS
        self.changed = True


def read_tally(sealer: Sealer, sealed: object) -> Tally:
    """Open a store's tally.

    Raises:
        IntegrityError: It is damaged.
    """
    try:
        return Tally.from_bytes(sealer.open(sealed, table="meta", row=0, column="tally"))
    except (PrivetError, KeyError, TypeError, ValueError) as error:
        raise IntegrityError("The store is damaged: its tally does not open.") from error
