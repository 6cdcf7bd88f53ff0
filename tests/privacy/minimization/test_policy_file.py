"""The policy's file: what it holds, what it refuses and why, and that nothing else comes out."""

import hashlib
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.privacy.minimization.policies import EVERY_KIND, policies, rule

from privet.privacy.accounting.adversaries import Adversary
from privet.privacy.errors import InputError
from privet.privacy.minimization.policy import EgressPolicy, FieldRule, FieldType
from privet.privacy.minimization.policy_file import MAX_CHARACTERS

TEXT = EVERY_KIND.to_toml()


@given(policies())
def test_a_policy_survives_its_file_and_has_one_spelling(policy: EgressPolicy) -> None:
    text = policy.to_toml()
    back = EgressPolicy.from_toml(text)
    assert back == policy
    assert (back.hash, back.to_toml()) == (policy.hash, text)


def test_the_hash_of_a_policy_is_a_known_answer() -> None:
    text = """
        version = 1
        [[field]]
        name = "contribution"
        type = "uint32"
        bits = 32
        purpose = "p"
        mechanism = "m"
        retention = "r"
        adversaries = ["A3"]
        shape = { head = [3] }
    """
    canonical = (
        '{"plan_hash":"","rules":[{"adversaries":["A3"],"bits":32,"field":"contribution",'
        '"mechanism":"m","purpose":"p","retention":"r","shapes":{"head":[3]},"type":"uint32"}],'
        '"version":1}'
    )
    expected = "06ec6ca82f27"
    assert hashlib.sha256(canonical.encode()).hexdigest().startswith(expected)
    assert EgressPolicy.from_toml(text).hash == hashlib.sha256(canonical.encode()).hexdigest()


def test_comments_spacing_and_order_of_keys_are_free_and_do_not_change_the_hash() -> None:
    lines = [f"  {line}  # why" for line in TEXT.splitlines()]
    assert EgressPolicy.from_toml("\n".join(lines)).hash == EVERY_KIND.hash
    swapped = TEXT.replace('bits = 20\npurpose = "test"', 'purpose = "test"\nbits = 20')
    assert swapped != TEXT
    assert EgressPolicy.from_toml(swapped) == EVERY_KIND


BAD = {
    "a field named twice": (TEXT.replace('"key"', '"vector"'), "names field 'vector' twice"),
    "not TOML": ("version = = 1", "in TOML"),
    "a key given twice": (TEXT.replace("bits = 20", "bits = 20\nbits = 21"), "in TOML"),
    "nested too deeply": ("x = " + "[" * 5000 + "]" * 5000, "too deeply"),
    "too long": ("#" * (MAX_CHARACTERS + 1), "at most"),
    "no version": (TEXT.replace("version = 1", ""), "Missing in the policy .* version"),
    "another version": (TEXT.replace("version = 1", "version = 2"), "version 1"),
    "a version that is true": (TEXT.replace("version = 1", "version = true"), "type int"),
    "an endless version": (TEXT.replace("version = 1", "version = 0x" + "f" * 9999), "version 1"),
    "an unknown key": ("extra = 1\n" + TEXT, "Unknown key 'extra' in the policy"),
    "an unknown key of a field": (TEXT.replace("bits = 20", "bits = 20\nunit = 1"), "'unit'"),
    "a missing key": (TEXT.replace("bits = 20\n", ""), "Missing in a field .* bits"),
    "no shape": (TEXT.replace('"one" = [3]\n"two" = [2, 2]\n', ""), "no shape in any step"),
    "a shape that is no list": (TEXT.replace("[3]", "3"), "list of integers"),
    "a size of 0": (TEXT.replace("[3]", "[0]"), "integers above 0"),
    "a negative size": (TEXT.replace("[3]", "[-3]"), "integers above 0"),
    "a size that is true": (TEXT.replace("[3]", "[true]"), "integers above 0"),
    "a size that is a float": (TEXT.replace("[3]", "[3.0]"), "integers above 0"),
    "a size that is infinite": (TEXT.replace("[3]", "[inf]"), "integers above 0"),
    "too large": (TEXT.replace("[3]", "[65536, 65537]"), "product of at most"),
    "too many axes": (TEXT.replace("[3]", "[1, 1, 1, 1, 1]"), "at most 4"),
    "no bits": (TEXT.replace("bits = 20", "bits = 0"), "from 1 to 32"),
    "too many bits": (TEXT.replace("bits = 20", "bits = 33"), "from 1 to 32"),
    "endless bits": (TEXT.replace("bits = 20", "bits = 0x" + "f" * 9999), "from 1 to 32"),
    "bits that are NaN": (TEXT.replace("bits = 20", "bits = nan"), "type int"),
    "a float": (TEXT.replace('"uint8"', '"float32"'), "Unknown type"),
    "an unknown adversary": (TEXT.replace('"A8"', '"A9"', 1), "Unknown adversary"),
    "an adversary twice": (TEXT.replace('"A8"', '"A3"', 1), "each adversary"),
    "no adversary": (TEXT.replace('"A3", "A8"', "", 1), "at least one"),
    "an empty purpose": (TEXT.replace('purpose = "test"', 'purpose = ""', 1), "purpose"),
    "a line break": (TEXT.replace('"test"', r'"te\nst"', 1), "printable"),
    "words of an array": (TEXT.replace("bits = 20", 'bits = 20\nwords = ["a", "b"]'), "not of"),
    "a word twice": (TEXT.replace('"input"', '"none"'), "each once"),
    "more words than bits": (TEXT.replace("bits = 3\n", "bits = 2\n"), "can number"),
    "a word that is a number": (TEXT.replace('"input"', "7"), "a word"),
    "half a hash": (TEXT.replace("ab" * 32, "ab" * 31), "64 hexadecimal"),
    "a hash in capitals": (TEXT.replace("ab" * 32, "AB" * 32), "64 hexadecimal"),
    "a field that is no table": ("version = 1\nfield = [1]", "to be a table"),
}


@pytest.mark.parametrize(("text", "reason"), BAD.values(), ids=BAD)
def test_what_no_policy_can_say_is_refused_with_the_reason(text: str, reason: str) -> None:
    assert text != TEXT
    with pytest.raises(InputError, match=reason):
        EgressPolicy.from_toml(text)


def test_words_of_a_shape_are_single() -> None:
    with pytest.raises(InputError, match="is a word"):
        rule(type=FieldType.WORD, shapes={"one": (2,)}, bits=1, words=("a", "b"))


PIECES = st.sampled_from([*TEXT.splitlines(), "[[field]]", "[field.shape]", "[a.b.c]", "a.b.c = 1"])
ANY_TOML = st.one_of(
    st.text(max_size=300),
    st.lists(PIECES, max_size=40).map("\n".join),
    st.tuples(st.integers(0, len(TEXT)), st.text(max_size=4), st.integers(0, 6)).map(
        lambda cut: TEXT[: cut[0]] + cut[1] + TEXT[cut[0] + cut[2] :]
    ),
)


@given(ANY_TOML)
def test_any_text_is_a_policy_or_an_input_error(text: str) -> None:
    try:
        policy = EgressPolicy.from_toml(text)
    except InputError as error:
        assert len(str(error)) < 600
    else:
        assert EgressPolicy.from_toml(policy.to_toml()) == policy


@pytest.mark.parametrize(
    "unit", ["[", "{a=", "a.", "[[a]]\n", "[a.a]\n", '"', "x=1\n", "é", "[[field]]\n"]
)
def test_hostile_text_is_refused_in_bounded_time(unit: str) -> None:
    started = time.monotonic()
    for text in (unit * (MAX_CHARACTERS // len(unit)), "x = " + unit * 20_000):
        with pytest.raises(InputError):
            EgressPolicy.from_toml(text)
    assert time.monotonic() - started < 5


def test_a_rule_that_was_checked_cannot_change() -> None:
    shapes: dict[str, Any] = {"one": (3,)}
    made = rule(shapes=shapes)
    shapes["two"] = (4,)
    assert dict(made.shapes) == {"one": (3,)}
    with pytest.raises(TypeError):
        made.shapes["two"] = (4,)  # type: ignore[index]


def test_types_and_adversaries_of_a_file_are_those_of_the_closed_sets() -> None:
    (read, *_) = EgressPolicy.from_toml(TEXT).rules
    assert isinstance(read, FieldRule) and isinstance(read.type, FieldType)
    assert all(isinstance(seen, Adversary) for seen in read.adversaries)
