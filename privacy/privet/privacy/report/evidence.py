"""By section, the hash of what it was made from: of the ledger, of a file, or of what is beside it."""

from typing import TYPE_CHECKING

from privet.privacy.canonical import sha256
from privet.privacy.errors import InputError, IntegrityError
from privet.privacy.records import encode
from privet.privacy.report.audit import AuditRecord

if TYPE_CHECKING:
    from privet.privacy.report.document import Report

FROM_LEDGER = (
    "definition",
    "adversaries",
    "profiles",
    "mechanism",
    "aggregation",
    "accounting",
    "egress",
    "security",
    "ledger",
)
FROM_FILES = ("declared", "quality")
_HEX = frozenset("0123456789abcdef")


def evidence(report: "Report") -> dict[str, str]:
    """The SHA-256 of what each section was made from; sections without evidence are left out.

    What follows from the run's ledger has the ledger's head, the population its own ledger's, the
    audit the hash of ``audit.json``, which is its canonical JSON, what leaves the policy's hash, the
    difference the hash of the previous report, and the rest that of the file that it came from.
    """
    found = {name: report.ledger.head for name in FROM_LEDGER if getattr(report, name) is not None}
    if report.population is not None:
        found["population"] = report.population.ledger.head
    if report.audit is not None:
        found["audit"] = sha256(encode(report.audit, AuditRecord, "audit"))
    if report.identity.policy_hash is not None:
        found["minimization"] = report.identity.policy_hash
    if report.previous is not None:
        found["previous"] = report.previous.digest
    return {**found, **report.files}


def check_files(report: "Report") -> None:
    """Hashes of files are those of sections that come from files.

    Raises:
        InputError: Another section, or what is no SHA-256.
        IntegrityError: A file is named without a section, or facts are declared without a file.
    """
    for name, digest in report.files.items():
        if name not in FROM_FILES:
            raise InputError(f"Expected files of {' and '.join(FROM_FILES)} only, found {name!r}.")
        if len(digest) != 64 or not set(digest) <= _HEX:
            raise InputError(f"Expected a SHA-256 in hexadecimal for the file of {name}.")
    if (report.declared is not None) != ("declared" in report.files):
        raise IntegrityError(
            "Expected the hash of about.toml beside what was declared, and only then."
        )
