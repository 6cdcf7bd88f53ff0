"""Whether a device should train now, and in plain words why not."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from privet.client.rights.conditions import Conditions
from privet.client.rights.consents import Consents
from privet.client.rights.notice import Purpose
from privet.client.rights.phrases import Phrases
from privet.client.rights.quotas import Usage


class Reason(StrEnum):
    """Why a device should not train now."""

    CONSENT = "consent"
    BUSY = "busy"
    IDLE_UNKNOWN = "idle unknown"
    BATTERY = "battery"
    POWER_UNKNOWN = "power unknown"
    METERED = "metered"
    NETWORK_UNKNOWN = "network unknown"
    ENERGY = "energy"
    BYTES = "bytes"
    PARTICIPATIONS = "participations"


WHY_NOT = Phrases(
    fields=MappingProxyType(dict.fromkeys(map(str, Reason), ())),
    templates=MappingProxyType(
        {
            "consent": "you have not agreed to contribute",
            "busy": "the device is in use",
            "idle unknown": "it is not known whether the device is in use",
            "battery": "the device runs on its battery",
            "power unknown": "it is not known whether the device is charging",
            "metered": "the network costs by the byte",
            "network unknown": "it is not known whether the network costs by the byte",
            "energy": "the energy set aside for this is used up for now",
            "bytes": "the bytes set aside for this are used up for now",
            "participations": "the device has taken part often enough for now",
        }
    ),
)


@dataclass(frozen=True, kw_only=True)
class Needs:
    """Which conditions must hold; one that nobody knows of does not hold."""

    idle: bool = True
    charging: bool = True
    unmetered: bool = True


@dataclass(frozen=True, kw_only=True)
class Due:
    """Whether a device should train now.

    Attributes:
        reasons: Why not; none if it should.
    """

    reasons: tuple[Reason, ...]

    @property
    def yes(self) -> bool:
        """Whether it should."""
        return not self.reasons

    def why(self, phrases: Phrases = WHY_NOT) -> str:
        """The reasons in words; empty if it should."""
        return "; ".join(phrases.say(str(reason)) for reason in self.reasons)


def due(
    conditions: Conditions, usage: Usage, consents: Consents, *, needs: Needs | None = None
) -> Due:
    """Whether a device should train now.

    Args:
        conditions: What the host knows of the moment; what it raises counts as not known.
        usage: What taking part has cost, and may cost.
        consents: Of the user.
        needs: Which conditions must hold; all, if not given.
    """
    return Due(reasons=tuple(_reasons(conditions, usage, consents, needs or Needs())))


def _reasons(
    conditions: Conditions, usage: Usage, consents: Consents, needs: Needs
) -> Iterator[Reason]:
    if not consents.has(Purpose.CONTRIBUTE):
        yield Reason.CONSENT
    asked = (
        (needs.idle, conditions.idle, Reason.BUSY, Reason.IDLE_UNKNOWN),
        (needs.charging, conditions.charging, Reason.BATTERY, Reason.POWER_UNKNOWN),
        (needs.unmetered, conditions.unmetered, Reason.METERED, Reason.NETWORK_UNKNOWN),
    )
    for needed, condition, no, unknown in asked:
        found = _asked(condition) if needed else True
        if found is not True:
            yield no if found is False else unknown
    quotas, spent = usage.quotas, usage.spent()
    for limit, used, reason in (
        (quotas.energy, spent.energy, Reason.ENERGY),
        (quotas.sent_bytes, spent.sent_bytes, Reason.BYTES),
        (quotas.participations, spent.participations, Reason.PARTICIPATIONS),
    ):
        if limit is not None and used >= limit:
            yield reason


def _asked(condition: Callable[[], bool | None]) -> bool | None:
    try:
        return condition()
    except Exception:  # noqa: BLE001 - the host's own code must not stop its app from here
        return None
