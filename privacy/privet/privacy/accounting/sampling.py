"""How a round's devices are drawn, by the plan and by the code, and what one sees who is not told.

Whom the draw may be kept from is :class:`~privet.privacy.accounting.adversaries.ReleaseTerms`'s
business.
"""

from dataclasses import asdict, dataclass
from typing import Any

from privet.privacy.accounting.events import (
    FixedSizeGaussianEvent,
    GaussianEvent,
    PoissonGaussianEvent,
    SamplingKind,
)
from privet.privacy.accounting.sampled import check_sampling
from privet.privacy.accounting.validate import probability, whole
from privet.privacy.contribution import NeighbouringRelation
from privet.privacy.errors import InputError, PrivacyError


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How cohorts are drawn, by the plan and by the code.

    Attributes:
        declared: What the plan says.
        implemented: What the sampler says of itself.
        population: Users drawn from.
        probability: Of each user to be drawn in a round, above 0, at most 1.
        roster_sent: Whether devices are told who else takes part.
    """

    declared: SamplingKind
    implemented: SamplingKind
    population: int
    probability: float
    roster_sent: bool

    def __post_init__(self) -> None:
        """Refuse impossible numbers."""
        whole(population=self.population)
        probability(probability=self.probability)
        if self.probability == 0:
            raise InputError("Expected probability to be above 0: nobody would ever be drawn.")
        if not isinstance(self.roster_sent, bool):
            raise InputError("Expected roster_sent to be true or false.")

    @property
    def cohort(self) -> int:
        """Users in a round: of a fixed size exactly, else the expected number, rounded."""
        return max(1, round(self.probability * self.population))

    def check_implemented(self) -> None:
        """Refuse a sampler that is another one than the plan declares.

        Raises:
            PrivacyError: It is.
        """
        if self.declared is not self.implemented:
            check_sampling(self.declared, self.implemented, secret=False)

    def amplified(
        self, release: GaussianEvent, *, secret: bool
    ) -> PoissonGaussianEvent | FixedSizeGaussianEvent:
        """The release with the amplification that sampling gives against an adversary.

        Args:
            release: The release to one who sees who took part.
            secret: Whether the adversary does not learn who took part, nor how many.

        Raises:
            PrivacyError: There is none: the adversary sees the cohort, the sampler is another one
                than declared, its kind has no amplification, or the relation does not fit.
        """
        check_sampling(self.declared, self.implemented, secret=secret and not self.roster_sent)
        if self.declared is SamplingKind.FIXED_SIZE:
            return FixedSizeGaussianEvent(
                noise_multiplier=release.noise_multiplier,
                cohort=self.cohort,
                population=self.population,
                implemented=self.implemented,
                secret=secret,
                relation=release.relation,
            )
        if release.relation is not NeighbouringRelation.ZERO_OUT:
            raise PrivacyError(
                "Poisson sampling under 'replace-one' needs the noise over one vector's bound, "
                "which a release under that relation does not say: state the event itself."
            )
        return PoissonGaussianEvent(
            noise_multiplier=release.noise_multiplier,
            sampling_probability=self.probability,
            implemented=self.implemented,
            secret=secret,
            relation=release.relation,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        kinds = {"declared": str(self.declared), "implemented": str(self.implemented)}
        return {**asdict(self), **kinds}

    @classmethod
    def from_dict(cls, body: dict[str, Any]) -> "Sampling":
        """Read a sampling back.

        Raises:
            InputError: A field is missing, unknown or impossible.
        """
        try:
            kinds = {name: SamplingKind(body[name]) for name in ("declared", "implemented")}
            return cls(**{**body, **kinds})
        except (TypeError, KeyError, ValueError) as error:
            raise InputError("A release's sampling is malformed.") from error
