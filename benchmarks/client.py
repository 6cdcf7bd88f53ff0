"""What the client costs on a device: its encrypted store, at a catalogue of 20,000 items.

Bars: opening a store of 10,000 events in less than 100 ms, recording one durably in less than 2 ms
(median, beside one raw fsync of the same disk, which is in it), 10,000 events in less than 5 MB.
Printed beside: recording in memory, without a disk; and the passphrase's own cost, which is meant to
be slow and comes on top of opening.
"""

import math
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from common import finish, table

from privet.client.vault.event import Event
from privet.client.vault.history import history
from privet.client.vault.key_source import HostKey, Passphrase
from privet.client.vault.vault import Vault
from privet.models.catalogue import Catalogue

ITEMS, EVENTS, RECORDS, REPEATS = 20_000, 10_000, 300, 9
OPEN_MS, RECORD_MS, MEGABYTES = 100.0, 2.0, 5.0
NOW = 1_700_000_000


def median_ms(call: Callable[[], object], repeats: int) -> float:
    """Median time of a call, in milliseconds."""
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return float(np.median(taken)) * 1e3


def event(rng: np.random.Generator, number: int) -> Event:
    """An event as an app records it."""
    item = f"tt{int(rng.integers(ITEMS)):07d}"
    return Event(kind="view", item=item, time=NOW + number, context={"session": number // 20})


def fsync_ms(folder: Path) -> float:
    """Median time of appending 4 KiB to a file and of its fsync."""
    with (folder / "raw").open("wb", buffering=0) as file:

        def append() -> None:
            file.write(bytes(4096))
            os.fsync(file.fileno())

        return median_ms(append, RECORDS)


def record_without_disk_ms(rng: np.random.Generator, key: HostKey) -> float:
    """Median time of recording where fsync costs nothing; NaN without such a file system."""
    memory = Path("/dev/shm")
    if not memory.is_dir():
        return math.nan
    with (
        tempfile.TemporaryDirectory(prefix="privet-bench-", dir=memory) as folder,
        Vault(Path(folder) / "me.db", key=key, create=True) as vault,
    ):
        numbers = iter(range(RECORDS))
        return median_ms(lambda: vault.record(event(rng, next(numbers))), RECORDS)


def size_mb(folder: Path) -> float:
    """Everything in a folder, in units of 10^6 bytes."""
    return sum(file.stat().st_size for file in folder.iterdir()) / 1e6


def main() -> None:
    """Measure each bar and print it."""
    rng = np.random.default_rng(0)
    catalogue = Catalogue(item_ids=tuple(f"tt{i:07d}" for i in range(ITEMS)))
    key = HostKey(os.urandom(32))
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="privet-bench-") as folder:
        home = Path(folder) / "store"
        home.mkdir()
        path = home / "me.db"
        with Vault(path, key=key, create=True) as vault:
            for start in range(0, EVENTS - RECORDS, 100):
                vault.record(*(event(rng, start + n) for n in range(100)))
            numbers = iter(range(EVENTS - RECORDS, EVENTS))
            found["record_ms"] = median_ms(lambda: vault.record(event(rng, next(numbers))), RECORDS)
            found["open_files_mb"] = size_mb(home)
        found["fsync_ms"] = fsync_ms(Path(folder))
        found["file_mb"] = size_mb(home)
        found["open_ms"] = median_ms(lambda: Vault(path, key=key).close(), REPEATS)
        with Vault(path, key=key) as vault:
            found["first_read_ms"] = median_ms(vault.events, 1)
            found["read_ms"] = median_ms(vault.events, REPEATS)
            events = vault.events()
            found["history_ms"] = median_ms(
                lambda: history(events, catalogue, now=NOW + EVENTS), REPEATS
            )
            found["rotate_data_key_ms"] = median_ms(vault.rotate_data_key, 1)
            found["erase_all_ms"] = median_ms(lambda: vault.erase(all=True), 1)
    found["record_without_disk_ms"] = record_without_disk_ms(rng, key)
    found["passphrase_ms"] = median_ms(lambda: Passphrase("a passphrase").create(), 3)
    bars = {"record_ms": RECORD_MS, "open_ms": OPEN_MS, "open_files_mb": MEGABYTES}
    good = {name: found[name] < bar for name, bar in bars.items()}
    verdict = {name: "ok" if met else "MISSED" for name, met in good.items()}
    rows = [
        [name, f"{value:.2f}", bars.get(name, ""), verdict.get(name, "")]
        for name, value in found.items()
    ]
    table(["figure", "measured", "below", ""], rows)
    figures = {n: None if math.isnan(v) else v for n, v in found.items()}
    finish({"events": EVENTS, "items": ITEMS, **figures}, passed=all(good.values()))


if __name__ == "__main__":
    main()
