"""Shamir's secret sharing over a prime just above 2**256.

A secret is 32 bytes; a share is a field element, 33 bytes on the wire, at x = 1..k. Any
``threshold`` shares give the secret, fewer say nothing about it.

Example:
    >>> shares = split(bytes(32), threshold=2, count=3, stream=WordStream(bytes(range(32))))
    >>> combine({1: shares[0], 3: shares[2]}, threshold=2) == bytes(32)
    True
"""

from collections.abc import Mapping

from privet.privacy.errors import InputError, IntegrityError
from privet.privacy.randomness import WordStream

PRIME = 2**256 + 297
SECRET_BYTES = 32
SHARE_BYTES = 33


def split(secret: bytes, *, threshold: int, count: int, stream: WordStream) -> list[int]:
    """Shares of a secret at x = 1..count.

    Args:
        secret: 32 bytes.
        threshold: Shares that give it back, at least 2.
        count: Shares to make, at least ``threshold``.
        stream: Secret random words, for the coefficients of this polynomial only.
    """
    if len(secret) != SECRET_BYTES or not 2 <= threshold <= count < PRIME:
        raise InputError("Expected 32 secret bytes and a threshold between 2 and the shares.")
    coefficients = [int.from_bytes(secret, "big")]
    coefficients += [_below_prime(stream) for _ in range(threshold - 1)]
    return [_evaluate(coefficients, x) for x in range(1, count + 1)]


def combine(shares: Mapping[int, int], *, threshold: int) -> bytes:
    """The secret of at least ``threshold`` shares, given by x.

    Raises:
        IntegrityError: Too few shares, a share out of range, or shares that no 32-byte secret has.
    """
    if len(shares) < threshold:
        raise IntegrityError(f"Expected {threshold} shares, found {len(shares)}.")
    points = sorted(shares.items())[:threshold]
    if not all(0 < x < PRIME and 0 <= y < PRIME for x, y in points):
        raise IntegrityError("A share is not a point of the field.")
    value = sum(y * _weight(x, points) for x, y in points) % PRIME
    if value >> (8 * SECRET_BYTES):
        raise IntegrityError("The shares do not belong to one secret.")
    return value.to_bytes(SECRET_BYTES, "big")


def _weight(x: int, points: list[tuple[int, int]]) -> int:
    """Lagrange's weight at 0 of the point at x."""
    above = below = 1
    for other, _ in points:
        if other != x:
            above = above * other % PRIME
            below = below * (other - x) % PRIME
    return above * pow(below, -1, PRIME) % PRIME


def _evaluate(coefficients: list[int], x: int) -> int:
    value = 0
    for coefficient in reversed(coefficients):
        value = (value * x + coefficient) % PRIME
    return value


def _below_prime(stream: WordStream) -> int:
    # 257 random bits are below the prime with probability one half.
    while True:
        value = int.from_bytes(stream.words32(9).tobytes(), "big") >> 31
        if value < PRIME:
            return value
