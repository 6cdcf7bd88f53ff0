"""What a server's requests say, in bytes: the task of a round, and the server's signature.

A request of :data:`~privet.models.federation.Stage` ``HELLO``, ``ADVERTISE``, ``CONTRIBUTE`` or
``MODEL`` is signed by the server's key, which every device pinned when it joined; the roster and what follows
from it are signed within the protocol of secure aggregation. Shared state travels as plain
little-endian arrays behind one canonical JSON header: nothing in it is compressed or executed.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from privet.models.model import Array, SharedState
from privet.models.plan import Plan
from privet.privacy.canonical import Json, canonical_bytes, parse_canonical
from privet.privacy.errors import InputError
from privet.privacy.secagg.primitives import SIGNATURE_BYTES, SigningKey, verify

MAX_HEADER_BYTES = 1 << 20
_TYPES = ("<f8", "<i8")


@dataclass(frozen=True, kw_only=True, eq=False)
class TaskMessage:
    """The public part of a round.

    Attributes:
        plan: Of the run.
        step: Name of the step.
        attempt: Of the step, from 0.
        shared: Shared state so far.
    """

    plan: Plan
    step: str
    attempt: int
    shared: SharedState

    def encode(self) -> bytes:
        """Length of the header (4 bytes), header, arrays in the header's order."""
        fields: dict[str, Json] = {
            "plan": self.plan.to_dict(),
            "step": self.step,
            "attempt": self.attempt,
        }
        return pack(fields, self.shared)

    @classmethod
    def parse(cls, data: bytes) -> "TaskMessage":
        """Read a task.

        Raises:
            InputError: Not a task, or its arrays are of other sizes or types than it says.
            IntegrityError: Its header is not canonical.
            PrivacyError: Its plan cannot be one.
        """
        header, shared = unpack(data)
        if set(header) != {"plan", "step", "attempt"}:
            raise _refused()
        step, attempt = header["step"], header["attempt"]
        if type(step) is not str or type(attempt) is not int or attempt < 0:
            raise _refused()
        return cls(plan=Plan.from_dict(header["plan"]), step=step, attempt=attempt, shared=shared)


def pack(fields: Mapping[str, Json], arrays: Mapping[str, Array]) -> bytes:
    """JSON fields and arrays of 64-bit numbers as bytes.

    The length of a header (4 bytes, big-endian), the header as canonical JSON, and the arrays'
    bytes in the order of their names.
    """
    ordered = {name: np.ascontiguousarray(arrays[name]) for name in sorted(arrays)}
    listed = [[name, a.dtype.str, list(a.shape)] for name, a in ordered.items()]
    header = canonical_bytes({**fields, "arrays": listed})
    data = (array.tobytes() for array in ordered.values())
    return b"".join([len(header).to_bytes(4, "big"), header, *data])


def unpack(data: bytes) -> tuple[dict[str, Json], dict[str, Array]]:
    """What `pack` packed.

    Raises:
        InputError: Other bytes, or arrays of other sizes or types than it says.
        IntegrityError: The header is not canonical.
    """
    size = int.from_bytes(data[:4], "big")
    if len(data) < 4 or not 0 < size <= min(MAX_HEADER_BYTES, len(data) - 4):
        raise _refused()
    header = parse_canonical(data[4 : 4 + size])
    if not isinstance(header, dict) or "arrays" not in header:
        raise _refused()
    return header, _arrays(header.pop("arrays"), data[4 + size :])


def _arrays(listed: Json, data: bytes) -> dict[str, Array]:
    if not isinstance(listed, list):
        raise _refused()
    found: dict[str, Array] = {}
    at = 0
    for line in listed:
        name, kind, shape = line if isinstance(line, list) and len(line) == 3 else (None,) * 3
        if type(name) is not str or name in found or kind not in _TYPES:
            raise _refused()
        if not isinstance(shape, list) or len(shape) > 4:
            raise _refused()
        sizes = [size for size in shape if isinstance(size, int) and 0 <= size <= len(data)]
        count = math.prod(sizes)
        if len(sizes) != len(shape) or at + 8 * count > len(data):
            raise _refused()
        found[name] = np.frombuffer(data, str(kind), count=count, offset=at).reshape(sizes)
        at += 8 * count
    if at != len(data):
        raise _refused()
    return found


def sign_request(key: SigningKey, *, stage: str, run: str, round_number: int, body: bytes) -> bytes:
    """A request's payload: the server's signature, then the body."""
    return key.sign(b"request", *_signed(stage, run, round_number, body)) + body


def open_request(
    server_key: bytes, *, stage: str, run: str, round_number: int, payload: bytes
) -> bytes:
    """The body of a request that the server signed for this stage, run and round.

    Raises:
        IntegrityError: It did not.
    """
    signature, body = payload[:SIGNATURE_BYTES], payload[SIGNATURE_BYTES:]
    verify(server_key, signature, b"request", *_signed(stage, run, round_number, body))
    return body


def _signed(stage: str, run: str, round_number: int, body: bytes) -> tuple[bytes, ...]:
    return (stage.encode(), run.encode(), round_number.to_bytes(4, "big"), body)


def _refused() -> InputError:
    return InputError("Expected fields and arrays of numbers, found other bytes.")
