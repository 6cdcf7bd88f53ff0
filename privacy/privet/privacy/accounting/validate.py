"""Checks of an event's fields that name the culprit."""

import math

from privet.privacy.errors import InputError


def positive(**values: float) -> None:
    """Refuse what is not a finite number above 0.

    Raises:
        InputError: With the name and the value found.
    """
    for name, value in values.items():
        if isinstance(value, bool) or not (
            isinstance(value, int | float) and math.isfinite(value) and value > 0
        ):
            raise InputError(f"Expected {name}={value!r} to be a finite number > 0.")


def whole(**values: int) -> None:
    """Refuse what is not an integer of at least 1.

    Raises:
        InputError: With the name and the value found.
    """
    for name, value in values.items():
        if isinstance(value, bool) or not (isinstance(value, int) and value >= 1):
            raise InputError(f"Expected {name}={value!r} to be an integer >= 1.")


def probability(**values: float) -> None:
    """Refuse what is not a number in [0, 1].

    Raises:
        InputError: With the name and the value found.
    """
    for name, value in values.items():
        if isinstance(value, bool) or not (isinstance(value, int | float) and 0 <= value <= 1):
            raise InputError(f"Expected {name}={value!r} to be a number in [0, 1].")
