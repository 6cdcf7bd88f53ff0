"""The one sentence that a report claims, made from the facts and from nothing else."""

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

from privet.privacy.report.text import bound

Unit: TypeAlias = Literal["user"]
Trust: TypeAlias = Literal["central", "secure-aggregation", "local"]
Relation: TypeAlias = Literal["zero-out", "replace-one"]
Randomness: TypeAlias = Literal["operating-system", "seeded", "none"]
AdversaryCode: TypeAlias = Literal["A1", "A2", "A3", "A4", "A5", "A6", "A7", "A8"]
Verdict: TypeAlias = Literal["PRIVATE", "NO GUARANTEE", "NOT PRIVATE"]

ADVERSARIES: dict[AdversaryCode, str] = {
    "A1": "whoever gets the model",
    "A2": "another user's device in the federation",
    "A3": "an honest-but-curious server",
    "A4": "a malicious server",
    "A5": "the developer of the app",
    "A6": "a group of colluding devices",
    "A7": "someone who holds the device",
    "A8": "someone who watches the network",
}

RELATION_TEXTS: dict[Relation, str] = {
    "zero-out": (
        "Two data sets are neighbours if they are equal except that one user's whole history is "
        "empty in one of them; the user still takes part."
    ),
    "replace-one": (
        "Two data sets are neighbours if they are equal except that one user's whole history is "
        "replaced by any other history."
    ),
}

TRUST_TEXTS: dict[Trust, str] = {
    "central": "the server keeps each contribution to itself and adds the noise it promised",
    "secure-aggregation": "the devices add their noise and the server follows secure aggregation",
    "local": "the user's own device adds its noise",
}

_COMPARED: dict[Relation, str] = {
    "zero-out": "compared with that history being empty (zero-out)",
    "replace-one": "compared with any other history in its place (replace-one)",
}

SEEDED_CLAIM = (
    "NOT PRIVATE: the noise of this run came from a seed, so whoever knows the seed can take it "
    "away, and no figure in this report is a privacy guarantee."
)
UNSAFE_CLAIM = (
    "NOT PRIVATE: this run was marked as not private, and no figure in this report is a privacy "
    "guarantee."
)


@dataclass(frozen=True, kw_only=True)
class ClaimFacts:
    """What a claim may say.

    Attributes:
        unit: What is protected as a whole.
        epsilon: Against the headline's adversary; None or infinity if there is no guarantee.
        delta: With it; zero for pure differential privacy.
        adversary: Against whom.
        trust: Whom one has to trust for it.
        relation: Which data sets are neighbours.
        noise_randomness: Where the noise came from.
        private: False if the run is not private for whatever reason.
    """

    unit: Unit
    epsilon: float | None
    delta: float | None
    adversary: AdversaryCode
    trust: Trust
    relation: Relation
    noise_randomness: Randomness
    private: bool


def verdict(facts: ClaimFacts) -> Verdict:
    """The claim in two words; the worse one wins.

    Edge Case Handling: seeded noise is NOT PRIVATE whatever epsilon is; no epsilon, no delta, an
    infinite epsilon, a delta of one or no noise at all is NO GUARANTEE; a run marked as not private
    with a finite epsilon is NOT PRIVATE.
    """
    if facts.noise_randomness == "seeded":
        return "NOT PRIVATE"
    if guarantee(facts) is None:
        return "NO GUARANTEE"
    return "PRIVATE" if facts.private else "NOT PRIVATE"


def claim_sentence(facts: ClaimFacts) -> str:
    """One sentence that says what holds, and never more.

    Formal Guarantees: the numbers are the facts', or, where they have more than four significant
    digits, rounded up and written with ``≤``. There is no number unless the verdict is PRIVATE.
    """
    found = verdict(facts)
    if found == "NOT PRIVATE":
        return SEEDED_CLAIM if facts.noise_randomness == "seeded" else UNSAFE_CLAIM
    who = f"{ADVERSARIES[facts.adversary]} ({facts.adversary})"
    held = guarantee(facts)
    if held is None:
        why = "no noise was added, so " if facts.noise_randomness == "none" else ""
        return (
            f"There is NO privacy guarantee: {why}nothing bounds what {who} can learn from this "
            f"run about a {facts.unit}'s history."
        )
    return (
        f"Differential privacy with {bound('ε', held[0])} and {bound('δ', held[1])} "
        f"bounds what {who} can learn from this run about any one {facts.unit}'s whole history, "
        f"{_COMPARED[facts.relation]}, provided that {TRUST_TEXTS[facts.trust]}."
    )


def guarantee(facts: ClaimFacts) -> tuple[float, float] | None:
    """Epsilon and delta, if they are finite, mean something and noise was added."""
    if facts.epsilon is None or facts.delta is None or facts.noise_randomness == "none":
        return None
    if math.isinf(facts.epsilon) or facts.delta >= 1:
        return None
    return facts.epsilon, facts.delta
