"""What a fleet of remote devices needs of a transport: requests out, replies in until a deadline."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from privet.models.federation import Stage
from privet.privacy.errors import InputError, PrivetError
from privet.privacy.minimization.envelope import Envelope
from privet.privacy.minimization.messages import scrub


@dataclass(frozen=True)
class Reply:
    """What came back from a node.

    Attributes:
        node: The node that was asked, which is not to be taken for who answered.
        payload: The reply's bytes; None if the transport reports that there is no answer.
    """

    node: int
    payload: bytes | None = field(repr=False)


class Courier(Protocol):
    """A transport, as the server sees it."""

    @property
    def transport(self) -> str:
        """What it is, in a few words, for the ledger."""

    def nodes(self) -> Sequence[int]:
        """The nodes that are connected now."""

    def exchange(self, requests: Mapping[int, Envelope], seconds: float) -> Iterator[Reply]:
        """Send each node its request, and yield replies as they come.

        An implementation yields at most one reply a request, matched to the node that the request
        was sent to, and ends when nothing is to be waited for or ``seconds`` have passed. What
        comes later, or is no reply to a request of this call, it drops.
        """


@dataclass(frozen=True, kw_only=True)
class Deadlines:
    """How long the server waits, in seconds, above 0.

    Attributes:
        gather: For enough devices to be there before a round.
        hello: For the identities of new ones, and likewise for each stage.
        contribute: See `Stage`.
        advertise: See `Stage`.
        share: See `Stage`.
        mask: See `Stage`.
        cosign: See `Stage`.
        unmask: See `Stage`.
        model: See `Stage`.

    Raises:
        InputError: Not above 0.
    """

    gather: float = 60.0
    hello: float = 60.0
    contribute: float = 600.0
    advertise: float = 60.0
    share: float = 60.0
    mask: float = 600.0
    cosign: float = 60.0
    unmask: float = 60.0
    model: float = 600.0

    def __post_init__(self) -> None:
        """Check every deadline."""
        for name, seconds in vars(self).items():
            if not seconds > 0:
                raise InputError(f"Expected the deadline {name} above 0 seconds, found {seconds}.")

    def of(self, stage: Stage) -> float:
        """Of one stage."""
        return float(getattr(self, stage.value))


@dataclass
class Attendance:
    """How many devices were asked and answered in a round, by stage: counts, and nobody's name.

    Attributes:
        asked: Requests sent.
        answered: Replies that were of use.
        refused: Replies that were not, by stage and by the word for what was wrong
            (:data:`privet.privacy.minimization.messages.ERROR_WORDS`).
        absent: Nodes of which the transport said that there is no answer.
    """

    asked: Counter[Stage] = field(default_factory=Counter)
    answered: Counter[Stage] = field(default_factory=Counter)
    refused: Counter[tuple[Stage, str]] = field(default_factory=Counter)
    absent: Counter[Stage] = field(default_factory=Counter)

    def collect(
        self,
        courier: Courier,
        stage: Stage,
        requests: Mapping[int, Envelope],
        seconds: float,
        accept: Callable[[int, bytes], None],
    ) -> list[int]:
        """Ask, and hand every reply to ``accept``; one that it refuses is dropped and counted.

        Returns:
            The nodes whose replies were accepted, each once.
        """
        self.asked[stage] += len(requests)
        accepted: dict[int, None] = {}
        for reply in courier.exchange(requests, seconds) if requests else ():
            if reply.payload is None:
                self.absent[stage] += 1
                continue
            try:
                accept(reply.node, reply.payload)
            except PrivetError as error:
                self.refused[stage, scrub(error)] += 1
            else:
                accepted[reply.node] = None
        self.answered[stage] += len(accepted)
        return list(accepted)
