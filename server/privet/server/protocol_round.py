"""One round over remote devices, whatever carries the bytes.

:func:`secure_round` plays the server's part of secure aggregation over a
:class:`~privet.server.courier.Courier`, :func:`plain_round` the single stage of the other trusts.
A device that is late, silent or wrong in a stage has dropped out and harms nobody else; a round
ends early only when too few are left, and then nothing is learnt.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from privet.models.federation import Stage
from privet.models.federation_policy import protocol_bytes
from privet.models.identified import PlainUpload
from privet.models.requests import sign_request
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.errors import PrivacyError
from privet.privacy.minimization.envelope import Envelope
from privet.privacy.minimization.policy import EgressPolicy
from privet.privacy.secagg.device_messages import Advert
from privet.privacy.secagg.primitives import SigningKey
from privet.privacy.secagg.server import PendingRelease, Server
from privet.privacy.secagg.terms import Terms
from privet.server.courier import Attendance, Courier, Deadlines
from privet.server.enrolment import Enrolment
from privet.server.fleet import GroupSum

Charge = Callable[[int], None]
"""Charges the ledger, durably, for one sum of this many survivors; see `ChargeSum`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RoundSetup:
    """What a round is about.

    Attributes:
        terms: Public constants, as every device makes them for itself.
        step: Name of the step.
        task: The body of the first request.
        nodes: Who takes part.
        key: The server's.
        policy: Of the devices.
        courier: Carries the bytes.
        deadlines: How long to wait.
        enrolment: Who is at which node.
        attendance: Where to count.
    """

    terms: Terms
    step: str
    task: bytes
    nodes: Sequence[int]
    key: SigningKey
    policy: EgressPolicy
    courier: Courier
    deadlines: Deadlines
    enrolment: Enrolment
    attendance: Attendance

    def collect(
        self, stage: Stage, payloads: dict[int, bytes], accept: Callable[[int, bytes], None]
    ) -> list[int]:
        """Play a stage: send payloads by node, hand over what the replies carry.

        Returns:
            The nodes whose replies were accepted.
        """
        run, number = self.terms.run, self.terms.round_number
        requests = {
            node: Envelope(stage=stage.value, run=run, round=number, payload=payload)
            for node, payload in payloads.items()
        }
        step = self.step if stage in (Stage.MASK, Stage.CONTRIBUTE) else stage.value

        def accept_bare(node: int, payload: bytes) -> None:
            accept(node, protocol_bytes(self.policy, step, payload))

        seconds = self.deadlines.of(stage)
        return self.attendance.collect(self.courier, stage, requests, seconds, accept_bare)

    def ask(self, stage: Stage) -> dict[int, bytes]:
        """The round's first request, signed, for every node."""
        payload = sign_request(
            self.key,
            stage=stage,
            run=self.terms.run,
            round_number=self.terms.round_number,
            body=self.task,
        )
        return dict.fromkeys(self.nodes, payload)


def secure_round(setup: RoundSetup, charge: Charge) -> GroupSum:
    """A round of secure aggregation.

    Raises:
        PrivacyError: Too few devices are left for the noise, a quorum or the graph; nothing was
            learnt.
        IntegrityError: Too few shares came, or wrong ones: what was charged stays charged, and
            the sum stays masked.

    Formal Guarantees:
        ``charge`` has returned before the first request for shares is sent, so nothing is learnt
        uncharged, wherever the process dies.
    """
    server = Server(setup.terms, setup.key)
    homes: dict[bytes, int] = {}

    def accept_advert(node: int, data: bytes) -> None:
        _, advert = Advert.parse(data, setup.terms.certified)
        if advert.identity != setup.enrolment.identity(node):
            raise PrivacyError("An advert is not of the device that is enrolled at its node.")
        server.accept_advert(data)
        homes[advert.identity] = node

    setup.collect(Stage.ADVERTISE, setup.ask(Stage.ADVERTISE), accept_advert)
    roster = server.close_adverts()
    nodes = [homes[advert.identity] for advert in server.roster.adverts]

    def by_node(messages: dict[int, bytes]) -> dict[int, bytes]:
        return {nodes[position]: message for position, message in messages.items()}

    setup.collect(
        Stage.SHARE, dict.fromkeys(nodes, roster), lambda _, data: server.accept_sharing(data)
    )
    deliveries = by_node(server.close_sharing())
    active = setup.collect(Stage.MASK, deliveries, lambda _, data: server.accept_masked(data))
    survivors = server.close_masked()
    setup.collect(
        Stage.COSIGN,
        dict.fromkeys(active, survivors),
        lambda _, data: server.accept_cosignature(data),
    )
    charged: list[int] = []

    def charge_first(pending: PendingRelease) -> None:
        charge(len(pending.survivors))
        charged.append(len(pending.survivors))

    requests = by_node(server.request_shares(charge_first))
    setup.collect(Stage.UNMASK, requests, lambda _, data: server.accept_shares(data))
    found = server.finish()
    if charged != [len(found.survivors)]:
        raise PrivacyError("The protocol unmasked another sum than the one charged.")
    return GroupSum(total=found.total, survivors=len(found.survivors))


def plain_round(setup: RoundSetup, trust: Trust, charge: Charge) -> GroupSum:
    """A round under trust ``central`` or ``local``: one stage.

    Under ``local`` the server learns each vector as it comes, so the round is charged before any
    is asked for, with all devices that are asked. Under ``central`` the sum is charged before it
    is handed on; the server, which is trusted, has seen the vectors by then.

    Raises:
        PrivacyError: Fewer devices answered than the noise is set for.
    """
    if trust is Trust.LOCAL:
        charge(len(setup.nodes))
    total = np.zeros(setup.terms.dimension, np.uint32)
    seen: set[bytes] = set()

    def accept(node: int, data: bytes) -> None:
        upload = PlainUpload.open(data, setup.terms)
        if upload.identity != setup.enrolment.identity(node) or upload.identity in seen:
            raise PrivacyError("A vector is not of the device at its node, or is its second one.")
        seen.add(upload.identity)
        np.add(total, upload.vector, out=total)

    setup.collect(Stage.CONTRIBUTE, setup.ask(Stage.CONTRIBUTE), accept)
    if len(seen) < setup.terms.min_survivors:
        raise PrivacyError(
            f"Only {len(seen)} devices answered; the noise was set for at least "
            f"{setup.terms.min_survivors}. The sum was not used."
        )
    if trust is not Trust.LOCAL:
        charge(len(seen))
    return GroupSum(total=total, survivors=len(seen))
