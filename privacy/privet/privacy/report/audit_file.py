"""An audit as a file: canonical JSON, whose hash is the evidence in a report."""

from privet.privacy.canonical import canonical_bytes, parse_canonical
from privet.privacy.errors import InputError, IntegrityError
from privet.privacy.records import decode, encode
from privet.privacy.report.audit import AuditRecord

AUDIT = "audit.json"


def audit_bytes(record: AuditRecord) -> bytes:
    """The record as canonical JSON."""
    return canonical_bytes(encode(record, AuditRecord, "audit"))


def read_audit(data: bytes) -> AuditRecord:
    """Reads what `audit_bytes` wrote.

    Raises:
        IntegrityError: It is cut off, was changed by hand, or is no audit.
    """
    try:
        record: AuditRecord = decode(AuditRecord, parse_canonical(data), "audit")
    except InputError as error:
        raise IntegrityError(f"{AUDIT} is damaged, or no audit: {error}") from error
    if audit_bytes(record) != data:
        raise IntegrityError(f"{AUDIT} was changed: its bytes are not those that its figures give.")
    return record
