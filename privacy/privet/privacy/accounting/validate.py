"""Checks of an event's fields that name the culprit."""

import sys

from privet.privacy.errors import InputError

MOST = 1 << 53
"""Largest count: beyond it neighbouring integers are one floating-point number."""


def positive(**values: float) -> None:
    """Refuse what is not a finite number above 0.

    Raises:
        InputError: With the name and the value found.
    """
    for name, value in values.items():
        if isinstance(value, bool) or not (
            isinstance(value, int | float) and 0 < value <= sys.float_info.max
        ):
            raise InputError(f"Expected {name}={_shown(value)} to be a finite number > 0.")


def whole(**values: int) -> None:
    """Refuse what is not an integer from 1 to `MOST`.

    Raises:
        InputError: With the name and the value found.
    """
    for name, value in values.items():
        if isinstance(value, bool) or not (isinstance(value, int) and 1 <= value <= MOST):
            raise InputError(f"Expected {name}={_shown(value)} to be an integer from 1 to {MOST}.")


def probability(**values: float) -> None:
    """Refuse what is not a number in [0, 1].

    Raises:
        InputError: With the name and the value found.
    """
    for name, value in values.items():
        if isinstance(value, bool) or not (isinstance(value, int | float) and 0 <= value <= 1):
            raise InputError(f"Expected {name}={_shown(value)} to be a number in [0, 1].")


def _shown(value: object) -> str:
    """A number as it is; of anything else, which may be anybody's text, its type alone."""
    if isinstance(value, float) or (isinstance(value, int) and abs(value) <= MOST):
        return repr(value)
    return f"a {type(value).__name__}"
