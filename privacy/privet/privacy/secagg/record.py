"""What a run of the protocol did, as the ledger records it and a report states it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from privet.privacy.errors import InputError, IntegrityError
from privet.privacy.records import decode, encode
from privet.privacy.secagg.parameters import (
    GraphParameters,
    log2_split_failure,
    split_resistant_parameters,
)
from privet.privacy.secagg.server import Aggregate, Server
from privet.privacy.secagg.terms import Terms

PROTOCOL = "privet.secagg/1"
STAGES = ("advert", "sharing", "masked", "cosignature", "shares")


@dataclass(frozen=True, kw_only=True)
class GroupRecord:
    """One group of one round.

    Attributes:
        asked: Devices that were asked.
        devices: Devices in the roster, n.
        neighbours: That each chose, k.
        threshold: Shares that reconstruct a secret, t.
        log2_security_failure: Of the bound on P[a device has t or more corrupt neighbours].
        log2_correctness_failure: Of the bound on P[a device has fewer than t neighbours left].
        log2_split_failure: Of the bound on P[a server could cut the survivors in two].
        answered: Devices that answered, by stage.
        survivors: Devices in the sum.
        up_bytes: Most that one device sent in the round, without what the transport adds.
        down_bytes: Most that one device was sent, likewise.
    """

    asked: int
    devices: int
    neighbours: int
    threshold: int
    log2_security_failure: float
    log2_correctness_failure: float
    log2_split_failure: float
    answered: Mapping[str, int]
    survivors: int
    up_bytes: int
    down_bytes: int

    @classmethod
    def of(
        cls, server: Server, found: Aggregate, *, asked: int, up_bytes: int, down_bytes: int
    ) -> "GroupRecord":
        """The record of a group whose round has ended."""
        parameters = server.roster.parameters
        return cls(
            asked=asked,
            devices=parameters.devices,
            answered=found.answered,
            survivors=len(found.survivors),
            up_bytes=up_bytes,
            down_bytes=down_bytes,
            **failures(parameters, server.roster.terms.min_survivors),  # type: ignore[arg-type]
        )


@dataclass(frozen=True, kw_only=True)
class ProtocolRecord:
    """One round of all groups.

    Attributes:
        protocol: Its name and version.
        min_survivors: Fewest devices in a group's sum.
        corrupt_permille: Devices assumed corrupt, in thousandths.
        drop_permille: Devices assumed to drop out at worst, likewise.
        consistency_round: Whether survivors signed who survives before anything was unmasked.
        certifier_key: Who certified identities, in hexadecimal; None for nobody.
        transport: Between devices and server, in a few words.
        groups: One a group.
    """

    protocol: str
    min_survivors: int
    corrupt_permille: int
    drop_permille: int
    consistency_round: bool
    certifier_key: str | None
    transport: str
    groups: tuple[GroupRecord, ...]

    @classmethod
    def of(cls, terms: Terms, groups: Sequence[GroupRecord], *, transport: str) -> "ProtocolRecord":
        """The record of a round under these terms."""
        return cls(
            protocol=PROTOCOL,
            min_survivors=terms.min_survivors,
            corrupt_permille=terms.corrupt_permille,
            drop_permille=terms.drop_permille,
            consistency_round=True,
            certifier_key=None if terms.certifier_key is None else terms.certifier_key.hex(),
            transport=transport,
            groups=tuple(groups),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return cast(dict[str, Any], encode(self, ProtocolRecord, "secure_aggregation"))

    @classmethod
    def from_dict(cls, body: object) -> "ProtocolRecord":
        """Read a record back, and check what follows from the rest of it.

        Raises:
            InputError: A field is missing, unknown or mistyped.
            IntegrityError: Another protocol, a graph that is not that of n and the fractions, or
                numbers of devices that no round has.
            PrivacyError: There is no graph of that size.
        """
        found = cast(ProtocolRecord, decode(cls, body, "secure_aggregation"))
        if found.protocol != PROTOCOL or not found.consistency_round:
            raise IntegrityError("The ledger records another protocol of secure aggregation.")
        for group in found.groups:
            found._check(group)
        return found

    def _check(self, group: GroupRecord) -> None:
        parameters = _parameters(self, group.devices)
        expected = failures(parameters, self.min_survivors)
        stated = {name: getattr(group, name) for name in expected}
        if any(abs(stated[n] - v) > 1e-6 for n, v in expected.items() if stated[n] != v):
            raise IntegrityError("The ledger records a graph that does not follow from its size.")
        if tuple(sorted(group.answered)) != tuple(sorted(STAGES)):
            raise InputError("Expected how many devices answered each stage of the protocol.")
        counts = [group.asked, *(group.answered[stage] for stage in STAGES)]
        fitting = (
            counts == sorted(counts, reverse=True)
            and group.devices == counts[1]
            and group.survivors == counts[3] >= self.min_survivors
            and counts[4] >= parameters.quorum
            and counts[5] >= group.threshold
            and min(group.up_bytes, group.down_bytes) >= 0
        )
        if not fitting:
            raise IntegrityError("The ledger records devices that no round of the protocol has.")


def _parameters(record: ProtocolRecord, devices: int) -> GraphParameters:
    return split_resistant_parameters(
        devices,
        corrupt_permille=record.corrupt_permille,
        drop_permille=record.drop_permille,
        min_survivors=record.min_survivors,
    )


def failures(parameters: GraphParameters, min_survivors: int) -> dict[str, float]:
    """k, t and the failure probabilities of a roster, by their names in a `GroupRecord`."""
    return {
        "neighbours": parameters.neighbours,
        "threshold": parameters.threshold,
        "log2_security_failure": parameters.log2_security_failure,
        "log2_correctness_failure": parameters.log2_correctness_failure,
        "log2_split_failure": log2_split_failure(parameters, min_survivors),
    }
