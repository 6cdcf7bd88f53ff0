"""Published models on their way to devices: to each that is connected the one it is to have."""

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from privet.models.federation import Federation, Stage
from privet.models.federation_policy import federation_policy, protocol_bytes
from privet.models.model_message import ModelMessage
from privet.models.plan import Plan
from privet.models.requests import sign_request
from privet.privacy.errors import PrivacyError
from privet.privacy.minimization.envelope import MAX_ROUND, Envelope
from privet.privacy.secagg.primitives import SigningKey
from privet.server.courier import Attendance, Courier, Deadlines
from privet.server.enrolment import Enrolment

_LOG = logging.getLogger("privet.server")


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """A device's word that it keeps a model.

    Attributes:
        identity: Of the device.
        version: Of the model.
        decision: By which it has it.
    """

    identity: bytes
    version: int
    decision: int


class Delivery:
    """Sends models to devices over a courier.

    Args:
        courier: Carries the bytes.
        federation: Constants that every device pinned.
        key: The server's.
        plan: That devices agreed to.
        allowed: Identities that may get models, with their public numbers.
        deadlines: How long to wait.
    """

    def __init__(
        self,
        courier: Courier,
        *,
        federation: Federation,
        key: SigningKey,
        plan: Plan,
        allowed: Mapping[bytes, int],
        deadlines: Deadlines | None = None,
    ) -> None:
        """Know nobody yet."""
        self._courier, self._federation, self._key, self._plan = courier, federation, key, plan
        self._deadlines = deadlines or Deadlines()
        self._enrolment = Enrolment(federation, key, allowed)
        self._policy = federation_policy(plan, federation)
        self.attendance = Attendance()
        """Of the last delivery."""
        self.asked: frozenset[bytes] = frozenset()
        """Identities of those that were sent a model in the last delivery."""

    def deliver(self, model_for: Callable[[bytes], ModelMessage | None]) -> list[Receipt]:
        """Send every connected device its model.

        Args:
            model_for: What a device, by its identity, is to get now; None for nothing.

        Returns:
            What devices said that they keep. A device that refused or is silent is not among them.
        """
        self.attendance = Attendance()
        run = self._federation.run
        number = int.from_bytes(os.urandom(8), "big") % (MAX_ROUND + 1)
        nodes = self._enrolment.greet(
            self._courier,
            self._plan,
            self._policy,
            round_number=number,
            seconds=self._deadlines.hello,
            attendance=self.attendance,
        )
        messages: dict[int, ModelMessage] = {}
        payloads: dict[tuple[int, int], bytes] = {}
        requests: dict[int, Envelope] = {}
        stage = Stage.MODEL.value
        for node in nodes:
            message = model_for(self._enrolment.at(node).identity)
            if message is None:
                continue
            messages[node] = message
            made = (message.version, message.decision)
            if made not in payloads:
                payloads[made] = sign_request(
                    self._key, stage=stage, run=run, round_number=number, body=message.encode()
                )
            requests[node] = Envelope(stage=stage, run=run, round=number, payload=payloads[made])
        self.asked = frozenset(self._enrolment.at(node).identity for node in requests)
        receipts: list[Receipt] = []

        def accept(node: int, payload: bytes) -> None:
            message = messages[node]
            identity = message.check_receipt(protocol_bytes(self._policy, stage, payload), run)
            if identity != self._enrolment.at(node).identity:
                raise PrivacyError("A receipt is not of the device at its node.")
            receipts.append(
                Receipt(identity=identity, version=message.version, decision=message.decision)
            )

        seconds = self._deadlines.of(Stage.MODEL)
        self.attendance.collect(self._courier, Stage.MODEL, requests, seconds, accept)
        _LOG.info("delivery of models: %s", self.attendance)
        return receipts
