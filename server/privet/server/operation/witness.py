"""What was written down elsewhere about a population's ledger, so that an older copy is noticed."""

from dataclasses import dataclass

from privet.privacy.errors import InputError, IntegrityError
from privet.server.population import Population


@dataclass(frozen=True, kw_only=True)
class Witness:
    """What was written down elsewhere about the population's ledger: its length and its head."""

    length: int
    head: str

    @classmethod
    def parse(cls, text: str) -> "Witness":
        """Read ``LENGTH:HEAD``.

        Raises:
            InputError: Not that.
        """
        length, _, head = text.partition(":")
        if not (length.isascii() and length.isdigit() and 0 < len(length) < 16 and len(head) == 64):
            raise InputError("Expected LENGTH:HEAD, as `privet server status` prints them.")
        return cls(length=int(length), head=head)

    def check(self, population: Population) -> None:
        """Refuse a ledger that does not go on from it.

        Raises:
            IntegrityError: It is an older copy, or another one.
        """
        entries = population.view.entries
        if not 0 < self.length <= len(entries) or entries[self.length - 1].hash != self.head:
            raise IntegrityError(
                "The population's ledger does not go on from the length and head that were written "
                "down: it is an older copy, and has forgotten what was spent. Bring the newest back."
            )
