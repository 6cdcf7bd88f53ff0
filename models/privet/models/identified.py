"""The two signed messages of a device that are not those of secure aggregation.

A transport may say anything about who sent a message, so every message says it itself, signed.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from privet.privacy.errors import InputError
from privet.privacy.secagg.primitives import KEY_BYTES, SIGNATURE_BYTES, SigningKey, verify
from privet.privacy.secagg.terms import Terms

CHALLENGE_BYTES = 32
_NUMBER_BYTES = 8


@dataclass(frozen=True, kw_only=True)
class Hello:
    """Who a device is.

    Attributes:
        identity: Its public key.
        number: Its public number in the federation, from 0 to 2**63 - 1: groups are dealt by it.
    """

    identity: bytes
    number: int

    @staticmethod
    def sign(key: SigningKey, number: int, *, run: str, plan_hash: str, challenge: bytes) -> bytes:
        """The message: identity, number, and a signature that shows that the device is there now.

        Args:
            key: The device's.
            number: The device's.
            run: Name of the run.
            plan_hash: Of the plan that its user agreed to.
            challenge: Fresh random bytes of the server.
        """
        data = key.public + number.to_bytes(_NUMBER_BYTES, "little")
        return data + key.sign(b"hello", data, run.encode(), bytes.fromhex(plan_hash), challenge)

    @classmethod
    def open(cls, data: bytes, *, run: str, plan_hash: str, challenge: bytes) -> "Hello":
        """Read a message.

        Raises:
            InputError: Not a hello.
            IntegrityError: It is not an answer to this challenge, run and plan.
        """
        fixed = KEY_BYTES + _NUMBER_BYTES
        number = int.from_bytes(data[KEY_BYTES:fixed], "little")
        if len(data) != fixed + SIGNATURE_BYTES or number >= 1 << 63:
            raise InputError("Expected a hello, found other bytes.")
        identity = data[:KEY_BYTES]
        parts = (data[:fixed], run.encode(), bytes.fromhex(plan_hash), challenge)
        verify(identity, data[fixed:], b"hello", *parts)
        return cls(identity=identity, number=number)


@dataclass(frozen=True, kw_only=True)
class PlainUpload:
    """A device's own vector, under trust ``central`` and ``local``.

    Attributes:
        identity: Of the device.
        vector: Integers modulo 2**32, shape ``(dimension,)``.
    """

    identity: bytes
    vector: NDArray[np.uint32] = field(repr=False)

    @staticmethod
    def sign(key: SigningKey, terms: Terms, vector: NDArray[np.uint32]) -> bytes:
        """The message: identity, vector (little-endian), signature over it and the terms."""
        data = vector.astype("<u4").tobytes()
        return key.public + data + key.sign(b"contribution", terms.digest, data)

    @classmethod
    def open(cls, data: bytes, terms: Terms) -> "PlainUpload":
        """Read a message.

        Raises:
            InputError: Of another length.
            IntegrityError: It is not signed by that device for these terms.
        """
        if len(data) != KEY_BYTES + 4 * terms.dimension + SIGNATURE_BYTES:
            raise InputError("Expected a vector of the step's length, found other bytes.")
        identity, vector = data[:KEY_BYTES], data[KEY_BYTES:-SIGNATURE_BYTES]
        verify(identity, data[-SIGNATURE_BYTES:], b"contribution", terms.digest, vector)
        return cls(identity=identity, vector=np.frombuffer(vector, "<u4").astype(np.uint32))
