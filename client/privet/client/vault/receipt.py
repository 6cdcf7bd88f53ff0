"""What is kept for how long, and a receipt of what was erased."""

from dataclasses import dataclass
from enum import StrEnum

from privet.privacy.canonical import Json
from privet.privacy.errors import InputError

RECEIPT_SCHEMA = "privet.erasure/1"


class Scope(StrEnum):
    """What was asked to be erased."""

    ITEMS = "items"
    BEFORE = "before"
    RETENTION = "retention"
    ALL = "all"


@dataclass(frozen=True, kw_only=True)
class Retention:
    """How long events are kept.

    Attributes:
        max_age_seconds: Events that are older are erased; None for no limit. Events without a time
            have no age; those of the future, after a clock went back, count as new.
        max_events: The latest by time stay; None for no limit.

    Raises:
        InputError: A limit is not above 0.
    """

    max_age_seconds: int | None = None
    max_events: int | None = None

    def __post_init__(self) -> None:
        """Check the limits."""
        for name in ("max_age_seconds", "max_events"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InputError(f"Expected {name} above 0 or None.")


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """What an erasure did, without a word of what was erased.

    Attributes:
        scope: What was asked for.
        events: Events that were erased.
        entries: Entries that were erased, local states included: they are derived from the events.
        events_left: Events that are still held.
        entries_left: Entries that are still held.
        at: Unix seconds, by the device's clock.
        key_destroyed: Whether the data key was replaced, so that no copy of the erased rows can be
            opened with this store's key any more.
        wrapping_key_destroyed: Whether the key that had wrapped it was removed as well, by the key
            source; False where it is the host's or a passphrase.
        state_digest: Of the content that is left; keyed, so that nobody can guess at it.
    """

    scope: Scope
    events: int
    entries: int
    events_left: int
    entries_left: int
    at: int
    key_destroyed: bool
    wrapping_key_destroyed: bool
    state_digest: str

    def to_dict(self) -> dict[str, Json]:
        """For JSON."""
        return {
            "schema": RECEIPT_SCHEMA,
            "scope": str(self.scope),
            "erased": {"events": self.events, "entries": self.entries},
            "left": {"events": self.events_left, "entries": self.entries_left},
            "at": self.at,
            "key_destroyed": self.key_destroyed,
            "wrapping_key_destroyed": self.wrapping_key_destroyed,
            "state_digest": self.state_digest,
        }
