"""The sections of a report: frozen values, filled by whoever ran the round.

A number that is None is one that nobody has; infinity is a number. Where the figures of a section come
from is said in the report's `sources`, see `privet.privacy.report.document`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from privet.privacy.report.claims import AdversaryCode, Randomness, Relation, Trust, Unit
from privet.privacy.report.spending import Kind

Source: TypeAlias = Literal["measured", "computed", "declared", "absent"]
LEAST_USERS = 20
"""Users that a group must have for any figure of it: they look at held-out data."""

RowKind: TypeAlias = Literal["reference", "private", "no privacy"]


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Which run this is, and how to make it again.

    Attributes:
        report_id: A name of the report, unique for its issuer.
        created_at: ISO 8601 in UTC, as ``2026-11-23T20:00:00Z``.
        toolkit_version: Privet's.
        dependencies: Package name to version.
        reproduction_command: What to type to run it again.
        noise_randomness: Where the noise came from.
        private: False stamps everything NOT PRIVATE; must be False without real noise.
        ledger_head: Hash of the last entry of the run's ledger.
        plan_hash: The hash of the run's public constants, if there is a plan.
        policy_hash: Of the egress policy that devices were under.
        run_id: The run's name for whoever made it.
        git_commit: Of the toolkit's source, where it is known.
        git_dirty: Whether that source had changes that are not in the commit.
        signer: Fingerprint of the key that signs the report; None if it is not signed.
    """

    report_id: str
    created_at: str
    toolkit_version: str
    dependencies: Mapping[str, str]
    reproduction_command: str
    noise_randomness: Randomness
    private: bool
    ledger_head: str
    plan_hash: str | None = None
    policy_hash: str | None = None
    run_id: str | None = None
    git_commit: str | None = None
    git_dirty: bool | None = None
    signer: str | None = None


@dataclass(frozen=True, kw_only=True)
class AdversaryGuarantee:
    """What holds against one adversary; an epsilon of None is "none".

    Attributes:
        adversary: A1 to A8.
        who: The same in words.
        epsilon: At delta; None if nothing is guaranteed.
        delta: With it.
        mu: For which the releases are mu-GDP; None where none is proven, as of Skellam noise.
        mu_kind: Whether mu is exact or an upper bound; None without mu.
        mechanism: What protects.
        assumption: What must hold for it.
        reason: Why it holds, or why not.
    """

    adversary: AdversaryCode
    who: str
    epsilon: float | None
    delta: float | None
    mu: float | None
    mu_kind: Kind | None
    mechanism: str
    assumption: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Definition:
    """What exactly is protected.

    Attributes:
        unit: What is protected as a whole.
        relation: Which data sets are neighbours.
        relation_text: The same in exact words.
        trust: Whom one has to trust.
        headline_adversary: Against whom the claim is stated.
        not_protected: Quantities that are public, each in a few words.
        outputs_released: What the guarantee covers.
    """

    unit: Unit
    relation: Relation
    relation_text: str
    trust: Trust
    headline_adversary: AdversaryCode
    not_protected: tuple[str, ...]
    outputs_released: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class SamplingFacts:
    """How the devices of a release were drawn.

    Attributes:
        declared: By the plan: ``poisson`` or ``fixed-size``.
        implemented: What the sampler that ran says of itself.
        probability: Of each device.
        population: Devices drawn from.
        roster_sent: Whether devices were told who else takes part.
        secret_from: Adversaries who do not learn the cohort, nor its size; the only ones against
            whom sampling is counted.
    """

    declared: str
    implemented: str
    probability: float
    population: int
    roster_sent: bool
    secret_from: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class MatrixFacts:
    """The matrix mechanism that a release is a round of.

    Attributes:
        series: Its name in the plan.
        round_number: From 0.
        rounds: Of the series.
        bands: Of the strategy.
        coefficients: Of the strategy, one for each band; said with round 0 only.
        separation: Rounds between two participations of a device, at least.
        participations: Of a device, at most.
        sensitivity: Of all rounds together, in units of one participation.
    """

    series: str
    round_number: int
    rounds: int
    bands: int
    coefficients: tuple[float, ...]
    separation: int
    participations: int
    sensitivity: float


@dataclass(frozen=True, kw_only=True)
class MechanismStep:
    """One release: the vector, its bound and its noise.

    Attributes:
        name: The plan's name for the step.
        dimension: Length of the vector.
        l2_clip_norm: Bound of a device's vector before scaling.
        integer_bound: The L2 bound on the integer grid, rounding included.
        scale: Integers per unit.
        noise: The noise, as ``Skellam, one share a device``.
        noise_std_planned: Standard deviation of the sum's noise per coordinate as planned, in the
            clip norm's units: before scaling to integers.
        noise_std_effective: The same for those who survived, less the colluders assumed.
        noise_multiplier: The effective one, by which epsilon is accounted.
        cohort: Devices that were asked, in all groups.
        devices: Devices in the sum: those that survived; with groups, in the smallest one, which
            all figures are of.
        min_survivors: Below this the round is not opened.
        colluders: Devices whose noise is assumed to be known.
        groups: Sums that the release consists of, each of other devices.
        combination: What the model gets of them: ``sum``, ``trimmed-mean`` or ``median``.
        spoiled_groups: Numbers of the groups, from 0, whose sums no honest devices can have made,
            and which the combination bore.
        sampling: How its devices were drawn; None for all there are, or whose turn it was.
        matrix: What it is a round of; None for noise of its own.
    """

    name: str
    dimension: int
    l2_clip_norm: float
    integer_bound: float | None
    scale: float | None
    noise: str
    noise_std_planned: float | None
    noise_std_effective: float | None
    noise_multiplier: float | None
    cohort: int
    devices: int
    min_survivors: int | None
    colluders: int
    groups: int = 1
    combination: Literal["sum", "trimmed-mean", "median"] = "sum"
    spoiled_groups: tuple[int, ...] = ()
    sampling: SamplingFacts | None = None
    matrix: MatrixFacts | None = None


@dataclass(frozen=True, kw_only=True)
class EgressStep:
    """What leaves a device in one step, and nothing else does."""

    name: str
    fields: tuple[str, ...]
    bytes_per_device: int
    padded: bool
    devices: int


@dataclass(frozen=True, kw_only=True)
class Egress:
    """What left the devices in the whole run; the total is for one that took all its turns."""

    steps: tuple[EgressStep, ...]
    upload_bytes_per_device: int


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A mean and its interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class QualityRow:
    """One recommender's metrics, by their names."""

    name: str
    kind: RowKind
    epsilon: float | None
    metrics: Mapping[str, Interval]


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """A metric at one epsilon; ``seeds`` is how many runs it is the mean of."""

    epsilon: float
    metric: str
    mean: float
    low: float
    high: float
    seeds: int


@dataclass(frozen=True, kw_only=True)
class GroupRow:
    """One metric of one group of users, and what privacy costs that group.

    Attributes:
        attribute: What splits users into groups, as ``gender`` or ``activity``.
        group: Which one, as ``F`` or ``20 to 49 events``.
        users: How many of them were measured.
        epsilon: Of the run; infinity without privacy.
        metric: As ``ndcg@20``.
        value: The group's mean and its interval.
        loss: What the group loses against no privacy, as a fraction of that; None without privacy.
    """

    attribute: str
    group: str
    users: int
    epsilon: float
    metric: str
    value: Interval
    loss: Interval | None


@dataclass(frozen=True, kw_only=True)
class Quality:
    """How good the recommendations are; ``interval`` says what low and high are."""

    rows: tuple[QualityRow, ...]
    curve: tuple[CurvePoint, ...] = ()
    groups: tuple[GroupRow, ...] = ()
    interval: str = ""


@dataclass(frozen=True, kw_only=True)
class Data:
    """The data set, and whether its catalogue was declared public."""

    name: str
    users: int
    items: int
    interactions: int
    split: str
    catalogue_hash: str
    catalogue_public: bool


@dataclass(frozen=True, kw_only=True)
class LedgerRecord:
    """The chain: entries are JSON objects with seq, kind, body, previous_hash and hash."""

    entries: tuple[Mapping[str, object], ...]
    head: str
    length: int


@dataclass(frozen=True, kw_only=True)
class Verification:
    """How a reader checks the report: commands to type, and what they do not show."""

    commands: tuple[str, ...]
    note: str = ""
