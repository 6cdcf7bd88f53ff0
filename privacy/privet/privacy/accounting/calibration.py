"""From a target to the least noise, on the private side."""

from collections.abc import Callable

from privet.privacy.accounting.accountants import check_delta, claimed_epsilon
from privet.privacy.accounting.events import Event
from privet.privacy.accounting.validate import positive
from privet.privacy.errors import PrivacyError

_TOLERANCE = 1e-6


def calibrate_noise(
    release: Callable[[float], Event],
    *,
    epsilon: float,
    delta: float,
    tolerance: float = _TOLERANCE,
    largest: float = 1e6,
) -> float:
    """Least noise multiplier, to a relative tolerance, whose claimed epsilon is within a target.

    Args:
        release: The event of a noise multiplier; more noise must not cost more.
        epsilon: Target, above 0.
        delta: In (0, 1).
        tolerance: Relative excess of noise that is accepted.
        largest: Multiplier at which the search gives up.

    Formal Guarantees:
        The claimed epsilon of ``release(found)`` was computed and is at most ``epsilon``.

    Raises:
        InputError: A target that is none.
        PrivacyError: Not even the largest multiplier meets the target, or the release is refused.
    """
    positive(epsilon=epsilon, tolerance=tolerance, largest=largest)
    check_delta(delta)
    high = 1.0
    while claimed_epsilon([release(high)], delta) > epsilon:
        high *= 2
        if high > largest:
            raise PrivacyError(
                f"No noise multiplier up to {largest:g} keeps epsilon within {epsilon:g} at delta "
                f"{delta:g}: use fewer releases or a larger target."
            )
    low = high / 2
    while low > 1 / largest and claimed_epsilon([release(low)], delta) <= epsilon:
        low, high = low / 2, low
    while high - low > tolerance * high:
        middle = (low + high) / 2
        if claimed_epsilon([release(middle)], delta) > epsilon:
            low = middle
        else:
            high = middle
    return high
