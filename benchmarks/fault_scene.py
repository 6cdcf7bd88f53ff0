"""A live federation in which something goes wrong: its processes, and what its files say."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tests.federation.live import Event, LiveFederation, Serving, Watch, events, kill
from tests.federation.world import SEED, histories
from tests.superlink import SuperLink

from privet.client.device import egress_policy
from privet.models.federation import Federation
from privet.models.plan import Plan, PublicFacts
from privet.models.planning import make_plan
from privet.models.popularity import Popularity
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.minimization.gate import Gate
from privet.privacy.randomness import Randomness
from privet.privacy.secagg.primitives import SigningKey
from privet.server.courier import Deadlines
from privet.server.fleet import Round
from privet.simulations.fleet import InProcessFleet

if TYPE_CHECKING:
    from fault_cases import Case
    from fault_relay import Relay

ITEMS = 14
PATIENCE = 25.0
BUDGET = 100.0
MOST_STARTS = 5


class World:
    """What all faults have in common: a SuperLink, plan, histories, keys, and every deadline."""

    def __init__(self, *, link: SuperLink, devices: int, patience: float = PATIENCE) -> None:
        """Enrol the devices."""
        self.link, self.count, self.fewest = link, devices, devices * 5 // 8
        self.patience = patience
        self.model, self.cohort = Popularity(), histories(devices, ITEMS)
        facts = PublicFacts(
            devices=devices,
            items=ITEMS,
            epsilon=8.0,
            delta=1e-4,
            trust=Trust.SECURE_AGGREGATION,
            min_survivors=self.fewest,
        )
        self.plan: Plan = make_plan(self.model, facts, catalogue_hash="0" * 64, seeded_noise=True)
        self.key = SigningKey.generate()
        self.federation = Federation(
            run="faults", server_key=self.key.public, corrupt_permille=0, drop_permille=375
        )
        third = devices // 3
        self.thirds = [range(start, start + third) for start in range(0, devices, third)]
        first = self.live(link.folder)
        first.enrol(range(devices))
        self.identities, self.nodes = first.identities, first.nodes

    def live(self, folder: Path) -> LiveFederation:
        """The federation, its files in a folder."""
        return LiveFederation(
            link=self.link,
            folder=folder,
            plan=self.plan,
            model=self.model,
            cohort=self.cohort,
            federation=self.federation,
            key=self.key,
        )

    def expected(self, step: str, attempt: int, rows: list[int], file: Path) -> bytes:
        """The sum of these devices' integers with their noise, as a simulation has it."""
        with np.load(file) as arrays:
            shared = {
                name.removeprefix("shared/"): arrays[name]
                for name in arrays.files
                if name != "total"
            }
        fleet = InProcessFleet(
            self.model,
            self.cohort,
            randomness=Randomness.insecure_seeded(SEED),
            gate=Gate(egress_policy(self.plan)),
        )
        round_ = Round(
            plan=self.plan,
            step=next(one for one in self.plan.steps if one.name == step),
            shared=shared,
            attempt=attempt,
            devices=np.array(sorted(rows), np.int64),
        )
        return fleet.run(round_, lambda survivors: None).total.tobytes()


@dataclass(kw_only=True)
class Scene:
    """The processes of one fault.

    Attributes:
        world: Shared with the other faults.
        folder: Of its files.
        before: What each third does in its process before its devices start.
        on_close: Called when a round was closed or a server ended, to make good what was broken.
        pids: The process of each third of the devices.
        relay: The network between them and the SuperLink, if it is a bad one.
        small_disks: Mounted for it.
    """

    world: World
    folder: Path
    before: dict[int, Callable[[], None]] = field(default_factory=dict)
    on_close: list[Callable[[], None]] = field(default_factory=list)
    pids: dict[int, int] = field(default_factory=dict)
    relay: "Relay | None" = None
    small_disks: list[Path] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make its folder's files known."""
        live = self.world.live(self.folder)
        live.identities, live.nodes = self.world.identities, self.world.nodes
        self.live = live
        self.run_folder = self.folder / "run"

    @property
    def journal(self) -> Path:
        """Where the server writes events."""
        return self.folder / "journal"

    @property
    def events(self) -> Sequence[Event]:
        """So far."""
        return events(self.journal)

    def run(self, case: "Case") -> list[str]:
        """Start everything, go on until the run is over; how each server ended."""
        for third in range(len(self.world.thirds)):
            self.revive(third)
        outcomes: list[str] = []
        while (not outcomes or outcomes[-1] != "finished") and len(outcomes) < MOST_STARTS:
            allowed = BUDGET if "BudgetError" in outcomes else None
            outcomes.append(self._serve(case.watch(self) if not outcomes else _calm, allowed))
            self._make_good()
        return outcomes

    def _serve(self, watch: Watch, budget: float | None) -> str:
        """One server, until it ends or is killed; how."""
        deadlines = Deadlines(**dict.fromkeys(vars(Deadlines()), self.world.patience))
        serving = Serving(
            directory=self.run_folder,
            journal=self.journal,
            deadlines=deadlines,
            budget=budget,
            watch=watch,
        )
        before, closed = len(self.events), 0
        server = self.live.server(serving)
        while True:
            ended, status = os.waitpid(server, os.WNOHANG)
            if ended:
                break
            self._revive_link()
            now = sum(event.get("phase") == "closed" for event in self.events)
            if now > closed:
                self._make_good()
            closed = now
            time.sleep(0.1)
        if os.waitstatus_to_exitcode(status) == -signal.SIGKILL:
            return "killed"
        last = [event for event in self.events[before:] if event["event"] == "outcome"]
        return (last[-1]["error"] or "finished") if last else "failed"

    def _revive_link(self) -> None:
        """Start the SuperLink again, on its database, if it was killed."""
        link = self.world.link
        if link.process is not None and link.process.poll() is not None:
            time.sleep(1.0)
            link.start()

    def _make_good(self) -> None:
        self._revive_link()
        for act in self.on_close:
            act()
        for third, process in list(self.pids.items()):
            if os.waitpid(process, os.WNOHANG)[0]:
                self.revive(third)

    def revive(self, third: int) -> None:
        """Start a third of the devices, in a process."""
        rows = self.world.thirds[third]
        self.pids[third] = self.live.devices(rows, self.before.get(third))

    def small_disk(self, path: Path) -> str:
        """Mount a disk of 2 MB; why not, or nothing."""
        path.mkdir(parents=True)
        command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(path)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError as error:
            return f"no small disk: {error.strerror}"
        if done.returncode:
            return f"no small disk: {done.stderr.strip()}"
        self.small_disks.append(path)
        return ""

    def darken(self) -> None:
        """Nothing passes the network for a while."""
        assert self.relay is not None
        self.relay.darken()

    def close(self) -> None:
        """Kill all that is left."""
        for process in self.pids.values():
            kill(process)
        if self.relay is not None:
            self.relay.stop()
        for disk in self.small_disks:
            subprocess.run(["umount", str(disk)], check=True)


def _calm(event: Event) -> None:
    """Nothing goes wrong."""
