"""Shamir's sharing: any threshold of shares, no fewer, and no wrong ones."""

from contextlib import suppress
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privet.privacy.errors import InputError, IntegrityError
from privet.privacy.randomness import Randomness, WordStream
from privet.privacy.secagg.shamir import PRIME, combine, split

secrets = st.binary(min_size=32, max_size=32)


def stream(label: int = 0) -> WordStream:
    return Randomness.insecure_seeded(label).stream("shamir")


def test_the_prime_is_prime_and_above_two_to_the_256() -> None:
    assert PRIME > 2**256
    odd, twos = PRIME - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for base in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37):  # Miller and Rabin
        x = pow(base, odd, PRIME)
        powers = [pow(x, 2**i, PRIME) for i in range(twos)]
        assert x == 1 or PRIME - 1 in powers


@settings(max_examples=40, deadline=None)
@given(secrets, st.integers(2, 5), st.integers(0, 2))
def test_every_subset_of_threshold_shares_gives_the_secret(
    secret: bytes, threshold: int, more: int
) -> None:
    count = threshold + more
    shares = split(secret, threshold=threshold, count=count, stream=stream())
    for chosen in combinations(range(count), threshold):
        assert combine({i + 1: shares[i] for i in chosen}, threshold=threshold) == secret


def test_shares_are_those_of_the_polynomial_evaluated_term_by_term() -> None:
    shares = split(b"\xff" * 32, threshold=4, count=7, stream=stream())
    # Brute force: solve for the coefficients from four shares, then predict the others.
    points = list(enumerate(shares, start=1))[:4]
    for x, expected in enumerate(shares, start=1):
        value = 0
        for i, (xi, yi) in enumerate(points):
            weight = 1
            for j, (xj, _) in enumerate(points):
                if i != j:
                    weight = weight * (x - xj) * pow(xi - xj, PRIME - 2, PRIME) % PRIME
            value = (value + yi * weight) % PRIME
        assert value == expected


def test_fewer_shares_fit_every_secret() -> None:
    shares = split(bytes(32), threshold=3, count=3, stream=stream())
    for other in (1, 2**255, 2**256 - 1):
        # Some third share makes the first two belong to another secret, so they tell nothing.
        weights = (3, -3, 1)  # Lagrange at 0 for x = 1, 2, 3
        third = (other - weights[0] * shares[0] - weights[1] * shares[1]) % PRIME
        found = combine({1: shares[0], 2: shares[1], 3: third}, threshold=3)
        assert int.from_bytes(found, "big") == other


def test_too_few_shares_are_refused() -> None:
    shares = split(bytes(32), threshold=3, count=4, stream=stream())
    with pytest.raises(IntegrityError):
        combine({1: shares[0], 2: shares[1]}, threshold=3)


@settings(max_examples=40, deadline=None)
@given(secrets, st.integers(1, PRIME - 1), st.integers(0, 2))
def test_a_wrong_share_never_gives_the_secret(secret: bytes, error: int, which: int) -> None:
    shares = split(secret, threshold=3, count=3, stream=stream())
    shares[which] = (shares[which] + error) % PRIME
    with suppress(IntegrityError):
        assert combine(dict(enumerate(shares, start=1)), threshold=3) != secret


@pytest.mark.parametrize("points", [{0: 1, 1: 1}, {1: PRIME, 2: 0}, {1: -1, 2: 0}])
def test_points_outside_the_field_are_refused(points: dict[int, int]) -> None:
    with pytest.raises(IntegrityError):
        combine(points, threshold=2)


@pytest.mark.parametrize(("size", "threshold", "count"), [(31, 2, 3), (32, 1, 3), (32, 4, 3)])
def test_what_cannot_be_shared_is_refused(size: int, threshold: int, count: int) -> None:
    with pytest.raises(InputError):
        split(bytes(size), threshold=threshold, count=count, stream=stream())


def test_coefficients_are_fresh_for_every_stream() -> None:
    one, other = (split(bytes(32), threshold=2, count=2, stream=stream(i)) for i in (1, 2))
    assert not set(one) & set(other)
