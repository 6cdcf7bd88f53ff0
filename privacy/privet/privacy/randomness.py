"""Random words for noise, rounding and keys: ChaCha20 keyed from the operating system.

Noise must be unpredictable to every adversary, so it never comes from ``numpy.random`` or torch,
whose state can be seeded, copied or guessed. A *seeded* source exists for tests and benchmarks;
whatever is made from it is stamped NOT PRIVATE.
"""

import hashlib
import os
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from privet.privacy.errors import PrivacyError

_KEY_BYTES = 32
_MAX_BYTES = (1 << 32) * 64  # ChaCha20's 32-bit block counter wraps beyond


class WordStream:
    """A stream of uniform random words from one ChaCha20 key.

    A stream must not cross a fork: parent and child would draw the same noise, so drawing in
    another process than the one that made the stream raises.

    Args:
        key: 32 secret bytes, used for this stream only.
    """

    def __init__(self, key: bytes) -> None:
        """Start the stream at its first block."""
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

        if len(key) != _KEY_BYTES:
            raise PrivacyError(f"Expected a key of {_KEY_BYTES} bytes, found {len(key)}.")
        self._encryptor = Cipher(algorithms.ChaCha20(key, bytes(16)), mode=None).encryptor()
        self._pid = os.getpid()
        self._drawn = 0

    def words64(self, count: int) -> NDArray[np.uint64]:
        """The next ``count`` words, uniform on ``[0, 2**64)``."""
        return np.frombuffer(self._take(8 * count), dtype="<u8")

    def words32(self, count: int) -> NDArray[np.uint32]:
        """The next ``count`` words, uniform on ``[0, 2**32)``."""
        return np.frombuffer(self._take(4 * count), dtype="<u4")

    def below(self, bound: int, count: int) -> NDArray[np.uint64]:
        """The next ``count`` integers, exactly uniform on ``[0, bound)``, ``bound < 2**63``."""
        shift = np.uint64(64 - max(bound - 1, 1).bit_length())
        out = np.empty(count, np.uint64)
        filled = 0
        while filled < count:
            tried = self.words64(2 * (count - filled) + 8) >> shift
            kept = tried[tried < bound][: count - filled]
            out[filled : filled + len(kept)] = kept
            filled += len(kept)
        return out

    def _take(self, size: int) -> bytes:
        if os.getpid() != self._pid:
            raise PrivacyError(
                "A noise stream was used in a forked process, where it would repeat its parent's "
                "noise. Make a new stream after the fork."
            )
        self._drawn += size
        if self._drawn > _MAX_BYTES:
            raise PrivacyError("A noise stream is exhausted after 256 GiB; derive a new one.")
        return self._encryptor.update(bytes(size))


@dataclass(frozen=True, kw_only=True)
class Randomness:
    """A root key from which independent streams are derived by name.

    Attributes:
        seeded: True if the root key follows from a seed, so that nothing made from it is private.
    """

    _root: bytes = field(repr=False)
    seeded: bool

    @classmethod
    def secret(cls) -> "Randomness":
        """A fresh root key from the operating system."""
        return cls(_root=os.urandom(_KEY_BYTES), seeded=False)

    @classmethod
    def from_key(cls, key: bytes) -> "Randomness":
        """A root key that was kept, so that an interrupted release can be repeated exactly."""
        if len(key) != _KEY_BYTES:
            raise PrivacyError(f"Expected a key of {_KEY_BYTES} bytes, found {len(key)}.")
        return cls(_root=key, seeded=False)

    @classmethod
    def insecure_seeded(cls, seed: int) -> "Randomness":
        """A root key that anyone who knows ``seed`` can recompute: for tests, NOT PRIVATE."""
        root = hashlib.blake2b(str(seed).encode(), digest_size=_KEY_BYTES, person=b"privet-seeded")
        return cls(_root=root.digest(), seeded=True)

    def stream(self, *labels: str | int) -> WordStream:
        """An independent stream for this purpose; the same labels give the same stream.

        Args:
            labels: What the stream is for, for example ``("skellam", step, attempt, device)``.
        """
        digest = hashlib.blake2b(key=self._root, digest_size=_KEY_BYTES, person=b"privet-stream")
        for label in labels:
            # Length and type in front, so that ("a", "bc") and ("ab", "c"), or 1 and "1", differ.
            part = f"{type(label).__name__}:{label}".encode()
            digest.update(len(part).to_bytes(8, "big") + part)
        return WordStream(digest.digest())
