"""Decisions on purposes as entries of the vault: what one is, and what a yes or a no makes of it."""

import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from privet.client.rights.notice import Notice, Purpose
from privet.client.rights.receipts import ConsentReceipt, make_receipt, make_record, make_status
from privet.client.vault.event import Entry, EntryKind
from privet.privacy.canonical import Json, to_json
from privet.privacy.errors import InputError

if TYPE_CHECKING:
    from privet.client.consent import Terms

GPC = "Global Privacy Control"
PURPOSE, RECEIPT, SIGNAL, PRINCIPAL = "purpose/", "receipt/", "gpc", "principal"
"""Names of entries, or how they begin."""
GIVEN, WITHDRAWN, REFUSED = "dpv:ConsentGiven", "dpv:ConsentWithdrawn", "dpv:ConsentRefused"
_SCOPES = {
    "personalize": (Purpose.PERSONALIZE,),
    "contribute": (Purpose.CONTRIBUTE,),
    "all": tuple(Purpose),
}


def granted(terms: "Terms | None", method: str, at: float, *, despite_gpc: bool) -> dict[str, Json]:
    """A purpose as it is after a yes: a record begins."""
    return {
        "record": str(uuid.uuid4()),
        "status": GIVEN,
        "opted_out": False,
        "despite_gpc": despite_gpc,
        "terms": None if terms is None else to_json(terms.to_dict()),
        "statuses": [make_status(GIVEN, at=at, method=method)],
    }


def refused(old: Mapping[str, Any], method: str, at: float, *, opted_out: bool) -> dict[str, Json]:
    """A purpose as it is after a no: the record of a consent goes on, or one of a refusal begins."""
    given = old.get("status") == GIVEN
    status = make_status(WITHDRAWN if given else REFUSED, at=at, method=method)
    return {
        "record": old["record"] if given else str(uuid.uuid4()),
        "status": WITHDRAWN if given else REFUSED,
        "opted_out": opted_out,
        "despite_gpc": False,
        "terms": old.get("terms") if given else None,
        "statuses": [*old["statuses"], status] if given else [status],
    }


def signals(kept: Mapping[str, Any]) -> bool:
    """Whether Global Privacy Control asks not to share now."""
    return bool(kept.get(SIGNAL, {}).get("signal", False))


def scope_of(scope: str) -> tuple[Purpose, ...]:
    """The purposes of a scope.

    Raises:
        InputError: There is no such scope.
    """
    if scope not in _SCOPES:
        raise InputError(f"Expected a scope, one of {', '.join(_SCOPES)}.")
    return _SCOPES[scope]


def written(
    notice: Notice, decided: Mapping[Purpose, dict[str, Any]], kept: Mapping[str, Any], at: float
) -> tuple[list[Entry], ConsentReceipt]:
    """Decisions and their receipt as entries.

    Args:
        notice: What the app tells.
        decided: From `granted` and `refused`.
        kept: What is kept before them.
        at: Unix seconds.
    """
    principal = str(kept.get(PRINCIPAL) or uuid.uuid4())
    records = [
        make_record(
            purpose,
            notice,
            record=new["record"],
            principal=principal,
            statuses=new["statuses"],
            terms=new["terms"],
        )
        for purpose, new in decided.items()
    ]
    receipt = make_receipt(records, at=at)
    name = RECEIPT + str(receipt.document["dct:identifier"])
    return [
        *(entry(PURPOSE + purpose, new) for purpose, new in decided.items()),
        entry(PRINCIPAL, principal),
        entry(name, dict(receipt.document)),
    ], receipt


def entry(name: str, value: Json) -> Entry:
    """What is kept under a name."""
    return Entry(kind=EntryKind.CONSENT, name=name, value=value)
