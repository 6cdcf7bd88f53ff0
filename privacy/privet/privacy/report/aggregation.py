"""What secure aggregation did in a run: from the ledger to the report's section, and to its page."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from privet.privacy.accounting.adversaries import Trust
from privet.privacy.report.text import number, size
from privet.privacy.report.view import LedgerView
from privet.privacy.secagg.agreed import ProtocolTerms
from privet.privacy.secagg.record import STAGES, GroupRecord

Identities: TypeAlias = Literal["not certified", "simulated certifier", "certified"]

_STAGE_NAMES = {
    "advert": "keys",
    "sharing": "shares of secrets",
    "masked": "masked vector",
    "cosignature": "signature",
    "shares": "shares to unmask",
}


@dataclass(frozen=True, kw_only=True)
class AggregationRound:
    """One round of the protocol, all of its groups.

    Attributes:
        step: Name of the step.
        groups: One a group.
    """

    step: str
    groups: tuple[GroupRecord, ...]


@dataclass(frozen=True, kw_only=True)
class SecureAggregation:
    """How sums were made without anyone seeing a vector.

    Attributes:
        simulated: Whether only the effect of masks was simulated; then there is no protocol.
        protocol: Name and version.
        key_types: Of the keys that devices make.
        corrupt_fraction: Of devices, assumed.
        drop_fraction: Of devices, assumed at worst.
        identities: Who certifies that a device is one.
        certifier_key: Whose public key, in hexadecimal.
        max_participations: How often a device answers to one step.
        consistency_round: Whether survivors signed who survives before anything was unmasked.
        transport: Between devices and server.
        rounds: One a closed step.
    """

    simulated: bool
    protocol: str | None = None
    key_types: str | None = None
    corrupt_fraction: float | None = None
    drop_fraction: float | None = None
    identities: Identities | None = None
    certifier_key: str | None = None
    max_participations: int | None = None
    consistency_round: bool | None = None
    transport: str | None = None
    rounds: tuple[AggregationRound, ...] = ()


def aggregation(view: LedgerView) -> SecureAggregation | None:
    """The section; None under trusts that do not aggregate securely."""
    if view.trust is not Trust.SECURE_AGGREGATION:
        return None
    agreed = view.protocol or _recorded(view)
    if agreed is None:
        return SecureAggregation(simulated=True)
    identities: Identities = "not certified"
    if agreed.certifier_key is not None:
        identities = "simulated certifier" if agreed.simulated_certifier else "certified"
    return SecureAggregation(
        simulated=False,
        protocol="SecAgg+ with a signed consistency round, privet.secagg/1",
        key_types="Ed25519 identities, X25519 for masks and envelopes, ChaCha20 masks of 256 bits",
        corrupt_fraction=agreed.corrupt_permille / 1000,
        drop_fraction=agreed.drop_permille / 1000,
        identities=identities,
        certifier_key=agreed.certifier_key,
        max_participations=None if view.protocol is None else agreed.max_participations,
        consistency_round=True,
        transport=view.rounds[0][1].transport if view.rounds else None,
        rounds=tuple(
            AggregationRound(step=step, groups=record.groups) for step, record in view.rounds
        ),
    )


def _recorded(view: LedgerView) -> ProtocolTerms | None:
    """What was assumed where the plan does not say it, but the protocol was run."""
    for _, record in view.rounds:
        return ProtocolTerms(
            corrupt_permille=record.corrupt_permille,
            drop_permille=record.drop_permille,
            certifier_key=record.certifier_key,
        )
    return None


def aggregation_facts(found: SecureAggregation) -> dict[str, str]:
    """What was assumed and agreed, by its name."""
    if found.simulated or found.corrupt_fraction is None or found.drop_fraction is None:
        return {}
    return {
        "Protocol": found.protocol or "",
        "Keys": found.key_types or "",
        "Identities": (found.identities or "")
        + (f", key {found.certifier_key}" if found.certifier_key else ""),
        "Assumed corrupt": f"{number(100 * found.corrupt_fraction)} %",
        "Assumed to drop out, at worst": f"{number(100 * found.drop_fraction)} %",
        "Answers of a device to one step": "as its user agreed"
        if found.max_participations is None
        else f"at most {number(found.max_participations)}",
        "Consistency round": "on" if found.consistency_round else "off",
        "Transport": found.transport or "nothing was sent",
    }


def aggregation_table(rounds: Sequence[AggregationRound]) -> list[list[str]]:
    """A line for each step, its header first; ranges over groups."""
    head = ["Step", "Groups", "Devices n", "Neighbours k", "Threshold t"]
    head += ["Graph fails, log2: security", "correctness", "split", "In the sum"]
    head += [f"Dropped before {_STAGE_NAMES[stage]}" for stage in STAGES]
    head += ["Sent at most", "Received at most"]
    return [head, *([found.step, *_cells(found.groups)] for found in rounds)]


def _cells(groups: Sequence[GroupRecord]) -> list[str]:
    worst = [
        max(getattr(g, name) for g in groups)
        for name in ("log2_security_failure", "log2_correctness_failure", "log2_split_failure")
    ]
    before = ("asked", *STAGES[:-1])
    dropped = [
        sum(_reached(g, last) - g.answered[stage] for g in groups)
        for last, stage in zip(before, STAGES, strict=True)
    ]
    return [
        number(len(groups)),
        _range([g.devices for g in groups]),
        _range([g.neighbours for g in groups]),
        _range([g.threshold for g in groups]),
        *("cannot" if value == -float("inf") else number(value, 3) for value in worst),
        _range([g.survivors for g in groups]),
        *(number(count) for count in dropped),
        size(max(g.up_bytes for g in groups)),
        size(max(g.down_bytes for g in groups)),
    ]


def _reached(group: GroupRecord, stage: str) -> int:
    return group.asked if stage == "asked" else group.answered[stage]


def _range(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return number(low) if low == high else f"{number(low)} to {number(high)}"
