"""A store's file, key and sealed rows together: transactions, changes of keys, scrubbing."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from privet.client.vault.key_source import KeySource
from privet.client.vault.rows import Rows, Table, Tally, read_tally
from privet.client.vault.sealing import KEY_BYTES, Sealer
from privet.client.vault.vault_file import SCHEMA_VERSION, Meta, VaultFile
from privet.client.vault.wrapping import Wrapping, params_of, unwrap, wrap
from privet.privacy.errors import InputError, IntegrityError

_STORE_BYTES = 16


class SealedStore:
    """Rows of bytes, sealed in a file; see `Vault` for its arguments, errors and guarantees."""

    def __init__(
        self, path: Path, *, key: KeySource, create: bool, busy_seconds: float, at_least: int
    ) -> None:
        """Open or create the file, find the key, count the rows, finish what a crash left."""
        self._source = _checked(key)
        self._seen = at_least
        self._wrapping: Wrapping | None = None
        meta = self._new() if create else None
        try:
            self._file = VaultFile(path, create=meta, busy_seconds=busy_seconds)
        except BaseException:
            if meta is not None:
                _discard(key, meta.wrapping)
            raise
        try:
            with self.rows("BEGIN") as rows:
                rows.check_counts()
            self.finish(strict=False)
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        """Close the file and forget the key."""
        self._file.close()
        self._wrapping = None

    @contextmanager
    def rows(self, begin: str = "BEGIN IMMEDIATE") -> Iterator[Rows]:
        """The rows in one transaction; changes are on the disk when it is left.

        Raises:
            InputError: The file cannot be used, or another process has changed its key's source.
            IntegrityError: It is damaged, or older than it was before.
        """
        with self._file.transaction(begin):
            meta = self._file.read_meta()
            wrapping = self._unwrapped(meta)
            sealer = _sealer(wrapping, meta.store)
            tally = read_tally(sealer, meta.tally)
            if tally.changes < self._seen:
                raise IntegrityError(
                    "The store is older than it was: an earlier copy was put back."
                )
            rows = Rows(self._file.db, sealer, tally)
            yield rows
            if rows.changed:
                rows.tally.changes += 1
                self._file.write_tally(_sealed(sealer, rows.tally))
        self._seen, self._wrapping = max(self._seen, rows.tally.changes), wrapping

    def delete(self, rows: Rows, table: Table, gone: Iterable[int]) -> None:
        """Delete rows, and remember in the same transaction that their bytes must be scrubbed."""
        if rows.delete(table, gone):
            self._file.write_meta(replace(self._file.read_meta(), scrub=1))

    def change_key(
        self, source: KeySource | None, *, new_data_key: bool, keep: bool = True
    ) -> tuple[Tally, Tally, bool]:
        """Wrap the data key anew, or replace it; with it the seals of all rows, or all rows.

        Returns:
            The tallies before and after, and whether the former wrapping key was destroyed.
        """
        former, source = self._source, self._source if source is None else _checked(source)
        with self._file.transaction():
            meta = self._file.read_meta()
            old = self._unwrapped(meta)
            key = os.urandom(KEY_BYTES) if new_data_key else old.key
            new = wrap(source, meta.store, key)
            try:
                before = read_tally(_sealer(old, meta.store), meta.tally)
                tally = self._resealed(meta, old, new, keep=keep)
                sealed = _sealed(_sealer(new, meta.store), tally)
                meta = replace(meta, wrapping=new.text, wrapped=new.wrapped, tally=sealed)
                self._file.write_meta(replace(meta, retired=old.text, scrub=1))
            except BaseException:
                _discard(source, new.text)
                raise
        self._source, self._wrapping, self._seen = source, new, tally.changes
        return before, tally, self.finish(former=former)

    def finish(self, *, former: KeySource | None = None, strict: bool = True) -> bool:
        """Destroy a retired wrapping key and scrub the file, if that is still to be done.

        Args:
            former: The source of the retired key, if not the present one.
            strict: Raise if something prevents it; else leave it for the next time.

        Returns:
            Whether a retired key was destroyed.
        """
        destroyed = False
        try:
            with self._file.transaction("BEGIN"):
                meta = self._file.read_meta()
            if meta.retired:
                source = former or self._source
                destroyed = source.destroy(params_of(source, meta.retired))
                with self._file.transaction():
                    self._file.write_meta(replace(self._file.read_meta(), retired=""))
            if meta.scrub:
                self._file.scrub()
        except InputError as error:
            if strict:
                raise InputError(
                    "It is done, but its old bytes may still be on the disk: the next opening or "
                    f"erasure goes on with that. {error}"
                ) from error
        return destroyed

    def _new(self) -> Meta:
        store = os.urandom(_STORE_BYTES)
        self._wrapping = wrapping = wrap(self._source, store, os.urandom(KEY_BYTES))
        tally = _sealed(_sealer(wrapping, store), Tally())
        return Meta(
            store=store,
            wrapping=wrapping.text,
            wrapped=wrapping.wrapped,
            retired="",
            scrub=0,
            tally=tally,
        )

    def _unwrapped(self, meta: Meta) -> Wrapping:
        """The data key; asked of the source again only if the file holds another wrapping."""
        held = self._wrapping
        if held is not None and (held.text, held.wrapped) == (meta.wrapping, meta.wrapped):
            return held
        return unwrap(self._source, meta)

    def _resealed(self, meta: Meta, old: Wrapping, new: Wrapping, *, keep: bool) -> Tally:
        """Move all rows, or none, under another data key; the tally that is then right."""
        sealer = _sealer(old, meta.store)
        rows = Rows(self._file.db, sealer, read_tally(sealer, meta.tally))
        rows.tally.changes += 1
        if new.key == old.key:
            return rows.tally
        fresh = Rows(self._file.db, _sealer(new, meta.store), Tally(changes=rows.tally.changes))
        for table in Table:
            kept = rows.read(table) if keep else {}
            self._file.db.execute(f"DELETE FROM {table}")
            for plain in kept.values():
                fresh.insert(table, plain)
        return fresh.tally


def _checked(key: KeySource) -> KeySource:
    if not isinstance(key, KeySource):
        raise InputError(
            "Expected a key: of the keyring, a passphrase, the host app or a key file. Nothing is "
            "stored without one."
        )
    return key


def _discard(source: KeySource, text: str) -> None:
    """Remove a key that was made for nothing, if that is possible."""
    with suppress(InputError):
        source.destroy(params_of(source, text))


def _sealer(wrapping: Wrapping, store: bytes) -> Sealer:
    return Sealer(wrapping.key, store=store, version=SCHEMA_VERSION)


def _sealed(sealer: Sealer, tally: Tally) -> bytes:
    return sealer.seal(tally.to_bytes(), table="meta", row=0, column="tally")
