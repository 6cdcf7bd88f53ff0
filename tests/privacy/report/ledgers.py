"""Ledgers of runs that did not happen, charged as a coordinator would charge them."""

from collections.abc import Sequence

from privet.models.model import Model
from privet.models.plan import Plan, PublicFacts
from privet.models.planning import make_plan
from privet.models.popularity import Popularity
from privet.models.spectral import Spectral
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.ledger import Charge, Entry, EntryKind, next_entry
from privet.privacy.report.view import LedgerView

MODELS: dict[Trust, Model] = {
    Trust.CENTRAL: Spectral(),
    Trust.SECURE_AGGREGATION: Spectral(),
    Trust.LOCAL: Popularity(),
}


def planned(
    trust: Trust, *, epsilon: float = 2.0, colluders: int = 1, min_survivors: int = 2800
) -> Plan:
    """A plan for 3,000 devices."""
    facts = PublicFacts(
        devices=3000,
        items=400,
        epsilon=epsilon,
        delta=1e-5,
        trust=trust,
        min_survivors=min_survivors,
        colluders=colluders,
    )
    return make_plan(MODELS[trust], facts, catalogue_hash="0" * 64, seeded_noise=False)


def view_of(
    plan: Plan,
    charged: Sequence[tuple[int, int]] | None = None,
    *,
    closed: int | None = None,
    budget: float | None = None,
) -> LedgerView:
    """The view of a ledger.

    Args:
        plan: Of the run.
        charged: Pairs of a step's position and the survivors; every step once with 2,900 if None.
        closed: Steps that were closed; all if None, and then the run has ended.
        budget: The limit; the plan's target if None.
    """
    entries: list[Entry] = []

    def append(kind: EntryKind, body: dict[str, object]) -> None:
        entries.append(next_entry(entries[-1] if entries else None, kind, body))

    append(EntryKind.PLAN, {"plan": plan.to_dict(), "plan_hash": plan.hash})
    limit = plan.facts.epsilon if budget is None else budget
    append(EntryKind.BUDGET, {"epsilon": limit, "delta": plan.facts.delta})
    attempts: dict[int, int] = {}
    steps = range(len(plan.steps))
    for position, survivors in charged if charged is not None else [(i, 2900) for i in steps]:
        step, attempt = plan.steps[position], attempts.get(position, 0)
        charge = Charge(step=step.name, attempt=attempt, terms=step.terms.with_survivors(survivors))
        append(EntryKind.CHARGE, charge.to_dict())
        attempts[position] = attempt + 1
    for step in plan.steps[:closed]:
        append(EntryKind.CLOSE, {"step": step.name, "devices": 3000, "state_hash": "1" * 64})
    if closed is None:
        append(EntryKind.END, {"model_hash": "1" * 64})
    return LedgerView(entries=tuple(entries))
