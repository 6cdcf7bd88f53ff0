"""What is on a device, what of it leaves and for what, by the egress policy that was in force."""

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

from privet.privacy.accounting.adversaries import Adversary
from privet.privacy.errors import IntegrityError
from privet.privacy.minimization.messages import HEADER_BYTES, message_bytes
from privet.privacy.minimization.policy import EgressPolicy, FieldRule, FieldType
from privet.privacy.minimization.vector_policy import CONTRIBUTION_FIELD, vector_policy
from privet.privacy.report.claims import AdversaryCode
from privet.privacy.report.view import LedgerView

TypeName: TypeAlias = Literal["uint8", "uint32", "uint64", "word"]


@dataclass(frozen=True, kw_only=True)
class DeviceField:
    """One field that a device holds of its user, and whether it leaves as it is."""

    name: str
    purpose: str
    leaves: bool


@dataclass(frozen=True, kw_only=True)
class FieldSize:
    """A field in the messages of one step: its shape, and bytes a device."""

    step: str
    shape: tuple[int, ...]
    bytes: int


@dataclass(frozen=True, kw_only=True)
class LeavingField:
    """One field that may leave a device, as the policy has it.

    Attributes:
        field: Its name.
        type: What it is made of.
        bits: Most bits that one entry may use.
        purpose: Why it leaves.
        mechanism: What makes it safe to leave.
        retention: How long whoever receives it keeps it.
        adversaries: Who sees it once it has left.
        words: The closed list of words, for a word.
        sizes: In each step that has it.
    """

    field: str
    type: TypeName
    bits: int
    purpose: str
    mechanism: str
    retention: str
    adversaries: tuple[AdversaryCode, ...]
    words: tuple[str, ...] = ()
    sizes: tuple[FieldSize, ...]


@dataclass(frozen=True, kw_only=True)
class Minimization:
    """What is on a device, and the little of it that leaves.

    Attributes:
        on_device: What the run's code reads there.
        leaving: Every field that may leave; what is not here is denied.
        header_bytes: Of a message, before its fields.
        denied: Attempts to send something else, that a gate stopped; None where it is not known,
            as on devices, whose own ledgers have them.
        telemetry: What else the software sends, in words.
        pseudonyms: How users are named in what leaves, in words.
    """

    on_device: tuple[DeviceField, ...]
    leaving: tuple[LeavingField, ...]
    header_bytes: int
    denied: int | None
    telemetry: str
    pseudonyms: str

    @property
    def bytes_by_field(self) -> dict[str, int]:
        """Bytes of each field that a device sends in one pass through all messages."""
        return {found.field: sum(s.bytes for s in found.sizes) for found in self.leaving}


_ON_DEVICE = (
    DeviceField(name="items", purpose="what the user did something with", leaves=False),
    DeviceField(name="strengths", purpose="how much each of them counts", leaves=False),
    DeviceField(name="times", purpose="order, age and whose turn it is", leaves=False),
    DeviceField(name="local state", purpose="the user's own part of the model", leaves=False),
    DeviceField(name="ledger", purpose="what left this device, for its user", leaves=False),
)
_TELEMETRY = "none: no usage, crash or update reports; Flower's and Ray's are switched off"
_NO_NAMES = "none needed: the vector carries no name; in a simulation a device is its position"
_KEY_NAMES = (
    "a public key that the device made for this federation alone; it names the device in every "
    "round, and nobody but the device links it to a person unless enrolment does"
)


def minimization(view: LedgerView, policy: EgressPolicy | None = None) -> Minimization:
    """The section, from a run's ledger and its policy.

    Args:
        view: Of the run.
        policy: That devices were under; None for the one of the plan's vectors alone, which a
            simulation has.

    Raises:
        IntegrityError: The policy is that of another plan.
    """
    used = policy_of(view) if policy is None else policy
    _check_policy(used, view)
    return Minimization(
        on_device=_ON_DEVICE,
        leaving=tuple(_leaving(rule) for rule in used.rules),
        header_bytes=HEADER_BYTES,
        denied=None,
        telemetry=_TELEMETRY,
        pseudonyms=_KEY_NAMES if any(r.field == "identity" for r in used.rules) else _NO_NAMES,
    )


def policy_of(view: LedgerView) -> EgressPolicy:
    """The policy of a plan's vectors, which follows from the plan in the ledger."""
    epsilon = view.facts["epsilon"]
    return vector_policy(
        plan_hash=view.plan_hash,
        model=str(view.plan["model"]),
        trust=view.trust,
        dimensions=_dimensions(view),
        noisy=epsilon is not None and math.isfinite(epsilon),
        seeded=bool(view.plan["seeded_noise"]),
    )


def policy_in(section: Minimization, plan_hash: str) -> EgressPolicy:
    """The policy that a section shows, whose hash is in the report's identity.

    Raises:
        InputError: A field that no policy can have.
    """
    rules = tuple(
        FieldRule(
            field=found.field,
            type=FieldType(found.type),
            shapes={size.step: size.shape for size in found.sizes},
            bits=found.bits,
            purpose=found.purpose,
            mechanism=found.mechanism,
            retention=found.retention,
            adversaries=tuple(Adversary(code) for code in found.adversaries),
            words=found.words,
        )
        for found in section.leaving
    )
    return EgressPolicy(rules=rules, plan_hash=plan_hash)


def message_sizes(policy: EgressPolicy) -> dict[str, int]:
    """Bytes of the message of each step, header included."""
    return {step: message_bytes(policy, step) for step in policy.steps}


def _leaving(rule: FieldRule) -> LeavingField:
    kind: TypeName = rule.type.value
    return LeavingField(
        field=rule.field,
        type=kind,
        bits=rule.bits,
        purpose=rule.purpose,
        mechanism=rule.mechanism,
        retention=rule.retention,
        adversaries=tuple(adversary.value for adversary in rule.adversaries),
        words=rule.words,
        sizes=tuple(
            FieldSize(step=step, shape=tuple(shape), bytes=rule.size(step))
            for step, shape in rule.shapes.items()
        ),
    )


def _check_policy(policy: EgressPolicy, view: LedgerView) -> None:
    vectors = {r.field: r.shapes for r in policy.rules}.get(CONTRIBUTION_FIELD, {})
    planned = {step: (dimension,) for step, dimension in _dimensions(view).items()}
    if policy.plan_hash != view.plan_hash or dict(vectors) != planned:
        raise IntegrityError("The egress policy is not one of the plan that the ledger has.")


def _dimensions(view: LedgerView) -> dict[str, int]:
    return {s["step"]["name"]: int(s["encoding"]["dimension"]) for s in view.plan["steps"]}
