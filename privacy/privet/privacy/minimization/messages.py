"""Messages with named fields, and the one spelling in bytes that a policy gives them.

A message of a step has every field that the policy names for that step, in the policy's order, and
nothing else: no names, no lengths, no optional parts. So its size follows from the policy alone::

    PVEG | version (1) | step's number (2) | policy hash (32) | fields, one after the other

Numbers are little-endian, as devices hold them; a word is its number in the rule's list. What
failed on a device leaves, if a rule allows it at all, as one of :data:`ERROR_WORDS`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from privet.privacy.errors import (
    BudgetError,
    EgressError,
    InputError,
    IntegrityError,
    PrivacyError,
)
from privet.privacy.minimization.denials import Reason, denied
from privet.privacy.minimization.policy import EgressPolicy, FieldRule, FieldType

MAGIC = b"PVEG"
MESSAGE_VERSION = 1
HEADER_BYTES = len(MAGIC) + 1 + 2 + 32

Value: TypeAlias = "NDArray[Any] | int | str"

ERROR_WORDS = ("none", "input", "privacy", "budget", "integrity", "egress", "failed")
"""All that may be said about an error; a rule for errors has these words."""

_ERRORS: tuple[tuple[type[BaseException], str], ...] = (
    (InputError, "input"),
    (PrivacyError, "privacy"),
    (BudgetError, "budget"),
    (IntegrityError, "integrity"),
    (EgressError, "egress"),
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Message:
    """What one device wants to send in one step.

    Attributes:
        step: Of the plan.
        fields: Arrays, whole numbers and words by name.
    """

    step: str
    fields: Mapping[str, Value]


def scrub(error: BaseException | None) -> str:
    """The word for an error: nothing of its text, its type's name or its cause.

    An error can depend on a history, so even the word leaves only where a rule allows it.
    """
    if error is None:
        return "none"
    return next((word for kind, word in _ERRORS if isinstance(error, kind)), "failed")


def vector_message_bytes(dimension: int) -> int:
    """Size of a message whose only field is a vector of this many 32-bit integers."""
    return HEADER_BYTES + 4 * dimension


def message_bytes(policy: EgressPolicy, step: str) -> int:
    """Size of every message of a step, whatever is in it."""
    return HEADER_BYTES + sum(rule.size(step) for rule in policy.of_step(step))


def encode_message(policy: EgressPolicy, message: Message) -> bytes:
    """A message's bytes.

    Raises:
        EgressError: The policy does not allow it. Names the field at fault if the policy knows
            it, and never what is in it.
    """
    rules = policy.of_step(message.step) if type(message.step) is str else ()
    if not rules or set(message.fields) != {rule.field for rule in rules}:
        raise denied("a message of other fields than the policy has for the step", Reason.FIELDS)
    fields = [_field(rule, message.step, message.fields[rule.field]) for rule in rules]
    return b"".join([_header(policy, message.step), *fields])


def decode_message(policy: EgressPolicy, data: bytes) -> Message:
    """A message from its bytes, as whoever receives it reads it; every value is checked again.

    Raises:
        InputError: Not a message of this policy.
    """
    refused = InputError("Expected a message of this egress policy, found other bytes.")
    if not isinstance(data, bytes) or len(data) < HEADER_BYTES:
        raise refused
    number = int.from_bytes(data[5:7], "little")
    if number >= len(policy.steps):
        raise refused
    step = policy.steps[number]
    whole = len(data) == message_bytes(policy, step)
    if not whole or data[:HEADER_BYTES] != _header(policy, step):
        raise refused
    fields, at = {}, HEADER_BYTES
    for rule in policy.of_step(step):
        entries = np.frombuffer(data, rule.type.dtype, count=rule.entries(step), offset=at)
        at += rule.size(step)
        if not _in_range(rule, entries):
            raise refused
        fields[rule.field] = _value(rule, entries.reshape(rule.shapes[step]))
    return Message(step=step, fields=fields)


def _header(policy: EgressPolicy, step: str) -> bytes:
    number = policy.steps.index(step).to_bytes(2, "little")
    return MAGIC + bytes([MESSAGE_VERSION]) + number + bytes.fromhex(policy.hash)


def _field(rule: FieldRule, step: str, value: object) -> bytes:
    entries = _entries(rule, value)
    if entries is None or entries.shape != rule.shapes[step]:
        what = f"field {rule.field!r} of another type or shape than {rule.type}"
        raise denied(what, Reason.FORM)
    if not _in_range(rule, entries):
        raise denied(f"a value of field {rule.field!r} of more than {rule.bits} bits", Reason.RANGE)
    return entries.astype(rule.type.dtype, copy=False).tobytes()


def _entries(rule: FieldRule, value: object) -> NDArray[Any] | None:
    """The value as an array of the rule's type; None for a value of any other type.

    Types are compared exactly: a subclass of an array, a text or an integer can carry more.
    """
    kind = type(value)
    if rule.type is FieldType.WORD:
        if kind is not str or value not in rule.words:
            return None
        return np.array(rule.words.index(str(value)), rule.type.dtype)
    if isinstance(value, np.ndarray) and kind is np.ndarray:
        return value if value.dtype == rule.type.dtype else None
    if isinstance(value, int) and kind is int and 0 <= value < 1 << rule.type.width:
        return np.array(value, rule.type.dtype)
    return None


def _in_range(rule: FieldRule, entries: NDArray[Any]) -> bool:
    largest = int(entries.max(initial=0))
    return largest < (len(rule.words) if rule.type is FieldType.WORD else 1 << rule.bits)


def _value(rule: FieldRule, entries: NDArray[Any]) -> Value:
    if rule.type is FieldType.WORD:
        return rule.words[int(entries)]
    return entries if entries.shape else int(entries)
