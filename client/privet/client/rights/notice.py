"""What a user is told when they are asked: purposes, who is behind the app, for how long, where."""

from dataclasses import dataclass
from enum import StrEnum

from privet.privacy.errors import InputError


class Purpose(StrEnum):
    """What a user may agree to, each by itself; nothing is agreed to unless they say so.

    Attributes:
        PERSONALIZE: Record what they do, on this device, and order what they see by it.
        CONTRIBUTE: Send messages that follow from that history, with noise, to a federation.
    """

    PERSONALIZE = "personalize"
    CONTRIBUTE = "contribute"


def purposes_of(named: tuple[str, ...]) -> tuple[Purpose, ...]:
    """Purposes by name, each once.

    Raises:
        InputError: None is named, or one that there is not.
    """
    known = [str(purpose) for purpose in Purpose]
    if not named or any(name not in known for name in named):
        raise InputError(f"Expected purposes, one or more of {', '.join(known)}.")
    return tuple(purpose for purpose in Purpose if purpose in named)


@dataclass(frozen=True, kw_only=True)
class Party:
    """Somebody who has a part in the processing.

    Attributes:
        name: As the law knows them.
        address: Of the post.
        contact: Mail address, number or page.
    """

    name: str
    address: str
    contact: str


@dataclass(frozen=True, kw_only=True)
class Notice:
    """What the app tells its user, and receipts repeat.

    What the app leaves out is missing in its receipts too, and `missing_fields` names it.

    Attributes:
        controller: Who decides on the purposes: as a rule whoever publishes the app.
        jurisdictions: Whose law applies, as codes such as "IE" or "US-CA".
        url: Where the whole notice can be read.
        language: Of the notice, a tag of BCP 47.
        method: How the user said so.
        retention: How long the history is kept on the device.
        withdrawal: Where consent is taken back; as near as where it is given.
        recipients: Who operates the federation, or others who get what leaves.
    """

    controller: Party | None = None
    jurisdictions: tuple[str, ...] = ()
    url: str = ""
    language: str = "en"
    method: str = "a choice in the app"
    retention: str = "until you erase it"
    withdrawal: str = "the same place in the app; it has effect at once"
    recipients: tuple[Party, ...] = ()

    def __post_init__(self) -> None:
        """Check what would be mistaken for a list."""
        if isinstance(self.jurisdictions, str):
            raise InputError("Expected several jurisdictions, found a text.")
