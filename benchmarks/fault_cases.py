"""The faults: how each is brought about, what is expected of it, and what must hold after any."""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from crash_resume import check_order
from fault_relay import Relay, Weather
from fault_scene import Scene, World
from tests.federation.live import Event, Watch, vectors_from

from privet.privacy.ledger import EntryKind, charges
from privet.server.storage import RunStore

STAGES = ("hello", "advertise", "share", "mask", "cosign", "unmask")
PHASES = ("collected", "charged", "summed", "updated")
PAID = ("unmask", "charged", "summed", "updated")
KILLED, GOES_ON, REFUSED = ("killed", "finished"), ("finished",), ("BudgetError", "finished")
LAST = 2  # the third of the devices that has the trouble

Moment = Callable[[Event], bool]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One fault.

    Attributes:
        fault: What happens.
        stage: When.
        outcomes: How each server of the run is to end; None for any number of rounds that end
            without a sum, and then the end of the run.
        gone: Thirds of the devices that are not in the sum; None for anyone, as long as the
            minimum is there.
        repeats: Charges of releases that were not closed.
        watch: Brings the fault about, in the server's process.
        prepare: Before anything starts; the reason, where the fault cannot be had here.
    """

    fault: str
    stage: str
    outcomes: tuple[str, ...] | None = GOES_ON
    gone: int | None = 0
    repeats: int = 0
    watch: Callable[[Scene], Watch] = lambda scene: lambda event: None
    prepare: Callable[[Scene], str] = lambda scene: ""

    def survivors(self, world: World) -> int | None:
        """How many devices are to be in the sum."""
        return None if self.gone is None else world.count - self.gone * len(world.thirds[0])

    def expected(self, world: World) -> str:
        """In words."""
        survivors = self.survivors(world)
        if survivors is None:
            return f"finished; sum of {world.fewest} or more; a charge for each round unmasked"
        ends = "finished" if self.outcomes is None else _chain(self.outcomes)
        return f"{ends}; sum of {survivors}; {1 + self.repeats} charged"

    def judge(self, scene: Scene, outcomes: Sequence[str]) -> tuple[str, list[str]]:
        """What was seen, and what was wrong with it."""
        if not (scene.run_folder / "run.db").exists():
            return _chain(outcomes), ["there is no run"]
        store = RunStore(scene.run_folder)
        entries, wrong = store.entries, []
        store.close()
        found = [event for event in scene.events if event["event"] == "sum"]
        closed = [entry.body["devices"] for entry in entries if entry.kind is EntryKind.CLOSE]
        charged = charges(entries)
        aborted = sum(entry.kind is EntryKind.ABORT for entry in entries)
        seen = f"{_chain(outcomes)}; sum of {', '.join(map(str, closed))}; {len(charged)} charged"
        seen += f"; {aborted} aborted" * (aborted > 0)
        if scene.relay is not None:
            seen += f"; {scene.relay.counts}"
        if outcomes[-1] != "finished" or len(closed) != 1:
            wrong.append("the run did not come to its end")
        if self.outcomes is not None and tuple(outcomes) != self.outcomes:
            wrong.append(f"expected servers to end as {_chain(self.outcomes)}")
        survivors = self.survivors(scene.world)
        if survivors is not None and closed != [survivors]:
            wrong.append("another number of devices is in the sum than expected")
        if survivors is not None and len(charged) != 1 + self.repeats:
            wrong.append("another number of charges than expected")
        if aborted < outcomes.count("PrivacyError"):
            wrong.append("a round that ended uncharged is not in the ledger")
        wrong += check_order(entries) + _check_charges(scene.events, len(charged))
        wrong += [bad for event in found for bad in _check_sum(scene, event)]
        return seen, wrong


def _chain(outcomes: Sequence[str]) -> str:
    return ", ".join(outcomes)


def _check_charges(found: Sequence[Event], charged: int) -> list[str]:
    """Before the shares of a round are asked for, there are as many charges as such rounds."""
    wrong, revealed = [], dict[int, None]()
    for event in found:
        if (event["event"], event.get("stage")) == ("push", "unmask"):
            revealed[event["round"]] = None
            if event["charges"] < len(revealed):
                wrong.append(f"round {len(revealed)} was unmasked with {event['charges']} charged")
    paid = sum(event.get("phase") == "charged" for event in found)
    if paid != charged or charged < len(revealed):
        wrong.append(f"{charged} are charged; {paid} were, and {len(revealed)} rounds unmasked")
    return wrong


def _check_sum(scene: Scene, event: Event) -> list[str]:
    """A sum is that of the devices whose masked vectors came in its round."""
    rows = vectors_from(scene.events[: scene.events.index(event)], scene.live)
    file = scene.folder / event["file"]
    with np.load(file) as arrays:
        total = arrays["total"].tobytes()
    if len(rows) != event["survivors"]:
        return [f"{event['survivors']} are in a sum, {len(rows)} sent a vector"]
    if scene.world.expected(event["step"], event["attempt"], rows, file) != total:
        return [f"the sum of {event['step']} is wrong"]
    return []


def once(moment: Moment, act: Callable[[], None]) -> Watch:
    """Do something the first time that it is the moment."""
    done: list[bool] = []

    def watch(event: Event) -> None:
        if not done and moment(event):
            done.append(True)
            act()

    return watch


def asked(stage: str) -> Moment:
    """A stage's first request is about to leave."""
    return lambda event: (event["event"], event.get("stage")) == ("push", stage)


def half(scene: Scene, stage: str) -> Moment:
    """Half of a stage's replies are there."""
    count = Counter[str]()

    def moment(event: Event) -> bool:
        count[stage] += (event["event"], event.get("stage")) == ("reply", stage)
        return count[stage] >= scene.world.count // 2

    return moment


def reached(phase: str) -> Moment:
    """A phase of the first round is reached."""
    return lambda event: event.get("phase") == phase


def _die(processes: Sequence[int]) -> None:
    for process in processes:
        os.kill(process, signal.SIGKILL)


def cases() -> list[Case]:
    """All of them."""
    return [
        Case(fault="nothing", stage="none"),
        *_server_killed(),
        *_devices_killed(),
        *_link_killed(),
        *_network(),
        *_disks(),
        *_clocks(),
    ]


def _server_killed() -> list[Case]:
    def killing(stage: str) -> Callable[[Scene], Watch]:
        def watch(scene: Scene) -> Watch:
            moment = half(scene, stage) if stage in STAGES else reached(stage)
            return once(moment, lambda: _die([os.getpid()]))

        return watch

    return [
        Case(
            fault="server killed",
            stage=stage,
            outcomes=("killed", *REFUSED) if stage in PAID else KILLED,
            repeats=int(stage in PAID),
            watch=killing(stage),
        )
        for stage in (*STAGES, *PHASES)
    ]


def _devices_killed() -> list[Case]:
    def killing(stage: str, thirds: Sequence[int]) -> Callable[[Scene], Watch]:
        return lambda scene: once(asked(stage), lambda: _die([scene.pids[t] for t in thirds]))

    return [
        *(
            Case(
                fault="a third killed",
                stage=stage,
                gone=int(stage not in ("cosign", "unmask")),
                watch=killing(stage, [LAST]),
            )
            for stage in STAGES
        ),
        Case(
            fault="two thirds killed",
            stage="mask",
            outcomes=("PrivacyError", "finished"),
            watch=killing("mask", [1, LAST]),
        ),
        Case(
            fault="all killed",  # of a third that is left the shares may do, as the graph falls
            stage="unmask",
            outcomes=("IntegrityError", *REFUSED),
            repeats=1,
            watch=killing("unmask", range(LAST + 1)),
        ),
    ]


def _link_killed() -> list[Case]:
    def watch(stage: str) -> Callable[[Scene], Watch]:
        def of(scene: Scene) -> Watch:
            process = scene.world.link.process
            assert process is not None
            return once(half(scene, stage), lambda: _die([process.pid]))

        return of

    return [
        Case(fault="SuperLink killed", stage=stage, outcomes=None, gone=None, watch=watch(stage))
        for stage in STAGES
    ]


def _network() -> list[Case]:
    def through(weather: Weather) -> Callable[[Scene], str]:
        def prepare(scene: Scene) -> str:
            relay = Relay(server_port=scene.world.link.port, weather=weather, folder=scene.folder)
            relay.start()
            scene.live.port = relay.port
            scene.relay = relay
            return ""

        return prepare

    whole = Case(fault="", stage="all")
    rough = replace(whole, outcomes=None, gone=None)
    return [
        replace(whole, fault="delay, 0.1 s each way (relay)", prepare=through(Weather(delay=0.1))),
        replace(whole, fault="1 % of segments lost (relay)", prepare=through(Weather(stall=0.01))),
        replace(
            rough, fault="connections cut (relay)", prepare=through(Weather(cut=0.005, refuse=0.05))
        ),
        replace(
            rough,
            fault="no network for 5 s (relay)",
            stage="mask",
            prepare=through(Weather(dark_seconds=5.0)),
            watch=lambda scene: once(half(scene, "mask"), lambda: scene.darken()),
        ),
    ]


def _fill(disk: Path) -> None:
    """Until nothing more goes onto it."""
    with (disk / "filling").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1 << 12))
        except OSError:
            return


def _disks() -> list[Case]:
    def of_server(scene: Scene) -> str:
        scene.on_close.append(lambda: (scene.run_folder / "filling").unlink(missing_ok=True))
        return scene.small_disk(scene.run_folder)

    def of_devices(scene: Scene) -> str:
        disk, stores = scene.folder / "small", scene.folder / "stores"
        reason = scene.small_disk(disk)
        stores.mkdir()
        for row in scene.world.thirds[LAST]:
            (disk / f"{row}").mkdir()
            (stores / f"{row}").symlink_to(disk / f"{row}")
        scene.on_close.append(lambda: (disk / "filling").unlink(missing_ok=True))
        return reason

    def filled(phase: str) -> Callable[[Scene], Watch]:
        return lambda scene: once(reached(phase), lambda: _fill(scene.run_folder))

    def filled_at_devices(stage: str) -> Callable[[Scene], Watch]:
        return lambda scene: once(asked(stage), lambda: _fill(scene.folder / "small"))

    return [
        Case(
            fault="server's disk full",
            stage="collected",
            outcomes=("OperationalError", "finished"),
            prepare=of_server,
            watch=filled("collected"),
        ),
        Case(
            fault="server's disk full",
            stage="updated",
            outcomes=("OperationalError", *REFUSED),
            repeats=1,
            prepare=of_server,
            watch=filled("updated"),
        ),
        *(
            Case(
                fault="a third's disks full",
                stage=stage,
                gone=gone,
                prepare=of_devices,
                watch=filled_at_devices(stage),
            )
            for stage, gone in (("mask", 1), ("unmask", 0))
        ),
    ]


def _clocks() -> list[Case]:
    def wrong_by(seconds: float) -> Callable[[Scene], str]:
        def prepare(scene: Scene) -> str:
            scene.before[LAST] = lambda: _set_clock(seconds)
            return ""

        return prepare

    def case(words: str, seconds: float, gone: int = 0) -> Case:
        fault = f"a third's clocks {words}"
        return Case(fault=fault, stage="all", gone=gone, prepare=wrong_by(seconds))

    return [
        case("3 h ahead", 3 * 3600.0),
        case("3 h behind", -3 * 3600.0),
        case("4 s ahead", 4.0),
        case("200 s behind", -200.0),
        case("2 days ahead", 2 * 86_400.0, gone=1),
    ]


def _set_clock(seconds: float) -> None:
    """Every look at the time, in this process, is wrong by so much."""
    real = time.time
    time.time = lambda: real() + seconds
