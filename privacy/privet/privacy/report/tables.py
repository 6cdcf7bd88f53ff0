"""What a page says about attacks and spending, in words and rounded figures."""

from collections.abc import Mapping
from dataclasses import dataclass

from privet.privacy.report.claims import Relation
from privet.privacy.report.document import Report
from privet.privacy.report.spending import Accounting, Kind, Profile, Role, Stop
from privet.privacy.report.text import number, percent_up, rounded_down, rounded_up

QUESTIONS: dict[Relation, str] = {
    "zero-out": "whether it is in the data, or empty",
    "replace-one": "which of any two histories it is",
}

ROLES: dict[Role, str] = {
    "claimed": "claimed: the smallest bound",
    "bound": "holds too",
    "check": "check by other code",
}

STOPS: dict[Stop, str] = {
    "plan finished": "the plan came to its end",
    "budget": "the next release would have gone above the limit",
    "unfinished": "the run has not ended",
}


@dataclass(frozen=True, kw_only=True)
class KindFigure:
    """A figure and what kind it is; an upper bound is never written as exact."""

    text: str
    kind: str


@dataclass(frozen=True, kw_only=True)
class AttackRow:
    """What some adversaries could achieve: rates by false positive rate, and single figures."""

    who: str
    rates: tuple[str, ...]
    advantage: str
    mu: KindFigure
    rho: KindFigure


def attack_rates(report: Report) -> tuple[str, ...]:
    """The false positive rates of the table, from the first profile; none without a guarantee."""
    if not report.profiles:
        return ()
    return tuple(percent(a.false_positive_rate) for a in report.profiles[0].attacks)


def attack_rows(report: Report) -> tuple[AttackRow, ...]:
    """One row for each profile; rates rounded up."""
    return tuple(
        AttackRow(
            who=", ".join(profile.adversaries),
            rates=tuple(f"≤ {percent_up(a.true_positive_rate)}" for a in profile.attacks),
            advantage=f"≤ {percent_up(profile.advantage)}",
            mu=kind_figure(profile.mu, profile.mu_kind),
            rho=kind_figure(profile.rho, profile.rho_kind),
        )
        for profile in report.profiles
    )


def headline_profile(report: Report) -> Profile | None:
    """The profile of the adversary that the claim is about."""
    code = report.definition.headline_adversary
    return next((p for p in report.profiles if code in p.adversaries), None)


def kind_figure(value: float | None, kind: Kind | None) -> KindFigure:
    """Mu or rho for a table.

    Example:
        >>> kind_figure(0.5, "exact").text, kind_figure(0.5, "upper").text
        ('0.5', '≤ 0.5')
    """
    if value is None:
        return KindFigure(text="none proven", kind="")
    shown, whole = rounded_up(value)
    if kind == "exact":
        return KindFigure(text=shown, kind="exact" if whole else "exact, rounded up")
    return KindFigure(text=f"≤ {shown}", kind="upper bound")


def percent(rate: float) -> str:
    """A given rate as a percentage, nearest."""
    return f"{number(100 * rate)} %"


def spending_facts(accounting: Accounting) -> dict[str, str]:
    """What stands beside the accountants, by its name."""
    limit, budget, composition = accounting.delta_limit, accounting.budget, accounting.composition
    below = "is below" if limit.holds else "is NOT below"
    who = "against the best informed adversary with a guarantee"
    spent = "—" if budget.spent is None else f"ε {rounded_up(budget.spent)[0]}, {who}"
    return {
        "Budget": "no limit" if budget.epsilon is None else f"ε {number(budget.epsilon)}",
        "Spent of it": spent,
        "Left of it": "—" if budget.remaining is None else f"ε {rounded_down(budget.remaining)}",
        "Why it stopped": STOPS[budget.stop],
        "Delta": f"{number(limit.delta)} {below} 1 / {number(limit.users)} users, which is "
        f"{number(limit.limit)}",
        "Check by other code": _gap(accounting.gap),
        "Releases": f"{number(composition.releases)}, of them {number(composition.repeats)} "
        f"repeated; one user is in at most {number(composition.participations)}",
        "Runs counted": number(len(composition.runs)),
    }


def settings_text(settings: Mapping[str, float]) -> str:
    """An accountant's settings in one line."""
    return ", ".join(f"{k.replace('_', ' ')} {number(v)}" for k, v in sorted(settings.items()))


def _gap(gap: float | None) -> str:
    if gap is None:
        return "—"
    side = "above" if gap >= 0 else "below"
    return f"its ε is {number(abs(gap), 3)} {side} the claim"
