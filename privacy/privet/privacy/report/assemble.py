"""From a run's ledger to a report: everything about privacy is computed from the ledger alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from privet.privacy.accounting.accountants import check_agreement, claimed_epsilon
from privet.privacy.accounting.adversaries import (
    Adversary,
    Guarantee,
    ReleaseTerms,
    Trust,
    guarantees,
)
from privet.privacy.contribution import sensitivity
from privet.privacy.errors import IntegrityError
from privet.privacy.ledger import Charge, Entry, EntryKind, charges
from privet.privacy.report.claims import RELATION_TEXTS, Randomness, Relation
from privet.privacy.report.sections import (
    AccountantResult,
    Accounting,
    AdversaryGuarantee,
    Definition,
    Egress,
    EgressStep,
    LedgerRecord,
    MechanismStep,
    SpentPoint,
)
from privet.privacy.report.threats import describe

_HEADLINE = {
    Trust.CENTRAL: Adversary.MODEL_CONSUMER,
    Trust.SECURE_AGGREGATION: Adversary.CURIOUS_SERVER,
    Trust.LOCAL: Adversary.MALICIOUS_SERVER,
}

_NOT_PROTECTED = (
    "The number of users, who takes part, when, and the size of messages: all public",
    "Anything that the app, its developer or another app on the device records",
)

_NOISE = {
    Trust.CENTRAL: "Gaussian, once, by the server",
    Trust.SECURE_AGGREGATION: "Skellam, one share a device",
    Trust.LOCAL: "Skellam, every device for itself",
}


@dataclass(frozen=True, kw_only=True)
class LedgerView:
    """What a ledger says about privacy.

    Attributes:
        entries: The whole ledger, its chain already checked.

    Raises:
        IntegrityError: On use, if the ledger does not begin with a plan and a budget.
    """

    entries: tuple[Entry, ...]

    @cached_property
    def plan(self) -> dict[str, Any]:
        """The plan, as recorded."""
        if not self.entries or self.entries[0].kind is not EntryKind.PLAN:
            raise IntegrityError("The ledger does not begin with a plan.")
        body = self.entries[0].body.get("plan")
        if not isinstance(body, dict):
            raise IntegrityError("The ledger's plan is malformed.")
        return body

    @property
    def plan_hash(self) -> str:
        """Hash of the plan, as recorded."""
        return str(self.entries[0].body.get("plan_hash"))

    @property
    def facts(self) -> dict[str, Any]:
        """The plan's public facts."""
        return dict(self.plan["facts"])

    @property
    def trust(self) -> Trust:
        """Who adds noise."""
        return Trust(self.facts["trust"])

    @property
    def delta(self) -> float:
        """At which epsilon is stated."""
        return float(self.facts["delta"])

    @property
    def budget(self) -> float | None:
        """The last recorded limit on epsilon; None if there is none."""
        limits = [e.body["epsilon"] for e in self.entries if e.kind is EntryKind.BUDGET]
        if not limits:
            raise IntegrityError("The ledger records no budget.")
        return None if limits[-1] is None else float(limits[-1])

    @cached_property
    def charges(self) -> tuple[Charge, ...]:
        """Every charged release."""
        return charges(self.entries)

    @property
    def releases(self) -> list[ReleaseTerms]:
        """Terms of every charged release."""
        return [charge.terms for charge in self.charges]

    @property
    def noisy(self) -> bool:
        """Whether every release had noise."""
        return bool(self.charges) and all(
            t.noise_multiplier > 0 or t.share_variance > 0 for t in self.releases
        )

    @property
    def randomness(self) -> Randomness:
        """Where the noise came from."""
        if not self.noisy:
            return "none"
        return "seeded" if self.plan["seeded_noise"] else "operating-system"

    @property
    def private(self) -> bool:
        """Whether anything may be claimed at all."""
        return self.randomness == "operating-system"

    @property
    def headline(self) -> Adversary:
        """The adversary whom the claim is about."""
        return _HEADLINE[self.trust]

    @cached_property
    def guarantees(self) -> tuple[Guarantee, ...]:
        """Per adversary."""
        return guarantees(self.releases, self.delta, private=self.private)

    def epsilon_after(self, releases: int) -> float:
        """Epsilon of the first releases, in the worst case over adversaries."""
        return claimed_epsilon(
            [terms.worst_case() for terms in self.releases[:releases]], self.delta
        )


def adversary_rows(view: LedgerView) -> tuple[AdversaryGuarantee, ...]:
    """The table of adversaries."""
    colluders = int(view.facts["colluders"])
    return tuple(
        describe(g, view.trust, colluders=colluders, private=view.private) for g in view.guarantees
    )


def definition(view: LedgerView) -> Definition:
    """What exactly is protected, and what is not."""
    relation: Relation = view.trust.relation.value
    groups = int(view.facts["groups"])
    sums = "the noisy sum" if groups == 1 else f"the noisy sums of {groups} groups"
    steps = tuple(f"{sums} of step {step['step']['name']!r}" for step in view.plan["steps"])
    return Definition(
        unit="user",
        relation=relation,
        relation_text=RELATION_TEXTS[relation],
        trust=view.trust.value,
        headline_adversary=view.headline.value,
        not_protected=_NOT_PROTECTED,
        outputs_released=(*steps, "every shared model computed from these"),
    )


def mechanism_steps(view: LedgerView) -> tuple[MechanismStep, ...]:
    """One line a charged release: its vector, its bound and its noise."""
    planned = {step["step"]["name"]: step for step in view.plan["steps"]}
    lines = []
    for charge in view.charges:
        body = planned.get(charge.step)
        if body is None:
            raise IntegrityError(f"The ledger charges step {charge.step!r}, not in its plan.")
        terms, scale = charge.terms, float(body["encoding"]["scale"])
        unknown = terms.survivors - max(1, terms.colluders)
        worst = _noise_std(terms, unknown)
        repeat = f" (repeat {charge.attempt})" if charge.attempt else ""
        lines.append(
            MechanismStep(
                name=charge.step + repeat,
                dimension=terms.dimension,
                l2_clip_norm=float(body["encoding"]["l2_clip_norm"]),
                integer_bound=terms.l2_bound,
                scale=scale,
                noise=_NOISE[terms.trust] if worst else "none",
                noise_std_planned=_noise_std(ReleaseTerms.from_dict(body["terms"]), None) / scale,
                noise_std_effective=worst / scale,
                noise_multiplier=worst / _distance(terms),
                devices=terms.survivors,
                min_survivors=int(body["terms"]["survivors"]),
                colluders=terms.colluders,
                groups=terms.groups,
            )
        )
    return tuple(lines)


def _distance(terms: ReleaseTerms) -> float:
    """What one user can change in the integer sum, at most: what noise is measured against."""
    return sensitivity(terms.l2_bound, terms.trust.relation, nonnegative=terms.nonnegative)


def _noise_std(terms: ReleaseTerms, shares: int | None) -> float:
    """Standard deviation of the noise that counts, in integers; None counts all survivors."""
    if terms.trust is Trust.CENTRAL:
        return terms.noise_multiplier * terms.l2_bound
    counted = terms.survivors if shares is None else shares
    if terms.trust is Trust.LOCAL:
        counted = 1
    return float((terms.share_variance * max(counted, 0)) ** 0.5)


def accounting(view: LedgerView) -> Accounting:
    """Every accountant on the headline's adversary, and epsilon after each release.

    Raises:
        IntegrityError: The accountants disagree.
    """
    if not view.private:
        return Accounting(results=(), budget_epsilon=view.budget, budget_delta=view.delta)
    events = [terms.seen_by(view.headline) for terms in view.releases]
    known = [event for event in events if event is not None]
    results = tuple(
        AccountantResult(
            name=account.name,
            method=account.method,
            epsilon=account.epsilon,
            delta=account.delta,
            bound=account.bound,
        )
        for account in check_agreement(known, view.delta)
    )
    spent = tuple(
        SpentPoint(release=i, epsilon=claimed_epsilon(known[:i], view.delta))
        for i in range(1, len(known) + 1)
    )
    return Accounting(
        results=results, budget_epsilon=view.budget, budget_delta=view.delta, spent=spent
    )


def egress(view: LedgerView) -> Egress:
    """What leaves a device: one integer vector a step, of a size that its history does not change."""
    steps = tuple(
        EgressStep(
            name=step["step"]["name"],
            fields=("contribution: 32-bit integers, the same number whatever the history",),
            bytes_per_device=4 * int(step["encoding"]["dimension"]),
            padded=True,
            devices=int(view.facts["devices"]),
        )
        for step in view.plan["steps"]
    )
    return Egress(steps=steps, upload_bytes_per_device=sum(step.bytes_per_device for step in steps))


def ledger_record(entries: Sequence[Entry]) -> LedgerRecord:
    """The whole chain, with its head and length."""
    return LedgerRecord(
        entries=tuple(entry.to_dict() for entry in entries),
        head=entries[-1].hash,
        length=len(entries),
    )
