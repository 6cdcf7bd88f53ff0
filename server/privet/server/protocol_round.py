"""One round over remote devices, whatever carries the bytes.

:func:`secure_round` plays the server's part of secure aggregation over a
:class:`~privet.server.courier.Courier`, :func:`plain_round` the single stage of the other trusts.
A device that is late, silent or wrong in a stage has dropped out and harms nobody else; a round
ends early only when too few are left, and then nothing is learnt.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

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
from privet.privacy.secagg.record import GroupRecord, ProtocolRecord
from privet.privacy.secagg.server import PendingRelease, Server
from privet.privacy.secagg.terms import Terms
from privet.server.courier import Attendance, Courier, Deadlines
from privet.server.enrolment import Enrolment
from privet.server.fleet import Aggregate, ChargeSum, GroupSum


@dataclass(frozen=True, kw_only=True, eq=False)
class RoundSetup:
    """What a round is about.

    Attributes:
        terms: Public constants, as every device makes them for itself.
        step: Name of the step.
        task: The body of the first request.
        groups: The nodes of each group.
        key: The server's.
        policy: Of the devices.
        courier: Carries the bytes.
        deadlines: How long to wait.
        enrolment: Who is at which node.
        attendance: Where to count.
        down: Bytes of the requests to each node, without what the transport adds.
        up: Bytes of the replies of use, likewise.
    """

    terms: Terms
    step: str
    task: bytes
    groups: Sequence[Sequence[int]]
    key: SigningKey
    policy: EgressPolicy
    courier: Courier
    deadlines: Deadlines
    enrolment: Enrolment
    attendance: Attendance
    down: Counter[int] = field(default_factory=Counter)
    up: Counter[int] = field(default_factory=Counter)

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
            self.up[node] += len(payload)

        for node, payload in payloads.items():
            self.down[node] += len(payload)
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
        return {node: payload for nodes in self.groups for node in nodes}


class _Group:
    """One group's roster, and which of its devices is at which node."""

    def __init__(self, setup: RoundSetup) -> None:
        self.server = Server(setup.terms, setup.key)
        self._setup = setup
        self._homes: dict[bytes, int] = {}

    def accept_advert(self, node: int, data: bytes) -> None:
        _, advert = Advert.parse(data, self._setup.terms.certified)
        if advert.identity != self._setup.enrolment.at(node).identity:
            raise PrivacyError("An advert is not of the device that is enrolled at its node.")
        self.server.accept_advert(data)
        self._homes[advert.identity] = node

    def rosters(self) -> dict[int, bytes]:
        roster = self.server.close_adverts()
        return dict.fromkeys(self._homes.values(), roster)

    def deliveries(self) -> dict[int, bytes]:
        return self._by_node(self.server.close_sharing())

    def survivors(self) -> dict[int, bytes]:
        message, release = self.server.close_masked(), self.server.survivors
        return {self._homes[identity]: message for identity in release}

    def requests(self, charged: PendingRelease) -> dict[int, bytes]:
        def already_charged(pending: PendingRelease) -> None:
            if pending != charged:
                raise PrivacyError("The protocol would unmask another sum than the one charged.")

        return self._by_node(self.server.request_shares(already_charged))

    def _by_node(self, messages: dict[int, bytes]) -> dict[int, bytes]:
        adverts = self.server.roster.adverts
        return {self._homes[adverts[at].identity]: data for at, data in messages.items()}


def secure_round(setup: RoundSetup, charge: ChargeSum) -> Aggregate:
    """A round of secure aggregation, all groups at the same time; the sums, and what it did.

    Raises:
        PrivacyError: Too few devices of some group are left for the noise, a quorum or the graph;
            nothing was learnt.
        IntegrityError: Too few shares came, or wrong ones: what was charged stays charged, and
            that group's sum stays masked.

    Formal Guarantees:
        ``charge`` has returned for all groups before the first request for shares is sent, so
        nothing is learnt uncharged, wherever the process dies.
    """
    groups = [_Group(setup) for _ in setup.groups]
    at = {node: group for nodes, group in zip(setup.groups, groups, strict=True) for node in nodes}

    def play(
        stage: Stage,
        requests: Iterable[dict[int, bytes]],
        accept: Callable[[Server, bytes], None],
    ) -> None:
        together = {node: data for group in requests for node, data in group.items()}
        setup.collect(stage, together, lambda node, data: accept(at[node].server, data))

    setup.collect(
        Stage.ADVERTISE,
        setup.ask(Stage.ADVERTISE),
        lambda node, data: at[node].accept_advert(node, data),
    )
    play(Stage.SHARE, [group.rosters() for group in groups], Server.accept_sharing)
    play(Stage.MASK, [group.deliveries() for group in groups], Server.accept_masked)
    play(Stage.COSIGN, [group.survivors() for group in groups], Server.accept_cosignature)
    pending = [group.server.pending_release() for group in groups]
    charge([len(release.survivors) for release in pending])
    requests = [group.requests(of) for group, of in zip(groups, pending, strict=True)]
    play(Stage.UNMASK, requests, Server.accept_shares)
    found = [group.server.finish() for group in groups]
    records = [
        GroupRecord.of(
            group.server,
            sum_,
            asked=len(nodes),
            up_bytes=max(setup.up[node] for node in nodes),
            down_bytes=max(setup.down[node] for node in nodes),
        )
        for group, sum_, nodes in zip(groups, found, setup.groups, strict=True)
    ]
    return Aggregate(
        groups=tuple(GroupSum(total=sum_.total, survivors=len(sum_.survivors)) for sum_ in found),
        protocol=ProtocolRecord.of(setup.terms, records, transport=setup.courier.transport),
    )


def plain_round(setup: RoundSetup, trust: Trust, charge: ChargeSum) -> tuple[GroupSum, ...]:
    """A round under trust ``central`` or ``local``: one stage.

    Under ``local`` the server learns each vector as it comes, so the round is charged before any
    is asked for, with all devices that are asked. Under ``central`` the sum is charged before it
    is handed on; the server, which is trusted, has seen the vectors by then.

    Raises:
        PrivacyError: Fewer devices answered than the noise is set for.
    """
    (nodes,) = setup.groups
    if trust is Trust.LOCAL:
        charge([len(nodes)])
    total = np.zeros(setup.terms.dimension, np.uint32)
    seen: set[bytes] = set()

    def accept(node: int, data: bytes) -> None:
        upload = PlainUpload.open(data, setup.terms)
        if upload.identity != setup.enrolment.at(node).identity or upload.identity in seen:
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
        charge([len(seen)])
    return (GroupSum(total=total, survivors=len(seen)),)
