"""A device's side of one round: five messages in order, each made after its checks.

    advertise() -> ADVERT
    share(ROSTER) -> SHARING
    mask(DELIVERY, vector) -> MASKED
    cosign(SURVIVORS) -> COSIGNATURE
    unmask(UNMASK_REQUEST) -> SHARES

A message that comes out of order is refused and changes nothing; one that fails a check ends the
round for this device, and its secrets are dropped. Nothing is kept across a restart but what
`UnmaskRecord` keeps, so a device that restarts has dropped out; where each message gets a process
of its own, `Client.suspend` and `Client.resume` carry a round from one to the next.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from privet.privacy.errors import InputError, IntegrityError, PrivacyError
from privet.privacy.randomness import Randomness
from privet.privacy.secagg import graph, primitives, shamir
from privet.privacy.secagg.device_checks import (
    check_delivery,
    check_request,
    check_survivors,
    survivors_signed,
)
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
    check_certificate,
    envelope_context,
    open_roster,
    seed_commitment,
)
from privet.privacy.secagg.server_messages import (
    Delivered,
    Delivery,
    Survivors,
    UnmaskRequest,
    sharers_digest,
)
from privet.privacy.secagg.suspended import Suspended
from privet.privacy.secagg.terms import Terms


class UnmaskRecord(Protocol):
    """A device's durable memory of what it has helped to unmask."""

    def record_unmasked(self, roster_hash: bytes, round_id: bytes) -> None:
        """Write down that shares are about to be revealed; return only when that is durable.

        Args:
            roster_hash: Hash of the roster.
            round_id: Names run and round, whatever the roster.

        Raises:
            PrivacyError: Either was recorded before.
        """


class Stage(Enum):
    """What a device waits for."""

    START = auto()
    ROSTER = auto()
    DELIVERY = auto()
    SURVIVORS = auto()
    UNMASK_REQUEST = auto()
    DONE = auto()
    ABORTED = auto()


@dataclass(frozen=True)
class _Secrets:
    mask_key: bytes = field(repr=False)
    envelope_key: bytes = field(repr=False)
    nonce: bytes = field(repr=False)
    seed: bytes = field(repr=False)

    @classmethod
    def draw(cls, rng: Randomness) -> "_Secrets":
        names = ("mask key", "envelope key", "nonce", "seed")
        return cls(*(primitives.random_bytes(rng, name) for name in names))


class Client:
    """One device in one round.

    Formal Guarantees:
        The vector leaves only under the device's own mask and under pairwise masks with at least
        ``threshold`` neighbours of its own choice. Shares are revealed once a round, after the
        mark is durable, and only when more than (n + corrupt) / 2 devices of the roster signed
        the same roster, sharers and survivors, at least ``min_survivors`` of them in the sum. For
        each device that chose this one it is a share of the seed or of the key, never both.
    """

    def __init__(
        self,
        terms: Terms,
        identity: SigningKey,
        record: UnmaskRecord,
        *,
        certificate: bytes = b"",
        rng: Randomness | None = None,
    ) -> None:
        """Make the round's keys.

        Args:
            terms: What the device agreed to, made by itself.
            identity: The device's long-lived key.
            record: Its durable memory.
            certificate: The certifier's signature over the identity, if the terms ask for it.
            rng: Where keys come from; by default the operating system. Seeded ones are for tests.
        """
        self._terms = terms
        self._identity = identity
        self._record = record
        self._rng = rng or Randomness.secret()
        self._secrets = _Secrets.draw(self._rng)
        unsigned = Advert(
            identity=identity.public,
            mask_key=primitives.public_key(self._secrets.mask_key),
            envelope_key=primitives.public_key(self._secrets.envelope_key),
            commitment=graph.commit(self._secrets.nonce, identity.public),
            certificate=certificate,
        )
        check_certificate(unsigned, terms)
        signature = identity.sign(b"advert", terms.digest, *unsigned.signed)
        self._advert = Advert(**{**vars(unsigned), "signature": signature})
        self._stage = Stage.START
        self._held: dict[int, tuple[int, int]] = {}  # shares of seed and key, by their owner
        self._choosers: frozenset[int] = frozenset()
        self._sharers: frozenset[int] = frozenset()
        self._survivors: Survivors | None = None
        self._roster_message = b""

    @property
    def stage(self) -> Stage:
        """What the device waits for."""
        return self._stage

    def advertise(self) -> bytes:
        """The device's keys for this round."""
        with self._step(Stage.START, Stage.ROSTER):
            return self._advert.encode(self._terms.digest)

    def share(self, roster: bytes) -> bytes:
        """Check the roster, choose neighbours and send each shares of the secrets.

        Raises:
            InputError: Not a roster.
            IntegrityError: A signature is wrong, or the device's own keys were changed.
            PrivacyError: The roster breaks the device's terms or table.
        """
        with self._step(Stage.ROSTER, Stage.DELIVERY):
            self._roster, self._roster_message = open_roster(roster, self._terms), roster
            if self._advert not in self._roster.adverts:
                raise IntegrityError("This device's keys are not in the roster as it sent them.")
            self._own = self._roster.adverts.index(self._advert)
            self._neighbours = self._chosen_by(self._own, self._secrets.nonce)
            for position in self._neighbours:
                self._roster.verify_advert(position)
            unsigned = Sharing(
                roster_hash=self._roster.hash,
                sender=self._own,
                nonce=self._secrets.nonce,
                envelopes=self._envelopes(),
            )
            signature = self._identity.sign(b"sharing", *unsigned.signed)
            return Sharing(**{**vars(unsigned), "signature": signature}).encode()

    def mask(self, delivery: bytes, vector: NDArray[np.uint32]) -> bytes:
        """Keep the shares of others, and send the masked vector.

        Args:
            delivery: The message.
            vector: Integers modulo 2**32, shape ``(dimension,)``.

        Raises:
            InputError: Not a delivery, or not such a vector.
            IntegrityError: A nonce was not committed to, or did not choose this device.
            PrivacyError: Too few devices, or too few of its neighbours, have shared.
        """
        if vector.dtype != np.uint32 or vector.shape != (self._terms.dimension,):
            raise InputError(f"Expected {self._terms.dimension} integers of type uint32.")
        with self._step(Stage.DELIVERY, Stage.SURVIVORS):
            message = Delivery.parse(delivery, self._roster.parameters.devices)
            check_delivery(self._roster, self._own, self._neighbours, message)
            for delivered in message.delivered:
                self._receive(delivered)
            self._sharers = message.sharers
            self._choosers = frozenset(d.source for d in message.delivered)
            unsigned = Masked(
                roster_hash=self._roster.hash,
                sender=self._own,
                sharers_digest=self._sharers_digest,
                seed_commitment=seed_commitment(self._secrets.seed, self._roster, self._own),
                vector=self._masked(vector),
            )
            signature = self._identity.sign(b"masked", *unsigned.signed)
            return Masked(**{**vars(unsigned), "signature": signature}).encode()

    def cosign(self, survivors: bytes) -> bytes:
        """Sign the survivors, once.

        Raises:
            InputError: Not such a message.
            PrivacyError: The lists overlap or do not fit, the device is not in the sum, or too
                few devices are.
        """
        with self._step(Stage.SURVIVORS, Stage.UNMASK_REQUEST):
            message = Survivors.parse(survivors, self._roster.parameters.devices)
            check_survivors(self._roster, self._own, self._sharers, message)
            self._survivors = message
            signature = self._identity.sign(b"survivors", *survivors_signed(self._sharers, message))
            return Cosignature(
                roster_hash=self._roster.hash, sender=self._own, signature=signature
            ).encode()

    def unmask(self, request: bytes) -> bytes:
        """Reveal shares, once, to a quorum that agrees.

        Raises:
            InputError: Not such a message.
            IntegrityError: A signature is wrong.
            PrivacyError: The survivors are not those signed, there is no quorum, or this round
                was unmasked before.
        """
        with self._step(Stage.UNMASK_REQUEST, Stage.DONE):
            message = UnmaskRequest.parse(request, self._roster.parameters.devices)
            assert self._survivors is not None  # signed in the stage before
            check_request(self._roster, self._sharers, self._survivors, self._choosers, message)
            self._record.record_unmasked(self._roster.hash, self._terms.round_id)
            unsigned = Shares(
                roster_hash=self._roster.hash, sender=self._own, revealed=self._revealed()
            )
            signature = self._identity.sign(b"shares", *unsigned.signed)
            self._forget()
            return Shares(**{**vars(unsigned), "signature": signature}).encode()

    def suspend(self) -> bytes:
        """The device's part of the round so far, **with its secrets**, for another process.

        Whoever keeps it keeps it as safe as the identity key, for no longer than the round, and
        resumes it once: two that go on from the same bytes could mask two vectors alike.
        """
        survivors = b"" if self._survivors is None else self._survivors.encode()
        secrets = self._secrets
        return Suspended(
            stage=self._stage.name,
            terms=self._terms.digest,
            advert=self._advert.encode(self._terms.digest),
            secrets=(secrets.mask_key, secrets.envelope_key, secrets.nonce, secrets.seed),
            roster=self._roster_message,
            survivors=survivors,
            sharers=self._sharers,
            choosers=self._choosers,
            held=dict(self._held),
        ).encode()

    @classmethod
    def resume(
        cls, terms: Terms, identity: SigningKey, record: UnmaskRecord, state: bytes
    ) -> "Client":
        """Go on where `suspend` left off.

        Raises:
            InputError: Not such bytes.
            PrivacyError: They are of other terms or of another identity.
        """
        found = Suspended.parse(state)
        _, advert = Advert.parse(found.advert, terms.certified)
        if found.terms != terms.digest or advert.identity != identity.public:
            raise PrivacyError("A suspended round is of other terms or another device.")
        client = cls(terms, identity, record, certificate=advert.certificate)
        client._secrets, client._advert = _Secrets(*found.secrets), advert
        client._stage, client._held = Stage[found.stage], dict(found.held)
        client._sharers, client._choosers = found.sharers, found.choosers
        if found.roster:
            client._roster_message = found.roster
            client._roster = open_roster(found.roster, terms)
            client._own = client._roster.adverts.index(advert)
            devices = client._roster.parameters.devices
            if found.secrets[2]:
                client._neighbours = client._chosen_by(client._own, found.secrets[2])
            if found.survivors:
                client._survivors = Survivors.parse(found.survivors, devices)
        return client

    @contextmanager
    def _step(self, expected: Stage, following: Stage) -> Iterator[None]:
        if self._stage is not expected:
            raise PrivacyError(
                f"This device waits for {self._stage.name}, not for {expected.name}: the message "
                "is refused."
            )
        self._stage = Stage.ABORTED
        try:
            yield
        except BaseException:
            self._forget()
            raise
        self._stage = following

    def _forget(self) -> None:
        self._secrets = _Secrets(b"", b"", b"", b"")
        self._held.clear()
        self._rng = Randomness.secret()

    def _chosen_by(self, position: int, nonce: bytes) -> tuple[int, ...]:
        p = self._roster.parameters
        return graph.choose_neighbours(
            nonce, self._roster.hash, own=position, devices=p.devices, count=p.neighbours
        )

    def _envelopes(self) -> tuple[bytes, ...]:
        p = self._roster.parameters
        seeds, keys = (
            shamir.split(
                secret,
                threshold=p.threshold,
                count=p.neighbours,
                stream=self._rng.stream("secagg", "shares", name),
            )
            for name, secret in (("seed", self._secrets.seed), ("key", self._secrets.mask_key))
        )
        out = []
        for position, seed, key in zip(self._neighbours, seeds, keys, strict=True):
            plain = seed.to_bytes(shamir.SHARE_BYTES, "big") + key.to_bytes(
                shamir.SHARE_BYTES, "big"
            )
            ends = (self._own, position)
            out.append(primitives.seal(self._envelope_key(position, ends), plain, self._aad(ends)))
        return tuple(out)

    def _envelope_key(self, other: int, ends: tuple[int, int]) -> bytes:
        secret = primitives.agree(
            self._secrets.envelope_key, self._roster.adverts[other].envelope_key
        )
        return primitives.hkdf(secret, b"envelope", self._aad(ends))

    def _aad(self, ends: tuple[int, int]) -> bytes:
        return envelope_context(self._roster, *ends)

    def _receive(self, delivered: Delivered) -> None:
        """Check that the source chose this device, and keep its shares if the envelope opens.

        An envelope that does not open is a share less, not a reason to give up: otherwise any one
        corrupt device could end the round for all whom it chose.
        """
        source = delivered.source
        advert = self._roster.adverts[source]
        self._roster.verify_advert(source)
        graph.check_opening(delivered.nonce, advert.identity, advert.commitment)
        if self._own not in self._chosen_by(source, delivered.nonce):
            raise IntegrityError("An envelope comes from a device that did not choose this one.")
        ends = (source, self._own)
        try:
            key = self._envelope_key(source, ends)
            plain = primitives.unseal(key, delivered.envelope, self._aad(ends))
        except IntegrityError:
            return
        halves = plain[: shamir.SHARE_BYTES], plain[shamir.SHARE_BYTES :]
        seed, secret = (int.from_bytes(half, "big") for half in halves)
        self._held[source] = (seed, secret)

    def _masked(self, vector: NDArray[np.uint32]) -> NDArray[np.uint32]:
        own = self._roster.adverts[self._own].identity
        key = primitives.self_key(
            self._secrets.seed, self._roster.hash, self._terms.round_number, own
        )
        total = vector.copy()
        primitives.apply_mask(total, key, subtract=False)
        for other in sorted(self._choosers | self._sharers.intersection(self._neighbours)):
            theirs = self._roster.adverts[other]
            key = primitives.pairwise_key(
                self._secrets.mask_key,
                theirs.mask_key,
                self._roster.hash,
                self._terms.round_number,
                (own, theirs.identity),
            )
            # The lower position adds and the higher one subtracts, so that the two cancel.
            primitives.apply_mask(total, key, subtract=self._own > other)
        return total

    @property
    def _sharers_digest(self) -> bytes:
        return sharers_digest(self._sharers, self._roster.parameters.devices)

    def _revealed(self) -> tuple[tuple[int, int, int], ...]:
        assert self._survivors is not None
        active = self._survivors.active
        return tuple(
            (owner, SEED_SHARE, seed) if owner in active else (owner, KEY_SHARE, key)
            for owner, (seed, key) in sorted(self._held.items())
        )
