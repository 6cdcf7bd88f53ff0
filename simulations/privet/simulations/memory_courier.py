"""A courier whose devices are in this process: what `GridCourier` is over Flower, without it."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from privet.client.session import DeviceSession
from privet.models.federation import SECURE_STAGES, Stage
from privet.privacy.minimization.envelope import Envelope
from privet.privacy.minimization.published import RoundMessages
from privet.privacy.minimization.sending import Slot
from privet.server.courier import Reply


class MemoryCourier:
    """Hands envelopes to devices' sessions, whose numbers are their nodes', and takes the answers.

    Args:
        sessions: Of the devices.
        on_devices: Called with the number of devices done so far in a round.

    Attributes:
        rounds: The masked vectors that came back, a round each.
    """

    transport = "none: all in one process"

    def __init__(
        self, sessions: Sequence[DeviceSession], on_devices: Callable[[int], None]
    ) -> None:
        """Everybody is there."""
        self._sessions, self._on_devices = sessions, on_devices
        self.rounds: list[RoundMessages] = []
        self.begin({})

    def begin(self, leaving: Mapping[Stage, set[int]]) -> None:
        """Begin a round in which these nodes answer no more from a stage on."""
        self._leaving, self._gone, self._answers = leaving, set[int](), 0

    def nodes(self) -> Sequence[int]:
        """All of them."""
        return range(len(self._sessions))

    def exchange(self, requests: Mapping[int, Envelope], seconds: float) -> Iterator[Reply]:
        """Ask one device after the other; nothing is waited for."""
        asked = dict(requests)
        for stage in {request.stage for request in asked.values()}:
            self._gone |= self._leaving.get(Stage(stage), set())
        for node, request in asked.items():
            if node in self._gone:
                continue
            admitted = self._sessions[node].answer(request)
            if admitted is not None:
                self._note(request, admitted.payload)
            yield Reply(node, None if admitted is None else admitted.payload)

    def _note(self, request: Envelope, payload: bytes) -> None:
        if request.stage not in SECURE_STAGES:
            return
        if request.stage == Stage.MASK:
            slot = Slot(run=request.run, round_number=request.round, stage=request.stage)
            if not self.rounds or self.rounds[-1].slot != slot:
                self.rounds.append(RoundMessages(slot))
            self.rounds[-1].add(payload)
        self._answers += 1
        if self._answers % len(SECURE_STAGES) == 0:
            self._on_devices(self._answers // len(SECURE_STAGES))
