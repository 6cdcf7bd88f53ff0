"""The gate: the only way out of a device. It denies by default and writes down what it lets out.

Transports and fleets accept :class:`Admitted` and :class:`AdmittedMessage` and nothing else, and
only a gate makes them, so code that would send something else does not type-check and fails when
run. This catches mistakes and makes shortcuts visible; it is not a sandbox for hostile code in
the same process.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import InitVar, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from privet.privacy.errors import EgressError, InputError, PrivacyError
from privet.privacy.minimization.agreement import (
    Agreement,
    MemoryParticipations,
    Participations,
)
from privet.privacy.minimization.denials import Denial, Reason, denied
from privet.privacy.minimization.egress_line import EgressLine, NoLeaf
from privet.privacy.minimization.egress_log import EgressLedger
from privet.privacy.minimization.merkle import leaf_hash
from privet.privacy.minimization.messages import Message, encode_message, message_bytes
from privet.privacy.minimization.policy import EgressPolicy, FieldType

_KEY = object()
_BITS = 32


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

    def message(self) -> Message:
        """A single device's upload as it is sent: dense, modulo 2**32.

        Raises:
            EgressError: It is of more devices than one.
        """
        if self.devices != 1:
            raise EgressError("Only the upload of a single device is a message. Nothing was sent.")
        dense = np.zeros(self.dimension, np.int64)
        np.add.at(dense, self.indices, self.integers)
        return Message(
            step=self.step, fields={self.field: (dense & ((1 << _BITS) - 1)).astype(np.uint32)}
        )


@dataclass(frozen=True, eq=False)
class Admitted:
    """An upload that the gate let through."""

    upload: Upload
    key: InitVar[object]  # not a field, so that dataclasses.replace() cannot hand it on

    def __post_init__(self, key: object) -> None:
        """Refuse to be made by anyone but the gate."""
        _check_key(key)

    def add_into(self, total: NDArray[np.int64]) -> None:
        """Add every device's vector to a running sum of the same dimension, in place."""
        sums = np.bincount(self.upload.indices, weights=self.upload.integers, minlength=len(total))
        total += sums.astype(np.int64)  # exact: sums of encoded vectors stay far below 2**53


@dataclass(frozen=True, eq=False)
class AdmittedMessage:
    """A message that the gate let through, in the bytes in which it leaves."""

    payload: bytes
    key: InitVar[object]

    def __post_init__(self, key: object) -> None:
        """Refuse to be made by anyone but the gate."""
        _check_key(key)


class Gate:
    """Checks each upload against the policy and keeps the ledger of what left.

    Args:
        policy: What may leave.
        agreement: What the user agreed to; exactly this policy, and the plan that it is of, each
            step once, if not given.
        participations: How often each device took part; if not given, the ledger if that is given,
            else in memory.
        ledger: Of the device; a new one, in memory, if not given. What is admitted is written in
            it, as durably as it is, before the gate returns; if it cannot be, nothing is admitted.
            Where participations are in it as well, it holds the gate to `Limits.max_messages`.

    Raises:
        EgressError: The user did not agree to this policy.
    """

    def __init__(
        self,
        policy: EgressPolicy,
        *,
        agreement: Agreement | None = None,
        participations: Participations | None = None,
        ledger: EgressLedger | None = None,
    ) -> None:
        """Record the policy in the ledger."""
        self.policy = policy
        self.agreement = Agreement.to(policy) if agreement is None else agreement
        if policy.hash not in self.agreement.policy_hashes:
            raise EgressError("The user did not agree to this policy. Nothing was sent.")
        if participations is None:
            participations = MemoryParticipations() if ledger is None else ledger
        self.participations: Participations = participations
        self.ledger = EgressLedger() if ledger is None else ledger
        self.ledger.open(policy)
        self.denied = 0

    def admit(self, upload: Upload) -> Admitted:
        """Let a cohort's upload through, or raise.

        Its arrays are made read-only, so that what was checked is what leaves.

        Raises:
            EgressError: No rule allows it. The message names no content.
            PrivacyError: As many messages left since the device took part as was agreed.
        """
        reason = self._fault(upload)
        if reason is not None:
            self.deny(reason, upload.step, (upload.field,))
            raise denied("an upload of this field, step, length, type or range", reason)
        leaf = None
        if upload.devices == 1:
            leaf = leaf_hash(encode_message(self.policy, upload.message())).hex()
        for array in (upload.indices, upload.integers):
            array.setflags(write=False)
        self._record(upload.step, upload.devices, leaf)
        return Admitted(upload, _KEY)

    def admit_message(
        self, message: Message, *, approve: Callable[[bytes], bool] | None = None
    ) -> AdmittedMessage:
        """Let one device's message through, or raise.

        Args:
            message: What is to leave.
            approve: Gets the bytes that would leave, before anything is written down of them; they
                leave if it returns True. Whatever it raises cancels, and goes no further.

        Raises:
            EgressError: The policy does not allow it, or it was cancelled. Names no content.
            PrivacyError: As many messages left since the device took part as was agreed.
        """
        try:
            payload = encode_message(self.policy, message)
        except EgressError as error:
            self.deny(Reason(error.reason), message.step, tuple(message.fields))
            raise
        if approve is not None and not _approved(approve, payload):
            self.deny(Reason.CANCELLED, message.step, tuple(message.fields))
            raise EgressError(
                "The upload was cancelled on the device. Nothing was sent.",
                reason=Reason.CANCELLED.value,
            )
        self._record(message.step, 1, leaf_hash(payload).hex())
        return AdmittedMessage(payload, _KEY)

    def deny(self, reason: Reason, step: object, fields: tuple[object, ...] = ()) -> None:
        """Count a denial and write it into the ledger: the reason, and names of the policy.

        A ledger that cannot be written takes nothing from the denial, so its error is not raised.
        """
        self.denied += 1
        known = type(step) is str and step in self.policy.steps
        tried = {name for name in fields if type(name) is str}
        denial = Denial(
            reason=reason,
            step=str(step) if known else "",
            fields=tuple(
                rule.field
                for rule in (self.policy.of_step(str(step)) if known else ())
                if rule.field in tried
            ),
            plan_hash=self.policy.plan_hash,
            policy_hash=self.policy.hash,
        )
        with suppress(InputError):
            self.ledger.deny(denial)

    @contextmanager
    def noting(self, reason: Reason, step: str) -> Iterator[None]:
        """Write down what is refused inside, with this reason, and pass the error on."""
        try:
            yield
        except (EgressError, PrivacyError):
            self.deny(reason, step)
            raise

    def _record(self, step: str, messages: int, leaf: str | None) -> None:
        line = EgressLine(
            step=step,
            fields=tuple(rule.field for rule in self.policy.of_step(step)),
            messages=messages,
            bytes_per_message=message_bytes(self.policy, step),
            plan_hash=self.policy.plan_hash,
            policy_hash=self.policy.hash,
            leaf=leaf,
            no_leaf=NoLeaf.COHORT if leaf is None else None,
        )
        claimed_here = self.participations is self.ledger
        with self.noting(Reason.MESSAGES, step):
            self.ledger.append(
                line, most=self.agreement.limits.max_messages if claimed_here else None
            )

    def _fault(self, upload: Upload) -> Reason | None:
        texts = type(upload.step) is str and type(upload.field) is str
        rules = self.policy.of_step(upload.step) if texts else ()
        if len(rules) != 1 or rules[0].field != upload.field:
            return Reason.FIELDS
        counts = type(upload.devices) is int and type(upload.dimension) is int
        form = (
            counts
            and upload.devices >= 1
            and rules[0].type is FieldType.UINT32
            and rules[0].bits == _BITS
            and rules[0].shapes[upload.step] == (upload.dimension,)
            and _vectors(upload.indices, upload.integers)
        )
        if not form:
            return Reason.FORM
        half = 1 << (_BITS - 1)
        inside = _inside(upload.indices, 0, upload.dimension) and _inside(
            upload.integers, -half, half
        )
        return None if inside else Reason.RANGE

    @property
    def log(self) -> list[dict[str, Any]]:
        """What left through this ledger so far, a line a step."""
        found: dict[tuple[str, str], dict[str, Any]] = {}
        for line in self.ledger.lines:
            total = found.setdefault(
                (line.policy_hash, line.step),
                {
                    "step": line.step,
                    "field": ", ".join(line.fields),
                    "messages": 0,
                    "bytes_per_message": line.bytes_per_message,
                },
            )
            total["messages"] += line.messages
        return list(found.values())


def _approved(approve: Callable[[bytes], bool], payload: bytes) -> bool:
    try:
        return approve(payload) is True
    except Exception:  # noqa: BLE001 - a host's hook that fails is a no
        return False


def _check_key(key: object) -> None:
    if key is not _KEY:
        raise EgressError("Only the gate admits uploads: call Gate.admit or Gate.admit_message.")


def _vectors(*arrays: object) -> bool:
    """Whether they are plain vectors of int64 of one length."""
    lengths = set()
    for array in arrays:
        if not isinstance(array, np.ndarray) or type(array) is not np.ndarray:
            return False
        if array.ndim != 1 or array.dtype != np.int64:
            return False
        lengths.add(len(array))
    return len(lengths) == 1


def _inside(array: NDArray[np.int64], low: int, high: int) -> bool:
    """Whether every entry is in ``[low, high)``."""
    return len(array) == 0 or bool(low <= int(array.min()) and int(array.max()) < high)
