"""What is erased is gone from every file, and a receipt says so without saying what it was."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.client.vault.world import (
    CANARIES,
    KEY,
    NOW,
    assert_gone,
    assert_nothing_clear,
    bytes_of,
    copied,
    event,
    fill,
    made,
    opened,
    sealed_rows,
)

from privet.client.vault.event import Entry, EntryKind, Event
from privet.client.vault.kept_key import KeyFile
from privet.client.vault.receipt import Retention
from privet.client.vault.vault import Vault
from privet.privacy.errors import InputError


def test_after_erasing_all_no_sealed_byte_key_or_word_is_left(tmp_path: Path) -> None:
    path, keys = tmp_path / "store" / "me.db", KeyFile(tmp_path / "key")
    with made(path, keys) as vault:
        fill(vault)
        before = list(sealed_rows(path).values())
        copied(path, tmp_path / "old.db")
        old_key = (tmp_path / "key").read_bytes()
        receipt = vault.erase(all=True)
        assert_gone(before, path.parent)
        assert_nothing_clear(path.parent)
        assert vault.events() == () and vault.entries(EntryKind.STATE) == {}
        assert (receipt.events, receipt.entries) == (20, 3)
        assert receipt.key_destroyed and receipt.wrapping_key_destroyed
    assert_gone(before, path.parent)
    for slot in json.loads(old_key).values():
        assert slot.encode() not in bytes_of(tmp_path)
        assert bytes.fromhex(slot) not in bytes_of(tmp_path)
    with pytest.raises(InputError, match="has no key"):
        opened(tmp_path / "old.db", keys)
    with opened(path, keys) as vault:
        vault.record(event(5))
        assert len(vault.events()) == 1


def test_a_partial_erasure_leaves_no_byte_of_what_it_erased(tmp_path: Path) -> None:
    path = tmp_path / "me.db"
    with made(path) as vault:
        fill(vault)
        kept, gone = vault.events()[10:], list(sealed_rows(path).values())
        receipt = vault.erase(before=NOW - 990)
        assert vault.events() == kept
        left = set(sealed_rows(path).values())
        assert_gone([sealed for sealed in gone if sealed not in left], tmp_path)
        assert (receipt.events, receipt.entries, receipt.events_left) == (10, 1, 10)
        assert vault.entries(EntryKind.STATE) == {} and vault.entries(EntryKind.PROFILE)
        receipt = vault.erase(items=["canary-item-15", "nobody-knows"])
        assert receipt.events == 1 and len(vault.events()) == 9
        assert vault.erase(items=[]).events == 0
        assert not receipt.key_destroyed


def test_a_receipt_has_nothing_of_the_content(tmp_path: Path) -> None:
    with made(tmp_path / "one.db") as one, made(tmp_path / "two.db") as two:
        fill(one)
        fill(two)
        first, second = (v.erase(items=["canary-item-1"]).to_dict() for v in (one, two))
        assert not any(word in json.dumps(first) for word in CANARIES)
        assert first.pop("state_digest") == one.state_digest
        assert second.pop("state_digest") != one.state_digest  # same content, another key
        assert first == second
        one.record(event(50))
        assert one.state_digest != two.state_digest


@pytest.mark.parametrize("wrong", [{}, {"all": False}, {"all": True, "before": 5}, {"items": "x"}])
def test_an_erasure_that_is_not_clear_erases_nothing(tmp_path: Path, wrong: dict[str, str]) -> None:
    with made(tmp_path / "me.db") as vault:
        vault.record(event(1))
        with pytest.raises(InputError, match="Nothing was erased"):
            vault.erase(**wrong)  # type: ignore[arg-type]
        assert len(vault.events()) == 1


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.integers(0, 40), max_size=12),
    st.none() | st.integers(1, 30),
    st.none() | st.integers(1, 10),
)
def test_retention_keeps_the_young_and_the_latest(
    tmp_path_factory: pytest.TempPathFactory, ages: list[int], age: int | None, most: int | None
) -> None:
    path = tmp_path_factory.mktemp("vault") / "me.db"
    with made(path) as vault:
        vault.record(*(Event(kind="view", item=str(a), time=NOW + 10 - a) for a in ages))
        young = [t for t in sorted(NOW + 10 - a for a in ages) if age is None or t >= NOW - age]
        expected = young[-most:] if most is not None else young
        receipt = vault.retain(Retention(max_age_seconds=age, max_events=most))
        assert [e.time for e in vault.events()] == expected
        assert (receipt.events, receipt.events_left) == (len(ages) - len(expected), len(expected))


def test_an_entry_that_is_replaced_or_dropped_leaves_no_byte(tmp_path: Path) -> None:
    path = tmp_path / "me.db"
    with made(path) as vault:
        vault.put(Entry(kind=EntryKind.STATE, name="u", value=np.ones(200)))
        old = list(sealed_rows(path).values())
        vault.put(Entry(kind=EntryKind.STATE, name="u", value=np.zeros(200)))
        vault.drop(EntryKind.STATE, ["u"])
        assert_gone(old, tmp_path)


def test_what_a_crash_left_unscrubbed_is_scrubbed_at_the_next_opening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "me.db"
    with made(path) as vault:
        fill(vault)
        rows = list(sealed_rows(path).values())
        with monkeypatch.context() as patch:
            patch.setattr("privet.client.vault.vault_file.VaultFile.scrub", crash)
            with pytest.raises(PowerCutError):
                vault.erase(all=True)
        (tmp_path / "later").mkdir()
        copied(path, tmp_path / "later" / "me.db")
    with opened(tmp_path / "later" / "me.db") as vault:
        assert vault.events() == ()
        assert_gone(rows, tmp_path / "later")


def test_a_reader_that_holds_the_file_is_told_of_and_the_rest_follows(tmp_path: Path) -> None:
    path = tmp_path / "me.db"
    with made(path) as vault:
        fill(vault)
    with opened(path) as reader, Vault(path, key=KEY, busy_seconds=0.05) as vault:
        gone = list(sealed_rows(path).values())
        with reader._store.rows("BEGIN"):
            with pytest.raises(InputError, match="It is done, but"):
                vault.erase(all=True)
            assert vault.events() == ()
        vault.erase(items=["nothing"])
        assert_gone(gone, tmp_path)


def test_rows_are_overwritten_even_where_the_file_cannot_be_built_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "me.db"
    with made(path) as vault:
        fill(vault, 100)
        gone = [sealed for (table, _), sealed in sealed_rows(path).items() if table == "event"]
        with monkeypatch.context() as patch:
            patch.setattr("privet.client.vault.vault_file.VaultFile.scrub", no_room)
            with pytest.raises(InputError, match="next opening"):
                vault.erase(before=NOW)
        monkeypatch.setattr("privet.client.vault.vault_file.VaultFile.scrub", no_room)
    assert_gone(gone, tmp_path)


class PowerCutError(Exception):
    """The process ends here."""


def crash(_: object) -> None:
    raise PowerCutError


def no_room(_: object) -> None:
    raise InputError("the disk is full")
