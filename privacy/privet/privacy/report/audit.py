"""What an audit of a run found: bounds from below, attacks, and controls that show that they work.

The values are filled by whoever attacked; a report joins them with what the ledger proves from above.
An outcome is computed from the figures beside it and never given, so that nobody can call a leak a
pass.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from privet.privacy.errors import InputError
from privet.privacy.report.claims import AdversaryCode
from privet.privacy.report.sections import Interval

Observable: TypeAlias = Literal[
    "raw upload", "upload with its noise share", "masked upload", "sum", "model"
]
Goal: TypeAlias = Literal[
    "items",
    "membership",
    "interaction",
    "attribute",
    "re-identification",
    "singling-out",
    "linkability",
    "inference",
    "promotion",
]
Role: TypeAlias = Literal["attack", "negative control"]
Outcome: TypeAlias = Literal[
    "within the claim", "above the claim", "nothing claimed", "control works", "control fails"
]


@dataclass(frozen=True, kw_only=True)
class NoiseTest:
    """The self-test of one step's noise, see `privet.privacy.audit.self_test`.

    Attributes:
        step: Name of the step.
        canaries: How many were planted.
        claimed_mu: Of one coordinate.
        bound: Mu of the canaries, from below.
        confidence: Of the bound.
        power: The largest fraction of the claimed noise that is found in 9 of 10 such tests.
    """

    step: str
    canaries: int
    claimed_mu: float
    bound: float
    confidence: float
    power: float

    @property
    def passed(self) -> bool:
        """Whether the bound does not exceed the claim."""
        return self.bound <= self.claimed_mu


@dataclass(frozen=True, kw_only=True)
class BoundFromBelow:
    """What one method says that was lost at least, beside the claim.

    Attributes:
        method: As `privet.privacy.audit.lower_bounds` names it.
        adversary: Who sees what the canaries were looked for in.
        access: To what, as ``every release`` or ``the final model``.
        position: Where canaries entered, as ``histories, before the client's code``.
        canaries: How many.
        mu: The bound on mu, where the method has one.
        epsilon: The bound on epsilon at delta.
        claimed_mu: The claim; None where no mu is claimed.
        claimed_epsilon: The claim at delta.
        delta: Of both epsilons.
        confidence: Of the bound, corrected for all that was chosen on the same data.
        power: The largest fraction of the claimed noise at which the method finds the claim broken
            in 9 of 10 audits of this size; 0 if it finds none.
    """

    method: str
    adversary: AdversaryCode
    access: str
    position: str
    canaries: int
    mu: float | None
    epsilon: float
    claimed_mu: float | None
    claimed_epsilon: float
    delta: float
    confidence: float
    power: float

    @property
    def broken(self) -> bool:
        """Whether the bound exceeds the claim."""
        if self.mu is not None and self.claimed_mu is not None:
            return self.mu > self.claimed_mu
        return self.epsilon > self.claimed_epsilon


@dataclass(frozen=True, kw_only=True)
class RocPoint:
    """True positives at one rate of false positives, with what the claim allows.

    Attributes:
        fpr: Rate of false positives, in [0, 1].
        tpr: Rate of true positives, with its interval, in [0, 1].
        allowed: The largest rate that the claim allows; None where nothing is claimed.
    """

    fpr: float
    tpr: Interval
    allowed: float | None


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure of an attack.

    Attributes:
        name: As ``precision`` or ``AUC``.
        value: With its interval.
        baseline: What one gets without looking at the observable; None where there is no such way.
        allowed: The most that the claim allows; None where it says nothing of this figure.
        needed: In a negative control, the least that the attack must reach; None elsewhere.
    """

    name: str
    value: Interval
    baseline: float | None = None
    allowed: float | None = None
    needed: float | None = None


@dataclass(frozen=True, kw_only=True)
class Attack:
    """One attack on one observable.

    Attributes:
        goal: What the attacker wants.
        name: The attack in a few words, unique with observable and role.
        observable: What the attacker looks at.
        adversary: Who can look at it; None where nobody of the threat model can.
        role: ``attack`` where the run's protection is on, ``negative control`` where it is off: the
            same code must then succeed, or its failure against the run shows nothing.
        source: The paper and section.
        targets: How many users, histories or items were attacked.
        figures: At least one.
        roc: Points of the curve, by fpr; empty where the attack has none.
        note: What a reader must know, in a sentence or two.
    """

    goal: Goal
    name: str
    observable: Observable
    adversary: AdversaryCode | None
    role: Role
    source: str
    targets: int
    figures: tuple[Figure, ...]
    roc: tuple[RocPoint, ...] = ()
    note: str = ""

    def __post_init__(self) -> None:
        """Refuse an attack without figures, and a control that nothing is asked of."""
        if not self.figures:
            raise InputError(f"Expected the attack {self.name!r} to have at least one figure.")
        asked = any(figure.needed is not None for figure in self.figures)
        if asked != (self.role == "negative control"):
            raise InputError(
                f"Expected needed figures in negative controls and nowhere else: {self.name!r}."
            )

    @property
    def outcome(self) -> Outcome:
        """What the figures say.

        A figure is above the claim only where the whole interval is: an attack that may have been
        lucky disproves nothing.
        """
        if self.role == "negative control":
            needed = [f for f in self.figures if f.needed is not None]
            works = all(f.value.mean >= f.needed for f in needed if f.needed is not None)
            return "control works" if works else "control fails"
        limits = [(f.value.low, f.allowed) for f in self.figures if f.allowed is not None]
        limits += [(p.tpr.low, p.allowed) for p in self.roc if p.allowed is not None]
        if not limits:
            return "nothing claimed"
        above = any(low > allowed for low, allowed in limits)
        return "above the claim" if above else "within the claim"


@dataclass(frozen=True, kw_only=True)
class AuditRecord:
    """All that one audit did.

    Attributes:
        plan_hash: Of the plan that was attacked: the run's own, played again with other coins.
        how: What was done to whom, in sentences.
        repeats: How often the plan was carried out for the audit.
        seeds: Of coins and shadow models; never of noise.
        seconds: Wall time.
        noise_tests: One a step with noise.
        bounds: From below.
        attacks: Controls among them.
        disclosure: Risks of the data as they lie on devices, by name: what minimization is up
            against. Fractions in [0, 1].
    """

    plan_hash: str
    how: tuple[str, ...]
    repeats: int
    seeds: Mapping[str, int]
    seconds: float
    noise_tests: tuple[NoiseTest, ...]
    bounds: tuple[BoundFromBelow, ...]
    attacks: tuple[Attack, ...]
    disclosure: Mapping[str, Interval]

    @property
    def failures(self) -> tuple[str, ...]:
        """What disproves a claim, each in a few words; empty if nothing does."""
        tests = [f"noise of {test.step}" for test in self.noise_tests if not test.passed]
        bounds = [f"{b.method} bound, {b.access}" for b in self.bounds if b.broken]
        attacks = [
            f"{a.name}, {a.observable}" for a in self.attacks if a.outcome == "above the claim"
        ]
        return (*tests, *bounds, *attacks)

    @property
    def blind(self) -> tuple[str, ...]:
        """Controls that failed: the attacks whose silence shows nothing."""
        return tuple(
            f"{a.name}, {a.observable}" for a in self.attacks if a.outcome == "control fails"
        )
