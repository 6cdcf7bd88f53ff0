"""The gate: the only way out of a device. It denies by default and writes down what it lets out.

Transports and fleets accept :class:`Admitted` and nothing else, and only :meth:`Gate.admit` makes
one, so code that would send something else does not type-check and fails when run.
"""

from dataclasses import InitVar, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from privet.privacy.errors import EgressError
from privet.privacy.minimization.policy import EgressPolicy, UploadRule

_KEY = object()


@dataclass(frozen=True, kw_only=True, eq=False)
class Upload:
    """What a cohort's devices want to send in one step: a vector of integers each.

    Sparse here only to spare a simulation's memory: each device uploads all ``dimension``
    integers, modulo 2**32, whatever its history.

    Attributes:
        field: Name of the message's only field.
        step: Of the plan.
        devices: Number of devices, one message each.
        dimension: Integers in each message.
        indices: Positions of entries that are not zero, all devices' one after the other.
        integers: Their values, int64.
    """

    field: str
    step: str
    devices: int
    dimension: int
    indices: NDArray[np.int64]
    integers: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Admitted:
    """An upload that the gate let through."""

    upload: Upload
    key: InitVar[object]  # not a field, so that dataclasses.replace() cannot hand it on

    def __post_init__(self, key: object) -> None:
        """Refuse to be made by anyone but the gate."""
        if key is not _KEY:
            raise EgressError("Only the gate admits uploads: call Gate.admit.")

    def add_into(self, total: NDArray[np.int64]) -> None:
        """Add every device's vector to a running sum of the same dimension, in place."""
        sums = np.bincount(self.upload.indices, weights=self.upload.integers, minlength=len(total))
        total += sums.astype(np.int64)  # exact: sums of encoded vectors stay far below 2**53


@dataclass(kw_only=True)
class EgressLine:
    """What left in one step, as counts and sizes that are public anyway.

    Attributes:
        step: Of the plan.
        field: What left.
        messages: How many.
        bytes_per_message: The same for every device.
    """

    step: str
    field: str
    messages: int
    bytes_per_message: int


class Gate:
    """Checks each upload against the policy and keeps the log of what left.

    Args:
        policy: What may leave.
    """

    def __init__(self, policy: EgressPolicy) -> None:
        """Start with an empty log."""
        self.policy = policy
        self._log: dict[tuple[str, str], EgressLine] = {}
        self.denied = 0

    def admit(self, upload: Upload) -> Admitted:
        """Let an upload through, or raise.

        Raises:
            EgressError: No rule allows it. The message names no content.
        """
        rule = next((r for r in self.policy.rules if self._allows(r, upload)), None)
        if rule is None:
            self.denied += 1
            raise EgressError(
                f"The egress policy allows no upload of field {upload.field!r} with "
                f"{upload.dimension} numbers of type {upload.integers.dtype} in step "
                f"{upload.step!r}. Nothing was sent."
            )
        size = upload.dimension * np.dtype(rule.dtype).itemsize
        line = self._log.setdefault(
            (upload.step, upload.field),
            EgressLine(step=upload.step, field=upload.field, messages=0, bytes_per_message=size),
        )
        line.messages += upload.devices
        return Admitted(upload, _KEY)

    @staticmethod
    def _allows(rule: UploadRule, upload: Upload) -> bool:
        return (
            rule.field == upload.field
            and rule.dimensions.get(upload.step) == upload.dimension
            and np.issubdtype(upload.integers.dtype, np.integer)
            and len(upload.indices) == len(upload.integers)
            and np.issubdtype(upload.indices.dtype, np.integer)
            and upload.indices.min(initial=0) >= 0
            and upload.indices.max(initial=0) < upload.dimension
        )

    @property
    def log(self) -> list[dict[str, Any]]:
        """What left so far, a line a step and field."""
        return [vars(line).copy() for line in self._log.values()]
