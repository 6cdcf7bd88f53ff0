"""Readers of what may be changed around a device's encrypted store: its file, its key, exports."""

import json
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

from tests.client.vault.world import KEY, event, fill, made, opened
from tests.fuzz.harness import Target

from privet.client.departures import Departures
from privet.client.rights.export import ClientExport
from privet.client.vault.event import EntryKind
from privet.client.vault.kept_key import KeyFile
from privet.client.vault.portable import Contents
from privet.client.vault.vault_file import Meta
from privet.client.vault.wrapping import unwrap


@cache
def _store() -> tuple[bytes, Contents, Meta]:
    """A store's file, what it holds, and its header."""
    with tempfile.TemporaryDirectory(prefix="privet-fuzz-") as folder:
        path = Path(folder) / "me.db"
        with made(path) as vault:
            fill(vault, 5)
            vault.record(event(9))
            contents, meta = Contents.of(vault), vault._store._file.read_meta()
        return path.read_bytes(), contents, meta


def _read_store(data: bytes) -> None:
    with tempfile.TemporaryDirectory(prefix="privet-fuzz-") as folder:
        path = Path(folder) / "me.db"
        path.write_bytes(data)
        path.chmod(0o600)
        with opened(path) as vault:
            vault.events()
            vault.entries(EntryKind.STATE)


def _read_key_file(data: bytes) -> None:
    with tempfile.TemporaryDirectory(prefix="privet-fuzz-") as folder:
        path = Path(folder) / "key"
        path.write_bytes(data)
        path.chmod(0o600)
        KeyFile(path).find({"slot": "ab" * 16})


def _read_header(data: bytes) -> None:
    unwrap(KEY, replace(_store()[2], wrapping=data.decode("utf-8", "replace")))


def _read_departures(data: bytes) -> None:
    with tempfile.TemporaryDirectory(prefix="privet-fuzz-") as folder:
        path = Path(folder) / "departures"
        path.write_bytes(data)
        Departures(path).check("ab" * 32)


def vault_targets() -> list[Target]:
    """One for each reader."""
    database, contents, meta = _store()
    key_file = json.dumps({"ab" * 16: "cd" * 32}).encode()
    left = b'{"left":["' + b"ab" * 32 + b'"],"salt":"' + b"cd" * 16 + b'","version":1}'
    everything = ClientExport(
        contents=contents, ledger=(), log=("a sentence",), local_states={}, model=None
    )
    return [
        Target(name="list of departures", read=_read_departures, seeds=(left,), json=True, slow=True),
        Target(name="encrypted store", read=_read_store, seeds=(database,), slow=True),
        Target(name="key file", read=_read_key_file, seeds=(key_file,), json=True, slow=True),
        Target(name="store's key header", read=_read_header, seeds=(meta.wrapping.encode(),), json=True),
        Target(name="export as JSON", read=Contents.from_json, seeds=(contents.to_json(), everything.to_json()),
               json=True),
        Target(name="export as CSV", read=Contents.from_csv, seeds=(contents.to_csv(), everything.to_csv())),
    ]  # fmt: skip
