"""Events of sums over a sampled cohort: what was declared, and what the code that ran really does.

Amplification by sampling is a theorem about one way of drawing and about adversaries who do not
learn who was drawn. An event that says it was drawn another way, or seen, cannot be made.
"""

from dataclasses import dataclass
from enum import StrEnum

from privet.privacy.accounting.validate import positive, probability, whole
from privet.privacy.contribution import NeighbouringRelation
from privet.privacy.errors import InputError, PrivacyError


class SamplingKind(StrEnum):
    """How a round's cohort is drawn. A closed set: proofs depend on it.

    ``EVERYONE``: all who are there take part.
    ``POISSON``: each user by an independent coin; the cohort's size is random and not published.
    ``FIXED_SIZE``: a uniformly random subset of a published size.
    ``SHUFFLED``: cohorts are slices of a random order; no amplification is known that we claim.
    """

    EVERYONE = "everyone"
    POISSON = "poisson"
    FIXED_SIZE = "fixed-size"
    SHUFFLED = "shuffled"


def check_sampling(declared: SamplingKind, implemented: SamplingKind, *, secret: bool) -> None:
    """Refuse an amplification that does not hold.

    Args:
        declared: What accounting is asked to assume.
        implemented: What the sampler that ran is.
        secret: Whether the adversary does not learn who took part.

    Raises:
        PrivacyError: The sampler is another one, has no amplification, or the cohort is seen.
    """
    if declared is not implemented:
        raise PrivacyError(
            f"A cohort drawn as {implemented.value!r} cannot be accounted for as "
            f"{declared.value!r} (2403.17673 shows gaps): declare what the sampler does."
        )
    if declared not in (SamplingKind.POISSON, SamplingKind.FIXED_SIZE):
        raise PrivacyError(f"Sampling of kind {declared.value!r} has no amplification.")
    if secret is not True:
        raise PrivacyError(
            f"No amplification by {declared.value!r} sampling against an adversary who sees the "
            "cohort: account for the release without sampling."
        )


@dataclass(frozen=True, kw_only=True)
class PoissonGaussianEvent:
    """A Gaussian sum over a cohort drawn by independent coins, seen by one who knows neither.

    Neither the cohort nor its size may be published: given its size a Poisson cohort is one of
    fixed size.

    Attributes:
        noise_multiplier: Standard deviation over the L2 bound of one user's vector, above 0.
            Under replace-one the two vectors may be opposite.
        sampling_probability: Of each user, in [0, 1].
        implemented: What the sampler that ran is.
        secret: Whether the adversary does not learn the cohort.
        relation: The neighbouring relation.
    """

    noise_multiplier: float
    sampling_probability: float
    implemented: SamplingKind
    secret: bool
    relation: NeighbouringRelation = NeighbouringRelation.ZERO_OUT

    def __post_init__(self) -> None:
        """Refuse other samplers, a cohort that is seen, and impossible numbers."""
        positive(noise_multiplier=self.noise_multiplier)
        probability(sampling_probability=self.sampling_probability)
        check_sampling(SamplingKind.POISSON, self.implemented, secret=self.secret)


@dataclass(frozen=True, kw_only=True)
class FixedSizeGaussianEvent:
    """A Gaussian sum over a uniformly random cohort of a published size, drawn anew each time.

    Attributes:
        noise_multiplier: Standard deviation over the L2 distance that replacing one user's vector
            can move the sum by (twice the bound in general), above 0.
        cohort: Users drawn.
        population: Users drawn from.
        implemented: What the sampler that ran is.
        secret: Whether the adversary does not learn the cohort.
        relation: Replace-one; for other relations no bound is implemented.
    """

    noise_multiplier: float
    cohort: int
    population: int
    implemented: SamplingKind
    secret: bool
    relation: NeighbouringRelation = NeighbouringRelation.REPLACE_ONE

    def __post_init__(self) -> None:
        """Refuse other samplers, a cohort that is seen, other relations, impossible numbers."""
        positive(noise_multiplier=self.noise_multiplier)
        whole(cohort=self.cohort, population=self.population)
        if self.cohort > self.population:
            raise InputError(
                f"Expected cohort={self.cohort!r} to be at most population={self.population!r}."
            )
        check_sampling(SamplingKind.FIXED_SIZE, self.implemented, secret=self.secret)
        if self.relation is not NeighbouringRelation.REPLACE_ONE:
            raise PrivacyError(
                f"Sampling of a fixed size has no bound under {self.relation.value!r}, only under "
                "'replace-one': leaving one user out changes who else is drawn."
            )
