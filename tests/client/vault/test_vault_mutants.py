"""Each promise of the encrypted store removed, one at a time, and noticed."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.client.vault import test_erasure, test_keys, test_vault
from tests.client.vault.world import KEY, made

from privet.client.vault import sealed_store, sealing, vault_file, wrapping
from privet.client.vault.rows import Rows, Table
from privet.client.vault.sealed_store import SealedStore
from privet.client.vault.sealing import Sealer
from privet.client.vault.vault import Vault
from privet.privacy.errors import IntegrityError

Patch = pytest.MonkeyPatch


def set_(target: object, name: str, value: object) -> Callable[[Patch], None]:
    return lambda patch: patch.setattr(target, name, value)


def sealed_nowhere(patch: Patch) -> None:
    patch.setattr(Sealer, "_place", lambda sealer, table, row, column: b"")


def a_column_of_any_row(patch: Patch) -> None:
    honest = Sealer._place
    patch.setattr(
        Sealer, "_place", lambda sealer, table, row, column: honest(sealer, table, 0, column)
    )


def a_row_of_any_table(patch: Patch) -> None:
    honest = Sealer._place
    patch.setattr(
        Sealer, "_place", lambda sealer, table, row, column: honest(sealer, "event", row, column)
    )


def no_tally(patch: Patch) -> None:
    """Rows are opened, and neither counted nor added up."""

    def read(rows: Rows, table: Table) -> dict[int, bytes]:
        found = rows._db.execute(f"SELECT id, sealed FROM {table} ORDER BY id").fetchall()
        return {row: rows._sealer.open(sealed, table=table, row=row) for row, sealed in found}

    patch.setattr(Rows, "read", read)
    patch.setattr(Rows, "check_counts", lambda rows: None)


def pragma(name: str, value: str) -> Callable[[Patch], None]:
    kept = tuple(p for p in vault_file._PRAGMAS if not p.startswith(name))
    return set_(vault_file, "_PRAGMAS", (*kept, f"{name}={value}"))


def key_kept(patch: Patch) -> None:
    """Erasing everything deletes the rows, and keeps the keys."""
    honest = SealedStore.change_key

    def change(store: SealedStore, source: Any, *, new_data_key: bool, keep: bool = True) -> Any:
        if keep:
            return honest(store, source, new_data_key=new_data_key)
        with store.rows() as rows:
            before = rows.tally.__class__.from_bytes(rows.tally.to_bytes())
            for table in Table:
                store.delete(rows, table, list(rows.read(table)))
        store.finish()
        return before, rows.tally, True

    patch.setattr(SealedStore, "change_key", change)


def wrapped_by_anything(patch: Patch) -> None:
    """The data key is in the file as it is."""
    honest = wrapping.wrap

    def wrap(source: Any, store: bytes, key: bytes) -> Any:
        made = honest(source, store, key)
        return wrapping.Wrapping(key=made.key, text=made.text, wrapped=made.key)

    patch.setattr(sealed_store, "wrap", wrap)
    patch.setattr(
        sealed_store,
        "unwrap",
        lambda source, meta: wrapping.Wrapping(
            key=meta.wrapped, text=meta.wrapping, wrapped=meta.wrapped
        ),
    )


def in_clear(patch: Patch) -> None:
    patch.setattr(
        Sealer, "seal", lambda sealer, plain, **_: bytes(28) + sealing.pad(plain) + bytes(16)
    )
    patch.setattr(Sealer, "open", lambda sealer, sealed, **_: sealing.unpad(sealed[28:-16]))


def durable(tmp_path: Path) -> None:
    with made(tmp_path / "me.db") as vault:
        assert vault._store._file.db.execute("PRAGMA synchronous").fetchone() == (2,)


def sizes(tmp_path: Path) -> None:
    test_vault.test_sizes_tell_the_class_and_no_more(tmp_path)


def bound(_: Path) -> None:
    test_vault.test_a_sealed_value_opens_only_in_its_place_store_and_version()


def noticed(change: Any) -> Callable[[Path], None]:
    return lambda path: test_vault.test_a_row_that_is_changed_moved_removed_or_repeated_is_noticed(
        path, change
    )


def no_padding(patch: Patch) -> None:
    patch.setattr(sealing, "_class_of", lambda size: size)
    patch.setattr(sealing, "SMALLEST_BYTES", 0)


def overwritten(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        test_erasure.test_rows_are_overwritten_even_where_the_file_cannot_be_built_anew(
            tmp_path, patch
        )


MUTANTS: dict[str, tuple[Callable[[Patch], None], Callable[[Path], None]]] = {
    "associated data dropped": (sealed_nowhere, bound),
    "row not bound": (a_column_of_any_row, noticed(test_vault.swap)),
    "table not bound": (a_row_of_any_table, bound),
    "nonce reused": (
        set_(os, "urandom", lambda size: bytes(size)),
        test_vault.test_no_salt_or_nonce_is_ever_used_twice,
    ),
    "nothing sealed": (
        in_clear,
        test_vault.test_no_recorded_word_is_ever_in_any_file_of_the_folder,
    ),
    "nothing padded": (no_padding, sizes),
    "rows not added up": (no_tally, test_vault.test_an_old_row_that_is_put_back_is_noticed),
    "rows not counted": (no_tally, noticed(test_vault.remove)),
    "secure_delete off": (pragma("secure_delete", "OFF"), overwritten),
    "commits not synced": (pragma("synchronous", "OFF"), durable),
    "file not scrubbed": (
        set_(vault_file.VaultFile, "scrub", lambda file: None),
        test_erasure.test_a_partial_erasure_leaves_no_byte_of_what_it_erased,
    ),
    "log not emptied": (
        set_(vault_file.VaultFile, "empty_log", lambda file: None),
        test_erasure.test_a_partial_erasure_leaves_no_byte_of_what_it_erased,
    ),
    "key kept after erasing all": (
        key_kept,
        test_erasure.test_after_erasing_all_no_sealed_byte_key_or_word_is_left,
    ),
    "data key not wrapped": (wrapped_by_anything, test_keys.test_a_host_key_opens_its_store_only),
    "any key source will do": (
        set_(sealed_store, "_checked", lambda key: KEY),
        test_keys.test_there_is_no_store_without_a_key,
    ),
    "states kept with events erased": (
        set_(Vault, "_read_entries", lambda vault, rows: {}),
        test_erasure.test_a_partial_erasure_leaves_no_byte_of_what_it_erased,
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_promise_removed_is_noticed(name: str, tmp_path: Path, monkeypatch: Patch) -> None:
    mutate, check = MUTANTS[name]
    (tmp_path / "real").mkdir()
    (tmp_path / "mutant").mkdir()
    check(tmp_path / "real")
    with monkeypatch.context() as patch:
        mutate(patch)
        with pytest.raises((AssertionError, pytest.fail.Exception, IntegrityError)):
            check(tmp_path / "mutant")
