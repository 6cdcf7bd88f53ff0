"""Everything that a store holds, as JSON or CSV in the clear: for the user to take along."""

import base64
import csv
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

from privet.client.vault.event import (
    Entry,
    EntryKind,
    Event,
    Value,
    array_of,
    described,
    encoded,
    raw,
)
from privet.client.vault.vault import Vault
from privet.privacy.errors import InputError, PrivetError

EXPORT_SCHEMA = "privet.history/1"
CLIENT_SCHEMA = "privet.client/1"
"""Of an export of everything that a device holds, a store's among it; see `rights.export`."""
CLIENT_RECORDS = ("participation", "ledger", "local state", "model")
"""Lines of such an export's table that a store's has not."""
MAX_EXPORT_BYTES = 1 << 28
_COLUMNS = ["record", "name", "item", "time", "value", "context"]
_NOT_ONE = "Expected an export of Privet; the file is none, or damaged. Nothing was imported."


@dataclass(frozen=True, kw_only=True, repr=False)
class Contents:
    """What a store holds.

    Attributes:
        events: In order of time.
        entries: Of all kinds.
    """

    events: tuple[Event, ...]
    entries: tuple[Entry, ...]

    @classmethod
    def of(cls, vault: Vault) -> "Contents":
        """Everything that a store holds."""
        entries = tuple(
            Entry(kind=kind, name=name, value=value)
            for kind in EntryKind
            for name, value in sorted(vault.entries(kind).items())
        )
        return cls(events=vault.events(), entries=entries)

    def to_json(self) -> bytes:
        """A JSON object: schema, events, and a list of entries."""
        entries = [
            {"kind": str(entry.kind), "name": entry.name, "value": _portable(entry.value)}
            for entry in self.entries
        ]
        events = [
            {
                "kind": event.kind,
                "item": event.item,
                "time": event.time,
                "value": event.value,
                "context": dict(event.context),
            }
            for event in self.events
        ]
        found = {"schema": EXPORT_SCHEMA, "events": events, "entries": entries}
        return json.dumps(found, ensure_ascii=False, allow_nan=False, indent=1).encode()

    @classmethod
    def from_json(cls, data: bytes) -> "Contents":
        """Read what `to_json` wrote, or the store's part of an export of everything.

        Raises:
            InputError: It is not that; nothing of it is quoted.
        """

        def read() -> Contents:
            found: Any = json.loads(data.decode("utf-8-sig"))
            if found["schema"] == CLIENT_SCHEMA:
                found = found["history"]
            if found["schema"] != EXPORT_SCHEMA:
                raise ValueError
            return cls(
                events=tuple(Event(**event) for event in found["events"]),
                entries=tuple(
                    _entry(entry["kind"], entry["name"], entry["value"])
                    for entry in found["entries"]
                ),
            )

        return _read(data, read)

    def to_csv(self) -> bytes:
        """A table: one line an event or entry; values and contexts as JSON.

        A spreadsheet may take a text that begins with = for a formula; JSON is the safer form.
        """
        out = StringIO(newline="")
        writer = csv.writer(out)
        writer.writerow(_COLUMNS)
        for event in self.events:
            value = "" if event.value is None else _text(event.value)
            context = _text(dict(event.context)) if event.context else ""
            writer.writerow(["event", event.kind, event.item, event.time, value, context])
        for entry in self.entries:
            value = _text(_portable(entry.value))
            writer.writerow([str(entry.kind), entry.name, "", "", value, ""])
        return out.getvalue().encode()

    @classmethod
    def from_csv(cls, data: bytes) -> "Contents":
        """Read what `to_csv` wrote, or the store's part of an export of everything.

        Raises:
            InputError: It is not that; nothing of it is quoted.
        """

        def read() -> Contents:
            rows = _csv_rows(data.decode("utf-8-sig"))
            if not rows or rows[0] != _COLUMNS:
                raise ValueError
            events, entries = [], []
            for record, name, item, time, value, context in rows[1:]:
                if record == "event":
                    number = json.loads(value) if value else None
                    more = json.loads(context) if context else {}
                    events.append(
                        Event(kind=name, item=item, time=int(time), value=number, context=more)
                    )
                elif record not in CLIENT_RECORDS:
                    entries.append(_entry(record, name, json.loads(value)))
            return cls(events=tuple(events), entries=tuple(entries))

        return _read(data, read)


def export_file(vault: Vault, path: Path) -> None:
    """Write everything to a new file, for its owner only, as its suffix says: .json or .csv.

    The file is in the clear: whoever reads it knows all of it.

    Raises:
        InputError: Another suffix, the file is there already, or it cannot be written.
    """
    contents = Contents.of(vault)
    write_clear(path, json=contents.to_json, csv=contents.to_csv)


def write_clear(path: Path, *, json: Callable[[], bytes], csv: Callable[[], bytes]) -> None:
    """Write one form of an export to a new file, for its owner only; see `export_file`."""
    data = json() if _is_json(path) else csv()
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
    except FileExistsError:
        raise InputError(f"{path} is there already. Nothing was exported.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}.") from error


def import_file(vault: Vault, path: Path) -> Contents:
    """Add an export to a store, all or nothing: events are added, entries of one name replaced.

    Consents and usage are left out: what somebody agreed to elsewhere is no consent here, and what
    this device has sent stays counted.

    Returns:
        What was added.

    Raises:
        InputError: It is no export, or cannot be read. Nothing was imported.
    """
    read = Contents.from_json if _is_json(path) else Contents.from_csv
    try:
        with path.open("rb") as file:
            data = file.read(MAX_EXPORT_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    found = read(data)
    own = (EntryKind.CONSENT, EntryKind.USAGE)
    contents = Contents(
        events=found.events, entries=tuple(e for e in found.entries if e.kind not in own)
    )
    vault.add(events=contents.events, entries=contents.entries)
    return contents


def _is_json(path: Path) -> bool:
    if path.suffix.lower() not in (".json", ".csv"):
        raise InputError("Expected a file name that ends in .json or .csv.")
    return path.suffix.lower() == ".json"


def _read(data: bytes, read: Callable[[], Contents]) -> Contents:
    if len(data) > MAX_EXPORT_BYTES:
        raise InputError(f"Expected an export of {MAX_EXPORT_BYTES} bytes at most.")
    try:
        return read()
    except (PrivetError, ValueError, TypeError, KeyError, RecursionError, csv.Error):
        raise InputError(_NOT_ONE) from None


def _csv_rows(text: str) -> list[list[str]]:
    """Rows of a CSV, with fields as long as the text allows."""
    usual = csv.field_size_limit(len(text) + 1)
    try:
        return list(csv.reader(StringIO(text, newline=""), strict=True))
    finally:
        csv.field_size_limit(usual)


def _text(value: object) -> str:
    return encoded("a value", value).decode()


def _portable(value: Value) -> object:
    """A state as its type, shape and numbers in base 64."""
    if not isinstance(value, np.ndarray):
        return value
    return {**described(value), "base64": base64.b64encode(raw(value)).decode()}


def _entry(kind: str, name: str, value: Any) -> Entry:
    if EntryKind(kind) is EntryKind.STATE:
        value = array_of(value, base64.b64decode(value["base64"], validate=True))
    return Entry(kind=EntryKind(kind), name=name, value=value)
