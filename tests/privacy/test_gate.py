"""The gate denies by default, and nothing else makes an admitted upload."""

import copy
import dataclasses
import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from privet.privacy.accounting.adversaries import Adversary
from privet.privacy.errors import EgressError
from privet.privacy.ledger import check_chain
from privet.privacy.minimization.gate import Admitted, Gate, Upload
from privet.privacy.minimization.merkle import leaf_hash
from privet.privacy.minimization.messages import HEADER_BYTES, decode_message, encode_message
from privet.privacy.minimization.policy import EgressPolicy, FieldRule, FieldType

RULE = FieldRule(
    field="contribution",
    type=FieldType.UINT32,
    shapes={"one": (4,), "two": (9,)},
    bits=32,
    purpose="test",
    mechanism="none",
    retention="none",
    adversaries=(Adversary.CURIOUS_SERVER,),
)


class Wider(np.ndarray[Any, Any]):
    """An array with room for more."""


class Texty(str):
    """A text with room for more."""


UPLOAD = Upload(
    field="contribution",
    step="one",
    devices=2,
    dimension=4,
    indices=np.array([0, 3, 3]),
    integers=np.array([777001, -5, 6]),
)


@pytest.fixture
def gate() -> Gate:
    return Gate(EgressPolicy(rules=(RULE,)))


def test_what_a_rule_names_is_let_through_and_logged(gate: Gate) -> None:
    total = np.zeros(4, np.int64)
    gate.admit(UPLOAD).add_into(total)
    gate.admit(UPLOAD)
    assert total.tolist() == [777001, 0, 0, 1]
    assert gate.log == [
        {
            "step": "one",
            "field": "contribution",
            "messages": 4,
            "bytes_per_message": 16 + HEADER_BYTES,
        }
    ]
    assert gate.denied == 0


BAD = {
    "field": replace(UPLOAD, field="history"),
    "step": replace(UPLOAD, step="three"),
    "dimension of another step": replace(UPLOAD, dimension=9),
    "dimension": replace(UPLOAD, dimension=5),
    "float64": replace(UPLOAD, integers=np.array([0.5, 1.0, 2.0])),
    "float32": replace(UPLOAD, integers=np.zeros(3, np.float32)),
    "bool": replace(UPLOAD, integers=np.zeros(3, bool)),
    "object": replace(UPLOAD, integers=np.array([1, 2, None])),
    "complex": replace(UPLOAD, integers=np.zeros(3, complex)),
    "lengths": replace(UPLOAD, indices=np.array([0, 1])),
    "index beyond": replace(UPLOAD, indices=np.array([0, 3, 4])),
    "index below": replace(UPLOAD, indices=np.array([0, -1, 3])),
    "integer above": replace(UPLOAD, integers=np.array([0, 1 << 31, 0])),
    "integer below": replace(UPLOAD, integers=np.array([0, -(1 << 31) - 1, 0])),
    "int32": replace(UPLOAD, integers=np.zeros(3, np.int32)),
    "uint64": replace(UPLOAD, integers=np.zeros(3, np.uint64)),
    "big-endian": replace(UPLOAD, integers=np.zeros(3, ">i8")),
    "two axes": replace(UPLOAD, integers=np.zeros((3, 1), np.int64)),
    "a subclass": replace(UPLOAD, integers=np.zeros(3, np.int64).view(Wider)),
    "a masked array": replace(UPLOAD, integers=np.ma.zeros(3, np.int64)),
    "a list": replace(UPLOAD, integers=[777001, -5, 6]),  # type: ignore[arg-type]
    "indices in a list": replace(UPLOAD, indices=[0, 3, 3]),  # type: ignore[arg-type]
    "float indices": replace(UPLOAD, indices=np.array([0.0, 3.0, 3.0])),
    "no devices": replace(UPLOAD, devices=0),
    "devices in a float": replace(UPLOAD, devices=2.0),  # type: ignore[arg-type]
    "devices in a numpy integer": replace(UPLOAD, devices=np.int64(2)),  # type: ignore[arg-type]
    "true devices": replace(UPLOAD, devices=True),
    "a dimension in a float": replace(UPLOAD, dimension=4.0),  # type: ignore[arg-type]
    "a step that can carry more": replace(UPLOAD, step=Texty("one")),
    "a field that can carry more": replace(UPLOAD, field=Texty("contribution")),
}


@pytest.mark.parametrize("upload", BAD.values(), ids=BAD)
def test_everything_else_is_denied_counted_and_not_logged(gate: Gate, upload: Upload) -> None:
    for count in (1, 2):
        with pytest.raises(EgressError, match="Nothing was sent"):
            gate.admit(upload)
        assert gate.denied == count
    assert gate.log == []


@pytest.mark.parametrize("upload", BAD.values(), ids=BAD)
def test_a_denial_names_no_content(gate: Gate, upload: Upload) -> None:
    with pytest.raises(EgressError) as error:
        gate.admit(upload)
    assert "777001" not in str(error.value)
    assert error.value.__cause__ is None


OTHER_RULES = {
    "another type": (replace(RULE, type=FieldType.UINT64),),
    "fewer bits": (replace(RULE, bits=31),),
    "two axes": (replace(RULE, shapes={"one": (2, 2)}),),
    "a word": (replace(RULE, type=FieldType.WORD, shapes={"one": ()}, bits=1, words=("a", "b")),),
    "a field that is missing": (RULE, replace(RULE, field="count", shapes={"one": ()})),
}


@pytest.mark.parametrize("rules", OTHER_RULES.values(), ids=OTHER_RULES)
def test_an_upload_is_a_whole_message_of_32_bit_integers(rules: tuple[FieldRule, ...]) -> None:
    with pytest.raises(EgressError):
        Gate(EgressPolicy(rules=rules)).admit(UPLOAD)


def test_what_was_checked_cannot_be_changed_before_it_leaves(gate: Gate) -> None:
    fresh = replace(UPLOAD, indices=UPLOAD.indices.copy(), integers=UPLOAD.integers.copy())
    gate.admit(fresh)
    for array in (fresh.indices, fresh.integers):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_a_single_devices_upload_is_its_dense_message_and_is_logged_with_its_hash(
    gate: Gate,
) -> None:
    one = replace(UPLOAD, devices=1)
    gate.admit(one)
    gate.admit_message(one.message())
    sent = encode_message(gate.policy, one.message())
    assert decode_message(gate.policy, sent).fields["contribution"].tolist() == [  # type: ignore[union-attr]
        777001,
        0,
        0,
        1,
    ]
    assert [line.leaf for line in gate.ledger.lines] == [leaf_hash(sent).hex()] * 2
    negative = replace(one, integers=np.array([-1, 0, 0]))
    found = negative.message().fields["contribution"]
    assert isinstance(found, np.ndarray) and found[0] == (1 << 32) - 1
    with pytest.raises(EgressError, match="single device"):
        UPLOAD.message()


def test_every_admission_is_in_a_chain_with_its_plan_and_policy(gate: Gate) -> None:
    gate.admit(UPLOAD)
    gate.admit(UPLOAD)
    check_chain(gate.ledger.entries, length=3)
    assert {line.policy_hash for line in gate.ledger.lines} == {gate.policy.hash}
    assert [line.messages for line in gate.ledger.lines] == [2, 2]


def test_an_empty_policy_denies_everything() -> None:
    with pytest.raises(EgressError):
        Gate(EgressPolicy(rules=())).admit(UPLOAD)


def test_admitted_cannot_be_made_by_hand(gate: Gate) -> None:
    admitted = gate.admit(UPLOAD)
    for key in (None, object(), admitted):
        with pytest.raises(EgressError, match="Only the gate"):
            Admitted(UPLOAD, key)
    with pytest.raises(TypeError):
        Admitted(UPLOAD)  # type: ignore[call-arg]
    with pytest.raises((TypeError, ValueError)):
        dataclasses.replace(admitted, upload=BAD["field"])  # type: ignore[call-arg]
    with pytest.raises(AttributeError):
        admitted.upload = BAD["field"]  # type: ignore[misc]


def test_a_copied_admission_is_of_the_same_upload(gate: Gate) -> None:
    admitted = gate.admit(UPLOAD)
    assert copy.copy(admitted).upload is UPLOAD
    assert pickle.loads(pickle.dumps(admitted)).upload.step == "one"


def test_sums_are_exact_up_to_the_modulus(gate: Gate) -> None:
    large = np.array([(1 << 31) - 1, -(1 << 31), (1 << 31) - 1])
    total = np.zeros(4, np.int64)
    for _ in range(1000):
        gate.admit(replace(UPLOAD, integers=large)).add_into(total)
    assert total.tolist() == [1000 * ((1 << 31) - 1), 0, 0, -1000]


def test_the_policys_hash_covers_every_word_of_it() -> None:
    seen = {EgressPolicy(rules=()).hash, EgressPolicy(rules=(RULE,)).hash}
    for change in (
        {"field": "x"},
        {"type": FieldType.UINT64},
        {"shapes": {"one": (5,), "two": (9,)}},
        {"shapes": {"one": (4,)}},
        {"bits": 31},
        {"purpose": "x"},
        {"mechanism": "x"},
        {"retention": "x"},
        {"adversaries": (Adversary.NETWORK,)},
    ):
        seen.add(EgressPolicy(rules=(replace(RULE, **change),)).hash)
    assert len(seen) == 11
    assert EgressPolicy(rules=(RULE,), plan_hash="0" * 64).hash not in seen
