"""The gate denies by default, and nothing else makes an admitted upload."""

import copy
import dataclasses
import pickle
from dataclasses import replace

import numpy as np
import pytest

from privet.privacy.errors import EgressError
from privet.privacy.minimization.gate import Admitted, Gate, Upload
from privet.privacy.minimization.policy import EgressPolicy, UploadRule

RULE = UploadRule(
    field="contribution",
    dtype="uint32",
    dimensions={"one": 4, "two": 9},
    purpose="test",
    protection="none",
)
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
        {"step": "one", "field": "contribution", "messages": 4, "bytes_per_message": 16}
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
        {"dtype": "int64"},
        {"dimensions": {"one": 5}},
        {"purpose": "x"},
        {"protection": "x"},
    ):
        seen.add(EgressPolicy(rules=(replace(RULE, **change),)).hash)
    assert len(seen) == 7
