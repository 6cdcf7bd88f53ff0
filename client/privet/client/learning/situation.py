"""What a request for recommendations may use, and when and where it is made."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from privet.client.vault.event import MAX_TIME
from privet.privacy.canonical import Json
from privet.privacy.errors import InputError

_LONGEST_OFFSET_S = 86_400


class Mode(StrEnum):
    """What scores may use.

    Attributes:
        PERSONAL: Everything that the device knows.
        CONTEXTUAL: The present session's events; nothing of what came before, and nothing told.
        POPULAR: Nothing about the user at all; meant as the option that is not based on profiling
            (Digital Services Act, Article 38; GDPR, Article 4(4)).
    """

    PERSONAL = "personal"
    CONTEXTUAL = "contextual"
    POPULAR = "popular"


@dataclass(frozen=True, kw_only=True, repr=False)
class Situation:
    """When and where somebody asks. Its representation shows nothing of it.

    Attributes:
        now: Unix seconds.
        utc_offset_s: Local time less UTC, at most a day either way.
        device: What it is asked on, in the app's words ("tv"); empty for unknown. Events on the
            same one have it in their context, under ``device``.
        session: The session's name; empty if the app has none. Events of it have it in their
            context, under ``session``; without a name a session ends with half an hour's silence.

    Raises:
        InputError: A time out of range.
    """

    now: int
    utc_offset_s: int = 0
    device: str = ""
    session: str = ""

    def __post_init__(self) -> None:
        """Check the times."""
        if not 0 <= self.now <= MAX_TIME or abs(self.utc_offset_s) > _LONGEST_OFFSET_S:
            raise InputError(
                "Expected now in Unix seconds of 0 or more, and an offset of a day at most."
            )


def said(context: Mapping[str, Json], name: str) -> str:
    """A text, or a number as text, in an event's context; empty if there is none."""
    found = context.get(name, "")
    return str(found) if isinstance(found, (str, int)) and not isinstance(found, bool) else ""
