"""Failures of other systems that no test of a single part looks at; docs/known-failures.md."""

import math
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.privacy.properties import exact_norm
from tests.server.world import charged, nobody, plan_of, run

from privet.models.plan import Plan
from privet.models.popularity import Popularity
from privet.privacy.accounting.accountants import claimed_delta, own_accounts
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.accounting.events import (
    Event,
    MatrixEvent,
    RandomizedResponseEvent,
    RepeatedEvent,
)
from privet.privacy.clipping import clip
from privet.privacy.contribution import Contribution
from privet.privacy.encoding import MODULUS, Encoding, encode
from privet.privacy.errors import PrivacyError
from privet.privacy.randomness import Randomness
from privet.privacy.secagg import primitives


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([np.float16, np.float32]),
    st.integers(0, 2**32 - 1),
    st.sampled_from([1e-3, 1.0, 2.0]),
)
def test_narrow_floats_of_any_bits_stay_within_the_bound(
    kind: type[np.floating], seed: int, bound: float
) -> None:
    """NaN, infinity, denormals and the largest numbers of half and single precision (11)."""
    bits = 8 * np.dtype(kind).itemsize
    drawn = np.random.default_rng(seed).integers(0, 1 << bits, 40)
    drawn[:8] = [0, 1, 2, (1 << (bits - 1)) - 1, 3, 5, 7, 11]  # denormals, NaN
    row = drawn.astype(f"<u{bits // 8}").view(kind)
    for nonnegative in (False, True):
        offered = Contribution(
            indptr=np.array([0, 40]),
            indices=np.arange(40),
            values=row,
            dimension=40,
            l2_bound=bound,
            nonnegative=nonnegative,
        )
        found = clip(offered).contribution
        assert np.isfinite(found.values).all() and exact_norm(found.values.tolist()) <= bound
        assert not nonnegative or (found.values >= 0).all()
        public = Encoding(dimension=40, l2_clip_norm=bound, devices=2, scale=1 << 16)
        streams = [Randomness.insecure_seeded(seed).stream("row")]
        integers = encode(found, public, streams).astype(object)
        assert (integers * integers).sum() <= public.l2_bound**2


@pytest.mark.parametrize("trust", Trust)
def test_a_round_of_empty_histories_is_noised_and_charged_like_any_other(
    tmp_path: Path, trust: Trust
) -> None:
    """An empty batch that was skipped, or left without noise, told that it was empty (16)."""
    cohort = nobody(12, 400)
    plan = plan_of(trust, cohort=cohort, model=Popularity())
    shared = run(tmp_path / "run", plan, model=Popularity(), cohort=cohort)
    (charge,) = charged(tmp_path / "run")
    assert charge.terms.survivors == 12
    integers = np.asarray(shared["popularity"]) * plan.steps[0].encoding.scale
    assert (integers != 0).mean() > 0.9
    assert np.std(integers) > plan.steps[0].noise_std(12) * plan.steps[0].encoding.scale / 2


@pytest.mark.parametrize("trust", Trust)
@pytest.mark.parametrize("ones", [0, 1], ids=["x = 0", "x = 1"])
def test_a_released_number_is_on_one_grid_whatever_the_data(
    tmp_path: Path, trust: Trust, ones: int
) -> None:
    """Floating-point noise leaves its sum on a grid that tells the data; integers cannot (17)."""
    from privet.models.cohort import Cohort

    users = np.arange(12) if ones else np.zeros(0, np.int64)
    cohort = Cohort.from_pairs(users, np.zeros(len(users), np.int64), n_users=12, n_items=400)
    plan = plan_of(trust, cohort=cohort, model=Popularity())
    shared = run(tmp_path / "run", plan, model=Popularity(), cohort=cohort)
    (step,) = plan.steps
    scaled = np.asarray(shared["popularity"]) * step.encoding.scale
    assert (scaled == np.rint(scaled)).all()
    assert np.abs(scaled).max() < MODULUS // 2
    # Both parities: the grid is no coarser for one world than for the other.
    assert 0.3 < (scaled.astype(np.int64) & 1).mean() < 0.7


EDGES = [1e-300, 1e-30, 1e-8, 1e-3, 1.0, 700.0]


@pytest.mark.parametrize("times", [1, 1000])
@pytest.mark.parametrize("edge", EDGES)
def test_epsilon_of_every_kind_of_event_is_a_number_and_not_negative(
    edge: float, times: int
) -> None:
    """Accountants crashed or went below zero at the ends of their range (14)."""
    once: list[Event] = [RandomizedResponseEvent(epsilon=edge, categories=c) for c in (2, 1000)]
    once += [
        MatrixEvent(noise_multiplier=z, rounds=50, bands=b, separation=25, participations=2)
        for z in (edge, 1 / edge)
        for b in (1, 25)
    ]
    for event in once:
        for delta in (1e-12, 0.5):
            events = [RepeatedEvent(event=event, times=times)]
            for account in own_accounts(events, delta):
                assert account.epsilon >= 0, account
            assert 0 <= claimed_delta(events, 1.0) <= 1


def _first_blocks(rounds: int, devices: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint64]]:
    """The first 16 bytes of every noise, rounding and mask stream of a run's rounds."""
    randomness = Randomness.secret()
    seed = os.urandom(32)
    found = []
    for number in range(rounds):
        for device in range(devices):
            for purpose in ("skellam", "rounding"):
                found.append(randomness.stream(purpose, "step", number, device).words64(2))
        key = primitives.self_key(seed, bytes(32), number, bytes(32))
        mask = np.zeros(4, np.uint32)
        primitives.apply_mask(mask, key, subtract=False)
        found.append(mask.view(np.uint64))
    return np.array(found)


def _all_different(blocks: np.ndarray[tuple[int, ...], np.dtype[np.uint64]]) -> bool:
    return len(np.unique(blocks, axis=0)) == len(blocks)


def test_no_block_repeats_between_noise_rounding_and_masks_or_between_rounds() -> None:
    """A stream that is used twice can be subtracted (26)."""
    assert _all_different(_first_blocks(rounds=2000, devices=3))


@pytest.mark.slow
def test_no_block_repeats_in_a_million_rounds() -> None:
    """The same over a million rounds (26)."""
    assert _all_different(_first_blocks(rounds=1_000_000, devices=1))


def test_a_stream_that_forgets_its_round_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Randomness.stream

    def forgetful(self: Randomness, purpose: str, *labels: str | int) -> object:
        return real(self, purpose, labels[0], labels[-1])

    monkeypatch.setattr(Randomness, "stream", forgetful)
    assert not _all_different(_first_blocks(rounds=20, devices=1))


def test_a_contribution_has_no_weight_and_a_finite_bound() -> None:
    """Weights voided a calibration: there is one bounded vector, and its bound is public (12)."""
    names = set(Contribution.__dataclass_fields__)
    assert names == {"indptr", "indices", "values", "dimension", "l2_bound", "nonnegative"}
    with pytest.raises(PrivacyError):
        Contribution(
            indptr=np.array([0, 1]),
            indices=np.array([0]),
            values=np.array([1.0]),
            dimension=1,
            l2_bound=math.inf,
        )


def test_noise_is_secret_unless_a_seed_is_asked_for() -> None:
    """A mode that cannot work is worse than none: secret noise needs no switch (19)."""
    ways = {name for name in vars(Randomness) if isinstance(vars(Randomness)[name], classmethod)}
    assert ways == {"secret", "from_key", "insecure_seeded"}
    assert [getattr(Randomness, name).__name__.startswith("insecure") for name in sorted(ways)] == [
        False,
        True,
        False,
    ]
    assert not Randomness.secret().seeded
    assert "seeded_noise" in Plan.__dataclass_fields__
    assert Plan.__dataclass_fields__["seeded_noise"].default is False
