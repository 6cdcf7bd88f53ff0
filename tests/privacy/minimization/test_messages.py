"""Messages: one size, one spelling, and default-deny on everything that can carry data."""

import enum
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.privacy.minimization.policies import EVERY_KIND, rule

from privet.privacy import errors
from privet.privacy.errors import EgressError, InputError
from privet.privacy.minimization.gate import AdmittedMessage, Gate
from privet.privacy.minimization.merkle import leaf_hash
from privet.privacy.minimization.messages import (
    ERROR_WORDS,
    HEADER_BYTES,
    Message,
    decode_message,
    encode_message,
    message_bytes,
    scrub,
)
from privet.privacy.minimization.policy import EgressPolicy

SECRET = 777001
FIELDS: dict[str, Any] = {
    "vector": np.array([1, 0, SECRET], np.uint32),
    "key": np.arange(32, dtype=np.uint8),
    "large": np.array([0, 2**64 - 1], np.uint64),
    "count": 9,
    "error": "none",
}


def message(step: str = "one", **changes: Any) -> Message:
    return Message(step=step, fields={**FIELDS, **changes})


def without(name: str) -> Message:
    return Message(step="one", fields={key: v for key, v in FIELDS.items() if key != name})


def test_a_message_that_the_policy_names_leaves_in_its_one_spelling() -> None:
    gate = Gate(EVERY_KIND)
    admitted = gate.admit_message(message())
    back = decode_message(EVERY_KIND, admitted.payload)
    assert back.step == "one"
    assert {n: np.asarray(v).tolist() for n, v in back.fields.items()} == {
        n: np.asarray(v).tolist() for n, v in FIELDS.items()
    }
    assert encode_message(EVERY_KIND, back) == admitted.payload
    (line,) = gate.ledger.lines
    assert line.leaf == leaf_hash(admitted.payload).hex()
    assert line.bytes_per_message == len(admitted.payload)
    assert line.fields == tuple(FIELDS)


def test_a_messages_bytes_are_a_known_answer() -> None:
    policy = EgressPolicy(rules=(rule(shapes={"zero": (1,), "one": (2,)}),))
    sent = encode_message(policy, Message(step="one", fields={"vector": np.array([1, 258], "<u4")}))
    head = b"PVEG" + bytes([1, 1, 0]) + bytes.fromhex(policy.hash)
    assert sent == head + bytes([1, 0, 0, 0, 2, 1, 0, 0])


@given(
    st.lists(st.integers(0, 2**20 - 1), min_size=3, max_size=3),
    st.binary(min_size=32, max_size=32),
    st.integers(0, 15),
    st.sampled_from(ERROR_WORDS),
)
def test_the_size_follows_from_the_policy_alone(
    vector: list[int], key: bytes, count: int, word: str
) -> None:
    sent = encode_message(
        EVERY_KIND,
        message(
            vector=np.array(vector, np.uint32),
            key=np.frombuffer(key, np.uint8),
            count=count,
            error=word,
        ),
    )
    assert len(sent) == message_bytes(EVERY_KIND, "one") == HEADER_BYTES + 12 + 32 + 16 + 4 + 1


class Texty(str):
    """A text with room for more."""


class Counted(enum.IntEnum):
    NINE = 9


class Wider(np.ndarray[Any, Any]):
    """An array with room for more."""


BAD = {
    "an unknown step": message("three"),
    "a step that is no text": Message(step=Texty("one"), fields=FIELDS),
    "another step's fields": message("two"),
    "an extra number": message(num_examples=SECRET),
    "an extra text": message(note="777001"),
    "an extra empty field": message(extra=np.zeros(0, np.uint32)),
    "a missing field": without("count"),
    "no fields": Message(step="one", fields={}),
    "too short": message(vector=np.zeros(2, np.uint32)),
    "too long": message(vector=np.zeros(4, np.uint32)),
    "another shape": message(vector=np.zeros((3, 1), np.uint32)),
    "floats": message(vector=np.zeros(3, np.float32)),
    "NaN": message(vector=np.full(3, np.nan)),
    "signed": message(vector=np.zeros(3, np.int32)),
    "wider integers": message(vector=np.zeros(3, np.uint64)),
    "big-endian": message(vector=np.zeros(3, ">u4")),
    "objects": message(vector=np.array([1, None, "777001"], object)),
    "booleans": message(vector=np.zeros(3, bool)),
    "structured": message(vector=np.zeros(3, [("a", np.uint32)])),
    "texts": message(vector=np.array(["a", "b", "777001"])),
    "a list": message(vector=[1, 2, 3]),
    "a subclass of an array": message(vector=np.zeros(3, np.uint32).view(Wider)),
    "a masked array": message(vector=np.ma.zeros(3, np.uint32)),
    "a value beyond the bits": message(vector=np.array([1, 0, 1 << 20], np.uint32)),
    "a number beyond the bits": message(count=16),
    "a negative number": message(count=-1),
    "an endless number": message(count=1 << 70),
    "a float for a number": message(count=9.0),
    "true for a number": message(count=True),
    "a member for a number": message(count=Counted.NINE),
    "none for a number": message(count=None),
    "bytes for an array": message(key=bytes(32)),
    "a free text": message(error="user 777001 has no items"),
    "a subclass of a text": message(error=Texty("none")),
    "an exception": message(error=ValueError("777001")),
    "a number for a word": message(error=0),
    "a mapping": message(error={"code": 777001}),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_everything_else_is_denied_counted_and_not_logged_and_names_no_content(
    bad: Message,
) -> None:
    gate = Gate(EVERY_KIND)
    with pytest.raises(EgressError, match="Nothing was sent") as caught:
        gate.admit_message(bad)
    assert "777001" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert (gate.denied, gate.ledger.lines) == (1, ())


def test_what_was_admitted_does_not_change_with_the_array() -> None:
    vector = np.array([1, 2, 3], np.uint32)
    admitted = Gate(EVERY_KIND).admit_message(message(vector=vector))
    vector[:] = SECRET
    found = decode_message(EVERY_KIND, admitted.payload).fields["vector"]
    assert np.asarray(found).tolist() == [1, 2, 3]


def test_an_admitted_message_cannot_be_made_by_hand() -> None:
    admitted = Gate(EVERY_KIND).admit_message(message())
    for key in (None, object(), admitted):
        with pytest.raises(EgressError, match="Only the gate"):
            AdmittedMessage(b"", key)


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (None, "none"),
        (InputError("777001"), "input"),
        (errors.PrivacyError("777001"), "privacy"),
        (errors.BudgetError("777001"), "budget"),
        (errors.IntegrityError("777001"), "integrity"),
        (EgressError("777001"), "egress"),
        (ValueError("777001"), "failed"),
        (type("Item777001Error", (Exception,), {})("x"), "failed"),
        (KeyboardInterrupt(), "failed"),
        (ExceptionGroup("777001", [ValueError("777001")]), "failed"),
    ],
)
def test_an_error_leaves_as_one_word_of_a_closed_list(
    error: BaseException | None, word: str
) -> None:
    assert scrub(error) == word
    assert word in ERROR_WORDS
    sent = encode_message(EVERY_KIND, message(error=scrub(error)))
    assert b"777001" not in sent and b"Error" not in sent


GOOD = encode_message(EVERY_KIND, message())


@given(
    st.one_of(
        st.binary(max_size=200),
        st.tuples(st.integers(0, len(GOOD)), st.binary(max_size=3), st.integers(0, 3)).map(
            lambda cut: GOOD[: cut[0]] + cut[1] + GOOD[cut[0] + cut[2] :]
        ),
    )
)
def test_any_bytes_are_a_message_in_its_one_spelling_or_an_input_error(data: bytes) -> None:
    try:
        read = decode_message(EVERY_KIND, data)
    except InputError:
        return
    assert encode_message(EVERY_KIND, read) == data


def test_bytes_under_another_policy_are_refused() -> None:
    other = EgressPolicy(rules=EVERY_KIND.rules, plan_hash="cd" * 32)
    with pytest.raises(InputError):
        decode_message(other, GOOD)
    with pytest.raises(InputError):
        decode_message(EVERY_KIND, bytearray(GOOD))  # type: ignore[arg-type]
