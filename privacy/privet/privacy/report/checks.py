"""Figures of a report that contradict each other, and claims that its own facts do not carry."""

import itertools
import math
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from privet.privacy.errors import InputError, IntegrityError, PrivacyError
from privet.privacy.report.audit import AuditRecord
from privet.privacy.report.claims import ADVERSARIES, ClaimFacts, guarantee
from privet.privacy.report.sections import (
    LEAST_USERS,
    AdversaryGuarantee,
    Definition,
    Egress,
    Identity,
    Interval,
    LedgerRecord,
    Quality,
)
from privet.privacy.report.spending import Accounting, Profile, gap, remaining

TOLERANCE = 1e-9


def check_identity(identity: Identity) -> None:
    """The time is UTC, and nothing is called private without real noise."""
    try:
        found = datetime.fromisoformat(identity.created_at)
    except ValueError as error:
        raise InputError(f"Expected created_at in ISO 8601: {error}.") from error
    if found.utcoffset() != timedelta(0):
        raise InputError(f"Expected created_at in UTC, found {identity.created_at!r}.")
    if identity.private and identity.noise_randomness != "operating-system":
        raise IntegrityError(
            f"identity.private is true, but noise_randomness is {identity.noise_randomness!r}: "
            "set private to false."
        )


def check_adversaries(
    rows: Iterable[AdversaryGuarantee], definition: Definition, identity: Identity
) -> None:
    """All eight adversaries are there, in order, and no guarantee is given that cannot hold.

    Raises:
        InputError: If one is missing, or a figure is out of its range.
        PrivacyError: If a guarantee is claimed against whom one has to trust, or without noise.
    """
    rows = tuple(rows)
    codes = [row.adversary for row in rows]
    if codes != list(ADVERSARIES):
        raise InputError(f"Expected adversaries A1 to A8 in order, found {', '.join(codes)}.")
    for row in rows:
        _check_guarantee(row)
    trusted = {"A5"} | ({"A3", "A4"} if definition.trust == "central" else set())
    for row in rows:
        if row.mu_kind == "exact" and definition.trust != "central":
            raise PrivacyError(
                f"Mu against {row.adversary} cannot be exact under trust {definition.trust!r}: it "
                "is for Gaussian noise, which the server adds."
            )
        if identity.noise_randomness == "none" and _finite(row.epsilon):
            raise PrivacyError(
                f"A guarantee against {row.adversary} cannot be claimed without noise: set its "
                "epsilon to None or infinity."
            )
        if row.adversary in trusted and _finite(row.epsilon):
            raise PrivacyError(
                f"A guarantee against {row.adversary} cannot be claimed under trust "
                f"{definition.trust!r}: set its epsilon to None."
            )


def check_profiles(profiles: Iterable[Profile], rows: Iterable[AdversaryGuarantee]) -> None:
    """Each profile holds together, and is that of the rows of its adversaries.

    Raises:
        InputError: If a figure is out of its range.
        IntegrityError: If a profile contradicts itself or a row, or a guarantee has none.
    """
    seen: dict[str, Profile] = {}
    for profile in profiles:
        _check_profile(profile)
        for code in profile.adversaries:
            if code in seen:
                raise IntegrityError(f"Adversary {code} has two profiles.")
            seen[code] = profile
    rates = {tuple(a.false_positive_rate for a in p.attacks) for p in seen.values()}
    if len(rates) > 1:
        raise IntegrityError("Expected the same false positive rates in all profiles.")
    for row in rows:
        found = seen.get(row.adversary)
        if (found is not None) != _finite(row.epsilon):
            raise IntegrityError(f"Expected a profile of {row.adversary} if it has a guarantee.")
        of_row = row.epsilon, row.delta, row.mu, row.mu_kind
        if found and (found.epsilon, found.delta, found.mu, found.mu_kind) != of_row:
            raise IntegrityError(f"The profile of {row.adversary} is not that of its row.")


def _check_profile(profile: Profile) -> None:
    name = f"the profile of {', '.join(profile.adversaries)}"
    for kind, value in ((profile.mu_kind, profile.mu), (profile.rho_kind, profile.rho)):
        if (kind is None) != (value is None):
            raise IntegrityError(f"Expected a kind beside mu and rho, and only there, in {name}.")
        _not_negative(0.0 if value is None else value, f"mu and rho in {name}")
    epsilons = [point.epsilon for point in profile.points]
    deltas = [point.delta for point in profile.points]
    for delta in deltas:
        _probability(delta, f"delta in {name}")
    rising = all(a < b for a, b in itertools.pairwise(epsilons))
    if not rising or epsilons[:1] != [0] or deltas != sorted(deltas, reverse=True):
        raise IntegrityError(f"Expected delta to fall as epsilon rises from 0 in {name}.")
    claimed = {point.delta for point in profile.points if point.epsilon == profile.epsilon}
    if profile.advantage != deltas[0] or not all(delta <= profile.delta for delta in claimed):
        raise IntegrityError(f"Expected the claim and the advantage to be on the curve in {name}.")
    if not claimed:
        raise IntegrityError(f"Expected the claimed epsilon among the points of {name}.")
    rates = [rate.false_positive_rate for rate in profile.attacks]
    if not profile.adversaries or not math.isfinite(profile.epsilon):
        raise IntegrityError("Expected every profile to have adversaries and a finite epsilon.")
    if not rates or rates != sorted(set(rates)):
        raise IntegrityError(f"Expected false positive rates that rise in {name}.")
    for rate in profile.attacks:
        least, true = rate.false_positive_rate, rate.true_positive_rate
        if not 0 <= least <= true <= min(1.0, least + profile.advantage + TOLERANCE):
            raise IntegrityError(f"Expected rates of attacks within the advantage in {name}.")


def check_definition(definition: Definition) -> None:
    """Local noise is stated under replace-one."""
    if definition.trust == "local" and definition.relation != "replace-one":
        raise PrivacyError("Trust 'local' is stated under replace-one, found zero-out.")


def check_claim(facts: ClaimFacts, accounting: Accounting, users: int) -> None:
    """The claim is finite if it is called private, and no accountant says more.

    Raises:
        IntegrityError: If private is said without a finite epsilon.
        PrivacyError: If delta is not below one in the number of users, or if epsilon is below what
            every upper bound at that delta gives.
    """
    held = guarantee(facts)
    if held is None:
        if facts.private:
            raise IntegrityError(
                f"identity.private is true, but there is no finite epsilon and delta against "
                f"{facts.adversary}: set private to false."
            )
        return
    epsilon, delta = held
    if delta * max(users, 1) >= 1:
        raise PrivacyError(f"Expected delta={delta} to be below 1 / {users} users.")
    bounds = [r.epsilon for r in accounting.results if r.bound != "lower" and r.delta <= delta]
    if bounds and epsilon < min(bounds) * (1 - TOLERANCE):
        raise PrivacyError(
            f"The claim has epsilon={epsilon} at delta={delta}, but the accountants only reach "
            f"{min(bounds)}."
        )


def check_accounting(accounting: Accounting) -> None:
    """No lower bound is above an upper bound for a delta no larger."""
    uppers = [r for r in accounting.results if r.bound != "lower"]
    lowers = [r for r in accounting.results if r.bound != "upper"]
    for low, high in itertools.product(lowers, uppers):
        if high.delta <= low.delta and low.epsilon > high.epsilon * (1 + TOLERANCE):
            raise IntegrityError(
                f"Accountants contradict each other: {low.name} says at least {low.epsilon}, "
                f"{high.name} at most {high.epsilon}."
            )
    for result in accounting.results:
        _not_negative(result.epsilon, f"accounting {result.name} epsilon")
        _probability(result.delta, f"accounting {result.name} delta")
    _check_differences(accounting)


def _check_differences(accounting: Accounting) -> None:
    """What follows from two figures beside it does; delta's limit is that of its users."""
    budget, limit = accounting.budget, accounting.delta_limit
    if budget.remaining != remaining(budget.epsilon, budget.spent):
        raise IntegrityError("accounting.budget.remaining is not the limit less what was spent.")
    if accounting.gap != gap(accounting.results):
        raise IntegrityError("accounting.gap is not the difference of the two accountants.")
    if limit.users < 1 or limit.limit != 1 / limit.users:
        raise IntegrityError("accounting.delta_limit.limit is not 1 / users.")
    if limit.holds != (limit.delta * limit.users < 1):
        raise IntegrityError("accounting.delta_limit.holds does not follow from delta and users.")


def check_egress(egress: Egress) -> None:
    """The total is not below the largest message."""
    largest = max((step.bytes_per_device for step in egress.steps), default=0)
    if egress.upload_bytes_per_device < largest:
        raise IntegrityError(
            f"egress.upload_bytes_per_device={egress.upload_bytes_per_device} is below "
            f"{largest}, which one step alone uploads."
        )


def check_quality(quality: Quality) -> None:
    """Every mean lies in its interval, and everything is finite."""
    for where, interval in _intervals(quality):
        _check_interval(interval, where)
    for point in quality.curve:
        if not point.epsilon > 0:
            raise InputError(f"Expected epsilon > 0 in the curve, found {point.epsilon}.")
    for row in quality.groups:
        where = f"group {row.group!r} by {row.attribute!r}"
        if not row.epsilon > 0 or row.users < LEAST_USERS:
            raise InputError(
                f"Expected epsilon > 0 and at least {LEAST_USERS} users in {where}, found "
                f"{row.epsilon} and {row.users}."
            )
        if row.loss is not None and not math.isfinite(row.epsilon):
            raise IntegrityError(f"Expected no loss against itself without privacy, in {where}.")


def check_ledger(ledger: LedgerRecord) -> None:
    """Entries follow each other and end at the head; the hashes themselves are `verify`'s."""
    if ledger.length != len(ledger.entries):
        raise IntegrityError(
            f"ledger.length={ledger.length}, but there are {len(ledger.entries)} entries."
        )
    for index, entry in enumerate(ledger.entries):
        if missing := {"seq", "kind", "body", "previous_hash", "hash"} - entry.keys():
            raise InputError(f"Expected {', '.join(sorted(missing))} in ledger entry {index}.")
    for before, after in itertools.pairwise(ledger.entries):
        if after["previous_hash"] != before["hash"]:
            raise IntegrityError(f"Ledger entry {after['seq']} does not follow {before['seq']}.")
    if ledger.entries and ledger.entries[-1]["hash"] != ledger.head:
        raise IntegrityError("ledger.head is not the hash of the last entry.")


def check_heads(identity: Identity, ledger: LedgerRecord) -> None:
    """The head in the identity is the ledger's."""
    if identity.ledger_head != ledger.head:
        raise IntegrityError("identity.ledger_head is not the head of the report's ledger.")


def check_audit(audit: AuditRecord | None, identity: Identity) -> None:
    """The audit is of this run's plan, and its figures are possible.

    Raises:
        InputError: A figure is out of its range, or two attacks cannot be told apart.
        IntegrityError: It is an audit of another plan, or a figure is outside of its interval.
    """
    if audit is None:
        return
    if audit.plan_hash != identity.plan_hash:
        raise IntegrityError("The audit is of another plan than the run's: audit this run.")
    names = [(a.name, a.observable, a.role) for a in audit.attacks]
    if len(set(names)) != len(names):
        raise InputError("Expected each attack once for an observable and a role.")
    for test in audit.noise_tests:
        _probability(test.confidence, f"confidence of the noise test of {test.step}")
        _probability(test.power, f"power of the noise test of {test.step}")
    for bound in audit.bounds:
        _not_negative(bound.epsilon, f"epsilon of the {bound.method} bound")
        _probability(bound.confidence, f"confidence of the {bound.method} bound")
        _probability(bound.power, f"power of the {bound.method} bound")
    for attack in audit.attacks:
        for figure in attack.figures:
            _check_interval(figure.value, f"{figure.name} of {attack.name}")
        rates = [point.fpr for point in attack.roc]
        if rates != sorted(set(rates)):
            raise InputError(f"Expected false positive rates that rise in {attack.name}.")
        for point in attack.roc:
            _check_interval(point.tpr, f"a true positive rate of {attack.name}")
            for rate in (point.fpr, point.tpr.low, point.tpr.high, point.allowed or 0.0):
                _probability(rate, f"a rate of {attack.name}")
    for name, interval in audit.disclosure.items():
        _check_interval(interval, f"the disclosure risk {name}")


def _check_interval(interval: Interval, where: str) -> None:
    figures = (interval.low, interval.mean, interval.high)
    if not all(map(math.isfinite, figures)) or list(figures) != sorted(figures):
        raise IntegrityError(f"Expected low <= mean <= high for {where}, found {figures}.")


def _check_guarantee(row: AdversaryGuarantee) -> None:
    if row.epsilon is not None:
        _not_negative(row.epsilon, f"epsilon of {row.adversary}")
        if row.delta is None and _finite(row.epsilon):
            raise InputError(f"Expected a delta for {row.adversary}: 0 for pure epsilon.")
    if row.delta is not None:
        _probability(row.delta, f"delta of {row.adversary}")
    if row.mu is not None:
        _not_negative(row.mu, f"mu of {row.adversary}")


def _intervals(quality: Quality) -> Iterator[tuple[str, Interval]]:
    for row in quality.rows:
        for metric, interval in row.metrics.items():
            yield f"{metric} of {row.name}", interval
    for point in quality.curve:
        interval = Interval(mean=point.mean, low=point.low, high=point.high)
        yield f"{point.metric} at epsilon {point.epsilon}", interval
    for group in quality.groups:
        where = f"{group.metric} of {group.attribute} {group.group}"
        yield where, group.value
        if group.loss is not None:
            yield f"loss of {where}", group.loss


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _not_negative(value: float, where: str) -> None:
    if not value >= 0:
        raise InputError(f"Expected {where} >= 0, found {value}.")


def _probability(value: float, where: str) -> None:
    if not 0 <= value <= 1:
        raise InputError(f"Expected {where} between 0 and 1, found {value}.")
