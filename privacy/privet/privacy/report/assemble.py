"""From a run's ledger to a report: everything about privacy is computed from the ledger alone."""

from collections.abc import Sequence

from privet.privacy.accounting.adversaries import ReleaseTerms, Trust
from privet.privacy.contribution import sensitivity
from privet.privacy.errors import IntegrityError
from privet.privacy.ledger import Entry
from privet.privacy.minimization.messages import vector_message_bytes
from privet.privacy.report.claims import RELATION_TEXTS, Relation
from privet.privacy.report.drawn import expected_devices, matrix_facts, sampling_facts
from privet.privacy.report.sections import (
    AdversaryGuarantee,
    Definition,
    Egress,
    EgressStep,
    LedgerRecord,
    MechanismStep,
)
from privet.privacy.report.threats import describe
from privet.privacy.report.view import LedgerView

_PUBLIC = "The number of users, who takes part, when, and the size of messages: all public"
_NOT_PROTECTED = ("Anything that the app, its developer or another app on the device records",)

_NOISE = {
    Trust.CENTRAL: "Gaussian, once, by the server",
    Trust.SECURE_AGGREGATION: "Skellam, one share a device",
    Trust.LOCAL: "Skellam, every device for itself",
}


def adversary_rows(view: LedgerView) -> tuple[AdversaryGuarantee, ...]:
    """The table of adversaries."""
    colluders = int(view.facts["colluders"])
    profiles = {code: profile for codes, profile in view.profiles for code in codes}
    return tuple(
        describe(
            guarantee,
            view.trust,
            profiles.get(guarantee.adversary),
            colluders=colluders,
            private=view.private,
            protocol=view.protocol,
            min_survivors=int(view.facts["min_survivors"]),
            masked=view.protocol is not None or bool(view.rounds),
            amplified=any(terms.hides_cohort for terms in view.releases),
        )
        for guarantee in view.guarantees
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
        not_protected=(*_public(view), *_NOT_PROTECTED, *_periods(view)),
        outputs_released=(*steps, "every shared model computed from these"),
    )


def _public(view: LedgerView) -> tuple[str, ...]:
    if any(terms.hides_cohort for terms in view.releases):
        return (f"{_PUBLIC}, but for who is drawn and how many, which A1 is not told",)
    return (_PUBLIC,)


def _periods(view: LedgerView) -> tuple[str, ...]:
    if view.facts["start"] == view.facts["end"]:
        return ()
    return ("The period that the run is about, and whose turn is when: taken to be public",)


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
                cohort=expected_devices(terms, view),
                devices=terms.survivors,
                min_survivors=int(body["terms"]["survivors"]),
                colluders=terms.colluders,
                groups=terms.groups,
                combination=view.facts["combination"],
                spoiled_groups=view.spoiled.get((charge.step, charge.attempt), ()),
                sampling=sampling_facts(terms),
                matrix=matrix_facts(terms),
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


def egress(view: LedgerView) -> Egress:
    """What leaves a device: one integer vector a step, of a size that its history does not change."""
    steps = tuple(
        EgressStep(
            name=step["step"]["name"],
            fields=("contribution: 32-bit integers, the same number whatever the history",),
            bytes_per_device=vector_message_bytes(int(step["encoding"]["dimension"])),
            padded=True,
            devices=expected_devices(ReleaseTerms.from_dict(step["terms"]), view),
        )
        for step in view.plan["steps"]
    )
    terms = (ReleaseTerms.from_dict(step["terms"]) for step in view.plan["steps"])
    taken = [t.series is None or t.series.of_the_busiest for t in terms]
    uploads = sum(step.bytes_per_device for step, one in zip(steps, taken, strict=True) if one)
    return Egress(steps=steps, upload_bytes_per_device=uploads)


def ledger_record(entries: Sequence[Entry]) -> LedgerRecord:
    """The whole chain, with its head and length."""
    return LedgerRecord(
        entries=tuple(entry.to_dict() for entry in entries),
        head=entries[-1].hash,
        length=len(entries),
    )
