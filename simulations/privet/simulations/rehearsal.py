"""A whole federation on this machine, for the tests of an app: real but for its people and its size.

The server is that of ``privet server up`` with keys, ledgers, rounds and delivery of the model; the
app's client speaks to it over HTTPS as to any other. In place of a SuperLink there is a
`FleetEndpoint`, and the other devices answer in this process, with histories drawn by chance.
"""

import io
import os
import secrets
import threading
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from privet.client.client import Client
from privet.client.connection import Training
from privet.client.embedded.identity import NodeIdentity
from privet.client.embedded.pace import Pace
from privet.client.model_store import ModelStore
from privet.client.session import DeviceSession
from privet.client.testing.clock import Moment
from privet.client.testing.store import temporary_folder
from privet.models.catalogue import Catalogue
from privet.models.cohort import Cohort
from privet.models.invitation import EnrolmentRequest, Invitation
from privet.models.known import model_of
from privet.privacy.errors import InputError
from privet.privacy.minimization.agreement import Agreement, Limits
from privet.privacy.minimization.envelope import Envelope
from privet.privacy.randomness import Randomness
from privet.server.courier import Courier, Reply
from privet.server.operation.directory import Directory
from privet.server.operation.logs import EventLog
from privet.server.operation.service import Outcome, Service
from privet.server.operation.settings import Federation, Network, Privacy, Rounds, Settings
from privet.simulations.devices import SimulatedDevices
from privet.simulations.fleet_endpoint import FleetEndpoint, Received
from privet.simulations.loopback_https import Faults, LoopbackServer, loopback_port

_DELTA, _RUNS = 1e-4, 5
_LIKED = 0.4
_TURN_SECONDS = 0.2


@dataclass(frozen=True, kw_only=True)
class Rehearsed:
    """What came of a rehearsal's run.

    Attributes:
        version: Of the model that was published.
        model_hash: Of its arrays.
        delivered: Devices that keep it.
        training: What `train_if_due` said, call by call.
        steps: How many turns of the client had which outcome.
    """

    version: int
    model_hash: str
    delivered: int
    training: tuple[Training, ...]
    steps: Mapping[str, int]


class Rehearsal:
    """A federation for one client of an app, or some; a context manager.

    Args:
        catalogue: The app's.
        model: ``hybrid``, ``popularity`` or ``spectral``.
        trust: See ``privet.toml``.
        devices: In the plan; all but ``apps`` are played.
        apps: Clients of the app that are to join.
        epsilon: Of one run. As for any federation, noise of few devices covers what they say.
        seconds: How long the server waits for answers, and for devices before a round.
        seed: Of the played histories; noise and masks are random in any case.

    Raises:
        InputError: A value out of its range.
        PrivacyError: So few devices cannot keep what is promised.

    Attributes:
        directory: The server's.
        histories: Of the played devices.
        faults: What goes wrong between server and app; set it at any time.
        model_hash: Of the model that was published last; empty before.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        *,
        model: str = "popularity",
        trust: str = "secure-aggregation",
        devices: int = 12,
        apps: int = 1,
        epsilon: float = 8.0,
        seconds: float = 5.0,
        seed: int = 0,
    ) -> None:
        """Make the directory, enrol the played devices, and listen."""
        if not 1 <= apps < devices:
            raise InputError(f"Expected 1 to {devices - 1} clients of the app, found {apps}.")
        self.faults, self.model_hash = Faults(), ""
        self._endpoint = FleetEndpoint()
        with ExitStack() as stack:
            folder = stack.enter_context(temporary_folder())
            listening = stack.enter_context(loopback_port())
            settings = _settings(
                listening.getsockname()[1], model, trust, devices, epsilon, seconds
            )
            self.directory = Directory.make(folder / "server", settings)
            self.directory.invite(catalogue)
            self.histories = _histories(devices - apps, len(catalogue), seed)
            self._link = _Link(self._endpoint, *self._play(folder))
            files = self.directory.superlink
            server = LoopbackServer(
                listening,
                files.certificate,
                files.key,
                answer=self._endpoint.call,
                faults=self.faults,
            )
            stack.callback(server.close)
            self._stack = stack.pop_all()

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Stop listening, and remove all that the server kept."""
        self._stack.close()

    @property
    def invitation(self) -> Invitation:
        """For the app's client."""
        return self.directory.invitation

    @property
    def received(self) -> tuple[Received, ...]:
        """What the server got from the app's clients, in order."""
        return tuple(self._endpoint.received)

    def enrol(self, request: EnrolmentRequest | None) -> None:
        """Enrol what `Client.connect` returned.

        Raises:
            InputError: There is no request, or it is for another federation.
            IntegrityError: It is not signed by its identity.
        """
        if request is None:
            raise InputError("The client has not joined: its user has not agreed to the terms.")
        self.directory.enrol([request])
        self._link.register([request.node])

    def join(self, client: Client) -> None:
        """Agree to the terms as the client's user would, join and enrol.

        Raises:
            InputError: As `Client.connect`.
        """
        terms = client.connect(self.invitation).terms
        client.consent.grant("contribute", terms=terms)
        self.enrol(client.connect(self.invitation).request)

    def run(self) -> Outcome:
        """Run the server from a round's beginning to the model's delivery, in this thread.

        Raises:
            BudgetError: There were as many runs as there may be.
            PrivacyError: Too few devices answered.
        """
        log = EventLog(io.StringIO())
        service = Service(self.directory, log, again=True, link=lambda restarted: self._link)
        with self.directory.locked():
            outcome = service.run(once=True)
        if outcome.version is not None:
            self.model_hash = outcome.version.state_hash
        return outcome

    def train(self, *clients: Client) -> Rehearsed:
        """Run the server in a thread of its own, and the clients in this one, until it is done.

        Raises:
            BudgetError: As `run`.
            PrivacyError: As `run`.
        """
        found: list[Outcome | BaseException] = []

        def serve() -> None:
            try:
                found.append(self.run())
            except BaseException as error:  # noqa: BLE001 - raised below
                found.append(error)

        training: list[Training] = []
        turn = _TURN_SECONDS / max(1, len(clients))
        pace = Pace(poll_seconds=0.01, idle_seconds=0.05)
        server = threading.Thread(target=serve)
        server.start()
        while server.is_alive():
            for client in clients:
                training.append(client.train_if_due(Moment(), seconds=turn, pace=pace))
            server.join(0.01)
        outcome = found[0]
        if isinstance(outcome, BaseException):
            raise outcome
        assert outcome.version is not None  # a run that ended has one
        return Rehearsed(
            version=outcome.version.version,
            model_hash=outcome.version.state_hash,
            delivered=outcome.delivered,
            training=tuple(training),
            steps=sum((Counter(one.steps) for one in training), Counter[str]()),
        )

    def _play(self, folder: Path) -> tuple[list[DeviceSession], list[str]]:
        """The played devices, enrolled: their sessions, and their keys at the transport."""
        own = self.invitation
        devices = SimulatedDevices(
            model=model_of(own.plan),
            cohort=self.histories,
            plan=own.plan,
            federation=own.federation,
            agreement=Agreement.to(own.policy, limits=Limits(max_participations=own.answers)),
            secret=secrets.token_bytes(32),
            randomness=Randomness.secret,
        )
        sessions, keys, enrolments = [], [], []
        for row, number in enumerate(self.histories.devices.tolist()):
            device = devices.device(row)
            device = replace(device, models=ModelStore(folder / f"model-{row}"))
            node = NodeIdentity.generate().public_pem()
            enrolments.append(
                EnrolmentRequest.sign(
                    device.identity,
                    number,
                    node,
                    federation=own.federation,
                    plan_hash=own.plan.hash,
                )
            )
            sessions.append(DeviceSession(device))
            keys.append(node.decode())
        self.directory.enrol(enrolments)
        return sessions, keys


class _Link:
    """Devices' way to the server: played ones are called, the app's are asked over HTTPS."""

    transport = "HTTPS on loopback, and calls in one process"

    def __init__(
        self, endpoint: FleetEndpoint, sessions: Sequence[DeviceSession], keys: Sequence[str]
    ) -> None:
        self._endpoint, self._sessions, self._keys = endpoint, sessions, frozenset(keys)

    @contextmanager
    def running(self) -> Iterator[None]:
        """It listens already."""
        yield

    def register(self, keys: Collection[str]) -> None:
        """Let devices in."""
        for key in keys:
            if key not in self._keys:
                self._endpoint.register(key)

    @contextmanager
    def courier(self) -> Iterator[Courier]:
        """Itself."""
        yield self

    def nodes(self) -> Sequence[int]:
        """The played devices, and the app's that are online."""
        return [*range(len(self._sessions)), *self._endpoint.nodes()]

    def exchange(self, requests: Mapping[int, Envelope], seconds: float) -> Iterator[Reply]:
        """Ask the app's devices, then the played ones, and wait for the former."""
        asked, played = dict(requests), range(len(self._sessions))
        remote = {node: request for node, request in asked.items() if node not in played}
        replies = self._endpoint.ask(remote, seconds)
        for node, request in asked.items():
            if node in played:
                admitted = self._sessions[node].answer(request)
                yield Reply(node, None if admitted is None else admitted.payload)
        yield from replies


def _histories(devices: int, items: int, seed: int) -> Cohort:
    """Histories drawn by chance, and numbers as devices draw them."""
    rng = np.random.default_rng(seed)
    rows, liked = np.nonzero(rng.random((devices, items)) < _LIKED)
    cohort = Cohort.from_pairs(rows, liked, n_users=devices, n_items=items)
    numbers = [int.from_bytes(os.urandom(8), "big") >> 1 for _ in range(devices)]
    return replace(cohort, devices=np.array(numbers, np.int64))


def _settings(
    port: int, model: str, trust: str, devices: int, epsilon: float, seconds: float
) -> Settings:
    return Settings(
        federation=Federation(name="A rehearsal", model=model, devices=devices),
        privacy=Privacy(
            epsilon=epsilon,
            delta=_DELTA,
            budget=min(1000.0, 2 * _RUNS * epsilon),
            trust=trust,
            min_survivors_permille=700,
            drop_permille=300,
            answers=_RUNS,
        ),
        network=Network(port=port, public_port=port, names=("127.0.0.1",)),
        rounds=Rounds(
            stage_seconds=seconds, gather_seconds=seconds, attempts=2, rollout_permille=1000
        ),
    )
