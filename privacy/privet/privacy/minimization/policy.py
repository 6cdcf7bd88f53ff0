"""The egress policy: what may leave a device, written down before anything does."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from privet.privacy.canonical import sha256


@dataclass(frozen=True, kw_only=True)
class UploadRule:
    """One kind of message that may leave.

    Attributes:
        field: Its only field.
        dtype: Type of its numbers.
        dimensions: Length of the vector for each step; the length says nothing about a history.
        purpose: Why it leaves.
        protection: What makes it safe to leave, in words.
    """

    field: str
    dtype: str
    dimensions: Mapping[str, int]
    purpose: str
    protection: str


@dataclass(frozen=True, kw_only=True)
class EgressPolicy:
    """Everything that may leave; what no rule names is denied."""

    rules: tuple[UploadRule, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    @property
    def hash(self) -> str:
        """SHA-256 of the canonical JSON."""
        return sha256(self.to_dict())
