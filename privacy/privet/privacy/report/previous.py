"""What changed since an earlier report."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

ChangeKind: TypeAlias = Literal["better", "worse", "neutral"]


@dataclass(frozen=True, kw_only=True)
class Change:
    """One difference between two reports.

    Attributes:
        field: What it is about, as ``adversaries.A3.epsilon``.
        severity: ``worse`` where users are less protected than before.
        before: In words; empty where there was nothing.
        after: In words; empty where there is nothing any more.
    """

    field: str
    severity: ChangeKind
    before: str
    after: str


@dataclass(frozen=True, kw_only=True)
class Previous:
    """An earlier report, and what changed since.

    Attributes:
        digest: SHA-256 of its canonical JSON.
        report_id: Its id.
        created_at: When it was made.
        changes: Worse ones first.
    """

    digest: str
    report_id: str
    created_at: str
    changes: tuple[Change, ...]

    @property
    def regressions(self) -> tuple[Change, ...]:
        """Changes for the worse."""
        return tuple(change for change in self.changes if change.severity == "worse")
