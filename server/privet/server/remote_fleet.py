"""A fleet of remote devices over any transport."""

import logging
import os
import time
from collections.abc import Mapping

import numpy as np

from privet.models.federation import Federation
from privet.models.federation_policy import federation_policy
from privet.models.groups import members
from privet.models.model import state_hash
from privet.models.requests import TaskMessage
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.errors import PrivacyError
from privet.privacy.minimization.envelope import MAX_ROUND
from privet.privacy.minimization.policy import EgressPolicy
from privet.privacy.randomness import Randomness
from privet.privacy.secagg.primitives import SigningKey
from privet.server.courier import Attendance, Courier, Deadlines
from privet.server.enrolment import Enrolment
from privet.server.fleet import Aggregate, ChargeSum, Round
from privet.server.protocol_round import RoundSetup, plain_round, secure_round

_PAUSE = 0.2
_LOG = logging.getLogger("privet.server")


class RemoteFleet:
    """Runs a step of the plan over whatever devices a courier reaches.

    Args:
        courier: Carries the bytes.
        federation: Constants that every device pinned.
        key: The server's, whose public half is in the federation.
        allowed: Identities that may take part, with their public numbers; see `Enrolment`.
        deadlines: How long to wait for what.

    Raises:
        PrivacyError: The key is another than the federation's.

    A round takes all devices that are enrolled, at most as many as the plan says there are, or those
    of them whose numbers the round names. A cohort that the plan keeps secret is refused: who is
    asked shows in traffic and in logs. A round has
    a random number, so that one that is tried again, by this process or after a crash, is new to
    every device.
    """

    def __init__(
        self,
        courier: Courier,
        *,
        federation: Federation,
        key: SigningKey,
        allowed: Mapping[bytes, int] | None = None,
        deadlines: Deadlines | None = None,
    ) -> None:
        """Know nobody yet."""
        if key.public != federation.server_key:
            raise PrivacyError("The server's key is not the one that devices pinned.")
        self._courier, self._federation, self._key = courier, federation, key
        self._deadlines = deadlines or Deadlines()
        self._enrolment = Enrolment(federation, key, allowed)
        self.attendance = Attendance()
        """Of the last round."""

    def run(self, round_: Round, charge: ChargeSum) -> Aggregate:
        """Run a round; see `Fleet`.

        Raises:
            PrivacyError: It is to repeat a release: who answers and with what noise is for the
                devices to say, so another sum would get the noise of the first. Or too few devices
                are left.
        """
        if round_.repeats:
            raise PrivacyError(
                "Remote devices never give the very same release again: it must be charged as a "
                "new one, with fresh noise. Nothing was asked of them."
            )
        self.attendance = Attendance()
        plan, step = round_.plan, round_.step
        if step.terms.hides_cohort:
            raise PrivacyError(
                "A secret cohort is not run over a network, where traffic and logs show who was "
                "asked. Use a cohort of a fixed size, or all devices."
            )
        policy = federation_policy(plan, self._federation)
        number = int.from_bytes(os.urandom(8), "big") % (MAX_ROUND + 1)
        nodes = self._gather(round_, policy, number)
        task = TaskMessage(plan=plan, step=step.name, attempt=round_.attempt, shared=round_.shared)
        setup = RoundSetup(
            terms=self._federation.terms(
                plan, step, model_hash=state_hash(round_.shared), round_number=number
            ),
            step=step.name,
            task=task.encode(),
            groups=self._groups(round_, nodes),
            key=self._key,
            policy=policy,
            courier=self._courier,
            deadlines=self._deadlines,
            enrolment=self._enrolment,
            attendance=self.attendance,
        )

        try:
            if plan.facts.trust is Trust.SECURE_AGGREGATION:
                return secure_round(setup, charge)
            return Aggregate(groups=plain_round(setup, plan.facts.trust, charge))
        finally:
            _LOG.info("round of step %s: %s", step.name, self.attendance)

    def _groups(self, round_: Round, nodes: list[int]) -> list[list[int]]:
        numbers = np.array([self._enrolment.at(node).number for node in nodes], np.int64)
        rows = members(round_.plan, round_.step.name, round_.attempt, numbers)
        return [[nodes[row] for row in group.tolist()] for group in rows]

    def _gather(self, round_: Round, policy: EgressPolicy, number: int) -> list[int]:
        """Wait for the plan's devices, and go on with fewer at the deadline."""
        named = None if round_.devices is None else set(round_.devices.tolist())
        wanted = round_.plan.facts.devices if named is None else len(named)
        fewest = round_.step.terms.groups * round_.step.terms.survivors
        deadline = time.monotonic() + self._deadlines.gather
        while True:
            nodes = self._enrolment.greet(
                self._courier,
                round_.plan,
                policy,
                round_number=number,
                seconds=self._deadlines.hello,
                attendance=self.attendance,
            )
            if named is not None:
                nodes = [node for node in nodes if self._enrolment.at(node).number in named]
            if len(nodes) >= wanted:
                return _some(nodes, wanted)
            if time.monotonic() >= deadline:
                break
            time.sleep(_PAUSE)
        if len(nodes) < fewest:
            raise PrivacyError(
                f"Only {len(nodes)} devices are connected and enrolled; the plan needs at least "
                f"{fewest}. Nothing was asked of them."
            )
        return nodes


def _some(nodes: list[int], wanted: int) -> list[int]:
    """As many nodes as wanted, each as likely as any other."""
    keys = Randomness.secret().stream("who takes part").words64(len(nodes)).tolist()
    return [node for _, node in sorted(zip(keys, nodes, strict=True))[:wanted]]
