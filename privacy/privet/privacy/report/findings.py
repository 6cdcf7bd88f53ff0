"""What a linter of claims finds in a report."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Severity: TypeAlias = Literal["error", "warning", "note"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that a reader should know before believing a claim.

    Attributes:
        code: Of the rule, the same for every report.
        severity: ``error`` where something disproves or voids the claim, ``warning`` where it may
            mean less than it seems to, ``note`` for small print.
        title: In a few words.
        detail: In a sentence or two: what was found, and what to do.
        field: Which field it is about, as ``accounting.delta_limit``.
    """

    code: str
    severity: Severity
    title: str
    detail: str
    field: str
