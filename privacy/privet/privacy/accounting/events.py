"""What happened, apart from what it costs: one frozen event for each noisy sum that was learnt.

An event holds what is necessary and sufficient to account for a release against one adversary.
Accountants consume events and refuse the ones that they cannot account for.
"""

import math
from dataclasses import dataclass
from typing import Any

from privet.privacy.errors import InputError


@dataclass(frozen=True, kw_only=True)
class GaussianEvent:
    """A sum with continuous Gaussian noise, perhaps rounded to a grid afterwards.

    Attributes:
        noise_multiplier: Standard deviation over L2 sensitivity, above 0.
    """

    noise_multiplier: float

    def __post_init__(self) -> None:
        """Refuse a multiplier that is not a positive number."""
        _positive(noise_multiplier=self.noise_multiplier)


@dataclass(frozen=True, kw_only=True)
class SkellamEvent:
    """A sum of integer vectors with symmetric Skellam noise in every coordinate.

    Attributes:
        l2_sensitivity: In integers.
        l1_sensitivity: In integers.
        variance: Of the noise in one coordinate that the adversary does not know, in squared
            integers.
        dimension: Number of coordinates.
    """

    l2_sensitivity: float
    l1_sensitivity: float
    variance: float
    dimension: int

    def __post_init__(self) -> None:
        """Refuse values that are not positive numbers."""
        _positive(
            l2_sensitivity=self.l2_sensitivity,
            l1_sensitivity=self.l1_sensitivity,
            variance=self.variance,
            dimension=self.dimension,
        )


@dataclass(frozen=True, kw_only=True)
class UnprotectedEvent:
    """A sum without noise: no finite epsilon."""


Event = GaussianEvent | SkellamEvent | UnprotectedEvent

_KINDS = {"gaussian": GaussianEvent, "skellam": SkellamEvent, "unprotected": UnprotectedEvent}


def event_from_dict(body: dict[str, Any]) -> Event:
    """Read an event back.

    Raises:
        InputError: Unknown kind, or fields that the kind does not have.
    """
    fields = dict(body)
    kind = _KINDS.get(fields.pop("kind", ""))
    if kind is None:
        raise InputError(f"Unknown privacy event {body.get('kind')!r}; known: {sorted(_KINDS)}.")
    try:
        event: Event = kind(**fields)
    except TypeError as error:
        raise InputError(f"Privacy event of kind {body['kind']!r} is malformed.") from error
    return event


def event_to_dict(event: Event) -> dict[str, Any]:
    """An event as plain JSON values."""
    kind = next(name for name, cls in _KINDS.items() if isinstance(event, cls))
    return {"kind": kind, **vars(event)}


def _positive(**values: float) -> None:
    for name, value in values.items():
        if isinstance(value, bool) or not (
            isinstance(value, int | float) and math.isfinite(value) and value > 0
        ):
            raise InputError(f"Expected {name}={value!r} to be a finite number > 0.")
