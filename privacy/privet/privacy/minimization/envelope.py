"""The envelope of a message between server and device: what Flower carries around our bytes.

A request is a Flower message of type :data:`MESSAGE_TYPE` (``@app.query("privet")``) whose content
holds one ConfigRecord, named :data:`RECORD`, with the four fields of an :class:`Envelope` and
nothing else. A reply is the same record with the request's stage, run and round, and the bytes that
the gate admitted as its payload; so everything but the payload was known to the server before. A device
that refuses a request says so with Flower's error of code :data:`NO_ANSWER_CODE` and text
:data:`NO_ANSWER`, whatever its reason, so that nobody waits for it.

The payload is bytes in the ConfigRecord, whatever its size. As one uint8 array in an ArrayRecord a
megabyte takes less to write and to read with Flower 1.41 (2.2 against 8.5 ms of one core; half
a megabyte 1.2 against 4.1 ms), but is five objects instead of two, each with a request of its own.

Both sides know Flower by other means (the server by the installed package, an embedded device by its
wire format), so the names live below both.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

from privet.privacy.errors import InputError

ACTION = "privet"
MESSAGE_TYPE = f"query.{ACTION}"
RECORD = "privet"
NO_ANSWER_CODE, NO_ANSWER = 0, "no answer"
MAX_WORD = 128
MAX_ROUND = (1 << 31) - 1


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """A request or a reply.

    Attributes:
        stage: What the receiver is to do, one printable ASCII word of 1 to 128 characters.
        run: Names the run, the same kind of word.
        round: Of the run, 0 to 2**31 - 1.
        payload: An encoded message of Privet's; what it means follows from the stage.

    Raises:
        InputError: A field is not of its type or range. Names no content.
    """

    stage: str
    run: str
    round: int
    payload: bytes

    def __post_init__(self) -> None:
        """Check types and ranges; they may come from anyone."""
        words = all(_is_word(word) for word in (self.stage, self.run))
        counted = type(self.round) is int and 0 <= self.round <= MAX_ROUND
        if not words or not counted or type(self.payload) is not bytes:
            raise InputError(
                "A message's record holds `stage` and `run` (words of printable ASCII, at most "
                f"{MAX_WORD} characters), `round` (0 to {MAX_ROUND}) and `payload` (bytes); one of "
                "them is something else. The sender speaks another version of Privet."
            )

    @property
    def fields(self) -> dict[str, str | int | bytes]:
        """The record's fields, in their order on the wire."""
        return {
            "stage": self.stage,
            "run": self.run,
            "round": self.round,
            "payload": self.payload,
        }

    @classmethod
    def from_fields(cls, fields: Mapping[str, object]) -> Self:
        """Read a record.

        Raises:
            InputError: A field is missing, unknown, or not of its type or range.
        """
        if set(fields) != {"stage", "run", "round", "payload"}:
            raise InputError(
                "A message's record holds the fields stage, run, round and payload; this one has "
                "others. The sender speaks another version of Privet."
            )
        return cls(**fields)  # type: ignore[arg-type]  # checked above and in __post_init__

    def reply(self, payload: bytes) -> Self:
        """The reply with this payload; the rest repeats the request."""
        return replace(self, payload=payload)


def _is_word(word: object) -> bool:
    return (
        type(word) is str
        and 0 < len(word) <= MAX_WORD
        and word.isascii()
        and word.isprintable()
        and " " not in word
    )
