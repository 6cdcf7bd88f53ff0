"""A run's file: whatever is cut off, flipped or rewritten is refused, never quietly believed."""

import sqlite3
from pathlib import Path

import numpy as np
import pytest
from tests.server.world import Crash, crash_at, plan_of, run

from privet.models.model import SharedState, state_hash
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.errors import InputError, IntegrityError
from privet.privacy.ledger import EntryKind, next_entry
from privet.server.coordinator import Phase
from privet.server.storage import DATABASE, RunStore


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that stopped after its first step."""
    directory = tmp_path_factory.mktemp("original") / "run"
    with pytest.raises(Crash):
        run(directory, plan_of(Trust.SECURE_AGGREGATION), observer=crash_at(Phase.ALLOWED, 1))
    return directory / DATABASE


def read(directory: Path) -> tuple[list[str], str]:
    store = RunStore(directory)
    try:
        checkpoint = store.checkpoint()
        assert checkpoint is not None
        return [entry.hash for entry in store.entries], state_hash(checkpoint[1])
    finally:
        store.close()


def refused(directory: Path, content: bytes) -> bool:
    """Whether a file is refused with IntegrityError; any other error is a test's failure."""
    directory.mkdir(exist_ok=True)
    (directory / DATABASE).write_bytes(content)
    try:
        read(directory)
    except IntegrityError:
        return True
    return False


def test_a_file_that_was_cut_off_anywhere_is_refused(original: Path, tmp_path: Path) -> None:
    whole = original.read_bytes()
    for size in [*range(0, len(whole), 512), 1, 15, 16, 17, 99, 100, 101]:
        assert refused(tmp_path / "cut", whole[:size]), size
    # SQLite reads a missing last byte as 0, which it may have been.
    short = refused(tmp_path / "cut", whole[:-1])
    assert short or read(tmp_path / "cut") == read(original.parent)


def test_a_flipped_bit_is_refused_unless_it_is_in_nothing_that_is_read(
    original: Path, tmp_path: Path
) -> None:
    whole = original.read_bytes()
    expected = read(original.parent)
    found = 0
    for position in range(0, len(whole), 23):
        flipped = bytearray(whole)
        flipped[position] ^= 1 << (position % 8)
        if refused(tmp_path / "flipped", bytes(flipped)):
            found += 1
        else:
            assert read(tmp_path / "flipped") == expected, position
    assert found > 50


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger SET body = replace(body, 'popularity', 'popularitx') WHERE seq = 2",
        "UPDATE ledger SET kind = 'end' WHERE seq = 2",
        "UPDATE ledger SET kind = 'nonsense' WHERE seq = 2",
        "UPDATE ledger SET body = 'not json' WHERE seq = 2",
        "UPDATE ledger SET body = x'fffe' WHERE seq = 2",
        "UPDATE ledger SET body = '{\"epsilon\":NaN}' WHERE seq = 2",
        "DELETE FROM ledger WHERE seq = 2",
        "DELETE FROM ledger WHERE seq = (SELECT MAX(seq) FROM ledger)",
        "DELETE FROM ledger",
        "DELETE FROM ledger; DELETE FROM head",
        "DELETE FROM head",
        "UPDATE head SET length = 2",
        "UPDATE head SET hash = 'ff'",
        "DELETE FROM checkpoint",
        "UPDATE checkpoint SET step = 'signs'",
        "UPDATE checkpoint SET state = x'00'",
        "DROP TABLE ledger",
        "DROP TABLE head",
        "DROP TABLE checkpoint",
    ],
)
def test_a_tampered_table_is_refused(original: Path, tmp_path: Path, statement: str) -> None:
    (tmp_path / DATABASE).write_bytes(original.read_bytes())
    connection = sqlite3.connect(tmp_path / DATABASE)
    connection.executescript(statement)
    connection.close()
    with pytest.raises(IntegrityError):
        read(tmp_path)


def test_another_state_in_the_checkpoint_is_refused(original: Path, tmp_path: Path) -> None:
    (tmp_path / DATABASE).write_bytes(original.read_bytes())
    store = RunStore(tmp_path)
    other = tmp_path / "other"
    forged = RunStore(other, create=True)
    forged.close_release("popularity", {}, {"popularity": np.zeros(12)})
    blob = forged._db.execute("SELECT state FROM checkpoint").fetchone()[0]
    forged.close()
    store._db.execute("UPDATE checkpoint SET state = ?", (blob,))
    store.close()
    with pytest.raises(IntegrityError, match="not the one that its ledger records"):
        read(tmp_path)


def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    assert refused(tmp_path, b"hello" * 1000)
    assert refused(tmp_path, b"")


def test_a_missing_run_and_a_run_already_there_are_input_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No run"):
        RunStore(tmp_path)
    RunStore(tmp_path, create=True).close()
    with pytest.raises(InputError, match="already holds a run"):
        RunStore(tmp_path, create=True)


def test_closing_and_checkpoint_are_one_transaction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = RunStore(tmp_path, create=True)
    store.append(EntryKind.PLAN, {"plan_hash": "x"})

    class Unpackable(dict[str, np.ndarray[tuple[int], np.dtype[np.float64]]]):
        pass

    def fail(shared: object) -> bytes:
        raise OSError("disk full")

    monkeypatch.setattr("privet.server.storage.pack_state", fail)
    with pytest.raises(OSError, match="disk full"):
        store.close_release("a", {}, Unpackable(a=np.zeros(1)))
    assert [entry.kind for entry in store.entries] == [EntryKind.PLAN]
    store.close()
    again = RunStore(tmp_path)
    assert [entry.kind for entry in again.entries] == [EntryKind.PLAN]
    assert again.checkpoint() is None
    again.append(EntryKind.END, {})
    again.close()


def test_two_processes_cannot_both_append(tmp_path: Path) -> None:
    first = RunStore(tmp_path, create=True)
    first.append(EntryKind.PLAN, {"plan_hash": "x"})
    second = RunStore(tmp_path)
    first.append(EntryKind.BUDGET, {"epsilon": 1.0})
    with pytest.raises(sqlite3.IntegrityError):
        second.append(EntryKind.BUDGET, {"epsilon": 99.0})
    first.close()
    second.close()
    again = RunStore(tmp_path)
    assert [e.body.get("epsilon") for e in again.entries] == [None, 1.0]
    assert next_entry(again.entries[-1], EntryKind.END, {}).seq == 2
    again.close()


def test_arrays_come_back_as_they_were(tmp_path: Path) -> None:
    shared: SharedState = {"a": np.arange(3.0), "b": np.array([[1, 2]], np.int64), "c": np.zeros(0)}
    store = RunStore(tmp_path, create=True)
    store.close_release("one", {"state_hash": state_hash(shared)}, shared)
    store.close()
    again = RunStore(tmp_path)
    checkpoint = again.checkpoint()
    again.close()
    assert checkpoint is not None and checkpoint[0] == "one"
    assert state_hash(checkpoint[1]) == state_hash(shared)
