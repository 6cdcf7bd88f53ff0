"""Errors that say what was expected, what was found and what to do.

The exit codes of the command line are the classes' ``exit_code`` and are documented in
``docs/exit-codes.md``::

    PrivetError            1   anything below; never raised itself
        InputError         2   a file, an option or a value that cannot be used
        PrivacyError       3   a privacy claim that would not hold was asked for
        BudgetError        4   a release would overspend the budget; nothing was released
        IntegrityError     5   a ledger, checkpoint or report does not match its hashes or figures
        EgressError        6   something tried to leave a device that its policy does not allow
        TransportError     7   a server could not be reached, trusted or understood
        PoisoningError     8   a sum was released that no honest devices can have made
"""

from typing import ClassVar


class PrivetError(Exception):
    """Base of all errors that a person is meant to read.

    Messages never contain anything from a user's history.
    """

    exit_code: ClassVar[int] = 1


class InputError(PrivetError):
    """A file, an option or a value cannot be used as it is."""

    exit_code: ClassVar[int] = 2


class PrivacyError(PrivetError):
    """The privacy asked for cannot be claimed; says why."""

    exit_code: ClassVar[int] = 3


class BudgetError(PrivetError):
    """A release would overspend the budget; nothing was released."""

    exit_code: ClassVar[int] = 4


class IntegrityError(PrivetError):
    """A ledger, a checkpoint or a report does not match its hashes or its figures."""

    exit_code: ClassVar[int] = 5


class EgressError(PrivetError):
    """Something tried to leave a device that the policy does not allow.

    Attributes:
        reason: Why a gate denied it, one of `privet.privacy.minimization.denials.Reason`; empty if
            it was refused before it came to that.
    """

    exit_code: ClassVar[int] = 6

    def __init__(self, message: str, *, reason: str = "") -> None:
        """Say what was refused, and the reason in one word."""
        super().__init__(message)
        self.reason = reason


class TransportError(PrivetError):
    """A server could not be reached, trusted or understood."""

    exit_code: ClassVar[int] = 7


class PoisoningError(PrivetError):
    """A sum was released that no honest devices can have made; no model was made from it."""

    exit_code: ClassVar[int] = 8
