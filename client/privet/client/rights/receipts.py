"""Consent receipts: the fields of ISO/IEC TS 27560:2023 as JSON-LD, in the words of W3C's DPV.

A receipt wraps one record a purpose, as the guide of the Data Privacy Vocabulary does (DPVCG, "Consent
Records and Receipts as per ISO/IEC TS 27560:2023 using DPV", https://w3id.org/dpv/guides/consent-27560).
"""

import hmac
import json
import math
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from privet.client.rights.notice import Notice, Party, Purpose
from privet.client.rights.receipt_fields import missing_fields
from privet.privacy.canonical import Json, sha256, to_json
from privet.privacy.errors import IntegrityError

_CONTEXT: dict[str, Json] = {
    "dpv": "https://w3id.org/dpv#",
    "pd": "https://w3id.org/dpv/pd#",
    "loc": "https://w3id.org/dpv/loc#",
    "dct": "http://purl.org/dc/terms/",
    "schema": "https://schema.org/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "privet": "urn:privet:consent:",
}
_SCHEMA = "https://w3id.org/dpv/schema/dpv-27560#"
_DIGEST = "privet:digest"
_LAST_SECOND = 253_402_300_799  # of the year 9999
_RECORDS = "dpv:hasRecordOfActivity"

_PROCESS: dict[Purpose, dict[str, Json]] = {
    Purpose.PERSONALIZE: {
        "dpv:hasPurpose": "dpv:ProvidePersonalisedRecommendations",
        "dct:description": "record what you do in this app and order what it shows you by that",
        "dpv:hasPersonalData": ["pd:Preference"],
        "dpv:hasProcessing": ["dpv:Store", "dpv:Derive"],
    },
    Purpose.CONTRIBUTE: {
        "dpv:hasPurpose": "dpv:ServiceOptimisation",
        "dct:description": "send messages made from that history, with noise, to train a model "
        "that many devices share",
        "dpv:hasPersonalData": ["dpv:DerivedPersonalData"],
        "dpv:hasProcessing": ["dpv:Derive", "dpv:Transmit"],
    },
}


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class ConsentReceipt:
    """A receipt, whole: JSON-LD.

    Attributes:
        document: What is in it. Nothing of a history is.
    """

    document: Mapping[str, Any]

    def to_json(self) -> bytes:
        """For the user to keep."""
        return json.dumps(self.document, ensure_ascii=False, indent=1).encode()

    @property
    def missing_fields(self) -> tuple[str, ...]:
        """Those of `FIELDS` that the app's notice did not give."""
        return missing_fields(self.document, self.document.get(_RECORDS, []))

    def check(self) -> None:
        """Check the receipt against its own digest, and terms in it against theirs.

        It shows that nothing was changed by accident or by half. Whoever can make a receipt can make
        another one with another digest: it is not signed.

        Raises:
            IntegrityError: Something was changed.
        """
        body = {name: value for name, value in self.document.items() if name != _DIGEST}
        digests = [(self.document.get(_DIGEST), body)]
        digests += [
            (record.get("privet:termsHash"), record["privet:terms"])
            for record in body.get(_RECORDS, [])
            if "privet:terms" in record
        ]
        for found, of in digests:
            if type(found) is not str or not hmac.compare_digest(found, sha256(of)):
                raise IntegrityError("A consent receipt is not as it was given: it was changed.")


def make_receipt(records: Sequence[Mapping[str, Json]], *, at: float) -> ConsentReceipt:
    """Wrap records, and add the digest."""
    name = str(uuid.uuid4())
    body: dict[str, Any] = {
        "@context": dict(_CONTEXT),
        "@id": f"urn:uuid:{name}",
        "@type": "dpv:ConsentReceipt",
        "dct:identifier": name,
        "dct:conformsTo": _SCHEMA + "receipt",
        "dct:created": iso(at),
        "schema:recipient": "dpv:DataSubject",
        _RECORDS: [to_json(record) for record in records],
    }
    return ConsentReceipt(document={**body, _DIGEST: sha256(body)})


def make_record(
    purpose: Purpose,
    notice: Notice,
    *,
    record: str,
    principal: str,
    statuses: Iterable[Mapping[str, Json]],
    terms: Mapping[str, Json] | None,
) -> dict[str, Json]:
    """What was asked and answered for one purpose.

    Args:
        purpose: The purpose.
        notice: What the app tells.
        record: Its identifier.
        principal: Identifier of the user, made at random on this device.
        statuses: From `make_status`.
        terms: Of a federation, as they were shown.
    """
    body: dict[str, Json] = {
        "@id": f"urn:uuid:{record}",
        "@type": "dpv:ConsentRecord",
        "dct:identifier": record,
        "dct:conformsTo": _SCHEMA + "record",
        "dpv:hasDataSubject": {"@id": f"urn:uuid:{principal}", "@type": "dpv:DataSubject"},
        "dpv:hasDataController": _party(notice.controller, "controller", "dpv:DataController"),
        "dpv:hasJurisdiction": [f"loc:{code}" for code in notice.jurisdictions],
        "dpv:hasNotice": {
            "@id": notice.url,
            "@type": "dpv:ConsentNotice",
            "dct:language": notice.language,
        },
        "dpv:hasProcess": _process(purpose, notice, terms),
        "dpv:hasConsentControl": {
            "@type": "dpv:WithdrawConsent",
            "dpv:isExercisedAt": notice.withdrawal,
        },
        "dpv:hasConsentStatus": [dict(status) for status in statuses],
    }
    if terms is not None:
        body |= {
            "privet:terms": dict(terms),
            "privet:termsHash": sha256(terms),
            "privet:planHash": terms["plan_hash"],
            "privet:policyHash": terms["policy_hash"],
        }
    return body


def make_status(status: str, *, at: float, method: str) -> dict[str, Json]:
    """One event of a record: a status of DPV, who gave it, how, and when."""
    return {
        "@type": status,
        "dpv:hasLegalBasis": "dpv:ExplicitlyExpressedConsent",
        "dpv:isIndicatedBy": "dpv:DataSubject",
        "dpv:hasIndicationMethod": method,
        "dpv:isIndicatedAtTime": iso(at),
        "dct:valid": "until it is withdrawn" if status == "dpv:ConsentGiven" else "from then on",
    }


def iso(at: float) -> str:
    """A time in UTC, to the second, in ISO 8601; of a clock that is out of order, the nearest one."""
    whole = int(at) if math.isfinite(at) else 0
    return datetime.fromtimestamp(min(max(whole, 0), _LAST_SECOND), UTC).isoformat()


def _process(purpose: Purpose, notice: Notice, terms: Mapping[str, Json] | None) -> dict[str, Json]:
    stored: list[Json] = [
        {"@type": "dpv:StorageLocation", "dpv:hasLocation": "dpv:WithinDevice"},
        {"@type": "dpv:StorageDuration", "dpv:hasDuration": _until(notice.retention)},
    ]
    recipients: list[Json] = ["dpv:DataSubject"]
    if terms is not None:
        recipients = [
            {
                "@type": "dpv:Recipient",
                "dpv:hasName": terms["name"],
                "privet:server": terms["server"],
            },
            *(
                _party(party, f"recipient {number}", "dpv:Recipient")
                for number, party in enumerate(notice.recipients, 1)
            ),
        ]
        stored.append(
            {
                "@type": "dpv:StorageDuration",
                "dct:description": "of what was sent, at the recipient",
                "dpv:hasDuration": _until("the round ends, as the policy with this hash declares"),
            }
        )
    return {
        "@type": "dpv:Process",
        **_PROCESS[purpose],
        "dpv:hasLegalBasis": "dpv:ExplicitlyExpressedConsent",
        "dpv:hasRecipient": recipients,
        "dpv:hasStorageCondition": stored,
    }


def _until(event: str) -> dict[str, Json]:
    return {"@type": "dpv:UntilEventDuration", "rdf:value": event}


def _party(party: Party | None, name: str, role: str) -> Json:
    if party is None:
        return None
    return {
        "@type": role,
        "dct:identifier": name,
        "dpv:hasName": party.name,
        "dpv:hasAddress": party.address,
        "dpv:hasContact": party.contact,
    }
