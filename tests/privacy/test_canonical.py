"""Canonical JSON is one string of bytes for one value."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from privet.privacy.canonical import canonical_bytes, parse_canonical, sha256
from privet.privacy.errors import InputError, IntegrityError

leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(values)
def test_reading_canonical_json_back_gives_the_same_bytes(value: object) -> None:
    data = canonical_bytes(value)
    assert canonical_bytes(parse_canonical(data)) == data


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_reads_back_to_the_same_float(value: float) -> None:
    read = parse_canonical(canonical_bytes(value))
    assert isinstance(read, float)
    assert read == value
    assert math.copysign(1, read) == math.copysign(1, value)


@given(st.dictionaries(st.text("abcé€😀"), st.integers()))
def test_the_order_of_keys_does_not_change_the_hash(value: dict[str, int]) -> None:
    assert sha256(dict(reversed(value.items()))) == sha256(value)


def test_the_bytes_are_those_written_down_here() -> None:
    value = {"b": [1, 1.0, 1e-6, True, None], "a": "é\n", "c": {"z": -math.inf}}
    expected = (
        '{"a":"é\\n","b":[1,1.0,1e-06,true,null],"c":{"z":{"text":"minus infinity","value":null}}}'
    )
    assert canonical_bytes(value) == expected.encode()


def test_infinity_is_null_with_a_text() -> None:
    assert json.loads(canonical_bytes(math.inf)) == {"text": "infinity", "value": None}


def test_numpy_scalars_are_written_as_numbers() -> None:
    assert canonical_bytes([np.float64(0.1), np.int64(3), np.bool_(True)]) == b"[0.1,3,true]"


@pytest.mark.parametrize("value", [math.nan, {"a": [math.nan]}, {1: 2}, b"x", object(), "\ud800"])
def test_what_is_not_json_is_refused(value: object) -> None:
    with pytest.raises(InputError):
        canonical_bytes(value)


@pytest.mark.parametrize("data", [b"", b"{", b"NaN", b"Infinity", b'{"a":1,"a":1}', b"\xff"])
def test_what_does_not_read_as_json_is_refused(data: bytes) -> None:
    with pytest.raises(InputError):
        parse_canonical(data)


@pytest.mark.parametrize("data", [b"[1, 2]", b'{"b":1,"a":2}', b"1.00", b'"\\u00e9"', b"1\n"])
def test_another_spelling_of_the_same_value_is_refused(data: bytes) -> None:
    with pytest.raises(IntegrityError, match="not canonical"):
        parse_canonical(data)
