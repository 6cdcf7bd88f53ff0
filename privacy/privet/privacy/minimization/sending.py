"""What a device sent in a round of a run, so that it never sends two different messages for one.

Two answers to one question would have different noise, and reveal their difference. Whoever asks
twice gets the same bytes, or none.
"""

from dataclasses import asdict, dataclass
from typing import Any

from privet.privacy.errors import InputError, IntegrityError
from privet.privacy.minimization.agreement import MAX_ROUND

MAX_NAME = 300


@dataclass(frozen=True, kw_only=True)
class Slot:
    """A message's place: there is one message for each.

    Attributes:
        run: Name of the run.
        round_number: Of the round in the run, from 0 to 2**32 - 1.
        stage: Of the round, such as a stage of secure aggregation.

    Raises:
        InputError: A name is empty or too long, or it is not a round's number.
    """

    run: str
    round_number: int
    stage: str

    def __post_init__(self) -> None:
        """Check names and number."""
        for name in (self.run, self.stage):
            if type(name) is not str or not 0 < len(name) <= MAX_NAME:
                raise InputError(f"Expected a run and a stage of 1 to {MAX_NAME} characters.")
        if type(self.round_number) is not int or not 0 <= self.round_number <= MAX_ROUND:
            raise InputError(f"Expected a round's number as a whole number from 0 to {MAX_ROUND}.")


@dataclass(frozen=True, kw_only=True)
class Sent:
    """A message that left, or was about to.

    Attributes:
        slot: Its place.
        leaf: Its hash in a tree of its round's messages, for its receipt.
    """

    slot: Slot
    leaf: str

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self.slot), "leaf": self.leaf}

    @classmethod
    def from_dict(cls, body: dict[str, Any]) -> "Sent":
        """Read it back.

        Raises:
            IntegrityError: Not of that kind.
        """
        places = {name: body[name] for name in Slot.__dataclass_fields__ if name in body}
        try:
            if set(body) == {*Slot.__dataclass_fields__, "leaf"} and type(body["leaf"]) is str:
                return cls(slot=Slot(**places), leaf=body["leaf"])
        except InputError:
            pass
        raise IntegrityError("A message in a device's ledger is malformed.")
