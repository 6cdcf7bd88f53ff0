"""A device's ledger: one chain, append-only, and readable by nothing but what it is."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.privacy.minimization.policies import EVERY_KIND, rule
from tests.privacy.minimization.test_messages import message

from privet.privacy.canonical import canonical_bytes
from privet.privacy.errors import InputError, IntegrityError
from privet.privacy.ledger import EntryKind, check_chain, next_entry
from privet.privacy.minimization.egress_line import EgressLine, NoLeaf
from privet.privacy.minimization.egress_log import EgressLedger
from privet.privacy.minimization.gate import Gate
from privet.privacy.minimization.merkle import Receipt
from privet.privacy.minimization.policy import EgressPolicy

OTHER = EgressPolicy(rules=(rule(),), plan_hash="cd" * 32)
LINE = EgressLine(
    step="one",
    fields=("vector",),
    messages=1,
    bytes_per_message=51,
    plan_hash=OTHER.plan_hash,
    policy_hash=OTHER.hash,
    no_leaf=NoLeaf.COHORT,
)


def ledger() -> EgressLedger:
    found = EgressLedger()
    gate = Gate(EVERY_KIND, ledger=found)
    gate.admit_message(message())
    gate.admit_message(message(count=3))
    Gate(OTHER, ledger=found)
    found.append(LINE)
    return found


DATA = ledger().to_bytes()


def test_every_line_says_under_which_policy_and_plan_it_left() -> None:
    entries = ledger().entries
    check_chain(entries)
    assert [entry.kind for entry in entries] == [
        EntryKind.POLICY,
        EntryKind.EGRESS,
        EntryKind.EGRESS,
        EntryKind.POLICY,
        EntryKind.EGRESS,
    ]
    assert entries[0].body == {"plan_hash": EVERY_KIND.plan_hash, "policy_hash": EVERY_KIND.hash}
    assert [line.policy_hash for line in ledger().lines] == [EVERY_KIND.hash] * 2 + [OTHER.hash]
    assert [line.plan_hash for line in ledger().lines] == ["ab" * 32] * 2 + ["cd" * 32]


def test_one_policy_is_opened_once() -> None:
    found = EgressLedger()
    for _ in range(3):
        Gate(OTHER, ledger=found)
    assert len(found.entries) == 1


def test_a_ledger_survives_its_file_and_goes_on_from_there() -> None:
    back = EgressLedger.from_bytes(DATA, head=ledger().head, length=5)
    assert (back.entries, back.to_bytes()) == (ledger().entries, DATA)
    back.append(LINE)
    check_chain(back.entries, length=6)
    assert EgressLedger.from_bytes(b"").entries == ()
    assert EgressLedger().head is None


def test_a_line_under_a_policy_that_is_not_open_opens_it_first() -> None:
    for found in (EgressLedger(), ledger()):
        before = len(found.entries)
        found.append(replace(LINE, policy_hash="0" * 64))
        assert [entry.kind for entry in found.entries[before:]] == [
            EntryKind.POLICY,
            EntryKind.EGRESS,
        ]
        assert found.entries[before].body["policy_hash"] == "0" * 64


def test_a_line_that_cannot_be_read_back_is_not_written() -> None:
    found = ledger()
    for damaged in (
        replace(LINE, no_leaf=None),
        replace(LINE, leaf="ab" * 32),
        replace(LINE, messages=0),
    ):
        with pytest.raises(IntegrityError, match="malformed"):
            found.append(damaged)
        assert (found.to_bytes(), found.head, found.length) == (DATA, ledger().head, 5)
    found.append(LINE)
    check_chain(found.entries, length=6)


def test_a_user_checks_a_receipt_from_the_ledger_alone() -> None:
    gate = Gate(EVERY_KIND)
    mine = gate.admit_message(message())
    others = [Gate(EVERY_KIND).admit_message(message(count=n)).payload for n in range(4)]
    receipt = Receipt.of([*others, mine.payload], 4)
    (line,) = gate.ledger.lines
    assert line.leaf is not None
    receipt.check_leaf(bytes.fromhex(line.leaf), receipt.root)
    with pytest.raises(IntegrityError):
        Receipt.of(others, 3).check_leaf(bytes.fromhex(line.leaf), Receipt.of(others, 3).root)


@pytest.mark.parametrize("entry", range(5))
def test_a_changed_dropped_or_repeated_entry_is_noticed(entry: int) -> None:
    lines = DATA.splitlines(keepends=True)
    changed = lines[entry].replace(b"plan_hash", b"plan_hush")
    assert changed != lines[entry]
    for damaged in (
        [*lines[:entry], changed, *lines[entry + 1 :]],
        [*lines[:entry], *lines[entry + 1 :]],
        [*lines[: entry + 1], *lines[entry:]],
    ):
        with pytest.raises(IntegrityError):
            EgressLedger.from_bytes(b"".join(damaged), head=ledger().head)


def test_truncation_shows_only_to_whoever_kept_the_head_or_the_length() -> None:
    cut = b"".join(DATA.splitlines(keepends=True)[:-1])
    EgressLedger.from_bytes(cut)
    with pytest.raises(IntegrityError):
        EgressLedger.from_bytes(cut, head=ledger().head)
    with pytest.raises(IntegrityError):
        EgressLedger.from_bytes(cut, length=5)
    with pytest.raises(IntegrityError, match="within a line"):
        EgressLedger.from_bytes(DATA[:-1])


def chained(*bodies: tuple[EntryKind, dict[str, Any]]) -> bytes:
    entries: list[Any] = [None]
    for kind, body in bodies:
        entries.append(next_entry(entries[-1], kind, body))
    return b"".join(canonical_bytes(entry.to_dict()) + b"\n" for entry in entries[1:])


OPENED = (EntryKind.POLICY, {"plan_hash": OTHER.plan_hash, "policy_hash": OTHER.hash})
BODY = LINE.to_dict()
FOREIGN = {
    "a charge": chained((EntryKind.CHARGE, {"step": "one"})),
    "a line before its policy": chained((EntryKind.EGRESS, BODY)),
    "more in an opening": chained((EntryKind.POLICY, {**OPENED[1], "note": "x"})),
    "a hash that is no text": chained((EntryKind.POLICY, {**OPENED[1], "policy_hash": 1})),
    "more in a line": chained(OPENED, (EntryKind.EGRESS, {**BODY, "note": "x"})),
    "no hash and no reason": chained(OPENED, (EntryKind.EGRESS, {**BODY, "no_leaf": None})),
    "a hash and a reason": chained(OPENED, (EntryKind.EGRESS, {**BODY, "leaf": "ab" * 32})),
    "a reason of its own": chained(OPENED, (EntryKind.EGRESS, {**BODY, "no_leaf": "x"})),
    "less in a line": chained(OPENED, (EntryKind.EGRESS, {"step": "one"})),
    "another policy": chained(OPENED, (EntryKind.EGRESS, {**BODY, "policy_hash": "x"})),
    "no messages": chained(OPENED, (EntryKind.EGRESS, {**BODY, "messages": 0})),
    "true messages": chained(OPENED, (EntryKind.EGRESS, {**BODY, "messages": True})),
    "a field that is no text": chained(OPENED, (EntryKind.EGRESS, {**BODY, "fields": [1]})),
    "a list": b"[]\n",
    "nothing": b"\n",
    "a body that is no object": canonical_bytes({**ledger().entries[0].to_dict(), "body": []})
    + b"\n",
    "spaced": json.dumps(ledger().entries[0].to_dict()).encode() + b"\n",
    "nested too deeply": b"[" * 400 + b"]" * 400 + b"\n",
    "nested far too deeply": b"[" * 100_000 + b"]" * 100_000 + b"\n",
}


@pytest.mark.parametrize("data", FOREIGN.values(), ids=FOREIGN)
def test_a_chain_of_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises((InputError, IntegrityError)):
        EgressLedger.from_bytes(data)


@given(
    st.one_of(
        st.binary(max_size=200),
        st.tuples(st.integers(0, len(DATA)), st.binary(max_size=3), st.integers(0, 3)).map(
            lambda cut: DATA[: cut[0]] + cut[1] + DATA[cut[0] + cut[2] :]
        ),
    )
)
def test_any_bytes_are_a_ledger_or_a_documented_error(data: bytes) -> None:
    try:
        found = EgressLedger.from_bytes(data)
    except (InputError, IntegrityError):
        return
    assert found.to_bytes() == data
