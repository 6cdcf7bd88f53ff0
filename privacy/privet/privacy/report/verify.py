"""Recompute every privacy figure of a report from its ledger, by two accountants.

Needs neither the data nor the model: an auditor runs it on another machine.
"""

import math
from dataclasses import dataclass

from privet.privacy.accounting.adversaries import ReleaseTerms
from privet.privacy.canonical import sha256
from privet.privacy.errors import IntegrityError
from privet.privacy.ledger import Entry, EntryKind, check_chain, closed_steps
from privet.privacy.report.assemble import (
    LedgerView,
    accounting,
    adversary_rows,
    definition,
    mechanism_steps,
)
from privet.privacy.report.document import Report

_TOLERANCE = 1e-6


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was checked.

    Attributes:
        name: What.
        found: What was found, in words.
    """

    name: str
    found: str


NOT_CHECKED = (
    "that devices really clipped, rounded and added noise: a ledger records it, it cannot prove it",
    "that the ledger was not rewritten as a whole: reports are not signed yet",
    "metrics of quality: they need the held-out data",
)


def verify_ledger(entries: tuple[Entry, ...], *, head: str, length: int) -> tuple[Check, ...]:
    """Check a ledger by itself: chain, plan, charges, budget and two accountants.

    Raises:
        IntegrityError: The first thing that does not hold.
    """
    check_chain(entries, head=head, length=length)
    view = LedgerView(entries=entries)
    recomputed = sha256(view.plan)
    if recomputed != view.plan_hash:
        raise IntegrityError("The plan's hash does not match the plan.")
    _check_charges(view)
    accounts = accounting(view)
    checks = [
        Check(name="hash chain", found=f"{length} entries, head {head[:12]}"),
        Check(name="plan", found=f"hash {recomputed[:12]} matches"),
        Check(name="charges", found=f"{len(view.charges)}, each as planned or more private"),
    ]
    checks += [
        Check(name=a.name, found=f"epsilon {a.epsilon:.6g} at delta {a.delta:g}: {a.method}")
        for a in accounts.results
    ]
    if not accounts.results:
        checks.append(Check(name="epsilon", found="none is claimed: " + view.randomness + " noise"))
    return tuple(checks)


def verify_report(report: Report) -> tuple[Check, ...]:
    """Check a report's ledger, and every privacy figure against it.

    Raises:
        IntegrityError: A figure is not what follows from the ledger.
    """
    entries = tuple(Entry.from_dict(dict(entry)) for entry in report.ledger.entries)
    checks = verify_ledger(entries, head=report.ledger.head, length=report.ledger.length)
    view = LedgerView(entries=entries)
    if (report.identity.private, report.identity.noise_randomness) != (
        view.private,
        view.randomness,
    ):
        raise IntegrityError("The report's privacy stamp is not what its ledger says.")
    if report.identity.plan_hash != view.plan_hash:
        raise IntegrityError("The report's plan hash is not the ledger's.")
    if report.data.catalogue_hash != view.plan["catalogue_hash"]:
        raise IntegrityError("The report's catalogue is not the plan's.")
    if (report.data.users, report.data.items) != (view.facts["devices"], view.facts["items"]):
        raise IntegrityError("The report's numbers of users or items are not the plan's.")
    if report.definition != definition(view):
        raise IntegrityError("The report's definition of privacy is not what its plan says.")
    _check_figures(report, view)
    uploads = sum(4 * int(step["encoding"]["dimension"]) for step in view.plan["steps"])
    if report.egress.upload_bytes_per_device != uploads:
        raise IntegrityError(
            f"The report says {report.egress.upload_bytes_per_device} bytes leave a device; its "
            f"plan makes it {uploads}."
        )
    rows = [f"{r.adversary} {_show(r.epsilon)}" for r in report.adversaries]
    return (*checks, Check(name="adversaries", found=", ".join(rows)))


def _check_charges(view: LedgerView) -> None:
    """Charges are the plan's steps, in order, with its terms and enough survivors."""
    steps = [step["step"]["name"] for step in view.plan["steps"]]
    planned = {
        step["step"]["name"]: ReleaseTerms.from_dict(step["terms"]) for step in view.plan["steps"]
    }
    for charge in view.charges:
        terms = planned.get(charge.step)
        if terms is None or charge.terms != terms.with_survivors(charge.terms.survivors):
            raise IntegrityError(f"A charge of step {charge.step!r} is not what its plan says.")
        if not terms.survivors <= charge.terms.survivors <= int(view.facts["devices"]):
            raise IntegrityError(f"A charge of step {charge.step!r} has impossible survivors.")
    open_or_closed: list[str] = []
    for entry in view.entries:
        if entry.kind is EntryKind.CHARGE:
            open_or_closed.append(str(entry.body["step"]))
        elif entry.kind is EntryKind.CLOSE and entry.body["step"] not in open_or_closed:
            raise IntegrityError(f"Step {entry.body['step']!r} was closed without a charge.")
    done = list(closed_steps(view.entries))
    if done != steps[: len(done)]:
        raise IntegrityError("Steps were closed in another order than the plan's.")
    budget = math.inf if view.budget is None else view.budget
    if view.epsilon_after(len(view.charges)) > budget * (1 + _TOLERANCE):
        raise IntegrityError("The ledger's charges exceed its budget.")


def _check_figures(report: Report, view: LedgerView) -> None:
    for claimed, computed in zip(report.adversaries, adversary_rows(view), strict=True):
        same_words = (claimed.who, claimed.mechanism, claimed.assumption, claimed.reason) == (
            computed.who,
            computed.mechanism,
            computed.assumption,
            computed.reason,
        )
        if not (
            same_words
            and _same(claimed.epsilon, computed.epsilon)
            and _same(claimed.delta, computed.delta)
            and _same(claimed.mu, computed.mu)
        ):
            raise IntegrityError(
                f"Against {claimed.adversary} the report says epsilon {_show(claimed.epsilon)}; "
                f"its ledger makes it {_show(computed.epsilon)}."
            )
    if report.mechanism != mechanism_steps(view):
        raise IntegrityError("The report's mechanism is not what its ledger says.")
    claimed_accounts = {a.name: a.epsilon for a in report.accounting.results}
    recomputed = accounting(view)
    for account in recomputed.results:
        if not _same(claimed_accounts.get(account.name), account.epsilon):
            raise IntegrityError(
                f"{account.name}: the report says epsilon "
                f"{_show(claimed_accounts.get(account.name))}, recomputed {account.epsilon:.6g}."
            )
    if report.accounting.budget_epsilon != view.budget:
        raise IntegrityError("The report's budget is not the ledger's.")


def _same(a: float | None, b: float | None) -> bool:
    if a is None or b is None:
        return a is b
    return a == b or math.isclose(a, b, rel_tol=_TOLERANCE, abs_tol=1e-12)


def _show(epsilon: float | None) -> str:
    return "none" if epsilon is None else f"{epsilon:.6g}"
