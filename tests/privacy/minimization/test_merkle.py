"""Receipts: every message of a round has one, and nothing else does."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privet.privacy.errors import InputError, IntegrityError
from privet.privacy.minimization.merkle import (
    Receipt,
    inclusion_proof,
    leaf_hash,
    merkle_root,
    verify_inclusion,
)

ROUND = [f"message {n}".encode() for n in range(7)]
# Of certificate transparency's reference implementations: https://github.com/google/certificate-transparency
LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def by_the_book(messages: list[bytes]) -> bytes:
    """RFC 6962, section 2.1, word for word."""
    if not messages:
        return hashlib.sha256(b"").digest()
    if len(messages) == 1:
        return hashlib.sha256(b"\x00" + messages[0]).digest()
    half = 1
    while half * 2 < len(messages):
        half *= 2
    left, right = by_the_book(messages[:half]), by_the_book(messages[half:])
    return hashlib.sha256(b"\x01" + left + right).digest()


@pytest.mark.parametrize("size", range(1, 9))
def test_roots_are_the_known_answers(size: int) -> None:
    assert merkle_root(LEAVES[:size]).hex() == ROOTS[size - 1]


@pytest.mark.parametrize("size", range(40))
def test_the_root_is_that_of_rfc_6962_and_every_message_has_a_receipt(size: int) -> None:
    messages = [bytes([n]) * n for n in range(size)]
    root = merkle_root(messages)
    assert root == by_the_book(messages)
    for index, message in enumerate(messages):
        proof = inclusion_proof(messages, index)
        verify_inclusion(message, index, size, proof, root)
        Receipt.of(messages, index).check(message, root)
        assert len(proof) <= max(size - 1, 0).bit_length()


@given(st.data())
def test_a_receipt_shows_nothing_else(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 12))
    messages = [bytes([n]) for n in range(size)]
    index = data.draw(st.integers(0, size - 1))
    proof, root = list(inclusion_proof(messages, index)), merkle_root(messages)
    other_index = data.draw(st.integers(-1, size + 1))
    kind = data.draw(st.sampled_from(["message", "index", "short", "long", "changed", "root"]))
    message = messages[index]
    if kind == "message":
        message = b"another"
    elif kind == "index":
        index = other_index if other_index != index else index + 1
    elif kind == "short" and proof:
        proof.pop(data.draw(st.integers(0, len(proof) - 1)))
    elif kind == "changed" and proof:
        proof[data.draw(st.integers(0, len(proof) - 1))] = bytes(32)
    elif kind == "root":
        root = bytes(32)
    else:
        proof.append(bytes(32))
    with pytest.raises(IntegrityError, match="does not show"):
        verify_inclusion(message, index, size, proof, root)


def test_a_node_does_not_pass_for_a_message() -> None:
    left, right = leaf_hash(ROUND[0]), leaf_hash(ROUND[1])
    root = merkle_root(ROUND[:4])
    node_as_message = left + right
    proof = inclusion_proof(ROUND[:4], 0)[1:]
    with pytest.raises(IntegrityError):
        verify_inclusion(node_as_message, 0, 2, proof, root)


def test_a_message_that_is_sent_twice_changes_the_root() -> None:
    assert merkle_root(ROUND[:3]) != merkle_root([*ROUND[:3], ROUND[2]])


@pytest.mark.parametrize("index", [-1, 7, 8])
def test_there_is_no_receipt_for_a_message_that_is_not_there(index: int) -> None:
    with pytest.raises(InputError, match="position"):
        Receipt.of(ROUND, index)


def test_a_receipt_is_checked_against_the_published_root_and_not_its_own() -> None:
    forged = [b"mine", b"nobody's"]
    receipt = Receipt.of(forged, 0)
    receipt.check(b"mine", merkle_root(forged))
    with pytest.raises(IntegrityError, match="another root"):
        receipt.check(b"mine", merkle_root(ROUND))


def test_a_receipt_survives_its_json() -> None:
    receipt = Receipt.of(ROUND, 5)
    assert Receipt.from_dict(json.loads(json.dumps(receipt.to_dict()))) == receipt


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=70),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(st.sampled_from(["version", "index", "size", "path", "root", "more"]), JSON)
def test_any_json_is_a_receipt_or_an_input_error(key: str, value: object) -> None:
    body = {**Receipt.of(ROUND, 5).to_dict(), key: value}
    try:
        receipt = Receipt.from_dict(body)
    except InputError:
        return
    assert receipt.to_dict() == body


@pytest.mark.parametrize("body", [None, [], {}, "receipt", {"version": 1}])
def test_other_values_are_no_receipts(body: object) -> None:
    with pytest.raises(InputError):
        Receipt.from_dict(body)
