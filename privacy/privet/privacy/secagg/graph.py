"""Who is whose neighbour: chosen by each device's own committed nonce.

A device commits to a secret nonce before the roster exists and opens it after. Its neighbours are
a uniform choice keyed by the nonce and the roster's hash, so neither the server, who does not know
the nonce when it fixes the roster, nor the device, who does not know the roster when it commits,
chooses them. Opening late or never changes no other device's choice.

Two devices share a pairwise mask if either chose the other, so a device has k masks by its own
choice and about k by others'. Its shares go to the k that it chose.
"""

import hashlib

import numpy as np

from privet.privacy.errors import IntegrityError
from privet.privacy.randomness import WordStream
from privet.privacy.secagg.primitives import equal, hkdf

NONCE_BYTES = 32


def commit(nonce: bytes, identity: bytes) -> bytes:
    """The commitment to a nonce of 32 secret bytes, bound to who makes it."""
    return hashlib.sha256(b"privet.secagg/1 nonce\0" + identity + nonce).digest()


def check_opening(nonce: bytes, identity: bytes, commitment: bytes) -> None:
    """Refuse a nonce that was not committed to.

    Raises:
        IntegrityError: The nonce is another one.
    """
    if not equal(commit(nonce, identity), commitment):
        raise IntegrityError("A nonce does not open its commitment: the graph was chosen late.")


def choose_neighbours(
    nonce: bytes, roster_hash: bytes, *, own: int, devices: int, count: int
) -> tuple[int, ...]:
    """The positions that the device at ``own`` chooses, in the order of its shares' x = 1..count.

    Args:
        nonce: The device's nonce.
        roster_hash: Hash of the roster.
        own: Its position in the roster.
        devices: Size of the roster.
        count: Neighbours to choose, fewer than ``devices``.

    Returns:
        Different positions other than ``own``: words of a ChaCha20 stream modulo the number of
        others (words beyond its largest multiple are skipped), repeats skipped.
    """
    others = devices - 1
    stream = WordStream(hkdf(nonce, b"graph", roster_hash, own.to_bytes(4, "big")))
    limit = np.uint64(2**64 - 2**64 % others - 1)
    chosen: dict[int, None] = {}
    while len(chosen) < count:
        words = stream.words64(64)
        for draw in (words[words <= limit] % np.uint64(others)).tolist():
            chosen[draw + (draw >= own)] = None
            if len(chosen) == count:
                break
    return tuple(chosen)
