"""The egress policy: what may leave a device, written down before anything does.

A policy names every field of every message, and its size follows from the policy alone: an array
has a fixed shape, a text is one of a closed list of words. There are no floats, whose low bits
carry more than their value, and no free text. What no rule names is denied.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np

from privet.privacy.accounting.adversaries import Adversary
from privet.privacy.canonical import sha256
from privet.privacy.errors import InputError

POLICY_VERSION = 1
MAX_TEXT = 300
MAX_ENTRIES = 1 << 32
MAX_RULES = 1000
MAX_STEPS = 10_000
_HEX = frozenset("0123456789abcdef")


class FieldType(StrEnum):
    """What a field is made of. A closed set: each has one size and one spelling on the wire.

    ``UINT8``, ``UINT32``, ``UINT64``: unsigned integers, little-endian.
    ``WORD``: one word of the rule's closed list, sent as its number, in one byte.
    """

    UINT8 = "uint8"
    UINT32 = "uint32"
    UINT64 = "uint64"
    WORD = "word"

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of an array of it, in memory and on the wire."""
        return np.dtype("uint8" if self is FieldType.WORD else self.value).newbyteorder("<")

    @property
    def width(self) -> int:
        """Bits that one entry takes on the wire."""
        return 8 * self.dtype.itemsize


@dataclass(frozen=True, kw_only=True)
class FieldRule:
    """One field that may leave.

    Attributes:
        field: Its name.
        type: What it is made of.
        shapes: Its shape in each step that has it; ``()`` for a single number or word.
        bits: Most bits that one entry may use: each is below ``2**bits``.
        purpose: Why it leaves.
        mechanism: What makes it safe to leave.
        retention: How long whoever receives it keeps it.
        adversaries: Who sees it once it has left.
        words: The closed list, for words only.

    Raises:
        InputError: A value that no field can have; says which and why.
    """

    field: str
    type: FieldType
    shapes: Mapping[str, tuple[int, ...]]
    bits: int
    purpose: str
    mechanism: str
    retention: str
    adversaries: tuple[Adversary, ...]
    words: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check every value, and keep a copy of ``shapes`` that cannot change."""
        for name in ("field", "purpose", "mechanism", "retention"):
            _check_text(getattr(self, name), name)
        if not self.shapes:
            raise InputError(f"Field {self.field!r} has no shape in any step, so it cannot leave.")
        object.__setattr__(self, "shapes", MappingProxyType(dict(self.shapes)))
        for step, shape in self.shapes.items():
            _check_text(step, "a step's name")
            self._check_shape(step, shape)
        self._check_bits()
        if not self.adversaries or len(set(self.adversaries)) != len(self.adversaries):
            raise InputError(f"Expected each adversary of field {self.field!r} once, at least one.")

    def _check_shape(self, step: str, shape: tuple[int, ...]) -> None:
        whole = all(type(size) is int and size > 0 for size in shape)
        if not whole or len(shape) > 4 or math.prod(shape) > MAX_ENTRIES:
            raise InputError(
                f"Expected the shape of field {self.field!r} in step {step!r} to be at most 4 "
                f"integers above 0 with a product of at most {MAX_ENTRIES}."
            )
        if self.type is FieldType.WORD and shape:
            raise InputError(f"Field {self.field!r} is a word, so its shape must be [].")

    def _check_bits(self) -> None:
        if type(self.bits) is not int or not 1 <= self.bits <= self.type.width:
            raise InputError(
                f"Expected bits of field {self.field!r} from 1 to {self.type.width}, the width of "
                f"{self.type}."
            )
        if self.type is not FieldType.WORD:
            if self.words:
                raise InputError(f"Field {self.field!r} has words, but is not of type word.")
            return
        for word in self.words:
            _check_text(word, "a word")
        if len(set(self.words)) != len(self.words) or not 2 <= len(self.words) <= 1 << self.bits:
            raise InputError(
                f"Expected words of field {self.field!r}: at least 2, each once, no more than "
                f"{self.bits} bits can number."
            )

    def entries(self, step: str) -> int:
        """Entries of the field in a message of this step, 0 if the step does not have it."""
        shape = self.shapes.get(step)
        return 0 if shape is None else math.prod(shape)

    def size(self, step: str) -> int:
        """Bytes of the field in a message of this step, whatever is in it."""
        return self.entries(step) * self.type.dtype.itemsize

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        body = {
            "field": self.field,
            "type": str(self.type),
            "bits": self.bits,
            "purpose": self.purpose,
            "mechanism": self.mechanism,
            "retention": self.retention,
            "adversaries": [str(adversary) for adversary in self.adversaries],
            "shapes": {step: list(shape) for step, shape in self.shapes.items()},
        }
        return {**body, "words": list(self.words)} if self.words else body


@dataclass(frozen=True)
class EgressPolicy:
    """Everything that may leave; what no rule names is denied.

    Attributes:
        rules: One a field.
        plan_hash: Of the plan that this is the policy of; empty if of none, and then no device
            takes part under it.

    Raises:
        InputError: A field is named twice, or the hash is not one.
    """

    rules: tuple[FieldRule, ...]
    plan_hash: str = ""

    def __post_init__(self) -> None:
        """Check that no field is named twice."""
        if len(self.rules) > MAX_RULES or len(self.steps) > MAX_STEPS:
            raise InputError(f"A policy has at most {MAX_RULES} fields and {MAX_STEPS} steps.")
        seen: set[str] = set()
        for rule in self.rules:
            if rule.field in seen:
                raise InputError(f"The policy names field {rule.field!r} twice: which one holds?")
            seen.add(rule.field)
        if self.plan_hash and (len(self.plan_hash) != 64 or not set(self.plan_hash) <= _HEX):
            raise InputError("Expected plan_hash as 64 hexadecimal digits, or empty.")

    def of_step(self, step: str) -> tuple[FieldRule, ...]:
        """The fields of a message of this step, in order: all of them, and no other."""
        return tuple(rule for rule in self.rules if step in rule.shapes)

    @cached_property
    def steps(self) -> tuple[str, ...]:
        """Every step that has a message, in order."""
        return tuple(dict.fromkeys(step for rule in self.rules for step in rule.shapes))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "version": POLICY_VERSION,
            "plan_hash": self.plan_hash,
            "rules": [rule.to_dict() for rule in self.rules],
        }

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the canonical JSON."""
        return sha256(self.to_dict())

    def bound_to(self, plan_hash: str) -> "EgressPolicy":
        """The same rules as the policy of a plan."""
        return replace(self, plan_hash=plan_hash)

    def to_toml(self) -> str:
        """The policy as a TOML file; the same policy gives the same text."""
        from privet.privacy.minimization.policy_file import write_policy

        return write_policy(self)

    @classmethod
    def from_toml(cls, text: str) -> "EgressPolicy":
        """Read a policy's TOML file.

        Raises:
            InputError: It is not a policy; says what was expected.
        """
        from privet.privacy.minimization.policy_file import read_policy

        return read_policy(text)


def _check_text(text: object, name: str) -> None:
    if not isinstance(text, str) or not 0 < len(text) <= MAX_TEXT or not text.isprintable():
        raise InputError(
            f"Expected {name} of an egress policy to be 1 to {MAX_TEXT} printable characters."
        )
