"""From a run's ledger to what was spent, and to what an attacker could achieve at most."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from privet.privacy.accounting.account import Account
from privet.privacy.accounting.accountants import claimed_epsilon
from privet.privacy.accounting.adversaries import ReleaseTerms, Trust, events_of
from privet.privacy.accounting.profile import PrivacyProfile
from privet.privacy.ledger import closed_steps
from privet.privacy.population import recorded_membership
from privet.privacy.report.sections import AdversaryGuarantee, Identity
from privet.privacy.report.spending import (
    AccountantResult,
    Accounting,
    AttackBound,
    Budget,
    Composition,
    DeltaLimit,
    Profile,
    ProfilePoint,
    Role,
    SpentPoint,
    Stop,
    gap,
    remaining,
)
from privet.privacy.report.view import LedgerView

_COUNTED = ("every charged release of this run, repeats after an interruption included",)
_OTHERS = "other runs on the same users, for tuning or for use: their costs add up"
_OTHERS_COUNTED = (
    "other runs on the same users: the section on the population adds them up, those for tuning too"
)
_NOT_COUNTED = (
    "picking the best of several runs by their results on held-out data",
    "other uses of the same histories, by Privet or by anything else",
)
_ROUNDING = 1e-9


def profiles(view: LedgerView) -> tuple[Profile, ...]:
    """All that holds against whom, once for adversaries who see the same releases."""
    return tuple(
        Profile(
            adversaries=tuple(adversary.value for adversary in adversaries),
            epsilon=found.epsilon,
            delta=found.delta,
            mu=found.mu,
            mu_kind=found.mu_kind,
            rho=found.rho,
            rho_kind=found.rho_kind,
            points=tuple(ProfilePoint(epsilon=e, delta=d) for e, d in found.points),
            attacks=_attacks(found),
            advantage=found.advantage,
            accountants=found.accountants,
        )
        for adversaries, found in view.profiles
    )


def _attacks(found: PrivacyProfile) -> tuple[AttackBound, ...]:
    return tuple(
        AttackBound(false_positive_rate=false, true_positive_rate=true)
        for false, true in found.true_positive_rates
    )


def privacy_rows(
    adversaries: Iterable[AdversaryGuarantee], found: Iterable[Profile]
) -> list[dict[str, Any]]:
    """A report's guarantees in short, for scripts: one JSON object an adversary.

    Args:
        adversaries: The rows of the report.
        found: Its profiles.
    """
    of = {code: profile for profile in found for code in profile.adversaries}
    rows = []
    for row in adversaries:
        profile = of.get(row.adversary)
        rates = profile.attacks if profile else ()
        rows.append(
            {
                "adversary": row.adversary,
                "epsilon": row.epsilon,
                "delta": row.delta,
                "mu": row.mu,
                "mu_kind": row.mu_kind,
                "rho": profile.rho if profile else None,
                "rho_kind": profile.rho_kind if profile else None,
                "advantage": profile.advantage if profile else None,
                "true_positive_rates": [
                    [rate.false_positive_rate, rate.true_positive_rate] for rate in rates
                ],
            }
        )
    return rows


def accounting(view: LedgerView, identity: Identity) -> Accounting:
    """Every accountant on the headline's adversary, what is composed, and the budget.

    Args:
        view: The ledger.
        identity: For the versions of the accountants' packages.

    Raises:
        IntegrityError: The accountants disagree.
    """
    known = view.events(view.headline) if view.private else ()
    results = _results(view.accounts(view.headline) if view.private else (), identity)
    return Accounting(
        results=results,
        gap=gap(results),
        delta_limit=_delta_limit(view),
        composition=_composition(view),
        budget=_budget(view),
        spent=tuple(
            SpentPoint(release=i, epsilon=claimed_epsilon(known[:i], view.delta))
            for i in range(1, len(known) + 1)
        ),
    )


def _results(accounts: Sequence[Account], identity: Identity) -> tuple[AccountantResult, ...]:
    """The last account is the check; of the others the first smallest is claimed."""
    versions = {"privet": identity.toolkit_version, **identity.dependencies}
    claimed = min(accounts[:-1], key=lambda a: a.epsilon) if accounts else None
    return tuple(
        AccountantResult(
            name=account.name,
            method=account.method,
            role="check" if account is accounts[-1] else _role(account, claimed),
            version=versions.get(account.name.partition(" ")[0], ""),
            settings=dict(account.settings),
            epsilon=account.epsilon,
            delta=account.delta,
            bound=account.bound,
        )
        for account in accounts
    )


def _role(account: Account, claimed: Account | None) -> Role:
    return "claimed" if account is claimed else "bound"


def _delta_limit(view: LedgerView) -> DeltaLimit:
    users = int(view.facts["devices"])
    return DeltaLimit(delta=view.delta, users=users, limit=1 / users, holds=view.delta * users < 1)


def _composition(view: LedgerView) -> Composition:
    """Every device is asked in every round, so a user may be in every release."""
    releases = len(view.charges)
    others = _OTHERS if recorded_membership(view.entries) is None else _OTHERS_COUNTED
    return Composition(
        runs=(view.plan_hash,),
        releases=releases,
        repeats=sum(charge.attempt > 0 for charge in view.charges),
        participations=releases,
        counted=_COUNTED,
        not_counted=(others, *_NOT_COUNTED),
    )


def _budget(view: LedgerView) -> Budget:
    spent = view.epsilon_after(len(view.charges)) if view.private else None
    spent = spent if spent is not None and math.isfinite(spent) else None
    return Budget(
        epsilon=view.budget,
        delta=view.delta,
        spent=spent,
        remaining=remaining(view.budget, spent),
        stop=_stop(view),
    )


def _stop(view: LedgerView) -> Stop:
    """Whether the plan came to its end, or the next release would not fit, or neither.

    Under central trust an open release may be repeated exactly, free of charge; whether it can
    the ledger does not say.
    """
    if view.finished:
        return "plan finished"
    steps, done = view.plan["steps"], len(closed_steps(view.entries))
    if done >= len(steps) or view.budget is None:
        return "unfinished"
    name, terms = steps[done]["step"]["name"], ReleaseTerms.from_dict(steps[done]["terms"])
    if view.trust is Trust.CENTRAL and any(charge.step == name for charge in view.charges):
        return "unfinished"
    needed = claimed_epsilon(events_of([*view.releases, terms]) or (), view.delta)
    return "budget" if needed > view.budget * (1 + _ROUNDING) else "unfinished"
