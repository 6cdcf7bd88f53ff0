"""Who may be denied knowledge of a cohort, and so whom amplification by sampling holds against."""

from dataclasses import dataclass

from privet.privacy.accounting.adversaries import Adversary, Trust
from privet.privacy.accounting.events import (
    FixedSizeGaussianEvent,
    GaussianEvent,
    PoissonGaussianEvent,
    SamplingKind,
)
from privet.privacy.accounting.sampled import check_sampling
from privet.privacy.accounting.validate import whole
from privet.privacy.contribution import NeighbouringRelation
from privet.privacy.errors import InputError, PrivacyError


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How cohorts are drawn, by the plan and by the code.

    Attributes:
        declared: What the plan says.
        implemented: What the sampler says of itself.
        population: Users drawn from.
        cohort: Users expected in a round; of a fixed size, exactly.
        roster_sent: Whether devices are told who else takes part.
    """

    declared: SamplingKind
    implemented: SamplingKind
    population: int
    cohort: int
    roster_sent: bool

    def __post_init__(self) -> None:
        """Refuse impossible numbers."""
        whole(population=self.population, cohort=self.cohort)
        if self.cohort > self.population:
            raise InputError(
                f"Expected cohort={self.cohort!r} to be at most population={self.population!r}."
            )

    def secret_from(self, adversary: Adversary, trust: Trust) -> bool:
        """Whether an adversary does not learn the cohort.

        Only one who receives models and nothing else, under a server that is trusted to keep the
        cohort to itself: every other adversary runs rounds, takes part in some or sees traffic.
        """
        return (
            adversary is Adversary.MODEL_CONSUMER
            and trust is Trust.CENTRAL
            and not self.roster_sent
        )

    def amplified(
        self, release: GaussianEvent, adversary: Adversary, trust: Trust
    ) -> PoissonGaussianEvent | FixedSizeGaussianEvent:
        """The release with the amplification that sampling gives against an adversary.

        Raises:
            PrivacyError: There is none: the adversary sees the cohort, the sampler is another one
                than declared, its kind has no amplification, or the relation does not fit.
        """
        secret = self.secret_from(adversary, trust)
        try:
            check_sampling(self.declared, self.implemented, secret=secret)
        except PrivacyError as error:
            raise PrivacyError(f"{adversary.value} under {trust.value!r} trust: {error}") from None
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
            sampling_probability=self.cohort / self.population,
            implemented=self.implemented,
            secret=secret,
            relation=release.relation,
        )
