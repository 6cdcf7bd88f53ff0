"""Which devices the server knows: identities that showed that they hold their keys, by node.

A node's number is the transport's word. Here a device signs a challenge that was made for its node,
so that nobody can be enrolled with another's identity, and no identity at two nodes at once.
Enrolment is the server's own word: it is no certification, and gives nothing against a malicious
server (A4).
"""

import os
from collections.abc import Mapping

from privet.models.federation import Federation, Stage
from privet.models.federation_policy import protocol_bytes
from privet.models.identified import CHALLENGE_BYTES, Hello
from privet.models.plan import Plan
from privet.models.requests import sign_request
from privet.privacy.errors import PrivacyError
from privet.privacy.minimization.envelope import Envelope
from privet.privacy.minimization.policy import EgressPolicy
from privet.privacy.secagg.primitives import SigningKey
from privet.server.courier import Attendance, Courier


class Enrolment:
    """The identities of connected devices.

    Args:
        federation: Its constants.
        key: The server's.
        allowed: Identities that may take part, with their public numbers. If not given, whoever the
            transport lets in, by the number that it says: one device can then take the number of
            another that has not been there yet, and keep it out.
    """

    def __init__(
        self, federation: Federation, key: SigningKey, allowed: Mapping[bytes, int] | None = None
    ) -> None:
        """Know nobody yet."""
        self._federation, self._key = federation, key
        self._allowed = None if allowed is None else dict(allowed)
        self._devices: dict[int, Hello] = {}

    def at(self, node: int) -> Hello:
        """The device that is enrolled at a node."""
        return self._devices[node]

    def greet(
        self,
        courier: Courier,
        plan: Plan,
        policy: EgressPolicy,
        *,
        round_number: int,
        seconds: float,
        attendance: Attendance,
    ) -> list[int]:
        """Ask nodes that are connected and not enrolled who they are.

        Returns:
            All nodes that are connected and enrolled.
        """
        connected = set(courier.nodes())
        for node in self._devices.keys() - connected:
            del self._devices[node]
        run, stage = self._federation.run, Stage.HELLO.value
        challenges = {n: os.urandom(CHALLENGE_BYTES) for n in connected - self._devices.keys()}
        body = plan.to_bytes()
        requests = {
            node: Envelope(
                stage=stage,
                run=run,
                round=round_number,
                payload=sign_request(
                    self._key,
                    stage=stage,
                    run=run,
                    round_number=round_number,
                    body=challenge + body,
                ),
            )
            for node, challenge in challenges.items()
        }

        def accept(node: int, payload: bytes) -> None:
            data = protocol_bytes(policy, stage, payload)
            hello = Hello.open(data, run=run, plan_hash=plan.hash, challenge=challenges[node])
            self._enrol(node, hello)

        attendance.collect(courier, Stage.HELLO, requests, seconds, accept)
        return sorted(self._devices)

    def _enrol(self, node: int, hello: Hello) -> None:
        if self._allowed is not None and self._allowed.get(hello.identity) != hello.number:
            raise PrivacyError("A device is not among those that may take part, by that number.")
        others = self._devices.values()
        if any(hello.identity == d.identity or hello.number == d.number for d in others):
            raise PrivacyError("A device's identity or number is one of a node that is connected.")
        self._devices[node] = hello
