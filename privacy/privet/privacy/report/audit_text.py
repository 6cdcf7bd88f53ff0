"""An audit's figures in words, a line a finding, for the page."""

from dataclasses import dataclass

from privet.privacy.report.audit import Attack, AuditRecord, BoundFromBelow, Figure, NoiseTest
from privet.privacy.report.claims import ADVERSARIES
from privet.privacy.report.sections import GroupRow, Interval
from privet.privacy.report.text import number, percent_up

_METHODS = {
    "mu": "distance of means (Nasr et al. 2023)",
    "curve": "guesses against the whole curve (Mahloujifar et al. 2025)",
    "counting": "two rates (Clopper and Pearson)",
    "one-run": "guesses in one run (Steinke et al. 2023)",
}


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of a table: what was tried, what was found, what the claim allows, and the outcome.

    Attributes:
        title: What was tried.
        note: More of it, small.
        found: What was found, one figure each.
        limit: What the claim allows, or a control needs, beside each.
        outcome: In two or three words.
        bad: Whether the outcome disproves a claim or blinds an attack.
    """

    title: str
    note: str
    found: tuple[str, ...]
    limit: tuple[str, ...]
    outcome: str
    bad: bool


def noise_line(test: NoiseTest) -> Line:
    """The self-test of a step's noise."""
    return Line(
        title=f"Noise of {test.step}",
        note=f"{number(test.canaries)} canaries, each alone in a coordinate; would have seen noise "
        f"below {number(test.power, 2)} of what is claimed",
        found=(f"mu of at least {number(test.bound, 4)}",),
        limit=(f"at most {number(test.claimed_mu, 4)}",),
        outcome="passed" if test.passed else "above the claim",
        bad=not test.passed,
    )


def bound_line(bound: BoundFromBelow) -> Line:
    """One bound from below."""
    found = [f"epsilon of at least {number(bound.epsilon, 4)} at delta {number(bound.delta)}"]
    limit = [f"at most {number(bound.claimed_epsilon, 4)}"]
    if bound.mu is not None and bound.claimed_mu is not None:
        found.insert(0, f"mu of at least {number(bound.mu, 4)}")
        limit.insert(0, f"at most {number(bound.claimed_mu, 4)}")
    sees = (
        f"would have seen noise below {number(bound.power, 2)} of what is claimed"
        if bound.power
        else "too weak to see even a twentieth of the noise"
    )
    return Line(
        title=_METHODS.get(bound.method, bound.method),
        note=f"{bound.adversary}, {bound.access}; {number(bound.canaries)} canaries in "
        f"{bound.position}; confidence {100 * bound.confidence:.6g} %; {sees}",
        found=tuple(found),
        limit=tuple(limit),
        outcome="above the claim" if bound.broken else "within the claim",
        bad=bound.broken,
    )


def attack_line(attack: Attack) -> Line:
    """One attack, or its control."""
    who = "nobody in the threat model"
    if attack.adversary is not None:
        who = f"{attack.adversary}, {ADVERSARIES[attack.adversary]}"
    figures = [(_figure(f), _limit(f)) for f in attack.figures]
    figures += [
        (
            f"finds {_share(point.tpr)} at {percent_up(point.fpr)} false alarms",
            "" if point.allowed is None else f"at most {percent_up(point.allowed)}",
        )
        for point in attack.roc
    ]
    return Line(
        title=f"{attack.goal}: {attack.name}, from the {attack.observable}",
        note=f"seen by {who}; {number(attack.targets)} targets; {attack.source}. {attack.note}",
        found=tuple(found for found, _ in figures),
        limit=tuple(limit for _, limit in figures),
        outcome=attack.outcome,
        bad=attack.outcome in ("above the claim", "control fails"),
    )


def verdict_sentence(record: AuditRecord) -> str:
    """What the audit says, first."""
    if record.failures:
        return f"The audit DISPROVES the claim: {'; '.join(record.failures)}."
    blind = f" But {len(record.blind)} of the attacks are blind: {'; '.join(record.blind)}."
    return (
        "Nothing that was tried found more than the claim allows. That says as much as the power "
        f"of each attack, and no more.{blind if record.blind else ''}"
    )


def group_cells(row: GroupRow) -> tuple[str, str]:
    """A group's mean and its loss."""
    loss = "—" if row.loss is None else f"{_signed(row.loss.mean)}, {_range(row.loss)}"
    value = f"{row.value.mean:.3f}, {row.value.low:.3f} to {row.value.high:.3f}"
    return value, loss


def _range(interval: Interval) -> str:
    return f"{_signed(interval.low)} to {_signed(interval.high)}"


def _signed(share: float) -> str:
    return f"{100 * share:.1f} %"


def _figure(figure: Figure) -> str:
    value = figure.value
    shown = f"{figure.name} {value.mean:.3f}, {value.low:.3f} to {value.high:.3f}"
    if figure.baseline is not None:
        shown += f"; without looking {figure.baseline:.3f}"
    return shown


def _limit(figure: Figure) -> str:
    if figure.needed is not None:
        return f"needs {figure.needed:.3f}"
    return "" if figure.allowed is None else f"at most {figure.allowed:.3f}"


def _share(interval: Interval) -> str:
    mean, low, high = (100 * v for v in (interval.mean, interval.low, interval.high))
    return f"{mean:.2f} % ({low:.2f} to {high:.2f})"
