"""What an accountant says: a bound on the trade-off between epsilon and delta, and one figure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from privet.privacy.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Account:
    """What one accountant says.

    Attributes:
        name: Of the accountant; its first word is the package whose code it is.
        method: How it composes, in a few words.
        epsilon: Its bound at ``delta``, infinite if there is none.
        delta: The delta asked for.
        bound: ``"exact"``, or ``"upper"`` where the true value may be smaller.
        settings: What it was set to, by name.
    """

    name: str
    method: str
    epsilon: float
    delta: float
    bound: Literal["exact", "upper"]
    settings: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Bound:
    """One accountant's upper bound on the trade-off between epsilon and delta.

    Attributes:
        name: Of the accountant.
        method: How it composes, in a few words.
        epsilon: At a delta.
        delta: At an epsilon.
        settings: What it is set to, by name; computed when asked.
        bound: ``"exact"``, or ``"upper"`` where the true value may be smaller.
    """

    name: str
    method: str
    epsilon: Callable[[float], float]
    delta: Callable[[float], float]
    settings: Callable[[], Mapping[str, float]]
    bound: Literal["exact", "upper"] = "upper"


def check_delta(delta: float) -> None:
    """Refuse a delta outside of (0, 1).

    Raises:
        InputError: With the value found.
    """
    if not (isinstance(delta, float | int) and 0 < delta < 1):
        raise InputError(f"Expected 0 < delta < 1, found {delta}.")
