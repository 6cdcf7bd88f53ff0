"""The ledger's chain: whatever is changed, dropped, swapped, cut off or appended shows."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.privacy.test_adversaries import terms

from privet.privacy.accounting.adversaries import Trust
from privet.privacy.canonical import canonical_bytes
from privet.privacy.errors import InputError, IntegrityError
from privet.privacy.ledger import (
    GENESIS,
    Charge,
    Entry,
    EntryKind,
    charges,
    check_chain,
    closed_steps,
    next_entry,
)


def build(bodies: list[tuple[EntryKind, dict[str, Any]]]) -> list[Entry]:
    entries: list[Entry] = []
    for kind, body in bodies:
        entries.append(next_entry(entries[-1] if entries else None, kind, body))
    return entries


def charge(step: str, attempt: int) -> dict[str, Any]:
    return Charge(step=step, attempt=attempt, terms=terms(Trust.CENTRAL)).to_dict()


GOOD = build(
    [
        (EntryKind.PLAN, {"plan_hash": "x"}),
        (EntryKind.BUDGET, {"epsilon": 1.0, "delta": 1e-6}),
        (EntryKind.CHARGE, charge("a", 0)),
        (EntryKind.CLOSE, {"step": "a"}),
        (EntryKind.CHARGE, charge("b", 0)),
        (EntryKind.CHARGE, charge("b", 1)),
    ]
)
HEAD, LENGTH = GOOD[-1].hash, len(GOOD)


def check(entries: list[Entry]) -> None:
    check_chain(entries, head=HEAD, length=LENGTH)


def test_a_good_chain_passes_with_and_without_head_and_length() -> None:
    check(GOOD)
    check_chain(GOOD)
    check_chain([])
    assert GOOD[0].previous_hash == GENESIS


@pytest.mark.parametrize("position", range(LENGTH))
@pytest.mark.parametrize(
    "change",
    [
        {"body": {"step": "other"}},
        {"kind": EntryKind.END},
        {"hash": "f" * 64},
        {"previous_hash": "f" * 64},
        {"seq": 17},
    ],
    ids=["body", "kind", "hash", "previous hash", "seq"],
)
def test_a_changed_entry_is_found_without_head_or_length(
    position: int, change: dict[str, Any]
) -> None:
    entries = list(GOOD)
    entries[position] = replace(entries[position], **change)
    with pytest.raises(IntegrityError, match=f"{position}"):
        check_chain(entries)


@pytest.mark.parametrize("position", range(LENGTH - 1))
def test_an_entry_dropped_from_the_middle_is_found(position: int) -> None:
    with pytest.raises(IntegrityError, match="breaks"):
        check_chain(GOOD[:position] + GOOD[position + 1 :])


@pytest.mark.parametrize("position", range(LENGTH - 1))
def test_two_entries_swapped_are_found(position: int) -> None:
    entries = list(GOOD)
    entries[position : position + 2] = reversed(entries[position : position + 2])
    with pytest.raises(IntegrityError, match="breaks"):
        check_chain(entries)


@pytest.mark.parametrize("length", range(LENGTH))
def test_a_truncated_ledger_is_found_by_its_length_or_its_head(length: int) -> None:
    check_chain(GOOD[:length])  # a chain alone does not show it
    with pytest.raises(IntegrityError, match="recorded"):
        check_chain(GOOD[:length], length=LENGTH)
    with pytest.raises(IntegrityError, match="recorded"):
        check_chain(GOOD[:length], head=HEAD)


def test_an_appended_entry_is_found_by_length_or_head() -> None:
    more = [*GOOD, next_entry(GOOD[-1], EntryKind.END, {})]
    check_chain(more)
    with pytest.raises(IntegrityError, match="recorded"):
        check_chain(more, length=LENGTH)
    with pytest.raises(IntegrityError, match="recorded"):
        check_chain(more, head=HEAD)


def test_a_full_rewrite_is_found_by_the_head() -> None:
    rewritten = build([(e.kind, {**e.body, "note": 1}) for e in GOOD])
    check_chain(rewritten, length=LENGTH)
    with pytest.raises(IntegrityError, match="recorded"):
        check(rewritten)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
bodies = st.dictionaries(st.text(max_size=5), json_values, max_size=3)


@given(first=bodies, second=bodies)
def test_different_bodies_have_different_hashes(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    one = next_entry(None, EntryKind.PLAN, first)
    other = next_entry(None, EntryKind.PLAN, second)
    assert (one.hash == other.hash) == (canonical_bytes(first) == canonical_bytes(second))


@given(body=bodies)
def test_an_entry_survives_a_round_trip_through_json(body: dict[str, Any]) -> None:
    entry = next_entry(None, EntryKind.PLAN, body)
    again = Entry.from_dict(json.loads(canonical_bytes(entry.to_dict())))
    check_chain([again], head=entry.hash, length=1)


def test_a_body_with_nan_is_refused() -> None:
    with pytest.raises(InputError, match="NaN"):
        next_entry(None, EntryKind.PLAN, {"value": float("nan")})


@pytest.mark.parametrize("change", [{"kind": "other"}, {"extra": 1}, {"seq": None}])
def test_what_is_no_entry_is_refused(change: dict[str, Any]) -> None:
    body = {**GOOD[0].to_dict(), **change}
    if change == {"seq": None}:
        del body["seq"]
    with pytest.raises(IntegrityError, match="malformed"):
        Entry.from_dict(body)


def test_open_charges_count_like_closed_ones() -> None:
    found = charges(GOOD)
    assert [(c.step, c.attempt) for c in found] == [("a", 0), ("b", 0), ("b", 1)]
    assert all(c.terms == terms(Trust.CENTRAL) for c in found)
    assert closed_steps(GOOD) == ("a",)


@pytest.mark.parametrize("change", [{"terms": {}}, {"terms": None}, {"attempt": "x"}])
def test_a_malformed_charge_is_an_integrity_error(change: dict[str, Any]) -> None:
    entry = next_entry(None, EntryKind.CHARGE, {**charge("a", 0), **change})
    with pytest.raises(IntegrityError, match="entry 0 is malformed"):
        charges([entry])
