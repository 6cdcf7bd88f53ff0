"""An in-memory cohort: a server and its devices, any of which can drop out at any stage.

For tests and benchmarks: keys can be seeded, and then nothing is private.
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from privet.privacy.errors import PrivacyError
from privet.privacy.randomness import Randomness
from privet.privacy.secagg.client import Client
from privet.privacy.secagg.primitives import SigningKey, random_bytes
from privet.privacy.secagg.record import STAGES
from privet.privacy.secagg.server import Aggregate, PendingRelease, Server
from privet.privacy.secagg.terms import Terms

__all__ = ["STAGES", "Cohort", "MemoryRecord", "Meter", "signing_keys"]


@dataclass
class MemoryRecord:
    """A record of unmasked rounds that lasts as long as the object, for tests.

    Attributes:
        seen: What was marked.
    """

    seen: set[bytes] = field(default_factory=set)

    def record_unmasked(self, roster_hash: bytes, round_id: bytes) -> None:
        """Remember a round; refuse the second time."""
        if self.seen & {roster_hash, round_id}:
            raise PrivacyError("This round was unmasked before.")
        self.seen |= {roster_hash, round_id}


@dataclass
class Meter:
    """What each party spent.

    Attributes:
        seconds: CPU seconds by party, a device's number or -1 for the server.
        up: Bytes sent, by device.
        down: Bytes received, by device.
    """

    seconds: dict[int, float] = field(default_factory=dict)
    up: dict[int, int] = field(default_factory=dict)
    down: dict[int, int] = field(default_factory=dict)

    @contextmanager
    def of(self, party: int) -> Iterator[None]:
        """Count the CPU time of what runs inside."""
        start = time.process_time()
        try:
            yield
        finally:
            spent = time.process_time() - start
            self.seconds[party] = self.seconds.get(party, 0.0) + spent


def signing_keys(count: int, seed: int = 0) -> list[SigningKey]:
    """Seeded identity keys, in ascending order of their public keys: NOT PRIVATE."""
    rng = Randomness.insecure_seeded(seed)
    keys = [SigningKey.from_secret(random_bytes(rng, "identity", i)) for i in range(count)]
    return sorted(keys, key=lambda key: key.public)


class Cohort:
    """Runs one round over devices that hold vectors.

    Args:
        terms: The round's terms.
        server_key: The server's key.
        identities: The devices' keys.
        seed: Makes the devices' secrets reproducible; None takes them from the operating system.
        certifier: Certifies the identities, if the terms ask for it.
    """

    def __init__(
        self,
        terms: Terms,
        server_key: SigningKey,
        identities: list[SigningKey],
        *,
        seed: int | None = None,
        certifier: SigningKey | None = None,
    ) -> None:
        """Make the server and the devices."""
        self.meter = Meter()
        self.records = [MemoryRecord() for _ in identities]
        self.server = Server(terms, server_key)
        self.clients = []
        for i, identity in enumerate(identities):
            rng = None if seed is None else Randomness.insecure_seeded(seed * 1_000_003 + i)
            certificate = certifier.certify(identity.public) if certifier else b""
            with self.meter.of(i):
                client = Client(terms, identity, self.records[i], certificate=certificate, rng=rng)
            self.clients.append(client)
        self.identities = identities

    def run(
        self,
        vectors: NDArray[np.uint32],
        drops: Mapping[str, Collection[int]] | None = None,
        charge: Callable[[PendingRelease], None] = lambda pending: None,
    ) -> Aggregate:
        """One round.

        Args:
            vectors: One row a device.
            drops: Devices that answer no more from a stage on, by the stage's name.
            charge: The ledger's hook.
        """
        for stage in STAGES:
            self.play_stage(stage, self._alive(stage, drops), vectors, charge)
        with self.meter.of(-1):
            return self.server.finish()

    def _alive(self, stage: str, drops: Mapping[str, Collection[int]] | None) -> set[int]:
        gone = {i for s in STAGES[: STAGES.index(stage) + 1] for i in (drops or {}).get(s, ())}
        return set(range(len(self.clients))) - gone

    def play_stage(
        self,
        stage: str,
        alive: set[int],
        vectors: NDArray[np.uint32],
        charge: Callable[[PendingRelease], None],
    ) -> None:
        """Play one stage with the devices that still answer."""
        if stage == "advert":
            for i in sorted(alive):
                self._answer(i, b"", lambda c, _: c.advertise(), self.server.accept_advert)
            return
        inbox = self.inbox_before(stage, charge)
        actions: dict[str, Callable[[int, Client, bytes], bytes]] = {
            "sharing": lambda i, c, m: c.share(m),
            "masked": lambda i, c, m: c.mask(m, vectors[i]),
            "cosignature": lambda i, c, m: c.cosign(m),
            "shares": lambda i, c, m: c.unmask(m),
        }
        accept = getattr(self.server, f"accept_{stage}")
        for i in sorted(alive & inbox.keys()):
            self._answer(i, inbox[i], partial(actions[stage], i), accept)

    def _answer(
        self,
        device: int,
        message: bytes,
        action: Callable[[Client, bytes], bytes],
        accept: Callable[[bytes], None],
    ) -> None:
        with self.meter.of(device):
            answer = action(self.clients[device], message)
        self.meter.down[device] = self.meter.down.get(device, 0) + len(message)
        self.meter.up[device] = self.meter.up.get(device, 0) + len(answer)
        with self.meter.of(-1):
            accept(answer)

    def inbox_before(
        self, stage: str, charge: Callable[[PendingRelease], None]
    ) -> dict[int, bytes]:
        """The server's messages before a stage, by device."""
        with self.meter.of(-1):
            if stage == "sharing":
                roster = self.server.close_adverts()
                return dict.fromkeys(self._devices().values(), roster)
            if stage == "masked":
                return self._by_device(self.server.close_sharing())
            if stage == "cosignature":
                survivors = self.server.close_masked()
                return dict.fromkeys(self._devices().values(), survivors)
            return self._by_device(self.server.request_shares(charge))

    def _devices(self) -> dict[int, int]:
        """Devices by their position in the roster."""
        numbers = {identity.public: i for i, identity in enumerate(self.identities)}
        return {p: numbers[a.identity] for p, a in enumerate(self.server.roster.adverts)}

    def _by_device(self, messages: dict[int, bytes]) -> dict[int, bytes]:
        devices = self._devices()
        return {devices[position]: message for position, message in messages.items()}
