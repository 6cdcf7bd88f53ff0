"""The fields that ISO/IEC TS 27560:2023 makes mandatory, and where a record in JSON-LD has them.

After the table of terms in the guide of the Data Privacy Vocabulary
(https://w3id.org/dpv/guides/consent-27560).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_PATHS: dict[str, tuple[str, ...]] = {
    "schema version": ("dct:conformsTo",),
    "record id": ("dct:identifier",),
    "pii principal id": ("dpv:hasDataSubject", "@id"),
    "privacy notice": ("dpv:hasNotice", "@id"),
    "language": ("dpv:hasNotice", "dct:language"),
    "purpose": ("dpv:hasProcess", "dpv:hasPurpose"),
    "lawful basis": ("dpv:hasProcess", "dpv:hasLegalBasis"),
    "pii information": ("dpv:hasProcess", "dpv:hasPersonalData"),
    "pii type": ("dpv:hasProcess", "dpv:hasPersonalData"),
    "pii controllers": ("dpv:hasDataController", "dct:identifier"),
    "storage locations": ("dpv:hasProcess", "dpv:hasStorageCondition", "dpv:hasLocation"),
    "retention period": ("dpv:hasProcess", "dpv:hasStorageCondition", "dpv:hasDuration"),
    "jurisdiction": ("dpv:hasJurisdiction",),
    "recipient third parties": ("dpv:hasProcess", "dpv:hasRecipient"),
    "withdrawal method": ("dpv:hasConsentControl", "dpv:isExercisedAt"),
    "party id": ("dpv:hasDataController", "dct:identifier"),
    "party name": ("dpv:hasDataController", "dpv:hasName"),
    "party address": ("dpv:hasDataController", "dpv:hasAddress"),
    "party contact": ("dpv:hasDataController", "dpv:hasContact"),
    "party type": ("dpv:hasDataController", "@type"),
    "event time": ("dpv:hasConsentStatus", "dpv:isIndicatedAtTime"),
    "validity duration": ("dpv:hasConsentStatus", "dct:valid"),
    "entity id": ("dpv:hasConsentStatus", "dpv:isIndicatedBy"),
    "event type": ("dpv:hasConsentStatus", "dpv:hasLegalBasis"),
    "event state": ("dpv:hasConsentStatus", "@type"),
}
FIELDS = ("receipt id", *_PATHS)
"""The mandatory fields of ISO/IEC TS 27560:2023, and the lawful basis, which the GDPR asks for."""


def missing_fields(
    receipt: Mapping[str, Any], records: Iterable[Mapping[str, Any]]
) -> tuple[str, ...]:
    """Those of `FIELDS` that a receipt, or one of its records, does not have."""
    held = list(records)
    own = () if receipt.get("dct:identifier") else ("receipt id",)
    return (*own, *(n for n, path in _PATHS.items() if not all(_holds(r, path) for r in held)))


def _holds(body: object, path: Sequence[str]) -> bool:
    """Whether there is something at a path, in every event and in one of other lists' members."""
    if not path:
        return bool(body)
    if isinstance(body, list):
        held = [_holds(member, path) for member in body]
        return bool(held) and any(held)
    return isinstance(body, Mapping) and _holds(body.get(path[0]), path[1:])
