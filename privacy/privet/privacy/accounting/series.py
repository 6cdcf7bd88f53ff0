"""Rounds of one vector whose noise is correlated: what they cost together, and whose turn it is.

The rounds of a series are released through one matrix mechanism
(:mod:`privet.privacy.accounting.matrix`), so they are one event and not many: noise that partly
cancels over rounds protects a round less than its own noise would say. Its sensitivity rests on
how often, and how far apart, one user takes part. The schedule keeps to that whatever anybody's
history is; the server checks it, and so does each device.
"""

from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from privet.privacy.accounting.events import MatrixEvent
from privet.privacy.accounting.matrix import (
    COEFFICIENT_BITS,
    inverse_coefficients,
    strategy_coefficients,
    toeplitz_sensitivity,
)
from privet.privacy.accounting.validate import whole
from privet.privacy.errors import InputError


@dataclass(frozen=True, kw_only=True)
class SeriesRound:
    """One round of a series; all of it public.

    Attributes:
        name: Of the series, within the plan.
        round_number: From 0.
        rounds: Of the whole series.
        bands: Of the strategy, from 1 (independent noise) to ``rounds``.
        separation: Numbers of two rounds that one device takes part in differ by at least this.
        participations: Rounds that one device takes part in, at most.

    Raises:
        InputError: Numbers that do not fit together.
    """

    name: str
    round_number: int
    rounds: int
    bands: int
    separation: int
    participations: int

    def __post_init__(self) -> None:
        """Refuse impossible numbers."""
        whole(
            rounds=self.rounds,
            bands=self.bands,
            separation=self.separation,
            participations=self.participations,
        )
        if not isinstance(self.name, str) or not self.name:
            raise InputError("Expected a series to have a name.")
        if type(self.round_number) is not int or not 0 <= self.round_number < self.rounds:
            raise InputError(
                f"Expected round_number={self.round_number!r} in [0, {self.rounds}), the series' "
                "rounds."
            )
        if self.bands > self.rounds:
            raise InputError(f"Expected bands={self.bands} to be at most rounds={self.rounds}.")

    @property
    def coefficients(self) -> tuple[int, ...]:
        """Of the strategy, in units of 2**-16."""
        return strategy_coefficients(self.bands)

    @property
    def sensitivity(self) -> float:
        """Of all rounds together, in units of what one participation can change."""
        return toeplitz_sensitivity(
            self.coefficients, self.rounds, self.separation, self.participations
        )

    @property
    def error_growth(self) -> float:
        """Standard deviation of this round's estimate, in units of the independent noise's."""
        return float(_growth(self.bands, self.rounds)[self.round_number])

    def turn(self, devices: int) -> NDArray[np.int64]:
        """The devices whose turn it is: numbers of a public schedule, sorted.

        A device's turn comes every ``separation`` rounds, ``participations`` times, from a first
        round that a public permutation gives it. No history has a part in it.

        Args:
            devices: Of the federation, numbered from 0.
        """
        if self.round_number // self.separation >= self.participations:
            return np.zeros(0, np.int64)
        slots = public_permutation(devices, self.name) % self.separation
        return np.flatnonzero(slots == self.round_number % self.separation).astype(np.int64)

    def turn_size(self, devices: int) -> int:
        """How many devices' turn it is, without listing them."""
        if self.round_number // self.separation >= self.participations:
            return 0
        return len(range(self.round_number % self.separation, devices, self.separation))

    @property
    def of_the_busiest(self) -> bool:
        """Whether a device takes part in it whose first turn is the first round's: no other has more."""
        turn, rest = divmod(self.round_number, self.separation)
        return rest == 0 and turn < self.participations

    def fewest(self, devices: int, min_survivors: int) -> int:
        """Fewest devices in the round's sum: as many may be missing as of all devices."""
        return max(1, self.turn_size(devices) - (devices - min_survivors))

    def event(self, noise_multiplier: float, *, rounds: int) -> MatrixEvent:
        """The first ``rounds`` rounds as one event.

        Args:
            noise_multiplier: Standard deviation of the independent noise over what one
                participation can change in one round's sum.
            rounds: Released so far.

        Formal Guarantees:
            The strategy is lower triangular, so its first ``rounds`` rows and columns are the
            strategy of a series of so many rounds with the same coefficients.
        """
        return MatrixEvent(
            noise_multiplier=noise_multiplier,
            rounds=rounds,
            bands=min(self.bands, rounds),
            separation=self.separation,
            participations=self.participations,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, body: dict[str, Any]) -> "SeriesRound":
        """Read a round back.

        Raises:
            InputError: A field is missing, unknown or impossible.
        """
        try:
            return cls(**body)
        except TypeError as error:
            raise InputError("A release's series is malformed.") from error


@lru_cache(maxsize=32)
def _growth(bands: int, rounds: int) -> NDArray[np.float64]:
    """Standard deviation of each round's estimate at a unit of independent noise."""
    real = [c / (1 << COEFFICIENT_BITS) for c in strategy_coefficients(bands)]
    growth = np.sqrt(np.cumsum(inverse_coefficients(real, rounds) ** 2))
    growth.setflags(write=False)
    return growth


def public_permutation(devices: int, label: str) -> NDArray[np.int64]:
    """A permutation of ``range(devices)`` that anybody can recompute, shape ``(devices,)``.

    Numbers are ordered by SplitMix64 (Steele et al. 2014) of themselves and the label; it spreads
    neighbours and hides nothing.
    """
    start = np.uint64(int.from_bytes(label.encode()[-8:].rjust(8, b"\0"), "big"))
    with np.errstate(over="ignore"):
        z = np.arange(1, devices + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + start
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    ranks = np.empty(devices, np.int64)
    ranks[np.argsort(z, kind="stable")] = np.arange(devices)
    return ranks
