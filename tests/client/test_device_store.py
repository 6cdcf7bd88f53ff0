"""A device's store keeps what it says, and says so when it cannot."""

import os
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.client.stores import (
    ONE_DEVICE,
    PLAN,
    answer,
    as_after_a_crash,
    filled,
    limit_pages,
    slot,
)
from tests.privacy.minimization.claims import ParticipationsContract, claim, refused

from privet.client.device_store import APPLICATION_ID, SCHEMA_VERSION, DeviceStore
from privet.privacy.errors import InputError, IntegrityError, PrivacyError
from privet.privacy.ledger import EntryKind, check_chain
from privet.privacy.minimization.agreement import Limits
from privet.privacy.minimization.egress_log import EgressLedger
from privet.privacy.minimization.merkle import leaf_hash


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "device.db"


@pytest.fixture
def store(path: Path) -> Iterator[DeviceStore]:
    with DeviceStore(path, create=True) as opened:
        yield opened


class TestParticipations(ParticipationsContract):
    @pytest.fixture
    def kept(self, store: DeviceStore) -> EgressLedger:
        return store.ledger


def test_everything_is_there_after_a_restart(path: Path) -> None:
    filled(path)
    with DeviceStore(path) as store:
        ledger = store.ledger
        kinds = [entry.kind for entry in ledger.entries]
        assert kinds == [EntryKind.CLAIM, EntryKind.SENT] * 4 + [EntryKind.UNMASK]
        check_chain(ledger.entries, head=ledger.head, length=9)
        with pytest.raises(PrivacyError, match="more often"):
            answer(ledger, 2)
        for marks in ((b"r" * 32, b"x" * 32), (b"x" * 32, b"n" * 32)):
            with pytest.raises(PrivacyError, match="unmasked before"):
                ledger.record_unmasked(*marks)
        assert ledger.resend(slot(3)) == b"answer 3"
        assert ledger.sent[1].leaf == leaf_hash(b"answer 1").hex()
        answer(ledger, 4)
        assert EgressLedger.from_bytes(ledger.to_bytes()).entries == ledger.entries


def test_the_file_is_its_owners_alone_and_is_all_there_is(path: Path, store: DeviceStore) -> None:
    answer(store.ledger, 0)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(path.parent) == [path.name]


def test_each_commit_waits_for_the_disk(store: DeviceStore) -> None:
    for pragma, expected in (("synchronous", 3), ("journal_mode", "delete"), ("fullfsync", 1)):
        assert store._db.execute(f"PRAGMA {pragma}").fetchone() == (expected,)


def test_what_a_call_recorded_is_in_the_file_when_it_returns(
    path: Path, store: DeviceStore, tmp_path: Path
) -> None:
    answer(store.ledger, 0)
    store.ledger.record_unmasked(b"r" * 32, b"n" * 32)
    with as_after_a_crash(path, tmp_path / "copy.db") as copy:
        assert copy.ledger.entries == store.ledger.entries
        refused(copy.ledger, "more often", [0], step="step 0")


def test_two_handles_see_each_other(path: Path, store: DeviceStore) -> None:
    with DeviceStore(path) as other:
        answer(store.ledger, 0)
        refused(other.ledger, "more often", [0], step="step 0")
        answer(other.ledger, 1)
        with pytest.raises(PrivacyError, match="Another message"):
            store.ledger.record_sent(slot(1), b"other bytes")
        other.ledger.record_unmasked(b"r" * 32, b"n" * 32)
        with pytest.raises(PrivacyError, match="unmasked before"):
            store.ledger.record_unmasked(b"r" * 32, b"m" * 32)
        assert store.ledger.resend(slot(1)) == b"answer 1"
        assert store.ledger.entries == other.ledger.entries


def test_one_place_has_one_message_and_it_can_be_sent_again(store: DeviceStore) -> None:
    ledger = store.ledger
    assert ledger.resend(slot(0)) is None
    ledger.record_sent(slot(0), b"noise 1")
    for _ in range(2):
        ledger.record_sent(slot(0), b"noise 1")
        assert ledger.resend(slot(0)) == b"noise 1"
        with pytest.raises(PrivacyError, match="Another message"):
            ledger.record_sent(slot(0), b"noise 2")
    assert ledger.length == 1
    ledger.record_sent(slot(0, "shares"), b"shares")
    with pytest.raises(PrivacyError, match="answered before"):
        ledger.resend(slot(0))
    ledger.record_sent(slot(0), b"noise 1")  # the same bytes are no second answer
    assert ledger.resend(slot(0, "shares")) == b"shares"


def test_forgotten_bytes_are_gone_from_the_file_and_stay_recorded(
    path: Path, store: DeviceStore
) -> None:
    secret = b"a vector that only the server may have" * 200
    store.ledger.record_sent(slot(), secret)
    assert secret[:38] in path.read_bytes()
    store.ledger.forget_answer()
    assert secret[:38] not in path.read_bytes()
    with pytest.raises(PrivacyError, match="answered before"):
        store.ledger.resend(slot())
    with pytest.raises(PrivacyError, match="Another message"):
        store.ledger.record_sent(slot(), b"fresh noise")


def test_bytes_that_are_not_those_that_were_sent_are_not_sent_again(
    path: Path, store: DeviceStore
) -> None:
    store.ledger.record_sent(slot(), b"sent")
    changed_by("UPDATE answer SET message = x'00'", path)
    with pytest.raises(IntegrityError, match="not the one that it sent"):
        store.ledger.resend(slot())
    changed_by("UPDATE answer SET message = 'text'", path)
    with pytest.raises(IntegrityError, match="no message"):
        store.ledger.resend(slot())


def changed_by(statement: str, path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute(statement)
    db.commit()
    db.close()


def test_a_store_is_made_once(path: Path) -> None:
    with pytest.raises(InputError, match="No device's store"):
        DeviceStore(path)
    assert not path.exists()
    filled(path)
    with pytest.raises(InputError, match="already holds something"):
        DeviceStore(path, create=True)
    with DeviceStore(path) as store:
        assert store.ledger.length == 9


def test_a_creation_that_was_interrupted_is_no_store_and_can_be_made_again(path: Path) -> None:
    path.touch(0o600)
    with pytest.raises(InputError, match="not a device's store, or an empty one"):
        DeviceStore(path)
    DeviceStore(path, create=True).close()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o602, 0o666])
def test_a_file_that_others_may_use_is_refused(path: Path, mode: int) -> None:
    filled(path)
    path.chmod(mode)
    with pytest.raises(InputError, match="chmod 600"):
        DeviceStore(path)


def test_a_directory_or_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No device's store"):
        DeviceStore(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be made"):
        DeviceStore(tmp_path / "file" / "device.db", create=True)


def test_another_programs_database_and_other_bytes_are_refused(path: Path) -> None:
    changed_by("PRAGMA journal_mode=WAL", path)
    changed_by("CREATE TABLE notes (text TEXT)", path)
    path.chmod(0o600)
    before = path.read_bytes()
    with pytest.raises(InputError, match="not a device's store"):
        DeviceStore(path)
    assert path.read_bytes() == before
    with pytest.raises(InputError, match="already holds something"):
        DeviceStore(path, create=True)
    path.write_bytes(b"neither a database nor a store" * 100)
    with pytest.raises(IntegrityError, match="damaged or not"):
        DeviceStore(path)


def test_a_newer_version_is_refused_and_left_as_it_is(path: Path) -> None:
    filled(path)
    changed_by(f"PRAGMA user_version={SCHEMA_VERSION + 1}", path)
    before = path.read_bytes()
    with pytest.raises(InputError, match="version 2; this program reads 1"):
        DeviceStore(path)
    assert path.read_bytes() == before


TAMPERED = {
    "an entry dropped": "DELETE FROM ledger WHERE seq = 3",
    "the last entry dropped": "DELETE FROM ledger WHERE seq = 8",
    "all entries dropped": "DELETE FROM ledger",
    "the tip dropped": "DELETE FROM tip",
    "a shorter length": "UPDATE tip SET length = 8",
    "another head": "UPDATE tip SET hash = 'x'",
    "a claim for another step": (
        "UPDATE ledger SET body = replace(body, 'step 1', 'step 9') WHERE seq = 2"
    ),
    "a claim made a denial": "UPDATE ledger SET kind = 'denial' WHERE seq = 2",
    "a body that is no JSON": "UPDATE ledger SET body = 'x' WHERE seq = 2",
    "a body that is a list": "UPDATE ledger SET body = '[]' WHERE seq = 2",
    "a body of bytes": "UPDATE ledger SET body = x'ff' WHERE seq = 2",
    "text that is none": "UPDATE ledger SET body = CAST(x'ff' AS TEXT) WHERE seq = 2",
    "nested deeply": "UPDATE ledger SET body = replace(printf('%.9999c', '['), '.', '') ",
    "a trigger": "CREATE TRIGGER t AFTER INSERT ON ledger BEGIN DELETE FROM ledger; END",
    "a table more": "CREATE TABLE more (x)",
}


@pytest.mark.parametrize("statement", TAMPERED.values(), ids=TAMPERED)
def test_a_store_that_was_tampered_with_is_refused(path: Path, statement: str) -> None:
    filled(path)
    changed_by(statement, path)
    with pytest.raises(IntegrityError):
        DeviceStore(path)


def test_tampering_is_noticed_while_the_store_is_open(path: Path, store: DeviceStore) -> None:
    answer(store.ledger, 0)
    changed_by("DELETE FROM ledger WHERE seq = 1", path)
    changed_by("UPDATE tip SET length = 1", path)
    with pytest.raises(IntegrityError, match="cut off or changed"):
        answer(store.ledger, 1)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("whole") / "device.db"
    filled(path)
    return path.read_bytes()


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_damage_anywhere_is_an_error_or_harmless(
    whole: bytes, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("damage") / "device.db"
    damaged = bytearray(whole)
    at = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        damaged[at] ^= data.draw(st.integers(1, 255))
    else:
        del damaged[at:]
    path.touch(0o600)
    path.write_bytes(damaged)
    try:
        with DeviceStore(path) as store:
            assert (store.ledger.length, store.ledger.sent[3].slot) == (9, slot(3))
    except (InputError, IntegrityError):
        pass


def test_an_older_copy_shows_to_whoever_kept_head_and_length(path: Path, tmp_path: Path) -> None:
    filled(path)
    with as_after_a_crash(path, tmp_path / "backup.db") as backup, DeviceStore(path) as store:
        answer(store.ledger, 7)
        head, length = store.ledger.head, store.ledger.length
        assert head is not None
        store.ledger.check_contains(head=head, length=length)
        answer(store.ledger, 8)
        store.ledger.check_contains(head=head, length=length)
        for ledger in (backup.ledger, EgressLedger()):
            with pytest.raises(IntegrityError, match="restored from a backup"):
                ledger.check_contains(head=head, length=length)
        answer(backup.ledger, 7)  # what an older copy cannot know, which is why head and length are
        answer(backup.ledger, 8)  # to be kept elsewhere
        with pytest.raises(IntegrityError, match="restored from a backup"):
            backup.ledger.check_contains(head=store.ledger.head or "", length=3)


def test_on_a_full_disk_nothing_is_claimed_sent_or_unmasked(path: Path) -> None:
    with DeviceStore(path, create=True) as store:
        answer(store.ledger, 0)
        before = store.ledger.to_bytes()
        limit_pages(store)
        large: Any = {"step": "x" * 20_000}
        with pytest.raises(InputError, match="the disk is full or fails"):
            claim(store.ledger, [0], **large)
        with pytest.raises(InputError, match="the disk is full or fails"):
            store.ledger.record_sent(slot(1), bytes(20_000))
        with pytest.raises(InputError, match="the disk is full or fails"):
            store.ledger.record_unmasked(bytes(20_000), b"")
        assert store.ledger.to_bytes() == before
        assert store.ledger.resend(slot(0)) == b"answer 0"
        limit_pages(store, more=100)
        claim(store.ledger, [0], **large)
        refused(store.ledger, "more often", [0], **large)
    with DeviceStore(path) as store:
        assert store.ledger.length == 3


def test_a_store_that_another_process_holds_is_waited_for_and_then_refused(
    path: Path, store: DeviceStore
) -> None:
    with DeviceStore(path, busy_seconds=0.05) as other:
        store._db.execute("BEGIN IMMEDIATE")
        with pytest.raises(InputError, match="held by another process"):
            answer(other.ledger, 0)
        store._db.execute("ROLLBACK")
        answer(other.ledger, 0)


def test_a_store_refuses_to_cross_a_fork(
    store: DeviceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getpid", lambda: -1)
    with pytest.raises(InputError, match="a fork must open its own"):
        answer(store.ledger, 0)


def test_a_closed_store_says_so(path: Path) -> None:
    with DeviceStore(path, create=True) as store:
        pass
    with pytest.raises(InputError, match="was closed"):
        answer(store.ledger, 0)


def test_the_clock_means_nothing(store: DeviceStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: -1.0)
    far: dict[str, Any] = {"series": "s", "max_participations": 9, "min_separation": 3}
    claim(store.ledger, [0], at=7, **far)
    refused(store.ledger, "less than 3", [0], at=6, **far)


def test_the_store_is_marked_as_what_it_is(path: Path) -> None:
    filled(path)
    assert path.read_bytes()[68:72] == APPLICATION_ID.to_bytes(4, "big") == b"PRVD"


def test_a_claim_says_nothing_about_a_history(store: DeviceStore) -> None:
    store.ledger.claim(
        plan_hash=PLAN, step="one", devices=ONE_DEVICE, limits=Limits(max_total=3), round_number=4
    )
    (entry,) = store.ledger.entries
    assert entry.body == {
        "plan_hash": PLAN,
        "step": "one",
        "devices": [0],
        "series": None,
        "round_number": 4,
    }
    assert np.array_equal(ONE_DEVICE, [0])
