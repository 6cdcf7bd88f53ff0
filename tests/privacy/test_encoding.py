"""Encoding: unbiased integers within the declared bound, exact sums, no wrap-around."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.privacy.properties import all_halves, check_encoded, contribution

from privet.privacy import encoding as module
from privet.privacy.clipping import clip
from privet.privacy.encoding import MODULUS, Encoding, choose_encoding, decode, encode, wrap
from privet.privacy.errors import PrivacyError
from privet.privacy.randomness import Randomness, WordStream

small = st.lists(st.floats(-1, 1), min_size=1, max_size=8)


def streams(count: int, seed: int = 0) -> list[WordStream]:
    return [Randomness.insecure_seeded(seed).stream("test", row) for row in range(count)]


def public(dimension: int, devices: int, scale: int) -> Encoding:
    return Encoding(dimension=dimension, l2_clip_norm=1.0, devices=devices, scale=scale)


@given(
    rows=st.lists(small, min_size=1, max_size=4),
    scale=st.sampled_from([16, 1024, 1 << 20]),
    seed=st.integers(0, 1000),
)
def test_encoded_rows_are_never_longer_than_declared(
    rows: list[list[float]], scale: int, seed: int
) -> None:
    check_encoded(rows, scale, seed)


@pytest.mark.parametrize("dimension", [1, 4, 100, 10_000, 200_000])
@pytest.mark.parametrize("scale", [16, 256])
def test_fractions_of_one_half_everywhere_stay_within_the_bound(dimension: int, scale: int) -> None:
    check_encoded([all_halves(dimension, scale)], scale, seed=1)


def test_a_row_that_is_always_rounded_too_long_is_rounded_towards_zero_in_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def always_up(self: WordStream, count: int) -> np.ndarray[tuple[int], np.dtype[np.uint32]]:
        return np.zeros(count, np.uint32)

    monkeypatch.setattr(WordStream, "words32", always_up)
    row = all_halves(10_000, 16)
    assert not encode(contribution([row]), public(10_000, 1, 16), streams(1)).any()
    check_encoded([row, [-v for v in row]], 16, seed=1)


@pytest.mark.parametrize("value", [0.3, -0.3, 0.5, 1 / 3, -1e-3, 0.999])
def test_rounding_is_unbiased(value: float) -> None:
    count, scale = 15_000, 16
    found = encode(contribution([[value]] * count), public(1, count, scale), streams(count))
    fraction = value * scale - math.floor(value * scale)
    spread = math.sqrt(max(fraction * (1 - fraction), 1e-9) / count)
    assert abs(found.mean() - value * scale) < 4.5 * spread + 2**-32
    assert set(found.tolist()) <= {math.floor(value * scale), math.ceil(value * scale)}


@given(row=small, seed=st.integers(0, 1000))
def test_signs_never_change_and_zeros_stay(row: list[float], seed: int) -> None:
    clipped = clip(contribution([row])).contribution
    found = encode(clipped, public(clipped.dimension, 1, 64), streams(1, seed))
    assert (found * clipped.values >= 0).all()
    assert (found[clipped.values == 0] == 0).all()


def test_a_rows_rounding_depends_on_no_other_row() -> None:
    rows = [[0.1, 0.2, 0.3], all_halves(3, 16), [0.5, -0.5, 0.01]]
    together = encode(contribution(rows), public(3, 3, 16), streams(3)).reshape(3, 3)
    for row, own in enumerate(streams(3)):
        alone = encode(contribution([rows[row]]), public(3, 1, 16), [own])
        assert alone.tolist() == together[row].tolist()


@settings(deadline=None)
@given(
    rows=st.lists(st.lists(st.floats(-1, 1), min_size=5, max_size=5), min_size=1, max_size=20),
    scale=st.sampled_from([16, 4096, 1 << 20]),
)
def test_the_decoded_sum_modulo_2_to_the_32_is_the_exact_sum(
    rows: list[list[float]], scale: int
) -> None:
    clipped = clip(contribution(rows)).contribution
    encoded = public(5, len(rows), scale)
    integers = encode(clipped, encoded, streams(len(rows))).reshape(len(rows), 5)
    total = np.zeros(5, np.uint32)
    for row in integers:
        total = total + wrap(row)  # modulo 2**32, as the server adds
    assert decode(total, encoded).tolist() == (integers.sum(axis=0) / scale).tolist()
    real = clipped.dense().sum(axis=0)
    assert (np.abs(decode(total, encoded) - real) <= len(rows) / scale).all()


@given(value=st.integers(-(1 << 31), (1 << 31) - 1))
def test_negatives_survive_wrapping(value: int) -> None:
    wrapped = wrap(np.array([value], np.int64))
    assert wrapped.dtype == np.uint32
    assert int(wrapped[0]) == value % MODULUS
    assert decode(wrapped, public(1, 1, 1 << 4))[0] == value / 16


def test_masks_cancel_in_the_wrapped_sum() -> None:
    values = np.array([[5, -7], [-(1 << 30), 12]])
    mask = WordStream(bytes(32)).words32(2)
    total = wrap(values[0]) + mask + wrap(values[1]) - mask
    assert decode(total, public(2, 2, 16)).tolist() == (values.sum(axis=0) / 16).tolist()


@pytest.mark.parametrize("devices", [1, 100, 6040, 1_000_000, 50_000_000])
@pytest.mark.parametrize("multiplier", [0.0, 1.0, 40.0, 1e4])
def test_the_scale_chosen_holds_every_device_in_one_coordinate_with_its_noise(
    devices: int, multiplier: float
) -> None:
    chosen = choose_encoding(
        dimension=1000, l2_clip_norm=1.0, devices=devices, noise_multiplier=multiplier
    )
    noise = multiplier * chosen.l2_bound
    chosen.check_overflow(noise)
    largest = devices * chosen.l2_bound + 16 * noise
    assert largest < MODULUS // 2
    if chosen.scale < 1 << 20:
        finer = Encoding(**{**vars(chosen), "scale": 2 * chosen.scale})
        with pytest.raises(PrivacyError, match="beyond"):
            finer.check_overflow(multiplier * finer.l2_bound)


def test_a_sum_that_could_wrap_around_is_refused_before_anything_runs() -> None:
    with pytest.raises(PrivacyError, match="fewer devices"):
        public(10, 5000, 1 << 20).check_overflow(0.0)
    with pytest.raises(PrivacyError, match="No integer scale"):
        choose_encoding(dimension=10, l2_clip_norm=1.0, devices=1 << 28, noise_multiplier=0.0)


def test_the_wrap_probability_of_the_noise_is_negligible() -> None:
    # Bennett's bound for a Skellam variable of variance v, at t = 16 sqrt(v), for v of 256 up.
    deviations = module._NOISE_DEVIATIONS
    for variance in (256.0, 1e4, 1e10):
        ratio = deviations / math.sqrt(variance)
        exponent = variance * (ratio * math.asinh(ratio) - math.sqrt(1 + ratio**2) + 1)
        assert exponent > math.log(1e40)
