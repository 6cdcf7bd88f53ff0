"""A live federation: a real SuperLink, embedded devices in processes, a server in another.

All processes are forked from one without threads, so that each is there at once, knows what that
one knows, and can be killed as the kernel would. For tests and benchmarks.
"""

import heapq
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from tests.federation.world import SEED
from tests.server.world import charges_in_file
from tests.superlink import HOST, ServerSide, SuperLink

from privet.client.device_store import DeviceStore
from privet.client.embedded.device_loop import EmbeddedDevice, Outcome
from privet.client.embedded.errors import RejectedError
from privet.client.embedded.fleet_server import FleetServer
from privet.client.embedded.identity import NodeIdentity
from privet.client.embedded.pace import Pace
from privet.client.embedded.transport import FleetConnection
from privet.client.local_states import LocalStateFolder
from privet.client.session import Device, DeviceSession
from privet.models.cohort import Cohort
from privet.models.federation import Federation
from privet.models.federation_policy import federation_policy
from privet.models.model import Model, state_hash
from privet.models.plan import Plan
from privet.privacy.errors import TransportError
from privet.privacy.minimization.agreement import Agreement, Limits
from privet.privacy.minimization.envelope import RECORD
from privet.privacy.randomness import Randomness
from privet.privacy.secagg.primitives import SigningKey
from privet.server.coordinator import Coordinator, Progress
from privet.server.courier import Deadlines
from privet.server.fleet import Aggregate, ChargeSum, Fleet, Round
from privet.server.flower import FlowerFleet
from privet.server.storage import RunStore

LIVE_SECONDS = 0.7
Event = dict[str, Any]
Watch = Callable[[Event], None]


def fork(work: Callable[[], None], log: Path) -> int:
    """Do something in a process of its own, whose output goes to a file; its number."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        work()
        code = 0
    except BaseException:  # noqa: BLE001 - the process ends here, whatever it was
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _often() -> Pace:
    return Pace(poll_seconds=LIVE_SECONDS, idle_seconds=LIVE_SECONDS)


def kill(process: int) -> None:
    """As a loss of power; waits until it is gone."""
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)


def identity_key(row: int) -> SigningKey:
    """The long-lived key of a device."""
    return SigningKey.from_secret(sha256(b"device %d" % row).digest())


def device_session(
    folder: Path,
    *,
    plan: Plan,
    model: Model,
    history: Cohort,
    identity: SigningKey,
    federation: Federation,
    participations: int,
) -> DeviceSession:
    """A device whose durable store is in a folder, opened again if it is there."""
    memory = folder / "device.db"
    policy = federation_policy(plan, federation)
    seeded = plan.seeded_noise
    return DeviceSession(
        Device(
            model=model,
            history=history,
            identity=identity,
            federation=federation,
            agreement=Agreement.to(policy, limits=Limits(max_participations=participations)),
            ledger=DeviceStore(memory, create=not memory.exists()).ledger,
            local=LocalStateFolder(folder / "states"),
            randomness=(
                (lambda: Randomness.insecure_seeded(SEED)) if seeded else Randomness.secret
            ),
        )
    )


@dataclass(kw_only=True, eq=False)
class LiveFederation:
    """What all processes of a federation know before they are forked.

    Attributes:
        link: Its SuperLink.
        folder: Device stores and logs go there.
        plan: Of the run.
        model: Of the plan.
        cohort: Histories; row ``i`` is device ``i``.
        federation: What devices pin.
        key: The server's.
        port: Of what stands before the SuperLink for devices; the SuperLink's own if 0.
        participations: As often as each user agreed to.
        pace: Of each device.
        heartbeat_seconds: Of the devices.
        lanes: Threads of a process of devices, which take turns; one for each device if 0.
        app: Files of the app that SuperNodes run; one that does nothing if not given.
        identities: At the transport, of embedded devices, by row.
        nodes: Node ids, by row.
    """

    link: SuperLink
    folder: Path
    plan: Plan
    model: Model
    cohort: Cohort
    federation: Federation
    key: SigningKey
    port: int = 0
    participations: int = 10
    pace: Callable[[], Pace] = _often
    heartbeat_seconds: float = 60.0
    lanes: int = 0
    app: Mapping[str, bytes] | None = None
    identities: dict[int, NodeIdentity] = field(default_factory=dict)
    nodes: dict[int, int] = field(default_factory=dict)

    def enrol(self, rows: Iterable[int]) -> None:
        """Register a transport identity with the SuperLink for each of these devices."""
        for row in rows:
            self.identities[row] = NodeIdentity.generate()
            self.nodes[row] = self.link.register(self.identities[row].public_pem())

    def devices(self, rows: Iterable[int], before: Callable[[], None] | None = None) -> int:
        """Embedded devices in a process of their own; its number.

        ``before`` is called in that process before they start.
        """
        rows = list(rows)
        lanes = min(self.lanes, len(rows)) or len(rows)

        def live() -> None:
            if before is not None:
                before()
            threads = [
                threading.Thread(target=self._take_turns, args=(rows[lane::lanes],))
                for lane in range(lanes)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        return fork(live, self.folder / "devices.log")

    def _take_turns(self, rows: Sequence[int]) -> None:
        """Some devices, for ever, whoever is due first: each comes back whatever happens."""
        devices = {row: self._device(row) for row in rows}
        paces = {row: self.pace() for row in rows}
        online = set[int]()
        due = [(0.0, row) for row in rows]
        while True:
            at, row = heapq.heappop(due)
            time.sleep(max(0.0, at - time.monotonic()))
            wait = self._take_turn(row, devices[row], paces[row], online)
            heapq.heappush(due, (time.monotonic() + wait, row))

    def _take_turn(self, row: int, device: EmbeddedDevice, pace: Pace, online: set[int]) -> float:
        """One step of a device; seconds until its next."""
        try:
            if row not in online:
                device.join()
                online.add(row)
            outcome = device.step().outcome
        except RejectedError as error:
            print(f"device {row}: {error}", flush=True)
            device.node_id = self.nodes[row]
            online.discard(row)
            return LIVE_SECONDS
        except TransportError as error:
            print(f"device {row}: {error}", flush=True)
            return LIVE_SECONDS
        if outcome is Outcome.WAITING:
            return LIVE_SECONDS
        return pace.idle() if outcome is Outcome.IDLE else pace.busy()

    def _device(self, row: int) -> EmbeddedDevice:
        server = FleetServer(
            host=HOST,
            port=self.port or self.link.port,
            authority=self.link.certificates.authority,
            timeout_seconds=30.0,
        )
        return EmbeddedDevice(
            FleetConnection(server, self.identities[row]),
            self.session(row).answer,
            node_id=self.nodes[row],
            heartbeat_interval=self.heartbeat_seconds,
        )

    def session(self, row: int) -> DeviceSession:
        """A device with its durable store, opened again if it is there."""
        return device_session(
            self.folder / "stores" / f"{row}",
            plan=self.plan,
            model=self.model,
            history=self.cohort.slice(row, row + 1),
            identity=identity_key(row),
            federation=self.federation,
            participations=self.participations,
        )

    def server(self, serving: "Serving") -> int:
        """The server in a process of its own; its number."""
        return fork(lambda: serve(self, serving), self.folder / "server.log")


@dataclass(frozen=True, kw_only=True)
class Serving:
    """How a server is run.

    Attributes:
        directory: Of the run; gone on with if there is one.
        journal: Every event is a line of JSON there.
        deadlines: Of the fleet.
        budget: Allowed epsilon, if not the plan's.
        poll_seconds: Between two looks for replies.
        watch: Gets each event after it is in the journal, and may kill whom it likes.
    """

    directory: Path
    journal: Path
    deadlines: Deadlines
    budget: float | None = None
    poll_seconds: float = 0.1
    watch: Watch = lambda event: None

    def note(self, event: Event) -> None:
        """Write an event down, with what is charged when shares are asked for; tell the watch."""
        if (event["event"], event.get("stage")) == ("push", "unmask"):
            event = {**event, "charges": charges_in_file(self.directory)}
        with self.journal.open("a") as file:
            file.write(json.dumps({"at": round(time.time(), 3), **event}) + "\n")
        self.watch(event)


def serve(live: LiveFederation, serving: Serving) -> None:
    """Go on with the run, in a Flower run of its own; the last event is its outcome."""
    side = live.link.start_run(live.app)
    threading.Thread(target=_beat, args=(side,), daemon=True).start()
    grid: Any = WatchedGrid(side.grid, serving.note)
    fleet = FlowerFleet(
        grid,
        federation=live.federation,
        key=live.key,
        deadlines=serving.deadlines,
        poll_seconds=serving.poll_seconds,
    )
    new = not (serving.directory / "run.db").exists()
    store = RunStore(serving.directory, create=new)

    def observe(progress: Progress) -> None:
        serving.note({"event": "phase", "step": progress.step, "phase": progress.phase.value})

    try:
        shared = Coordinator(
            model=live.model,
            plan=live.plan,
            fleet=Recorded(fleet, serving),
            store=store,
            randomness=Randomness.insecure_seeded(SEED),
            repeatable=False,  # every attempt has fresh noise, also where it follows from a seed
            budget=serving.budget,
            observer=observe,
        ).run()
    except Exception as error:
        serving.note({"event": "outcome", "error": type(error).__name__, "text": str(error)})
        raise
    serving.note({"event": "outcome", "error": "", "model": state_hash(shared)})
    store.close()


def _beat(side: ServerSide) -> None:
    """Say that the run's task is alive, as Flower's own process of a ServerApp does."""
    from flwr.proto.runtime_pb2 import SendTaskHeartbeatRequest

    while True:
        time.sleep(3)
        try:
            side.grid._runtime_client.SendTaskHeartbeat(SendTaskHeartbeatRequest())
        except Exception as error:  # noqa: BLE001 - the SuperLink may be away
            print(f"no heartbeat: {type(error).__name__}", flush=True)


class WatchedGrid:
    """A Grid that tells of every request before it leaves, and of every reply that came."""

    def __init__(self, grid: Any, note: Watch) -> None:
        """Watch a grid."""
        self._grid, self._note = grid, note

    def get_node_ids(self) -> Iterable[int]:
        """The nodes that are connected."""
        return list(self._grid.get_node_ids())

    def push_messages(self, messages: Iterable[Any]) -> Iterable[str]:
        """Send."""
        messages = list(messages)
        stage, number = _stage(messages[0])
        nodes = [message.metadata.dst_node_id for message in messages]
        self._note({"event": "push", "stage": stage, "round": number, "nodes": nodes})
        return list(self._grid.push_messages(messages))

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Any]:
        """Receive."""
        replies = list(self._grid.pull_messages(message_ids))
        for reply in replies:
            if not reply.has_error():
                stage, number = _stage(reply)
                node = reply.metadata.src_node_id
                self._note({"event": "reply", "stage": stage, "round": number, "node": node})
        return replies


def _stage(message: Any) -> tuple[str, int]:
    record = message.content.config_records[RECORD]
    return str(record["stage"]), int(record["round"])


class Recorded:
    """A fleet whose sums are written down, with what they were asked for with."""

    def __init__(self, fleet: Fleet, serving: Serving) -> None:
        """Record a fleet."""
        self._fleet, self._serving = fleet, serving

    def run(self, round_: Round, charge: ChargeSum) -> Aggregate:
        """Run a round; see `Fleet`."""
        found = self._fleet.run(round_, charge)
        files = self._serving.journal.parent
        file = files / f"sum-{len(list(files.glob('sum-*.npz')))}.npz"
        shared: dict[str, Any] = {f"shared/{name}": a for name, a in round_.shared.items()}
        np.savez(file, total=found.total, **shared)
        self._serving.note(
            {
                "event": "sum",
                "step": round_.step.name,
                "attempt": round_.attempt,
                "survivors": found.survivors,
                "file": file.name,
            }
        )
        return found


def vectors_from(seen: Sequence[Event], live: LiveFederation) -> list[int]:
    """Rows of the devices whose masked vectors came in the last round of these events."""
    masked = [e for e in seen if (e["event"], e.get("stage")) == ("reply", "mask")]
    rows = {node: row for row, node in live.nodes.items()}
    return sorted({rows[e["node"]] for e in masked if e["round"] == masked[-1]["round"]})


def events(journal: Path) -> Sequence[Event]:
    """What a journal says so far; a line that was cut off is none."""
    if not journal.exists():
        return []
    return [json.loads(line) for line in journal.read_text().split("\n")[:-1]]
