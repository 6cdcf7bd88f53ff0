"""The seam between the coordinator and what a release is paid from besides its run's budget."""

from typing import Protocol

from privet.privacy.ledger import Charge


class Spending(Protocol):
    """A budget that other runs spend from too."""

    @property
    def membership(self) -> dict[str, str]:
        """What the run's ledger records of it, in its first entry; plain JSON values."""
        ...

    def allow(self, charge: Charge, *, repeatable: bool) -> None:
        """Return if a release could be charged now, in its worst case.

        Args:
            charge: It, as planned.
            repeatable: Whether a repeat gives the very same release, which is paid once.

        Raises:
            BudgetError: It would overspend.
        """
        ...

    def charge(self, charge: Charge, *, repeatable: bool) -> None:
        """Charge a release, durably, before the run's own ledger does and the sum is learnt.

        Args:
            charge: It, with its survivors.
            repeatable: Whether a repeat gives the very same release, which is paid once.

        Raises:
            BudgetError: It would overspend; nothing was charged and the sum must not be learnt.
        """
        ...
