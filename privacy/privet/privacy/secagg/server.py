"""The server's side of one round: collects, relays, and learns the sum and nothing else.

    accept_advert(ADVERT)...       close_adverts() -> ROSTER, for all
    accept_sharing(SHARING)...     close_sharing() -> DELIVERY, by position
    accept_masked(MASKED)...       close_masked() -> SURVIVORS, for all of `active`
    accept_cosignature(...)...     request_shares(charge) -> UNMASK_REQUEST, by position
    accept_shares(SHARES)...       finish() -> Aggregate

`close_*` is called when the caller has waited long enough; who has not answered has dropped out.
A device's message that is refused raises and changes nothing; one that is repeated byte for byte
is ignored. Between the masked vectors and the request for shares stands `charge`: the ledger must
be charged, durably, before anything can be learnt.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from privet.privacy.errors import IntegrityError, PrivacyError
from privet.privacy.secagg import graph, primitives
from privet.privacy.secagg.device_checks import survivors_signed
from privet.privacy.secagg.device_messages import (
    KEY_SHARE,
    SEED_SHARE,
    Advert,
    Cosignature,
    Masked,
    Shares,
    Sharing,
)
from privet.privacy.secagg.primitives import SigningKey
from privet.privacy.secagg.roster import (
    Roster,
    check_advert,
    check_certificate,
    check_keys,
    encode_roster,
    open_roster,
)
from privet.privacy.secagg.server_messages import (
    Delivered,
    Delivery,
    Survivors,
    UnmaskRequest,
    sharers_digest,
)
from privet.privacy.secagg.terms import Terms
from privet.privacy.secagg.unmasking import Unmasking


class Phase(IntEnum):
    """What the server collects."""

    ADVERTS = 1
    SHARINGS = 2
    MASKED = 3
    COSIGNATURES = 4
    SHARES = 5
    DONE = 6
    ABORTED = 7


@dataclass(frozen=True, kw_only=True)
class PendingRelease:
    """What is about to be learnt, for the ledger.

    Attributes:
        roster_hash: Hash of the roster.
        survivors: Identities of the devices in the sum.
    """

    roster_hash: bytes
    survivors: tuple[bytes, ...]


@dataclass(frozen=True, kw_only=True)
class Aggregate:
    """What the server learnt.

    Attributes:
        total: Sum modulo 2**32 of the survivors' vectors, shape ``(dimension,)``.
        survivors: Identities of the devices in the sum.
        answered: Devices that answered each stage, by the stage's name.
    """

    total: NDArray[np.uint32] = field(repr=False)
    survivors: tuple[bytes, ...]
    answered: dict[str, int]


class Server:
    """One round of one group."""

    def __init__(self, terms: Terms, key: SigningKey) -> None:
        """Start collecting adverts.

        Args:
            terms: The round's public constants, the same that devices make for themselves.
            key: Signs the roster; its public key is in the terms.
        """
        if key.public != terms.server_key:
            raise PrivacyError("The server's key is not the one in the terms.")
        self._terms = terms
        self._key = key
        self._phase = Phase.ADVERTS
        self._seen: dict[tuple[Phase, bytes], bytes] = {}
        self._adverts: dict[bytes, Advert] = {}
        self._sharings: dict[int, Sharing] = {}
        self._graph: dict[int, tuple[int, ...]] = {}
        self._stated: dict[int, tuple[bytes, bytes, bytes]] = {}
        self._sum = np.zeros(terms.dimension, np.uint32)
        self._cosignatures: dict[int, bytes] = {}
        self._shares: dict[int, Shares] = {}

    @property
    def phase(self) -> Phase:
        """What the server collects."""
        return self._phase

    @property
    def roster(self) -> Roster:
        """The roster, once adverts are closed."""
        return self._roster

    def accept_advert(self, data: bytes) -> None:
        """Take a device's keys.

        Raises:
            InputError: Not an advert.
            IntegrityError: Its signature or certificate is wrong, or its keys are of low order.
            PrivacyError: It is for other terms, or a second one of the same device.
        """
        self._require(Phase.ADVERTS)
        digest, advert = Advert.parse(data, self._terms.certified)
        if digest != self._terms.digest:
            raise PrivacyError("An advert is for other terms.")
        if self._repeats(advert.identity, data):
            return
        check_advert(advert, self._terms)
        check_certificate(advert, self._terms)
        check_keys(advert)
        self._adverts[advert.identity] = advert
        self._remember(advert.identity, data)

    def close_adverts(self) -> bytes:
        """The roster of all that have advertised.

        Raises:
            PrivacyError: Too few; the round is over.
        """
        self._leave(Phase.ADVERTS)
        message = encode_roster(self._terms, list(self._adverts.values()), self._key)
        self._roster = open_roster(message, self._terms)
        self._phase = Phase.SHARINGS
        return message

    def accept_sharing(self, data: bytes) -> None:
        """Take a device's envelopes."""
        self._require(Phase.SHARINGS)
        p = self._roster.parameters
        message = Sharing.parse(data, p.devices, p.neighbours)
        advert = self._sender(message.roster_hash, message.sender)
        if self._repeats(advert.identity, data):
            return
        primitives.verify(advert.identity, message.signature, b"sharing", *message.signed)
        graph.check_opening(message.nonce, advert.identity, advert.commitment)
        self._sharings[message.sender] = message
        self._graph[message.sender] = graph.choose_neighbours(
            message.nonce,
            self._roster.hash,
            own=message.sender,
            devices=p.devices,
            count=p.neighbours,
        )
        self._remember(advert.identity, data)

    def close_sharing(self) -> dict[int, bytes]:
        """A delivery for every device that has shared, by its position.

        Raises:
            PrivacyError: Too few have shared; the round is over.
        """
        self._leave(Phase.SHARINGS)
        self._sharers = frozenset(self._sharings)
        if len(self._sharers) < self._terms.min_survivors:
            raise PrivacyError("Fewer devices have shared than the noise is set for.")
        inbox: dict[int, list[Delivered]] = {position: [] for position in self._sharers}
        for source in sorted(self._sharers):
            sharing = self._sharings[source]
            for position, envelope in zip(self._graph[source], sharing.envelopes, strict=True):
                if position in self._sharers:
                    inbox[position].append(
                        Delivered(source=source, nonce=sharing.nonce, envelope=envelope)
                    )
        self._sharings.clear()
        self._choosers = {to: [d.source for d in got] for to, got in inbox.items()}
        self._phase = Phase.MASKED
        return {
            position: Delivery(
                roster_hash=self._roster.hash,
                destination=position,
                devices=self._roster.parameters.devices,
                sharers=self._sharers,
                delivered=tuple(delivered),
            ).encode()
            for position, delivered in inbox.items()
        }

    def accept_masked(self, data: bytes) -> None:
        """Add a device's masked vector to the running sum."""
        self._require(Phase.MASKED)
        devices = self._roster.parameters.devices
        message = Masked.parse(data, devices, self._terms.dimension)
        advert = self._sender(message.roster_hash, message.sender)
        if message.sender not in self._sharers:
            raise PrivacyError("A masked vector comes from a device that has not shared.")
        if message.sharers_digest != sharers_digest(self._sharers, devices):
            raise IntegrityError("A masked vector was masked with other devices.")
        if self._repeats(advert.identity, data):
            return
        primitives.verify(advert.identity, message.signature, b"masked", *message.signed)
        self._sum += message.vector
        self._stated[message.sender] = (
            message.seed_commitment,
            message.content_digest,
            message.signature,
        )
        self._remember(advert.identity, data)

    def close_masked(self) -> bytes:
        """The survivors, for all of them to sign.

        Raises:
            PrivacyError: Too few survive; the round is over and nothing is learnt.
        """
        self._leave(Phase.MASKED)
        active = frozenset(self._stated)
        if len(active) < self._terms.min_survivors:
            raise PrivacyError("Fewer devices survive than the noise is set for.")
        self._survivors = Survivors(
            roster_hash=self._roster.hash,
            devices=self._roster.parameters.devices,
            active=active,
            dead=self._sharers - active,
        )
        self._phase = Phase.COSIGNATURES
        return self._survivors.encode()

    @property
    def survivors(self) -> tuple[bytes, ...]:
        """Identities of the devices in the sum, once masked vectors are closed."""
        return self._identities()

    def accept_cosignature(self, data: bytes) -> None:
        """Take a survivor's signature over the survivors."""
        self._require(Phase.COSIGNATURES)
        devices = self._roster.parameters.devices
        message = Cosignature.parse(data, devices)
        advert = self._sender(message.roster_hash, message.sender)
        if message.sender not in self._survivors.active:
            raise PrivacyError("A signature comes from a device that does not survive.")
        if self._repeats(advert.identity, data):
            return
        parts = survivors_signed(self._sharers, self._survivors)
        primitives.verify(advert.identity, message.signature, b"survivors", *parts)
        self._cosignatures[message.sender] = message.signature
        self._remember(advert.identity, data)

    def pending_release(self) -> PendingRelease:
        """What could be unmasked now: there is a quorum, and enough holders of every secret.

        For a release of several groups, whose charges must all come before any is unmasked.

        Raises:
            PrivacyError: It cannot; the round is over and nothing is learnt.
        """
        self._leave(Phase.COSIGNATURES)
        quorum, signers = self._roster.parameters.quorum, frozenset(self._cosignatures)
        if len(signers) < quorum:
            raise PrivacyError(f"{len(signers)} devices signed the survivors, {quorum} must.")
        for owner in self._sharers:
            if len(signers.intersection(self._graph[owner])) < self._roster.parameters.threshold:
                raise PrivacyError("Too few neighbours of a device are left to unmask the sum.")
        self._phase = Phase.COSIGNATURES
        return PendingRelease(roster_hash=self._roster.hash, survivors=self._identities())

    def request_shares(self, charge: Callable[[PendingRelease], None]) -> dict[int, bytes]:
        """Charge the ledger, and only then ask for the shares that unmask the sum.

        Args:
            charge: Charges the release and returns once that is durable; whatever it raises ends
                the round with nothing learnt.

        Returns:
            A request for every device that signed, by its position.

        Raises:
            PrivacyError: No quorum, or too few holders of some secret are left; nothing is
                charged and the round is over.
        """
        pending = self.pending_release()
        self._leave(Phase.COSIGNATURES)
        charge(pending)
        self._phase = Phase.SHARES
        quorum = self._roster.parameters.quorum
        cosignatures = tuple(sorted(self._cosignatures.items())[:quorum])
        return {
            position: UnmaskRequest(
                survivors=self._survivors,
                cosignatures=cosignatures,
                statements=tuple(
                    (source, *self._stated[source][1:])
                    for source in self._choosers[position]
                    if source in self._survivors.active
                ),
            ).encode()
            for position in sorted(self._cosignatures)
        }

    def accept_shares(self, data: bytes) -> None:
        """Take the shares that a device reveals."""
        self._require(Phase.SHARES)
        message = Shares.parse(data, self._roster.parameters.devices)
        advert = self._sender(message.roster_hash, message.sender)
        if message.sender not in self._cosignatures:
            raise PrivacyError("Shares come from a device that was not asked.")
        for owner, secret, _ in message.revealed:
            expected = SEED_SHARE if owner in self._survivors.active else KEY_SHARE
            if owner not in self._choosers[message.sender] or secret != expected:
                raise PrivacyError("A share was revealed that nobody asked for.")
        if self._repeats(advert.identity, data):
            return
        primitives.verify(advert.identity, message.signature, b"shares", *message.signed)
        self._shares[message.sender] = message
        self._remember(advert.identity, data)

    def finish(self) -> Aggregate:
        """Take the masks off.

        Raises:
            IntegrityError: Too few shares, or shares that do not fit; nothing is learnt but what
                was charged.
        """
        self._leave(Phase.SHARES)
        unmasking = Unmasking(self._roster, self._graph, self._survivors)
        for sender, message in self._shares.items():
            for owner, _, share in message.revealed:
                unmasking.add(owner, sender, share)
        for owner in sorted(self._survivors.active):
            unmasking.remove_self_mask(self._sum, owner, self._stated[owner][0])
        for owner in sorted(self._survivors.dead):
            unmasking.remove_pairwise_masks(self._sum, owner)
        self._phase = Phase.DONE
        return Aggregate(
            total=self._sum,
            survivors=self._identities(),
            answered={
                "advert": len(self._adverts),
                "sharing": len(self._sharers),
                "masked": len(self._stated),
                "cosignature": len(self._cosignatures),
                "shares": len(self._shares),
            },
        )

    def _identities(self) -> tuple[bytes, ...]:
        return tuple(self._roster.adverts[i].identity for i in sorted(self._survivors.active))

    def _sender(self, roster_hash: bytes, sender: int) -> Advert:
        if roster_hash != self._roster.hash:
            raise IntegrityError("A message is for another roster.")
        return self._roster.adverts[sender]

    def _require(self, phase: Phase) -> None:
        if self._phase is not phase:
            raise PrivacyError(
                f"The server is in phase {self._phase.name}, not {phase.name}: the message is "
                "refused."
            )

    def _leave(self, phase: Phase) -> None:
        """Whatever fails from here on ends the round."""
        self._require(phase)
        self._phase = Phase.ABORTED

    def _repeats(self, identity: bytes, data: bytes) -> bool:
        """Whether a device sent the same bytes before in this phase; other bytes are refused."""
        seen = self._seen.get((self._phase, identity))
        if seen is None:
            return False
        if seen != hashlib.sha256(data).digest():
            raise PrivacyError("A device sent two different messages in one phase.")
        return True

    def _remember(self, identity: bytes, data: bytes) -> None:
        self._seen[self._phase, identity] = hashlib.sha256(data).digest()
