"""Recompute every privacy figure of a report from its ledger, by two accountants.

Needs neither the data nor the model: an auditor runs it on another machine.
"""

import dataclasses
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from privet.privacy.accounting.accountants import claimed_epsilon
from privet.privacy.accounting.adversaries import ReleaseTerms, Trust, events_of
from privet.privacy.accounting.series import SeriesRound
from privet.privacy.canonical import sha256
from privet.privacy.encoding import Encoding
from privet.privacy.errors import InputError, IntegrityError, PrivetError
from privet.privacy.ledger import Charge, Entry, EntryKind, charges, check_chain
from privet.privacy.minimization.messages import ERROR_WORDS
from privet.privacy.report.aggregation import aggregation
from privet.privacy.report.assemble import (
    adversary_rows,
    definition,
    egress,
    mechanism_steps,
)
from privet.privacy.report.document import SCHEMA, Report
from privet.privacy.report.minimization import minimization, policy_in
from privet.privacy.report.population import (
    check_membership,
    population_findings,
    population_section,
    population_view,
)
from privet.privacy.report.security import security
from privet.privacy.report.spending import FOLLOWS
from privet.privacy.report.spent import accounting, profiles
from privet.privacy.report.text import percent_up
from privet.privacy.report.view import LedgerView, most_devices
from privet.privacy.secagg.record import ProtocolRecord

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
    "metrics of quality and the size of the data: they need the data",
)


def read_report(data: bytes) -> Report:
    """A report from its bytes.

    Raises:
        InputError: Not JSON, or not a report.
        IntegrityError: A report whose figures were changed.
    """
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError("Expected a report in JSON: this file is none, or is cut off.") from error
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        raise InputError(f"Expected a report of schema {SCHEMA!r}; this is another JSON file.")
    with _mismatches():
        return Report.from_bytes(data)


def verify_ledger(entries: tuple[Entry, ...], *, head: str, length: int) -> tuple[Check, ...]:
    """Check a ledger by itself: chain, plan, charges, budget, and each epsilon by two accountants.

    Raises:
        IntegrityError: The first thing that does not hold.
    """
    with _mismatches():
        return _verify_view(LedgerView(entries=entries), head=head, length=length)


def verify_report(report: Report) -> tuple[Check, ...]:
    """Check a report's ledger, and every privacy figure against it.

    Raises:
        IntegrityError: A figure is not what follows from the ledger.
    """
    with _mismatches():
        entries = tuple(Entry.from_dict(dict(entry)) for entry in report.ledger.entries)
        view = LedgerView(entries=entries)
        checks = _verify_view(view, head=report.ledger.head, length=report.ledger.length)
        for name, claimed, computed in _figures(report, view):
            _compare(name, claimed, computed)
        figures = (
            "adversaries, profiles, definition, mechanism, secure aggregation, accounting, security "
            "and what leaves a device"
        )
        return (
            *checks,
            Check(name="report", found=f"{figures} follow from the ledger"),
            *_population(report, view),
        )


def _verify_view(view: LedgerView, *, head: str, length: int) -> tuple[Check, ...]:
    check_chain(view.entries, head=head, length=length)
    _check_plan(view)
    _Replay(view).run()
    return (
        Check(name="hash chain", found=f"{length} entries, head {head[:12]}"),
        Check(name="plan", found=f"hash {view.plan_hash[:12]} matches, bounds follow from it"),
        Check(name="charges", found=f"{len(view.charges)}, as planned, within the budget"),
        *_aborted(view),
        *_accounts(view),
    )


@contextmanager
def _mismatches() -> Iterator[None]:
    """Whatever readers make of a changed file is a mismatch: one error, one exit code."""
    try:
        yield
    except IntegrityError:
        raise
    except PrivetError as error:
        raise IntegrityError(f"Figures do not hold together: {error}") from error
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise IntegrityError("A ledger entry or its plan is malformed.") from error


def _check_plan(view: LedgerView) -> None:
    """The plan has its hash, and its bounds and noise are those of its own public constants."""
    if sha256(view.plan) != view.plan_hash:
        raise IntegrityError("The plan's hash does not match the plan.")
    facts, planned = view.facts, []
    for body in view.plan["steps"]:
        step, terms = body["step"], ReleaseTerms.from_dict(body["terms"])
        encoding = Encoding(**body["encoding"])
        series = None if step["series"] is None else SeriesRound.from_dict(step["series"])
        expected = ReleaseTerms(
            trust=view.trust,
            dimension=int(step["dimension"]),
            l2_bound=encoding.l2_bound,
            l1_bound=encoding.l1_bound,
            nonnegative=bool(step["nonnegative"]),
            noise_multiplier=terms.noise_multiplier,
            share_variance=terms.share_variance,
            survivors=_fewest(series, facts),
            colluders=int(facts["colluders"]),
            groups=int(facts["groups"]),
            sampling=view.cohort.sampling(int(facts["devices"]), trust=view.trust),
            series=series,
        )
        where = f"plan, terms of step {step['name']!r}"
        _compare(where, terms, expected)
        constants = (encoding.dimension, encoding.l2_clip_norm, encoding.devices)
        wanted = (expected.dimension, float(step["l2_clip_norm"]), int(facts["devices"]))
        _compare(f"plan, encoding of step {step['name']!r}", constants, wanted)
        planned.append(terms)
    target = math.inf if facts["epsilon"] is None else float(facts["epsilon"])
    if not planned or claimed_epsilon(events_of(planned) or (), view.delta) > target * (
        1 + _TOLERANCE
    ):
        raise IntegrityError("The plan's noise is less than its epsilon needs.")


def _fewest(series: SeriesRound | None, facts: Mapping[str, Any]) -> int:
    fewest = int(facts["min_survivors"])
    return fewest if series is None else series.fewest(int(facts["devices"]), fewest)


@dataclass
class _Replay:
    """Walks through a ledger and refuses an order of events that no coordinator makes."""

    view: LedgerView
    closed: int = 0
    attempts: int = 0
    survivors: int = 0
    limit: float | None = None
    state_hash: object = None
    ended: bool = False
    charged: list[ReleaseTerms] = field(default_factory=list)

    def run(self) -> None:
        for entry in self.view.entries[1:]:
            if self.ended and entry.kind is not EntryKind.BUDGET:
                raise IntegrityError(f"Ledger entry {entry.seq} comes after the run's end.")
            match entry.kind:
                case EntryKind.PLAN:
                    raise IntegrityError("The ledger has a second plan.")
                case EntryKind.BUDGET:
                    self._budget(entry.body)
                case EntryKind.CHARGE:
                    self._charge(charges([entry])[0])
                case EntryKind.CLOSE:
                    self._close(entry.body)
                case EntryKind.ABORT:
                    self._abort(entry.body)
                case EntryKind.END:
                    self._end(entry.body)
                case _:
                    raise IntegrityError("The ledger holds entries of another sort of ledger.")

    def _budget(self, body: Mapping[str, Any]) -> None:
        self.limit = math.inf if body["epsilon"] is None else float(body["epsilon"])
        if not self.limit > 0 or body["delta"] != self.view.delta:
            raise IntegrityError("The ledger records an impossible budget.")

    def _charge(self, charge: Charge) -> None:
        name, terms = self._next("charged")
        if self.limit is None:
            raise IntegrityError("The ledger records no budget before its first charge.")
        as_planned = terms.with_survivors(charge.terms.survivors)
        if (charge.step, charge.attempt, charge.terms) != (name, self.attempts, as_planned):
            raise IntegrityError(f"A charge of step {charge.step!r} is not what its plan says.")
        most = most_devices(terms, self.view) // terms.groups
        if not terms.survivors <= charge.terms.survivors <= most:
            raise IntegrityError(f"A charge of step {charge.step!r} has impossible survivors.")
        self.attempts, self.survivors = self.attempts + 1, charge.terms.survivors
        self.charged.append(charge.terms)
        spent = claimed_epsilon(events_of(self.charged) or (), self.view.delta)
        if spent > self.limit * (1 + _TOLERANCE):
            raise IntegrityError(
                f"Charges reach epsilon {spent:.6g}, above the budget of {self.limit:.6g}."
            )

    def _close(self, body: Mapping[str, Any]) -> None:
        name, terms = self._next("closed")
        if body["step"] != name:
            raise IntegrityError("Steps were closed in another order than the plan's.")
        if not self.attempts:
            raise IntegrityError(f"Step {name!r} was closed without a charge.")
        if int(body["devices"]) < self.survivors * int(self.view.facts["groups"]):
            raise IntegrityError(f"Step {name!r} was closed with fewer devices than charged.")
        if int(body["devices"]) > most_devices(terms, self.view):
            raise IntegrityError(f"Step {name!r} was closed with more devices than take part.")
        self._spoiled(body.get("spoiled_groups", ()))
        self._aggregation(body.get("secure_aggregation"), int(body["devices"]))
        self.closed, self.attempts, self.state_hash = self.closed + 1, 0, body["state_hash"]

    def _abort(self, body: Mapping[str, Any]) -> None:
        """A round that ended uncharged, of the step whose turn it was."""
        name, _ = self._next("aborted")
        if (body["step"], body["attempt"]) != (name, self.attempts) or len(body) != 3:
            raise IntegrityError(f"A round of step {name!r} ended that had not begun.")
        if body["reason"] not in ERROR_WORDS:
            raise IntegrityError(f"A round of step {name!r} ended for a reason that there is not.")

    def _spoiled(self, found: Sequence[int]) -> None:
        """Groups that were spoiled but borne are some of the plan's, where any can be borne."""
        facts = self.view.facts
        possible = range(0 if facts["combination"] == "sum" else int(facts["groups"]))
        if list(found) != sorted(set(found) & set(possible)):
            raise IntegrityError("A step was closed with spoiled groups that it cannot have.")

    def _aggregation(self, found: object, devices: int) -> None:
        """What secure aggregation did fits the plan, the charge and the devices in the sum."""
        facts, agreed = self.view.facts, self.view.protocol
        if self.view.trust is not Trust.SECURE_AGGREGATION:
            _compare("secure aggregation", found, None)
            return
        if found == "simulated":
            _compare("secure aggregation", found, "simulated" if agreed is None else "run")
            return
        record = ProtocolRecord.from_dict(found)
        # Where the plan says nothing, a deployment's constants are those that its record states.
        stated = (record.corrupt_permille, record.drop_permille, record.certifier_key)
        planned = (
            stated
            if agreed is None
            else (agreed.corrupt_permille, agreed.drop_permille, agreed.certifier_key)
        )
        _compare("secure aggregation's assumptions", stated, planned)
        fewest, asked = max(int(facts["min_survivors"]), 2), sum(g.asked for g in record.groups)
        _compare("secure aggregation's minimum", record.min_survivors, fewest)
        groups = int(facts["groups"])
        # A deployment asks those that are there; how many is public under this trust.
        most = self.view.cohort.size or int(facts["devices"])
        if asked > most:
            raise IntegrityError(f"{asked} devices were asked, of {most} that the plan has.")
        sizes = sorted((asked + group) // groups for group in range(groups))
        _compare("sizes of groups", sorted(g.asked for g in record.groups), sizes)
        survivors = [group.survivors for group in record.groups]
        _compare("survivors of groups", (min(survivors), sum(survivors)), (self.survivors, devices))

    def _end(self, body: Mapping[str, Any]) -> None:
        if self.closed != len(self.view.plan["steps"]):
            raise IntegrityError("The run ended before its plan did.")
        if body["model_hash"] != self.state_hash:
            raise IntegrityError("The run's final model is not its last release's.")
        self.ended = True

    def _next(self, verb: str) -> tuple[str, ReleaseTerms]:
        steps = self.view.plan["steps"]
        if self.closed >= len(steps):
            raise IntegrityError(f"A step is {verb} that the plan does not have.")
        body = steps[self.closed]
        return str(body["step"]["name"]), ReleaseTerms.from_dict(body["terms"])


def _aborted(view: LedgerView) -> Iterator[Check]:
    count = sum(entry.kind is EntryKind.ABORT for entry in view.entries)
    if count:
        yield Check(
            name="rounds that ended uncharged", found=f"{count}, of which nothing was learnt"
        )


def _accounts(view: LedgerView) -> Iterator[Check]:
    """Each adversary's epsilon, by two accountants that agree."""
    if not view.charges:
        yield Check(name="epsilon", found="nothing was released")
    elif not view.private:
        yield Check(name="epsilon", found=f"NOT PRIVATE, none is claimed: {view.randomness} noise")
    methods: dict[str, str] = {}
    for guarantee in view.guarantees:
        found = "none"
        if guarantee.epsilon is not None:
            accounts = view.accounts(guarantee.adversary)
            methods |= {account.name: account.method for account in accounts}
            by = ", ".join(f"{a.name} {a.epsilon:.6g}" for a in accounts)
            found = f"{guarantee.epsilon:.6g} at delta {view.delta:g}, of {by}"
        yield Check(name=f"epsilon against {guarantee.adversary}", found=found)
    for name, method in methods.items():
        yield Check(name=f"accountant {name}", found=method)
    for profile in profiles(view):
        found = ", ".join(
            f"{percent_up(a.true_positive_rate)} at {percent_up(a.false_positive_rate)}"
            for a in profile.attacks
        )
        found = f"finds at most {found} false alarms"
        yield Check(name=f"any test by {', '.join(profile.adversaries)}", found=found)


def _figures(report: Report, view: LedgerView) -> Iterator[tuple[str, object, object]]:
    """What a report says of privacy, each with what its ledger makes of it."""
    identity, data, facts = report.identity, report.data, view.facts
    yield "stamp", identity.private, view.private
    yield "noise_randomness", identity.noise_randomness, view.randomness
    yield "plan_hash", identity.plan_hash, view.plan_hash
    yield "catalogue_hash", data.catalogue_hash, view.plan["catalogue_hash"]
    yield "users and items", (data.users, data.items), (facts["devices"], facts["items"])
    yield "definition", report.definition, definition(view)
    yield "adversaries", report.adversaries, adversary_rows(view)
    yield "mechanism", report.mechanism, mechanism_steps(view)
    yield "secure aggregation", report.aggregation, aggregation(view)
    yield "profiles", report.profiles, profiles(view)
    yield "accounting", report.accounting, accounting(view, identity)
    yield "egress", report.egress, egress(view)
    policy = policy_in(report.minimization, view.plan_hash)
    yield "policy_hash", identity.policy_hash, policy.hash
    left = dataclasses.replace(minimization(view, policy), denied=report.minimization.denied)
    yield "minimization", report.minimization, left
    yield "security", report.security, security(view)
    known = [g.epsilon for g in view.guarantees if g.epsilon is not None]
    for row in report.quality.rows:
        expected = max(known, default=None) if row.kind == "private" else None
        yield f"quality, epsilon of {row.name!r}", row.epsilon, expected


def _population(report: Report, view: LedgerView) -> Iterator[Check]:
    """What other runs on the same users spent: recomputed from their own ledger in the report."""
    check_membership(report.population, view)
    if report.population is None:
        yield Check(name="population", found="none: other runs on the same users are not counted")
        return
    population = population_view(report.population)
    population.check()
    _compare("population", report.population, population_section(view, population))
    for name, found in population_findings(population):
        yield Check(name=name, found=found)


def _compare(where: str, claimed: object, computed: object) -> None:
    """Refuse the first difference, floats to within 1e-6 of themselves, and say where it is."""
    if dataclasses.is_dataclass(computed) and type(claimed) is type(computed):
        for part in dataclasses.fields(computed):
            if FOLLOWS not in part.metadata:  # then reading the report has checked it
                name = f"{where}.{part.name}"
                _compare(name, getattr(claimed, part.name), getattr(computed, part.name))
    elif isinstance(computed, Mapping) and isinstance(claimed, Mapping):
        _compare(f"names in {where}", sorted(claimed), sorted(computed))
        for key, value in computed.items():
            _compare(f"{where}.{key}", claimed[key], value)
    elif isinstance(computed, tuple) and isinstance(claimed, tuple):
        _compare(f"number of {where}", len(claimed), len(computed))
        for index, (one, other) in enumerate(zip(claimed, computed, strict=True)):
            _compare(f"{where}[{index}]", one, other)
    elif isinstance(computed, float) and isinstance(claimed, float):
        if not math.isclose(claimed, computed, rel_tol=_TOLERANCE):
            raise IntegrityError(f"{where} is said to be {claimed:.9g}, but it is {computed:.9g}.")
    elif claimed != computed:
        raise IntegrityError(f"{where} is said to be {claimed!r}, but it is {computed!r}.")
