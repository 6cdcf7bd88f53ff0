"""Whatever bytes a reader meets: a documented error, in bounded time and memory, quoting nothing."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fuzz.harness import CANARY, Target, check, mutate
from tests.fuzz.targets import bomb, targets

from privet.privacy.errors import InputError

NAMES = list(targets())


@pytest.mark.parametrize("name", NAMES)
def test_what_is_valid_is_read(name: str) -> None:
    target = targets()[name]
    results = [check(target, seed) for seed in target.seeds]
    # A receipt for other messages and a split without its training data are refused after reading.
    if name not in ("receipt", "refusal", "data in an npz file", "signed shares"):
        assert results[0] is None, f"the seed of {name} is not valid: {results[0]}"


@pytest.mark.parametrize("name", NAMES)
def test_changed_input_is_read_or_refused_with_a_documented_error(name: str) -> None:
    target = targets()[name]

    @settings(max_examples=15 if target.slow else 80, deadline=None, database=None)
    @given(st.integers(0, 2**32 - 1))
    def changed(seed: int) -> None:
        rng = random.Random(seed)
        data = rng.choice(target.seeds)
        for _ in range(rng.choice((1, 1, 2, 5))):
            data = mutate(target, data, rng)
        check(target, data)

    changed()


@pytest.mark.parametrize("name", NAMES)
def test_random_bytes_are_refused(name: str) -> None:
    target = targets()[name]

    @settings(max_examples=8 if target.slow else 30, deadline=None, database=None)
    @given(st.binary(max_size=200))
    def random_bytes(data: bytes) -> None:
        check(target, data)

    random_bytes()


HOSTILE = {
    "nothing": b"",
    "deep lists": b"[" * 200_000,
    "deep lists that end": b"[" * 900 + b"]" * 900,
    "deep objects": b'{"a":' * 200_000,
    "a huge integer": b'{"version":' + b"9" * 100_000 + b"}",
    "huge floats": b"[1e999,-1e999,1e-999]",
    "not numbers": b"[NaN,Infinity,-Infinity]",
    "half a surrogate pair": b'["\\ud800"]',
    "a key twice": b'{"a":1,"a":2}',
    "long keys": b'{"' + b"k" * 100_000 + b'":[' + b"0," * 20_000 + b"0]}",
    "many numbers": b"[" + b"0," * 20_000 + b"0]",
    "a canary": CANARY.encode() * 100,
    "a canary in JSON": b'{"%s":"%s"}' % (CANARY.encode(), CANARY.encode()),
    "a canary in TOML": b'%s = "%s"\n' % (CANARY.encode(), CANARY.encode()),
    "a canary in lines": (CANARY.encode() + b",") * 20 + b"\n" + CANARY.encode() * 3,
    "counts of all ones": b"PVSA\x01\x04" + b"\xff" * 500,
    "zeros": bytes(1_000_000),
    "ones": b"\xff" * 1_000_000,
    "new lines": b"\n" * 200_000,
    "an archive with a bomb in it": bomb(),
}

EMPTY = ("device ledger", "announcement", "settings of a federation")  # of which nothing is one


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_input_costs_little_and_is_refused_by_every_reader(what: str) -> None:
    for target in targets().values():
        found = check(target, HOSTILE[what], measure_memory=True)
        readable = target.name == "canonical JSON" or (what == "nothing" and target.name in EMPTY)
        assert found is not None or readable, f"{target.name} read {what}"


@pytest.mark.parametrize("name", ["canonical JSON", "plan", "device ledger", "policy", "report"])
def test_what_is_too_long_is_refused_before_it_is_parsed(name: str) -> None:
    refused = check(targets()[name], b" " * ((1 << 26) + 1), measure_memory=name != "policy")
    assert isinstance(refused, InputError)


def test_the_check_sees_an_undocumented_error_a_quote_and_an_allocation() -> None:
    def wrong(data: bytes) -> None:
        raise KeyError(data)

    def quoting(data: bytes) -> None:
        raise InputError(f"Expected something else than {data.decode()}.")

    def large(data: bytes) -> None:
        bytes(1 << 28)

    for read in (wrong, quoting, large):
        bad = Target(name="bad", read=read, seeds=(b"",))
        with pytest.raises(AssertionError):
            check(bad, CANARY.encode(), measure_memory=True)
