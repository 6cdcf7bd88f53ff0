"""A population: users whose budget is one, over every run, model and tuning that they are part of.

Its ledger is a chain as any other (:mod:`privet.privacy.ledger`). It begins with a ``population``
entry; ``limit`` entries set the budget, ``run`` entries open runs, ``spend`` entries are releases.
All that is said of a population's privacy is computed here, from these entries and nothing else.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from privet.privacy.accounting.accountants import check_delta, claimed_epsilon
from privet.privacy.accounting.adversaries import (
    Adversary,
    Guarantee,
    ReleaseTerms,
    Trust,
    events_of,
)
from privet.privacy.accounting.events import Event, GaussianEvent
from privet.privacy.accounting.gaussian import gaussian_epsilon
from privet.privacy.contribution import NeighbouringRelation
from privet.privacy.errors import BudgetError, InputError, IntegrityError, PrivacyError
from privet.privacy.ledger import POPULATION_KINDS, Charge, Entry, EntryKind, charges

POPULATION_VERSION = 1
_ROUNDING = 1e-9  # calibration stops at a target from below; the last digits are rounding
_BISECTIONS = 40
_MOST_USERS = 2**53


@dataclass(frozen=True, kw_only=True)
class Opening:
    """What a population's ledger begins with.

    Attributes:
        id: Random, in hexadecimal: runs name their population by it.
        name: For people.
        delta: At which its epsilon is stated, whatever its runs' own deltas are.
        relation: Which data sets are neighbours; that of all its runs.
    """

    id: str
    name: str
    delta: float
    relation: NeighbouringRelation

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "relation": self.relation.value, "version": POPULATION_VERSION}

    @classmethod
    def from_dict(cls, body: Mapping[str, Any]) -> "Opening":
        """Read an opening back.

        Raises:
            InputError: Of a version that this Privet does not know.
            IntegrityError: Malformed.
        """
        found_version = body.get("version")
        if type(found_version) is int and found_version != POPULATION_VERSION:
            known = f"version {found_version}" if 0 <= found_version < 1000 else "another version"
            raise InputError(
                f"This population's ledger is of {known}; this Privet knows version "
                f"{POPULATION_VERSION}. Use the Privet that wrote it, or a newer one."
            )
        try:
            found = cls(
                id=_text(body["id"]),
                name=_text(body["name"]),
                delta=_number(body["delta"]),
                relation=NeighbouringRelation(body["relation"]),
            )
            check_delta(found.delta)
        except (KeyError, TypeError, ValueError, OverflowError, InputError) as error:
            raise IntegrityError("The population's opening entry is malformed.") from error
        if found.to_dict() != dict(body):
            raise IntegrityError("The population's opening entry is malformed.")
        return found


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """A run that was opened on the population.

    Attributes:
        run: Random, in hexadecimal.
        plan_hash: Of its plan.
        model: Name of the model.
        epsilon: Its target; None for none.
        delta: Its own.
        trust: Who adds noise.
        devices: How many users it is on.
        tuning: Whether its results are for choosing among models or parameters.
    """

    run: str
    plan_hash: str
    model: str
    epsilon: float | None
    delta: float
    trust: Trust
    devices: int
    tuning: bool

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "trust": self.trust.value}

    @classmethod
    def from_dict(cls, body: Mapping[str, Any]) -> "RunRecord":
        """Read a record back.

        Raises:
            IntegrityError: Malformed.
        """
        try:
            found = cls(**{**body, "trust": Trust(body["trust"])})
            fitting = (
                all(map(_text, (found.run, found.plan_hash, found.model)))
                and (found.epsilon is None or 0 < _number(found.epsilon) < math.inf)
                and 0 < _number(found.delta) < 1
                and type(found.devices) is int
                and 1 <= found.devices <= _MOST_USERS
                and type(found.tuning) is bool
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise IntegrityError("A population's run is malformed.") from error
        if not fitting:
            raise IntegrityError("A population's run is malformed.")
        return found


@dataclass(frozen=True, kw_only=True)
class Spend:
    """One release, charged to the population.

    Attributes:
        run: Whose.
        charge: As in the run's own ledger.
    """

    run: str
    charge: Charge

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"run": self.run, **self.charge.to_dict()}


@dataclass(frozen=True, kw_only=True)
class PopulationView:
    """What a population's ledger says; the chain of its entries was checked already.

    Attributes:
        entries: The whole ledger.

    Raises:
        IntegrityError: On use, if an entry is malformed or where it cannot be.
        InputError: On use, if it is of a version that this Privet does not know.

    Formal Guarantees:
        The epsilon of a population bounds all releases of all its runs together, at its delta,
        for a user who took part in each of them. Who really took part lowers no figure. Releases
        are composed by the accountants that compose those of one run, in any order.
    """

    entries: tuple[Entry, ...]

    @cached_property
    def opening(self) -> Opening:
        """Id, name, delta and relation."""
        if not self.entries or self.entries[0].kind is not EntryKind.POPULATION:
            raise IntegrityError("This is no population's ledger: it does not begin with one.")
        if not all(isinstance(entry.body, dict) for entry in self.entries):
            raise IntegrityError("A population's ledger is malformed.")
        if any(entry.kind is EntryKind.POPULATION for entry in self.entries[1:]):
            raise IntegrityError("A population's ledger has a second beginning.")
        if any(entry.kind not in POPULATION_KINDS for entry in self.entries):
            raise IntegrityError("A population's ledger holds entries of another sort of ledger.")
        return Opening.from_dict(self.entries[0].body)

    @cached_property
    def budget(self) -> float:
        """The limit on epsilon in force now; infinite for none."""
        limits = [self._limit(e) for e in self.entries if e.kind is EntryKind.LIMIT]
        if not limits:
            raise IntegrityError("The population's ledger records no budget.")
        return limits[-1]

    @cached_property
    def runs(self) -> tuple[RunRecord, ...]:
        """Every run, in the order in which they were opened."""
        return tuple(RunRecord.from_dict(e.body) for e in self.entries if e.kind is EntryKind.RUN)

    @cached_property
    def spends(self) -> tuple[Spend, ...]:
        """Every release that was charged, repeats included."""
        return tuple(_spend(e) for e in self.entries if e.kind is EntryKind.SPEND)

    @cached_property
    def guarantees(self) -> tuple[Guarantee, ...]:
        """Per adversary, of everything; none against anyone before the first release."""
        found = []
        for adversary in Adversary:
            events = self._events(self._by_run, adversary) if self.spends else None
            epsilon = math.inf if events is None else claimed_epsilon(events, self.opening.delta)
            known = math.isfinite(epsilon)
            found.append(
                Guarantee(
                    adversary=adversary,
                    epsilon=epsilon if known else None,
                    delta=self.opening.delta if known else None,
                )
            )
        return tuple(found)

    def events(self, adversary: Adversary | None = None) -> tuple[Event, ...]:
        """All that an adversary saw who has a guarantee; None for the best informed of them."""
        return self._events(self._by_run, adversary) or ()

    @cached_property
    def spent(self) -> float:
        """Epsilon of everything, in the worst case over adversaries that have a guarantee."""
        return self._epsilon(self._by_run)

    def epsilon_with(self, further: Sequence[Sequence[ReleaseTerms]], run: str = "") -> float:
        """What ``spent`` would be after further releases.

        Args:
            further: Releases of each run that is to spend.
            run: Which run the first of them is; a new one if not given.

        Raises:
            PrivacyError: They are stated under another neighbouring relation.
        """
        more = {f"new {i}": tuple(terms) for i, terms in enumerate(further)}
        if run:
            more[run] = (*self._by_run.get(run, ()), *more.pop("new 0"))
        return self._epsilon({**self._by_run, **more})

    def epsilon_of(self, run: str) -> float:
        """What one run spent by itself, at the population's delta; such figures do not add up."""
        return self._epsilon({run: self._by_run.get(run, ())})

    @cached_property
    def by_run(self) -> tuple[tuple[RunRecord, int, float], ...]:
        """Each run with the number of its releases and :meth:`epsilon_of` it."""
        counts = Counter(spend.run for spend in self.spends)
        return tuple((r, counts[r.run], self.epsilon_of(r.run)) for r in self.runs)

    def require(self, further: Sequence[Sequence[ReleaseTerms]], what: str, run: str = "") -> None:
        """Refuse releases that would overspend.

        Args:
            further: All that is to be released, by each run.
            what: It, for the message.
            run: As of :meth:`epsilon_with`.

        Raises:
            BudgetError: The total would be above the budget.
            PrivacyError: They are stated under another neighbouring relation.
        """
        needed = self.epsilon_with(further, run)
        if needed > self.budget * (1 + _ROUNDING):
            raise BudgetError(
                f"{what} would bring population {self.opening.name!r} to epsilon {needed:.4g} at "
                f"delta {self.opening.delta:g}, above its budget of {self.budget:.4g}; "
                f"{self.spent:.4g} is spent, by {len(self.spends)} releases. It was not released."
            )

    @cached_property
    def remaining(self) -> float:
        """Largest epsilon, at the population's delta, of one more Gaussian release that fits.

        Rounded down. Infinite without a budget. Not the budget less what is spent: epsilons do
        not add up.
        """
        if math.isinf(self.budget):
            return math.inf
        events = self.events()
        low, high = 0.0, 1.0

        def fits(mu: float) -> bool:
            more = GaussianEvent(noise_multiplier=1 / mu, relation=self.opening.relation)
            return claimed_epsilon([*events, more], self.opening.delta) <= self.budget

        while fits(high):
            low, high = high, 2 * high
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            low, high = (middle, high) if fits(middle) else (low, middle)
        return gaussian_epsilon(low, self.opening.delta) * (1 - _ROUNDING)

    def check(self) -> None:
        """Replay the ledger, and refuse what no coordinator would have written.

        Raises:
            IntegrityError: A release of a run that was not opened, under another relation, above
                the budget that was in force, or with a delta that its users do not allow.
        """
        opening, opened, limit = self.opening, set[str](), None
        spent: list[Spend] = []
        checked = 0
        for entry in self.entries[1:]:
            if entry.kind is EntryKind.LIMIT:
                self._within(spent, checked, limit)
                limit, checked = self._limit(entry), len(spent)
            elif limit is None:
                raise IntegrityError("The population's ledger records no budget before its use.")
            elif entry.kind is EntryKind.RUN:
                record = RunRecord.from_dict(entry.body)
                if record.run in opened or record.trust.relation is not opening.relation:
                    raise IntegrityError(f"Population entry {entry.seq}: no such run can be.")
                if math.isfinite(limit) and record.devices * opening.delta >= 1:
                    raise IntegrityError(f"Population entry {entry.seq}: delta is 1/users or more.")
                opened.add(record.run)
            else:
                spend = _spend(entry)
                if spend.run not in opened:
                    raise IntegrityError(f"Population entry {entry.seq} is of an unknown run.")
                if spend.charge.terms.trust.relation is not opening.relation:
                    raise IntegrityError(f"Population entry {entry.seq}: another relation.")
                spent.append(spend)
        self._within(spent, checked, limit)

    def _within(self, spent: Sequence[Spend], checked: int, limit: float | None) -> None:
        """The last release under a limit is within it, and so is each before: totals only grow."""
        if limit is None or len(spent) == checked:
            return
        epsilon = self._epsilon(_grouped(spent))
        if epsilon > limit * (1 + 1e-6):
            raise IntegrityError(
                f"The population's releases reach epsilon {epsilon:.6g}, above the budget of "
                f"{limit:.6g}."
            )

    def _limit(self, entry: Entry) -> float:
        epsilon, delta = entry.body.get("epsilon"), entry.body.get("delta")
        if type(delta) is not float or delta != self.opening.delta:
            raise IntegrityError("The population's budget is stated at another delta than its own.")
        if epsilon is None:
            return math.inf
        if type(epsilon) is not float or not 0 < epsilon < math.inf:
            raise IntegrityError("The population's ledger records an impossible budget.")
        return epsilon

    @cached_property
    def _by_run(self) -> dict[str, tuple[ReleaseTerms, ...]]:
        return _grouped(self.spends)

    def _epsilon(self, releases: Mapping[str, Sequence[ReleaseTerms]]) -> float:
        return claimed_epsilon(self._events(releases) or (), self.opening.delta)

    def _events(
        self,
        releases: Mapping[str, Sequence[ReleaseTerms]],
        adversary: Adversary | None = None,
    ) -> tuple[Event, ...] | None:
        """What releases of several runs are to an adversary; None where nothing is guaranteed."""
        events: list[Event] = []
        for run in releases.values():  # a series is one run's: its name may come again in others
            of_run = events_of(run, adversary)
            if of_run is None:
                return None
            events.extend(of_run)
        return tuple(events)


def require_joinable(view: PopulationView, record: RunRecord, *, seeded_noise: bool) -> None:
    """Refuse a run whose releases could not be counted with the population's.

    Raises:
        PrivacyError: Its neighbouring relation is another one, the population's delta is not
            below 1 / users, or its noise follows from a seed.
    """
    if seeded_noise:
        raise PrivacyError(
            "A run with seeded noise is a test and protects nobody: it cannot be counted in a "
            "population. Leave --population or --insecure-seeded-noise away."
        )
    if record.trust.relation is not view.opening.relation:
        raise PrivacyError(
            f"Population {view.opening.name!r} is stated under {view.opening.relation.value}; trust "
            f"{record.trust} is stated under {record.trust.relation.value}. Releases under two "
            "relations cannot be one total."
        )
    if record.devices * view.opening.delta >= 1 and math.isfinite(view.budget):
        raise PrivacyError(
            f"The delta {view.opening.delta:g} of population {view.opening.name!r} is not below "
            f"1/users = {1 / record.devices:.3g}: it would allow publishing a whole user."
        )


def recorded_membership(entries: Sequence[Entry]) -> dict[str, str] | None:
    """What a run's ledger says of its population; None if it has none.

    Raises:
        IntegrityError: Malformed.
    """
    found = entries[0].body.get("population") if entries else None
    if found is None:
        return None
    if not isinstance(found, dict) or set(found) != {"population", "run"}:
        raise IntegrityError("The ledger's population is malformed.")
    return {name: str(value) for name, value in found.items()}


def _grouped(spends: Sequence[Spend]) -> dict[str, tuple[ReleaseTerms, ...]]:
    """Terms of releases by run: in each run in order."""
    found: dict[str, list[ReleaseTerms]] = {}
    for spend in spends:
        found.setdefault(spend.run, []).append(spend.charge.terms)
    return {run: tuple(terms) for run, terms in found.items()}


def _spend(entry: Entry) -> Spend:
    (charge,) = charges([Entry(**{**vars(entry), "kind": EntryKind.CHARGE})])
    try:
        return Spend(run=_text(entry.body["run"]), charge=charge)
    except (KeyError, TypeError) as error:
        raise IntegrityError(f"Ledger entry {entry.seq} is malformed.") from error


def _text(value: object) -> str:
    if type(value) is not str or not value:
        raise TypeError("expected text")
    return value


def _number(value: object) -> float:
    if type(value) is not float:
        raise TypeError("expected a number with a point")
    return value
