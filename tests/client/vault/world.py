"""Encrypted stores for tests, and what an attacker with the folder sees of them."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from privet.client.vault.event import Entry, EntryKind, Event
from privet.client.vault.key_source import HostKey, KeySource
from privet.client.vault.vault import Vault

KEY = HostKey(bytes(range(32)))
NOW = 1_700_000_000
CANARIES = ("canary-item-", "canary-query", "canary-kind", "canary-name", "canary-answer")


def made(path: Path, key: KeySource = KEY) -> Vault:
    """A new store with a clock that stands still."""
    return Vault(path, key=key, create=True, clock=lambda: NOW)


def opened(path: Path, key: KeySource = KEY) -> Vault:
    """A store that is there."""
    return Vault(path, key=key, clock=lambda: NOW)


def event(number: int) -> Event:
    """An event that would be recognised anywhere."""
    return Event(
        kind="canary-kind",
        item=f"canary-item-{number}",
        time=NOW - 1000 + number,
        value=number + 0.5,
        context={"query": f"canary-query {number}"},
    )


def fill(vault: Vault, events: int = 20) -> None:
    """Record events one by one, and an entry of each kind."""
    for number in range(events):
        vault.record(event(number))
    vault.put(
        Entry(kind=EntryKind.PROFILE, name="canary-name", value=["canary-answer"]),
        Entry(kind=EntryKind.SETTING, name="canary-name", value={"dial": 0.5}),
        Entry(kind=EntryKind.STATE, name="canary-name", value=np.arange(6.0).reshape(2, 3)),
    )


def bytes_of(folder: Path) -> bytes:
    """Every byte of every file of a folder."""
    return b"|".join(file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file())


def assert_nothing_clear(folder: Path) -> None:
    """No recorded word, in any encoding that SQLite or JSON may use."""
    found = bytes_of(folder)
    for word in CANARIES:
        assert word.encode() not in found and word.encode("utf-16-le") not in found
        assert word[:10].encode() not in found


def sealed_rows(path: Path) -> dict[tuple[str, int], bytes]:
    """All sealed rows by table and identifier, as anyone can read them."""
    db = sqlite3.connect(path)
    found = {
        (table, row): sealed
        for table in ("event", "entry")
        for row, sealed in db.execute(f"SELECT id, sealed FROM {table}")
    }
    db.close()
    return found


def assert_gone(rows: list[bytes], folder: Path) -> None:
    """No 16 bytes of these sealed rows are in any file."""
    found = bytes_of(folder)
    for sealed in rows:
        assert not any(sealed[at : at + 16] in found for at in range(0, len(sealed) - 15, 16))


@contextmanager
def tampered(path: Path) -> Iterator[sqlite3.Connection]:
    """Change a closed store by hand."""
    db = sqlite3.connect(path)
    yield db
    db.commit()
    db.close()


def copied(path: Path, to: Path) -> Path:
    """The files of a store as a crash at this moment leaves them."""
    for suffix in ("", "-wal"):
        source = path.with_name(path.name + suffix)
        if source.exists():
            shutil.copyfile(source, to.with_name(to.name + suffix))
            to.with_name(to.name + suffix).chmod(0o600)
    return to
