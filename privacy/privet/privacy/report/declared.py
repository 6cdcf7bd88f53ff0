"""Facts that only people know: who is responsible, for what purpose, on what legal basis.

They come from a file, ``about.toml``, and nothing of them can be checked. What is not declared is
absent, and nothing is filled in.
"""

import hashlib
import tomllib
from dataclasses import dataclass, fields
from typing import Literal, TypeAlias

from privet.privacy.errors import InputError
from privet.privacy.records import decode

YesNo: TypeAlias = Literal["yes", "no"]
PlatformSize: TypeAlias = Literal["micro", "small", "medium", "large", "very large"]

MAX_BYTES = 1 << 18
MAX_TEXT = 20_000


@dataclass(frozen=True, kw_only=True)
class Declared:
    """What whoever runs a federation declares of it.

    Attributes:
        service: Name of the app or service.
        controller: Who decides on purposes and means, with address (GDPR Art. 30(1)(a)).
        contact: How to reach the controller.
        data_protection_officer: Name and contact.
        representative: In the Union (Art. 27).
        joint_controllers: If there are any (Art. 26).
        purposes: Of the processing.
        legal_basis: Art. 6, with what it rests on.
        data_subjects: Categories.
        personal_data: Categories.
        recipients: Categories.
        transfers: To third countries or international organisations.
        safeguards: Of these transfers.
        retention: Time limits, by category.
        processors: Who processes on the controller's behalf (Art. 28).
        user_base: How many users there are, and who they are.
        markets: Countries.
        rights_contact: Where users ask for their rights.
        online_platform: Whether the service is an online platform in the sense of the DSA.
        platform_size: Size of the platform's provider; ``very large`` as designated.
    """

    service: str | None = None
    controller: str | None = None
    contact: str | None = None
    data_protection_officer: str | None = None
    representative: str | None = None
    joint_controllers: str | None = None
    purposes: str | None = None
    legal_basis: str | None = None
    data_subjects: str | None = None
    personal_data: str | None = None
    recipients: str | None = None
    transfers: str | None = None
    safeguards: str | None = None
    retention: str | None = None
    processors: str | None = None
    user_base: str | None = None
    markets: str | None = None
    rights_contact: str | None = None
    online_platform: YesNo | None = None
    platform_size: PlatformSize | None = None

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of the fields that nobody declared."""
        return tuple(f.name for f in fields(self) if getattr(self, f.name) is None)


_HINTS = {
    "service": "Name of the app or service.",
    "controller": "Name and address of the controller: GDPR Art. 30(1)(a).",
    "contact": "How to reach the controller.",
    "data_protection_officer": "Name and contact, if there is one: Art. 37.",
    "representative": "Representative in the Union, if the controller has none there: Art. 27.",
    "joint_controllers": "Joint controllers and who answers for what: Art. 26.",
    "purposes": "Why the data are processed: Art. 30(1)(b).",
    "legal_basis": "Art. 6(1), and what it rests on.",
    "data_subjects": "Categories of data subjects: Art. 30(1)(c).",
    "personal_data": "Categories of personal data, on the device too: Art. 30(1)(c).",
    "recipients": "Categories of recipients: Art. 30(1)(d).",
    "transfers": "Third countries or international organisations: Art. 30(1)(e).",
    "safeguards": "Of these transfers: Art. 46 or 49.",
    "retention": "Time limits for erasure, by category: Art. 30(1)(f).",
    "processors": "Names, and what they do: Art. 28.",
    "user_base": "How many users, and who they are.",
    "markets": "Countries in which the service is offered.",
    "rights_contact": "Where users ask for access, erasure and so on: Art. 12 to 22.",
    "online_platform": '"yes" or "no": an online platform in the sense of the DSA, Art. 3(i).',
    "platform_size": '"micro", "small", "medium", "large", or "very large" as designated.',
}


def about_template() -> str:
    """An ``about.toml`` in which every field is explained and none is filled in."""
    lines = [
        "# Facts about the processing, for a report's legal parts. Take the # away",
        "# in front",
    ]
    lines[1] += " of a line to declare it; what is not declared is absent from the report."
    for name, hint in _HINTS.items():
        lines += ["", f"# {hint}", f'#{name} = ""']
    return "\n".join(lines) + "\n"


def read_about(data: bytes) -> tuple[Declared, str]:
    """Declared facts from the bytes of an ``about.toml``, with their SHA-256.

    Raises:
        InputError: Not TOML, a field that is not known, or one of another type; says which field,
            and nothing of what is in it.
    """
    if len(data) > MAX_BYTES:
        raise InputError(f"Expected about.toml of at most {MAX_BYTES} bytes, found {len(data)}.")
    try:
        found = tomllib.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(
            "Expected about.toml to be TOML in UTF-8; --about-template prints one to begin with."
        ) from error
    names = {field.name for field in fields(Declared)}
    if unknown := sorted(name[:40] for name in found.keys() - names):
        raise InputError(
            f"Expected only known fields in about.toml, found {', '.join(unknown)!r}. Known are "
            f"{', '.join(sorted(names))}."
        )
    for name, value in found.items():
        if not isinstance(value, str) or not value.strip() or len(value) > MAX_TEXT:
            raise InputError(
                f"Expected {name} in about.toml to be text of 1 to {MAX_TEXT} characters; leave "
                "the line away for what is not declared."
            )
    declared: Declared = decode(
        Declared, {name: found.get(name) for name in sorted(names)}, "about.toml"
    )
    return declared, hashlib.sha256(data).hexdigest()
