"""Keys, masks, envelopes and signatures: full entropy, one purpose each."""

import ast
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.privacy.statistics import FALSE_ALARM

from privet.privacy import secagg
from privet.privacy.errors import IntegrityError
from privet.privacy.randomness import WordStream
from privet.privacy.secagg import primitives
from privet.privacy.secagg.primitives import SigningKey

KEY = bytes(range(32))


def mask_of(key: bytes, dimension: int = 1 << 16) -> NDArray[np.uint32]:
    total = np.zeros(dimension, np.uint32)
    primitives.apply_mask(total, key, subtract=False)
    return total


def check_every_key_bit_counts() -> None:
    """Masks of keys that differ in one bit look independent, for each of the 256 bits."""
    dimension = 1 << 12
    base = np.unpackbits(mask_of(KEY, dimension).view(np.uint8)).astype(np.int64)
    for bit in range(256):
        flipped = bytearray(KEY)
        flipped[bit >> 3] ^= 1 << (bit & 7)
        other = np.unpackbits(mask_of(bytes(flipped), dimension).view(np.uint8)).astype(np.int64)
        agreeing = int((base == other).sum())
        # Hoeffding's bound: a false alarm over all bits is less likely than FALSE_ALARM.
        slack = np.sqrt(np.log(2 * 256 / FALSE_ALARM) * len(base) / 2)
        assert abs(agreeing - len(base) / 2) < slack, f"bit {bit} of the key"


def test_masks_are_uncorrelated_when_any_one_bit_of_the_key_is_flipped() -> None:
    check_every_key_bit_counts()


@pytest.mark.parametrize("dimension", [1, 5, 16_383, 16_384, 16_385, 50_000])
def test_a_mask_is_the_word_stream_of_its_key(dimension: int) -> None:
    assert np.array_equal(mask_of(KEY, dimension), WordStream(KEY).words32(dimension))


def test_a_mask_comes_off_again() -> None:
    total = mask_of(KEY)
    primitives.apply_mask(total, KEY, subtract=True)
    assert not total.any()


def test_no_block_of_a_mask_repeats() -> None:
    blocks = mask_of(KEY, 1 << 20).reshape(-1, 4)  # 2**18 blocks of 16 bytes
    assert len(np.unique(blocks, axis=0)) == len(blocks)


def test_a_pairwise_key_depends_on_everything_it_is_bound_to_and_not_on_the_order() -> None:
    mine, theirs = b"\1" * 32, b"\2" * 32
    public = [primitives.public_key(secret) for secret in (mine, theirs)]
    ids = (b"a" * 32, b"b" * 32)

    def key(roster: bytes = b"r" * 32, number: int = 0, pair: tuple[bytes, bytes] = ids) -> bytes:
        return primitives.pairwise_key(mine, public[1], roster, number, pair)

    assert key() == primitives.pairwise_key(theirs, public[0], b"r" * 32, 0, ids[::-1])
    others = [
        key(roster=b"s" * 32),
        key(number=1),
        key(pair=(b"a" * 32, b"c" * 32)),
        primitives.self_key(primitives.agree(mine, public[1]), b"r" * 32, 0, ids[0]),
        primitives.hkdf(primitives.agree(mine, public[1]), b"envelope", b"r" * 32),
    ]
    assert all(a != b for a, b in combinations([key(), *others], 2))


def test_parts_of_a_context_cannot_run_into_each_other() -> None:
    assert primitives.context(b"p", b"ab", b"c") != primitives.context(b"p", b"a", b"bc")
    assert primitives.context(b"p", b"", b"c") != primitives.context(b"p", b"c", b"")


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 66 + 16 - 1), st.integers(1, 255))
def test_an_envelope_with_any_byte_changed_does_not_open(at: int, change: int) -> None:
    sealed = bytearray(primitives.seal(KEY, bytes(66), b"src to dst"))
    sealed[at] ^= change
    with pytest.raises(IntegrityError):
        primitives.unseal(KEY, bytes(sealed), b"src to dst")


def test_an_envelope_opens_only_under_its_own_associated_data() -> None:
    sealed = primitives.seal(KEY, b"shares", b"src to dst")
    assert primitives.unseal(KEY, sealed, b"src to dst") == b"shares"
    with pytest.raises(IntegrityError):
        primitives.unseal(KEY, sealed, b"dst to src")


@pytest.mark.parametrize("low", [bytes(32), b"\1" + bytes(31)])
def test_a_public_key_of_low_order_is_refused(low: bytes) -> None:
    with pytest.raises(IntegrityError):
        primitives.agree(KEY, low)


def test_a_signature_is_for_one_purpose_one_content_and_one_key() -> None:
    key, other = SigningKey.from_secret(KEY), SigningKey.generate()
    signature = key.sign(b"advert", b"content")
    primitives.verify(key.public, signature, b"advert", b"content")
    for public, purpose, content in (
        (other.public, b"advert", b"content"),
        (key.public, b"roster", b"content"),
        (key.public, b"advert", b"other"),
        (b"\xff" * 32, b"advert", b"content"),
    ):
        with pytest.raises(IntegrityError):
            primitives.verify(public, signature, purpose, content)


def test_secret_keys_are_not_shown() -> None:
    assert KEY.hex() not in repr(SigningKey.from_secret(KEY))
    assert "PrivateKey" not in repr(SigningKey.from_secret(KEY))


def test_no_module_of_the_protocol_uses_another_source_of_randomness_or_does_io() -> None:
    banned = {"random", "secrets", "socket", "threading", "asyncio", "time", "torch", "os", "io"}
    for path in Path(secagg.__path__[0]).glob("*.py"):
        names: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names.add((node.module or "").split(".")[0])
            elif isinstance(node, ast.Attribute):
                assert node.attr not in ("random", "default_rng"), path.name
        allowed = {"time"} if path.name == "testing.py" else set()
        assert not names & banned - allowed, path.name
