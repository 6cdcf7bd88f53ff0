"""The plan: all public constants of a run, fixed and hashed before it starts."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, cast

from privet.models.combination import Combination, noise_growth
from privet.privacy.accounting.accountants import check_delta
from privet.privacy.accounting.adversaries import ReleaseTerms, Trust
from privet.privacy.accounting.gaussian import gaussian_mu
from privet.privacy.accounting.sampling import Sampling
from privet.privacy.accounting.series import SeriesRound
from privet.privacy.canonical import canonical_bytes, sha256
from privet.privacy.cohorts import EVERYONE, CohortRule
from privet.privacy.encoding import Encoding
from privet.privacy.errors import InputError, PrivacyError
from privet.privacy.minimization.messages import vector_message_bytes
from privet.privacy.records import encode
from privet.privacy.secagg.agreed import ProtocolTerms

PLAN_VERSION = 1
_NO_GROUPS = {
    Trust.CENTRAL: "the server sees every vector anyway, and adds noise to one sum of all",
    Trust.LOCAL: "every vector is private by itself, in whichever sum it is",
}


@dataclass(frozen=True, kw_only=True)
class PublicFacts:
    """All that a model may know when it lays out its steps. Nothing here is about any one user.

    Attributes:
        devices: Number of devices, at least 2.
        items: Size of the catalogue, at least 2.
        epsilon: Target, above 0; infinity for no privacy.
        delta: Target, in (0, 1), below 1 / devices.
        trust: Who adds noise.
        groups: Groups that each round is split into, each summed by itself.
        min_survivors: Fewest devices that a group's sum may have; all of the smallest group if not
            given. The expected number where the cohort's size is kept secret, which nothing may
            depend on.
        colluders: Devices assumed to reveal their noise shares; all may be in one group.
        combination: How the sums of groups become one release; no epsilon depends on it.
        cohort: How the devices of a round are drawn.
        start: Unix seconds at which the period that the run is about begins; 0 for none.
        end: Unix seconds at which it ends; 0 for none.

    Raises:
        InputError: A value out of its range, or too few groups for the combination.
        PrivacyError: Delta not below 1 / devices, as many colluders as survivors, groups under a
            trust where they would change nothing but the noise, or a limit that would tell the
            size of a secret cohort.
    """

    devices: int
    items: int
    epsilon: float
    delta: float
    trust: Trust
    min_survivors: int = 0
    colluders: int = 1
    groups: int = 1
    combination: Combination = Combination.SUM
    cohort: CohortRule = EVERYONE
    start: int = 0
    end: int = 0

    def __post_init__(self) -> None:
        """Check every range, and set the default of ``min_survivors``."""
        if self.devices < 2 or self.items < 2:
            raise InputError(
                f"A federation needs at least 2 users and 2 items, found {self.devices} users "
                f"and {self.items} items."
            )
        if not self.epsilon > 0:
            raise InputError(
                f"Expected epsilon > 0 or inf, found {self.epsilon}. Smaller is more private; "
                "inf is without privacy."
            )
        check_delta(self.delta)
        if self.delta * self.devices >= 1 and math.isfinite(self.epsilon):
            raise PrivacyError(
                f"Delta {self.delta} is not below 1/users = {1 / self.devices:.3g}: it would allow "
                "publishing a whole user. Use a smaller delta."
            )
        if not (self.start == self.end == 0 or 0 <= self.start < self.end):
            raise InputError(f"Expected start={self.start} to be before end={self.end}.")
        if self.cohort.size is not None and self.cohort.size > self.devices:
            raise InputError(
                f"A cohort of {self.cohort.size} cannot be drawn from {self.devices} devices."
            )
        self._check_groups()
        if self.min_survivors == 0:
            object.__setattr__(self, "min_survivors", self.smallest_group)
        # More than a Poisson cohort is sure to have may be asked for: fewer are then refused.
        most = self.smallest_group if self.cohort.rate is None else self.devices // self.groups
        if not 0 <= self.colluders < self.min_survivors <= most:
            raise PrivacyError(
                f"Expected 0 <= colluders < min_survivors <= devices in the smallest group, found "
                f"{self.colluders}, {self.min_survivors} and {most}."
            )
        if self.hides_cohort and self.min_survivors != self.smallest_group:
            raise PrivacyError(
                "A Poisson cohort's size is kept secret under 'central' trust: stopping below a "
                "number of survivors would tell it. Leave min_survivors away."
            )

    @property
    def hides_cohort(self) -> bool:
        """Whether the server keeps to itself who is drawn, and how many."""
        return self.trust is Trust.CENTRAL and self.cohort.rate is not None

    @property
    def expected_devices(self) -> int:
        """Devices in a round: exactly, or expected."""
        return self.cohort.expected(self.devices)

    def _check_groups(self) -> None:
        fewest = self.cohort.fewest(self.devices)
        if not 1 <= self.groups <= fewest:
            raise InputError(f"Expected from 1 to {fewest} groups of a round, found {self.groups}.")
        if self.groups > 1 and self.trust is not Trust.SECURE_AGGREGATION:
            raise PrivacyError(
                f"Groups are for trust {Trust.SECURE_AGGREGATION}, found {self.groups} groups under "
                f"{self.trust}: {_NO_GROUPS[self.trust]}. Leave groups away."
            )
        self.combination.trimmed(self.groups)

    @property
    def smallest_group(self) -> int:
        """Devices in the smallest group of a round, of those that are (sure to be) drawn."""
        if self.hides_cohort:
            return self.expected_devices
        return self.cohort.fewest(self.devices) // self.groups

    @property
    def fewest_devices(self) -> int:
        """Devices that a round needs, over all of its groups."""
        return self.groups * self.min_survivors

    @property
    def largest_group(self) -> int:
        """Devices in the largest group of a round, at most one more."""
        most = self.devices if self.cohort.size is None else self.cohort.size
        return -(-most // self.groups)

    @property
    def noise_growth(self) -> float:
        """Noise of the groups' combination over that of their sum."""
        return noise_growth(self.combination, self.groups)

    @property
    def sampling(self) -> Sampling | None:
        """What accounts are told of how cohorts are drawn."""
        return self.cohort.sampling(self.devices, trust=self.trust)

    def fewest_survivors(self, series: SeriesRound | None) -> int:
        """Fewest devices that the sum of a step may have, which may be a series' round."""
        if series is None:
            return self.min_survivors
        return series.fewest(self.devices, self.min_survivors)

    @property
    def mu(self) -> float:
        """The Gaussian privacy parameter of the target; infinite without privacy."""
        return gaussian_mu(self.epsilon, self.delta)


@dataclass(frozen=True, kw_only=True)
class Step:
    """One sum that a model needs, as the model asks for it.

    Attributes:
        name: Distinct within the model.
        dimension: Length of a device's vector.
        l2_clip_norm: Bound on its norm.
        nonnegative: Whether it has no negative entries.
        budget_share: Share of the run's mu squared; shares of all steps sum to 1.
        series: The round of a series that this sum is, its noise correlated with the other
            rounds'; None for a sum with noise of its own.
        since: Unix seconds; a device leaves earlier events out. 0 for all.
        until: Unix seconds; a device leaves events from then on out. 0 for all.
    """

    name: str
    dimension: int
    l2_clip_norm: float = 1.0
    nonnegative: bool = False
    budget_share: float = 1.0
    series: SeriesRound | None = None
    since: int = 0
    until: int = 0


@dataclass(frozen=True, kw_only=True)
class StepPlan:
    """A step with its encoding and noise.

    Attributes:
        step: What the model asked for.
        encoding: Integer encoding of its vectors.
        terms: What the release is charged in the worst case: with the fewest survivors of a group.
    """

    step: Step
    encoding: Encoding
    terms: ReleaseTerms

    @property
    def name(self) -> str:
        """Of the step."""
        return self.step.name

    @property
    def upload_bytes(self) -> int:
        """Size of a device's message in this step, whatever its history.

        As it passes the gate; secure aggregation's keys, shares and signatures come on top.
        """
        return vector_message_bytes(self.encoding.dimension)

    def noise_std(self, survivors: int) -> float:
        """Standard deviation of the noise in each coordinate of the decoded sum.

        Of a series, in this round's estimate; in sums over rounds much of it cancels.

        Args:
            survivors: Devices in the sum, over all of its groups.
        """
        terms = self.terms
        growth = 1.0 if terms.series is None else terms.series.error_growth
        integer = terms.noise_multiplier * terms.l2_bound * growth
        return math.sqrt(integer**2 + terms.share_variance * survivors) / self.encoding.scale


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All public constants of a run.

    Attributes:
        model: Name of the model.
        parameters: Its hyper-parameters.
        facts: What is public about the federation.
        steps: In order.
        catalogue_hash: Version of the catalogue.
        seeded_noise: True if noise follows from a seed: NOT PRIVATE.
        protocol: What is agreed about secure aggregation; None where it is not run: under other
            trusts, and in simulations of its effect.

    Raises:
        PrivacyError: A protocol under another trust.
    """

    model: str
    parameters: Mapping[str, Any]
    facts: PublicFacts
    steps: tuple[StepPlan, ...]
    catalogue_hash: str
    seeded_noise: bool = False
    protocol: ProtocolTerms | None = None

    def __post_init__(self) -> None:
        """Refuse a protocol that nobody would run."""
        if self.protocol is not None and self.facts.trust is not Trust.SECURE_AGGREGATION:
            raise PrivacyError(
                f"The protocol of secure aggregation is for trust {Trust.SECURE_AGGREGATION}, "
                f"found {self.facts.trust}."
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, field by field; a field that is a float is always written as one."""
        body = cast(dict[str, Any], encode(self, Plan, "plan"))
        body["version"] = PLAN_VERSION
        if math.isinf(self.facts.epsilon):
            body["facts"]["epsilon"] = None
        return body

    def to_bytes(self) -> bytes:
        """The plan as canonical JSON, whose SHA-256 is its hash."""
        return canonical_bytes(self.to_dict())

    @classmethod
    def from_dict(cls, body: object) -> "Plan":
        """Read what `to_dict` wrote, and check all that can be checked without its model.

        Formal Guarantees:
            Bounds, integers and noise of every step follow from the plan's own public facts, no
            sum can wrap around, and there is noise wherever the plan says that there is privacy.
            What the noise is worth is an accountant's business: `privet.models.planning.check_noise`.

        Raises:
            InputError: A field is missing, unknown, of another type or out of its range.
            PrivacyError: Facts that cannot be private as they say, or a sum that could wrap around.
            IntegrityError: Parts of the plan contradict each other.
        """
        from privet.models.plan_file import plan_from_dict

        return plan_from_dict(body)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Plan":
        """Read what `to_bytes` wrote, and nothing that is spelled differently.

        Raises:
            InputError: As `from_dict`, and if it is no canonical JSON of at most a mebibyte.
            PrivacyError: As `from_dict`.
            IntegrityError: As `from_dict`, and if the bytes are not those that the plan gives.
        """
        from privet.models.plan_file import read_plan

        return read_plan(data)

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the canonical JSON, computed once: long plans are asked for it every round."""
        return sha256(self.to_dict())

    @property
    def secure_aggregation(self) -> Literal["protocol", "simulated"] | None:
        """Whether secure aggregation is run, or its effect simulated; None under other trusts."""
        if self.facts.trust is not Trust.SECURE_AGGREGATION:
            return None
        return "simulated" if self.protocol is None else "protocol"

    @property
    def upload_bytes(self) -> int:
        """Size of a device's messages in the whole run, at most: in every step, or in all its turns."""
        taken = (s for s in self.steps if s.terms.series is None or s.terms.series.of_the_busiest)
        return sum(step.upload_bytes for step in taken)
