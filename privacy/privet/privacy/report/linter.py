"""The linter of claims: what follows from a report that its reader may not see at once."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from privet.privacy.report.findings import Finding

if TYPE_CHECKING:
    from privet.privacy.report.document import Report


def findings(report: "Report") -> tuple[Finding, ...]:
    """Everything found, errors first; a pure function of the sections."""
    order = ("error", "warning", "note")
    return tuple(sorted(_found(report), key=lambda one: order.index(one.severity)))


def _found(report: "Report") -> Iterator[Finding]:
    if report.verdict == "NOT PRIVATE":
        yield Finding(
            code="not-private",
            severity="error",
            title="The run is not private",
            detail=f"{report.claim} Run it again with real noise before anything is released.",
            field="identity.noise_randomness",
        )
    if report.audit is None:
        return
    for failure in report.audit.failures:
        yield Finding(
            code="audit-failure",
            severity="error",
            title=f"The audit contradicts the claim: {failure}",
            detail="What was measured is more than the accountant allows. Something in the run is "
            "broken: do not rely on its epsilon.",
            field="audit",
        )
    for control in report.audit.blind:
        yield Finding(
            code="blind-control",
            severity="error",
            title=f"A negative control failed: {control}",
            detail="The attack did not succeed where there was no protection, so that it failed "
            "against the run shows nothing.",
            field="audit.attacks",
        )
