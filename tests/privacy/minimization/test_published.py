"""A server publishes one root over a round, and every device finds its own message in it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privet.privacy.errors import InputError, IntegrityError
from privet.privacy.minimization.egress_log import EgressLedger
from privet.privacy.minimization.merkle import MerkleTree, Receipt, leaf_hash, merkle_root
from privet.privacy.minimization.published import PublishedRoot, RoundMessages, SaltedReceipt
from privet.privacy.minimization.sending import Sent, Slot

SLOT = Slot(run="run", round_number=3, stage="masked")


def sent(message: bytes, slot: Slot = SLOT) -> Sent:
    """From a device's own ledger."""
    ledger = EgressLedger()
    ledger.record_sent(slot, message)
    (line,) = EgressLedger.from_bytes(ledger.to_bytes()).sent
    return line


def a_round(messages: list[bytes], slot: Slot = SLOT) -> RoundMessages:
    found = RoundMessages(slot)
    for message in messages:
        found.add(message)
    return found


@given(st.lists(st.binary(max_size=8), min_size=1, max_size=40, unique=True), st.data())
def test_each_device_of_a_round_of_any_size_finds_its_message(
    messages: list[bytes], data: st.DataObject
) -> None:
    round_ = a_round([*messages, *data.draw(st.lists(st.sampled_from(messages), max_size=3))])
    published = round_.publish()
    assert published.size == len(messages)
    for message in messages:
        receipt = SaltedReceipt.from_dict(round_.receipt(leaf_hash(message).hex()).to_dict())
        PublishedRoot.from_dict(published.to_dict()).check(receipt, sent(message))
    left_out = data.draw(st.sampled_from(messages))
    others = a_round([message for message in messages if message != left_out])
    root = others.publish()
    with pytest.raises(InputError, match="not among those"):
        others.receipt(sent(left_out).leaf)
    receipt = round_.receipt(sent(left_out).leaf)
    with pytest.raises(IntegrityError):
        root.check(receipt, sent(left_out))


def test_a_receipt_is_for_its_own_round_root_and_message() -> None:
    messages = [b"%d" % number for number in range(5)]
    round_ = a_round(messages)
    published, receipt = round_.publish(), round_.receipt(sent(b"2").leaf)
    published.check(receipt, sent(b"2"))
    later = Slot(run="run", round_number=4, stage="masked")
    for root, given_, line in (
        (a_round(messages, later).publish(), receipt, sent(b"2")),
        (published, receipt, sent(b"2", later)),
        (published, receipt, sent(b"3")),
        (published, round_.receipt(sent(b"3").leaf), sent(b"2")),
        (a_round([*messages, b"more"]).publish(), receipt, sent(b"2")),
        (PublishedRoot(slot=SLOT, size=6, root=published.root), receipt, sent(b"2")),
    ):
        with pytest.raises(IntegrityError):
            root.check(given_, line)


def test_no_receipt_lets_its_holder_guess_a_neighbours_message() -> None:
    mine, theirs = b"mine", b"of an empty history, known to everybody"
    round_ = a_round([mine, theirs])
    root, receipt = round_.publish(), round_.receipt(sent(mine).leaf)
    (beside,) = receipt.receipt.path
    guess = leaf_hash(theirs)
    assert beside not in (guess, leaf_hash(guess + receipt.salt), leaf_hash(guess))
    assert root != a_round([mine, theirs]).publish()


def test_a_round_is_closed_once_its_root_is_published() -> None:
    round_ = a_round([b"a"])
    with pytest.raises(IntegrityError, match="once the round's root is published"):
        round_.receipt(sent(b"a").leaf)
    root = round_.publish()
    with pytest.raises(IntegrityError, match="no message can be added"):
        round_.add(b"b")
    assert round_.publish() == root


@pytest.mark.parametrize("size", range(12))
def test_a_tree_gives_the_proofs_of_its_messages(size: int) -> None:
    messages = [bytes([number]) for number in range(size)]
    tree = MerkleTree([leaf_hash(message) for message in messages])
    assert (tree.size, tree.root) == (size, merkle_root(messages))
    for index, message in enumerate(messages):
        assert tree.receipt(index) == Receipt.of(messages, index)
        tree.receipt(index).check(message, tree.root)
    for index in (-1, size):
        with pytest.raises(InputError, match="position below"):
            tree.receipt(index)


@pytest.mark.parametrize(
    "change", [{"salt": "ab"}, {"salt": 1}, {"receipt": None}, {"more": 1}, {"salt": "AB" * 32}]
)
def test_what_is_no_receipt_is_refused(change: dict[str, Any]) -> None:
    round_ = a_round([b"a", b"b"])
    round_.publish()
    body = round_.receipt(sent(b"a").leaf).to_dict()
    assert SaltedReceipt.from_dict(body).to_dict() == body
    damaged: Any
    for damaged in ({**body, **change}, [], {}):
        with pytest.raises(InputError):
            SaltedReceipt.from_dict(damaged)


BODY = a_round([b"a", b"b"]).publish().to_dict()
DAMAGED: dict[str, Any] = {
    "no body": [],
    "less": {name: value for name, value in BODY.items() if name != "stage"},
    "more": {**BODY, "note": ""},
    "another version": {**BODY, "version": 2},
    "a true version": {**BODY, "version": True},
    "a size below 0": {**BODY, "size": -1},
    "a huge size": {**BODY, "size": 1 << 64},
    "a float size": {**BODY, "size": 2.0},
    "a short root": {**BODY, "root": "ab"},
    "a root in capitals": {**BODY, "root": BODY["root"].upper()},
    "a root that is no text": {**BODY, "root": 5},
    "no run": {**BODY, "run": ""},
    "a run that is no text": {**BODY, "run": 1},
    "a round below 0": {**BODY, "round_number": -1},
}


@pytest.mark.parametrize("body", DAMAGED.values(), ids=DAMAGED)
def test_what_is_no_published_root_is_refused(body: Any) -> None:
    with pytest.raises(InputError):
        PublishedRoot.from_dict(body)
