"""The encrypted store keeps what it is given, shows nothing of it, and notices changes."""

import json
import os
import sqlite3
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.client.vault.world import (
    KEY,
    NOW,
    assert_nothing_clear,
    copied,
    event,
    fill,
    made,
    opened,
    sealed_rows,
    tampered,
)

from privet.client.vault.event import MAX_TEXT_BYTES, Entry, EntryKind, Event
from privet.client.vault.sealing import SMALLEST_BYTES, Sealer, pad, unpad
from privet.client.vault.vault import Vault
from privet.privacy.errors import InputError, IntegrityError, PrivetError

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
EVENTS = st.builds(
    Event,
    kind=TEXTS.filter(bool),
    item=TEXTS,
    time=st.integers(0, 1 << 53),
    value=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    context=st.dictionaries(TEXTS, JSON, max_size=3),
)
ARRAYS = st.sampled_from(["<f8", "<f4", "<i2", ">i8", "?"]).flatmap(
    lambda dtype: st.lists(st.integers(0, 3), max_size=3).map(lambda s: np.ones(s, dtype))
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(EVENTS, max_size=5), st.dictionaries(TEXTS, JSON), st.dictionaries(TEXTS, ARRAYS))
def test_what_is_recorded_is_read_again_in_order_of_time(
    tmp_path_factory: pytest.TempPathFactory,
    events: list[Event],
    answers: dict[str, Any],
    states: dict[str, Any],
) -> None:
    path = tmp_path_factory.mktemp("vault") / "me.db"
    with made(path) as vault:
        vault.record(*events)
        vault.put(
            *(Entry(kind=EntryKind.PROFILE, name=n, value=v) for n, v in answers.items()),
            *(Entry(kind=EntryKind.STATE, name=n, value=v) for n, v in states.items()),
        )
        expected = tuple(sorted(events, key=lambda e: e.time))
        assert vault.events() == expected
    with opened(path) as vault:
        assert vault.events() == expected
        assert vault.entries(EntryKind.PROFILE) == answers
        found = vault.entries(EntryKind.STATE)
        assert found.keys() == states.keys()
        for name, array in states.items():
            np.testing.assert_array_equal(found[name], array)


def test_no_recorded_word_is_ever_in_any_file_of_the_folder(tmp_path: Path) -> None:
    with made(tmp_path / "me.db") as vault:
        fill(vault)
        assert_nothing_clear(tmp_path)
        vault.rotate_data_key()
        assert_nothing_clear(tmp_path)
        vault.erase(items=["canary-item-3"])
        assert_nothing_clear(tmp_path)
        assert "canary" not in repr(vault.events()[0])
    assert_nothing_clear(tmp_path)


def test_all_files_are_for_their_owner_only(tmp_path: Path) -> None:
    with made(tmp_path / "me.db") as vault:
        fill(vault)
        names = {file.name for file in tmp_path.iterdir()}
        assert "me.db-wal" in names
        for file in tmp_path.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
    os.chmod(tmp_path / "me.db", 0o644)
    with pytest.raises(InputError, match="chmod 600"):
        opened(tmp_path / "me.db")


def test_sizes_tell_the_class_and_no_more(tmp_path: Path) -> None:
    with made(tmp_path / "me.db") as vault:
        for length in range(60):
            vault.record(Event(kind="like", item="i" * length))
    assert len({len(sealed) for sealed in sealed_rows(tmp_path / "me.db").values()}) == 1


@given(st.binary(max_size=600))
def test_padding_is_undone_and_goes_to_powers_of_two(plain: bytes) -> None:
    assert unpad(pad(plain)) == plain
    assert len(pad(plain)) >= SMALLEST_BYTES and len(pad(plain)).bit_count() == 1


def test_no_salt_or_nonce_is_ever_used_twice(tmp_path: Path) -> None:
    with made(tmp_path / "me.db") as vault:
        vault.record(*(event(1) for _ in range(2000)))
        before = sealed_rows(tmp_path / "me.db")
        vault.rotate_data_key()
        after = sealed_rows(tmp_path / "me.db")
    starts = [sealed[:28] for rows in (before, after) for sealed in rows.values()]
    assert len(set(starts)) == len(starts) == 4000
    assert len({start[:16] for start in starts}) == len({start[16:] for start in starts}) == 4000


def test_a_sealed_value_opens_only_in_its_place_store_and_version() -> None:
    key, here = bytes(32), {"table": "event", "row": 1, "column": "sealed"}
    sealer = Sealer(key, store=b"a", version=1)
    sealed = sealer.seal(b"value", table="event", row=1)
    assert sealer.open(sealed, table="event", row=1) == b"value"
    for other in ({"table": "entry"}, {"row": 2}, {"column": "tally"}, {"column": "sealedx"}):
        with pytest.raises(IntegrityError):
            sealer.open(sealed, **(here | other))  # type: ignore[arg-type]
    for stranger in (
        Sealer(key, store=b"b", version=1),
        Sealer(key, store=b"a", version=2),
        Sealer(bytes(31) + b"1", store=b"a", version=1),
    ):
        with pytest.raises(IntegrityError):
            stranger.open(sealed, table="event", row=1)


def move(db: sqlite3.Connection) -> None:
    db.execute("UPDATE event SET id = 900 WHERE id = 1")


def swap(db: sqlite3.Connection) -> None:
    one, two = (
        db.execute("SELECT sealed FROM event WHERE id = ?", (i,)).fetchone() for i in (1, 2)
    )
    db.execute("UPDATE event SET sealed = ? WHERE id = 1", two)
    db.execute("UPDATE event SET sealed = ? WHERE id = 2", one)


def copy_over(db: sqlite3.Connection) -> None:
    db.execute("UPDATE event SET sealed = (SELECT sealed FROM event WHERE id = 2) WHERE id = 1")


def to_other_table(db: sqlite3.Connection) -> None:
    db.execute("UPDATE entry SET sealed = (SELECT sealed FROM event WHERE id = 2)")


def flip(db: sqlite3.Connection) -> None:
    (sealed,) = db.execute("SELECT sealed FROM event WHERE id = 1").fetchone()
    db.execute(
        "UPDATE event SET sealed = ?  WHERE id = 1", (sealed[:-1] + bytes([sealed[-1] ^ 1]),)
    )


def remove(db: sqlite3.Connection) -> None:
    db.execute("DELETE FROM event WHERE id = 3")


def repeat(db: sqlite3.Connection) -> None:
    db.execute("INSERT INTO event SELECT 900, sealed FROM event WHERE id = 1")


def drop_all(db: sqlite3.Connection) -> None:
    db.execute("DELETE FROM event")


def no_tally(db: sqlite3.Connection) -> None:
    db.execute("UPDATE meta SET tally = zeroblob(300)")


def no_header(db: sqlite3.Connection) -> None:
    db.execute("DELETE FROM meta")


def wrong_types(db: sqlite3.Connection) -> None:
    db.execute("UPDATE event SET sealed = 'text' WHERE id = 1")


@pytest.mark.parametrize(
    "change",
    [
        move, swap, copy_over, to_other_table, flip, remove, repeat, drop_all, no_tally, no_header,
        wrong_types,
    ],
)  # fmt: skip
def test_a_row_that_is_changed_moved_removed_or_repeated_is_noticed(
    tmp_path: Path, change: Any
) -> None:
    with made(tmp_path / "me.db") as vault:
        fill(vault)
    with tampered(tmp_path / "me.db") as db:
        change(db)
    with pytest.raises(IntegrityError), opened(tmp_path / "me.db") as vault:
        vault.events()
        vault.entries(EntryKind.PROFILE)


def test_an_old_row_that_is_put_back_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "me.db"
    with made(path) as vault:
        vault.put(Entry(kind=EntryKind.PROFILE, name="consent", value=True))
        (old,) = sealed_rows(path).items()
        vault.put(Entry(kind=EntryKind.PROFILE, name="consent", value=False))
    with tampered(path) as db:
        db.execute("UPDATE entry SET id = ?, sealed = ?", (old[0][1], old[1]))
    with pytest.raises(IntegrityError, match="put back"), opened(path) as vault:
        vault.entries(EntryKind.PROFILE)


def test_an_older_copy_of_the_file_shows_to_whoever_kept_its_number(tmp_path: Path) -> None:
    with made(tmp_path / "me.db") as vault:
        vault.record(event(1))
        copied(tmp_path / "me.db", tmp_path / "old.db")
        vault.record(event(2))
        kept = vault.changes
    with Vault(tmp_path / "me.db", key=KEY, at_least=kept):
        pass
    with pytest.raises(IntegrityError, match="older"):
        Vault(tmp_path / "old.db", key=KEY, at_least=kept)


def test_damage_and_truncation_at_random_are_refused_or_change_nothing(tmp_path: Path) -> None:
    with made(tmp_path / "me.db") as vault:
        fill(vault, 60)
        expected = vault.events()
    whole = (tmp_path / "me.db").read_bytes()
    rng = np.random.default_rng(4)
    noticed = 0
    for number in range(60):
        data = bytearray(whole)
        if number % 3 == 0:
            data = data[: int(rng.integers(1, len(whole)))]
        else:
            data[int(rng.integers(len(whole)))] ^= int(rng.integers(1, 256))
        path = tmp_path / f"damaged{number}.db"
        path.write_bytes(data)
        path.chmod(0o600)
        try:
            with opened(path) as vault:
                assert vault.events() == expected
        except PrivetError:
            noticed += 1
    assert noticed >= 30


def test_another_version_or_program_is_refused_unchanged(tmp_path: Path) -> None:
    with made(tmp_path / "me.db") as vault:
        fill(vault)
    with tampered(tmp_path / "me.db") as db:
        db.execute("PRAGMA user_version=2")
    before = (tmp_path / "me.db").read_bytes()
    with pytest.raises(InputError, match=r"version 2.*newer"):
        opened(tmp_path / "me.db")
    assert (tmp_path / "me.db").read_bytes() == before
    sqlite3.connect(tmp_path / "other.db").execute("CREATE TABLE t (x)").connection.close()
    (tmp_path / "other.db").chmod(0o600)
    with pytest.raises(InputError, match="not an encrypted store"):
        opened(tmp_path / "other.db")
    (tmp_path / "text.db").write_text("no database at all, but rather long " * 30)
    (tmp_path / "text.db").chmod(0o600)
    with pytest.raises(IntegrityError, match="damaged"):
        opened(tmp_path / "text.db")
    with pytest.raises(InputError, match="Create one"):
        opened(tmp_path / "none.db")
    with pytest.raises(InputError, match="already holds"):
        made(tmp_path / "me.db")


def test_emoji_and_a_megabyte_are_kept_and_more_is_refused_unquoted(tmp_path: Path) -> None:
    items = [
        "👩‍👩‍👧 \u0000\u202e'; DROP TABLE event;--",
        "x" * MAX_TEXT_BYTES,
        "😀" * (MAX_TEXT_BYTES // 4),
    ]
    with made(tmp_path / "me.db") as vault:
        for number, item in enumerate(items):
            vault.record(Event(kind="like", item=item, time=number))
        assert [e.item for e in vault.events()] == items
        for wrong in ("y" * (MAX_TEXT_BYTES + 1), "😀" * (1 << 20), "\ud800", 7, None):
            with pytest.raises(InputError) as error:
                vault.record(Event(kind="like", item=wrong))  # type: ignore[arg-type]
            assert "😀" not in str(error.value) and "yyy" not in str(error.value)
        assert len(vault.events()) == 3


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": ""}, {"time": -1}, {"time": 1.5}, {"time": 1 << 60}, {"value": float("nan")},
        {"value": float("inf")}, {"value": "5"}, {"value": 10**400}, {"context": {"a": float("nan")}},
        {"context": {1: 2}}, {"context": {"a": object()}}, {"context": [1]}, {"value": True},
    ],
)  # fmt: skip
def test_what_cannot_be_kept_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        Event(**({"kind": "like"} | wrong))


def test_a_state_that_is_no_array_of_numbers_is_refused() -> None:
    wrong: list[Any] = [[1.0], np.array(["a"]), np.array([object()]), np.ones(2, complex)]
    for value in wrong:
        with pytest.raises(InputError):
            Entry(kind=EntryKind.STATE, name="s", value=value)
    with pytest.raises(InputError):
        Entry(kind=EntryKind.PROFILE, name="s", value=np.ones(2))


def test_a_clock_that_goes_back_loses_and_reorders_nothing(tmp_path: Path) -> None:
    now = [NOW]
    with Vault(tmp_path / "me.db", key=KEY, create=True, clock=lambda: now[0]) as vault:
        vault.record(Event(kind="like", item="first", time=NOW))
        now[0] = NOW - 10**6
        vault.record(Event(kind="like", item="second", time=now[0]))
        vault.record(Event(kind="like", item="third", time=NOW))
        assert [e.item for e in vault.events()] == ["second", "first", "third"]
        assert vault.erase(items=["none"]).at == NOW - 10**6


def test_two_connections_see_each_others_events_and_keys(tmp_path: Path) -> None:
    with made(tmp_path / "me.db") as one, opened(tmp_path / "me.db") as two:
        for number in range(10):
            (one, two)[number % 2].record(event(number))
            assert len(one.events()) == len(two.events()) == number + 1
        one.rotate_data_key()
        two.record(event(10))
        assert len(one.events()) == len(two.events()) == 11


def test_a_forked_process_must_open_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with made(tmp_path / "me.db") as vault:
        monkeypatch.setattr(os, "getpid", lambda: -1)
        with pytest.raises(InputError, match="fork"):
            vault.record(event(1))


def test_a_file_that_is_put_back_under_an_open_store_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "me.db"
    with made(path) as vault:
        vault.record(event(1))
        (old,) = sqlite3.connect(path).execute("SELECT tally FROM meta").fetchone()
        vault.record(event(2))
        db = sqlite3.connect(path)
        db.execute("UPDATE meta SET tally = ?", (old,))
        db.execute("DELETE FROM event WHERE id = 2")
        db.commit()
        db.close()
        with pytest.raises(IntegrityError, match="older"):
            vault.events()


def test_several_entries_are_set_or_none(tmp_path: Path) -> None:
    with made(tmp_path / "me.db") as vault:
        good = Entry(kind=EntryKind.SETTING, name="a", value=1)
        vault.put(good)
        bad = Entry(kind=EntryKind.SETTING, name="b", value=json)  # type: ignore[arg-type]
        with pytest.raises(InputError):
            vault.put(Entry(kind=EntryKind.SETTING, name="a", value=2), bad)
        assert vault.entries(EntryKind.SETTING) == {"a": 1}
        assert vault.drop(EntryKind.SETTING, ["a", "none"]) == 1
        assert vault.entries(EntryKind.SETTING) == {}
        vault.record(event(1))
    with pytest.raises(InputError, match="closed"):
        vault.record(event(2))


def test_an_amendment_sees_what_others_wrote_and_is_all_or_nothing(tmp_path: Path) -> None:
    """Two processes that count on: no count is lost."""

    def one_more(held: Any) -> list[Entry]:
        return [Entry(kind=EntryKind.USAGE, name="count", value=held.get("count", 0) + 1)]

    def failing(held: Any) -> list[Entry]:
        raise InputError("no")

    with made(tmp_path / "me.db") as one, opened(tmp_path / "me.db") as other:
        for vault in (one, other, one, other):
            vault.amend(EntryKind.USAGE, one_more)
            vault.record(event(1))
        with pytest.raises(InputError):
            one.amend(EntryKind.USAGE, failing)
        assert one.entries(EntryKind.USAGE) == other.entries(EntryKind.USAGE) == {"count": 4}
        assert one.entries(EntryKind.SETTING) == {}
