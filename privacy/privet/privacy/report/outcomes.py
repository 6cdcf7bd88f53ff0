"""What an audit's figures say, computed from them and never given."""

from dataclasses import dataclass

from privet.privacy.report.audit import AuditRecord, Outcome


@dataclass(frozen=True, kw_only=True)
class Outcomes:
    """The outcomes of an audit, in the order of its sections.

    Attributes:
        noise_tests: Whether each self-test of noise passed.
        bounds: Whether each bound from below is within its claim.
        attacks: What each attack's figures say.
        failures: What disproves a claim, in words.
        blind: Controls that failed, in words.
    """

    noise_tests: tuple[bool, ...]
    bounds: tuple[bool, ...]
    attacks: tuple[Outcome, ...]
    failures: tuple[str, ...]
    blind: tuple[str, ...]


def outcomes(audit: AuditRecord | None) -> Outcomes | None:
    """The outcomes of an audit; None without one."""
    if audit is None:
        return None
    return Outcomes(
        noise_tests=tuple(test.passed for test in audit.noise_tests),
        bounds=tuple(not bound.broken for bound in audit.bounds),
        attacks=tuple(attack.outcome for attack in audit.attacks),
        failures=audit.failures,
        blind=audit.blind,
    )
