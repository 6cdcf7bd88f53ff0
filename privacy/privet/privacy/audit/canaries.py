"""Canaries: planted contributions, a fair coin each, and what an auditor saw of them.

Every audit here plays one game (Steinke, Nasr and Jagielski 2023, arXiv 2305.08846, section 3):
each canary is included with probability one half, by independent coins; the mechanism runs once;
the auditor gives each canary a score, higher if it looks included, without knowing the coins.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from privet.privacy.errors import InputError

_FEWEST = 8


@dataclass(frozen=True, kw_only=True, eq=False)
class CanaryScores:
    """Scores of canaries that were included, and of those that were not.

    Attributes:
        included: Scores of the canaries that took part, shape ``(n1,)``, finite.
        excluded: Scores of those that did not, shape ``(n0,)``, finite.

    Raises:
        InputError: Fewer than 8 canaries, none on one side, or a score that is not finite.
    """

    included: NDArray[np.float64] = field(repr=False)
    excluded: NDArray[np.float64] = field(repr=False)

    def __post_init__(self) -> None:
        """Check both sides."""
        for name in ("included", "excluded"):
            scores = np.asarray(getattr(self, name), dtype=np.float64)
            if scores.ndim != 1 or not len(scores) or not np.isfinite(scores).all():
                raise InputError(
                    f"Expected {name} canaries with a finite score each, found shape {scores.shape}."
                )
            object.__setattr__(self, name, scores)
        if len(self) < _FEWEST:
            raise InputError(
                f"An audit of {len(self)} canaries says nothing: expected at least {_FEWEST}."
            )

    def __len__(self) -> int:
        """Number of canaries."""
        return len(self.included) + len(self.excluded)

    @classmethod
    def of(cls, scores: NDArray[np.float64], coins: NDArray[np.bool_]) -> "CanaryScores":
        """Scores of all canaries and their coins, true for included; shapes ``(n,)``."""
        if scores.shape != coins.shape:
            raise InputError(f"Expected a coin a score, found {coins.shape} and {scores.shape}.")
        return cls(included=scores[coins], excluded=scores[~coins])

    def ordered(self) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Scores from the highest down, and whether each is of an included canary.

        Of equal scores those of excluded canaries come first where they count as guesses of
        "included", and last where not: ties are always resolved against the auditor.
        """
        scores = np.concatenate([self.excluded, self.included])
        member = np.arange(len(scores)) >= len(self.excluded)
        order = np.lexsort((member, -scores))
        return scores[order], member[order]


def check_confidence(confidence: float) -> None:
    """Refuse what is no confidence.

    Raises:
        InputError: Not between 0 and 1.
    """
    if not 0 < confidence < 1:
        raise InputError(f"Expected a confidence between 0 and 1, found {confidence}.")


def check_delta_or_zero(delta: float) -> None:
    """Refuse what is no delta; 0 is one here.

    Raises:
        InputError: Not in [0, 1).
    """
    if not 0 <= delta < 1:
        raise InputError(f"Expected delta in [0, 1), found {delta}.")
