"""Drawing the devices of a round, and saying how: a plan's rule and the samplers that keep it.

A sampler says of itself what it is. Whoever runs rounds compares that with the plan, and what the
ledger records is what ran.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from privet.privacy.accounting.adversaries import Trust
from privet.privacy.accounting.events import SamplingKind
from privet.privacy.accounting.sampling import Sampling
from privet.privacy.errors import InputError, PrivacyError
from privet.privacy.randomness import WordStream

_TRIES = 8


@dataclass(frozen=True, kw_only=True)
class PoissonSampler:
    """Every device by a coin of its own; nobody, everybody and all between may come out.

    Formal Guarantees:
        Coins are independent, each with probability ``floor(rate * 2**64) / 2**64``: at most the
        rate, for which amplification is accounted.
    """

    kind: ClassVar[SamplingKind] = SamplingKind.POISSON
    rate: float

    def probability(self, population: int) -> float:
        """Of each device to be drawn."""
        return self.rate

    def draw(self, population: int, stream: WordStream) -> NDArray[np.int64]:
        """Numbers of the devices drawn, sorted."""
        threshold = math.floor(self.rate * 2.0**64)
        words = stream.words64(population)
        if threshold >= 1 << 64:
            return np.arange(population, dtype=np.int64)
        return np.flatnonzero(words < np.uint64(threshold)).astype(np.int64)


@dataclass(frozen=True, kw_only=True)
class FixedSizeSampler:
    """So many devices, uniformly, none twice.

    Formal Guarantees:
        Every subset of that size has the same probability: devices are ordered by random words,
        and all words are drawn again if two are equal.
    """

    kind: ClassVar[SamplingKind] = SamplingKind.FIXED_SIZE
    size: int

    def probability(self, population: int) -> float:
        """Of each device to be drawn."""
        return self.size / population

    def draw(self, population: int, stream: WordStream) -> NDArray[np.int64]:
        """Numbers of the devices drawn, sorted."""
        for _ in range(_TRIES):
            words = stream.words64(population)
            order = np.argsort(words, kind="stable")
            if (np.diff(words[order]) > 0).all():
                return np.sort(order[: self.size]).astype(np.int64)
        raise PrivacyError("A stream of random words repeats itself: no cohort was drawn.")


Sampler = PoissonSampler | FixedSizeSampler
"""A closed set: proofs of amplification depend on it."""


@dataclass(frozen=True, kw_only=True)
class CohortRule:
    """How the devices of each round are drawn, as a plan declares it.

    Attributes:
        kind: Everyone, a fixed size or Poisson.
        size: Devices in a round, if of a fixed size.
        rate: Probability of each device in a round, in (0, 1], if Poisson.

    Raises:
        InputError: Another kind, or numbers that do not go with it.
    """

    kind: SamplingKind = SamplingKind.EVERYONE
    size: int | None = None
    rate: float | None = None

    def __post_init__(self) -> None:
        """Check that the numbers go with the kind."""
        given = (self.size is not None, self.rate is not None)
        expected = {
            SamplingKind.EVERYONE: (False, False),
            SamplingKind.FIXED_SIZE: (True, False),
            SamplingKind.POISSON: (False, True),
        }
        if self.kind not in expected:
            raise InputError(f"Cohorts of kind {str(self.kind)!r} are not drawn: {_RULES}.")
        if given != expected[self.kind]:
            raise InputError(f"The cohort's numbers do not go with its kind: {_RULES}.")
        if self.size is not None and (type(self.size) is not int or self.size < 1):
            raise InputError(f"Expected a cohort of a fixed size of at least 1: {_RULES}.")
        rate = self.rate
        if rate is not None and not (isinstance(rate, int | float) and 0 < rate <= 1):
            raise InputError(f"Expected a cohort's rate in (0, 1]: {_RULES}.")

    @classmethod
    def parse(cls, text: str) -> "CohortRule":
        """Read ``all``, ``fixed:N`` or ``poisson:RATE``.

        Raises:
            InputError: It is none of these.
        """
        word, _, number = text.partition(":")
        try:
            if word == "fixed":
                return cls(kind=SamplingKind.FIXED_SIZE, size=int(number))
            if word == "poisson":
                return cls(kind=SamplingKind.POISSON, rate=float(number))
        except ValueError as error:
            raise InputError(f"Expected a number in cohort {text!r}: {_RULES}.") from error
        if text == "all":
            return cls()
        raise InputError(f"Unknown cohort {text!r}: {_RULES}.")

    def __str__(self) -> str:
        """As :meth:`parse` reads it."""
        if self.size is not None:
            return f"fixed:{self.size}"
        return "all" if self.rate is None else f"poisson:{self.rate!r}"

    def expected(self, devices: int) -> int:
        """Devices in a round: exactly, or for Poisson the expected number, rounded, at least 1."""
        if self.size is not None:
            return self.size
        return devices if self.rate is None else max(1, round(self.rate * devices))

    def fewest(self, devices: int) -> int:
        """A public number of devices that a round falls short of less than once in a million.

        A Poisson cohort has fewer than ``m - 5.3 sqrt(m)`` of an expected ``m`` devices with
        probability at most ``exp(-5.3**2 / 2) < 1e-6`` (Chernoff).
        """
        if self.rate is None:
            return self.expected(devices)
        mean = self.rate * devices
        return max(1, math.floor(mean - 5.3 * math.sqrt(mean)))

    def sampler(self) -> Sampler | None:
        """What draws such cohorts; None where everyone takes part."""
        if self.size is not None:
            return FixedSizeSampler(size=self.size)
        return None if self.rate is None else PoissonSampler(rate=self.rate)

    def sampling(self, devices: int, *, trust: Trust) -> Sampling | None:
        """What accounts are told of the draw: as declared, and the sampler that will make it.

        Args:
            devices: Drawn from.
            trust: Secure aggregation sends a roster.
        """
        sampler = self.checked_sampler(devices)
        if sampler is None:
            return None
        return Sampling(
            declared=self.kind,
            implemented=sampler.kind,
            population=devices,
            probability=sampler.probability(devices),
            roster_sent=trust is Trust.SECURE_AGGREGATION,
        )

    def checked_sampler(self, devices: int) -> Sampler | None:
        """The sampler, if it says of itself what the rule declares.

        Raises:
            PrivacyError: It is of another kind, or draws with another probability.
        """
        sampler = self.sampler()
        kind = SamplingKind.EVERYONE if sampler is None else sampler.kind
        found = 1.0 if sampler is None else sampler.probability(devices)
        declared = self.rate if self.size is None else self.size / devices
        if kind is not self.kind or found != (1.0 if declared is None else declared):
            raise PrivacyError(
                f"Cohorts are declared as {self}, but drawn as {kind.value!r} with probability "
                f"{found:.6g}: nothing was drawn. Declare what the sampler does."
            )
        return sampler


_RULES = "use all, fixed:N or poisson:RATE"
EVERYONE = CohortRule()
"""All devices that there are, in every round."""
