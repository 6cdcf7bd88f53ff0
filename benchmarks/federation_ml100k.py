"""MovieLens 100K over a real SuperLink: Spectral with real secure aggregation, and its quality.

One stock SuperLink on loopback with TLS and node authentication; three devices at SuperNodes that
run our ClientApp, all others embedded, in a few processes in which they take turns. The same plan
is simulated, with the noise from the same seed (which makes the two comparable, and is NOT PRIVATE):
every sum and the model must be the very same, so the quality is.

``--devices N`` takes the first N users. Prints the seconds of each stage, processor seconds of each
part, and as its last line one JSON object.
"""

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np
from common import finish, real_task, table
from tests.federation.live import Event, LiveFederation, Serving, events, kill, vectors_from
from tests.federation.live_app import APP, write_device
from tests.federation.supernode import SuperNode
from tests.federation.world import SEED
from tests.superlink import superlink

from privet.client.device import egress_policy
from privet.client.embedded.pace import Pace
from privet.models.federation import Federation
from privet.models.model import SharedState, state_hash
from privet.models.spectral import Spectral
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.minimization.flower_environment import quiet_flower
from privet.privacy.minimization.gate import Gate
from privet.privacy.randomness import Randomness
from privet.privacy.secagg.primitives import SigningKey
from privet.server.coordinator import Coordinator
from privet.server.courier import Deadlines
from privet.server.fleet import Aggregate, ChargeSum, Fleet, Round
from privet.server.storage import RunStore
from privet.simulations.comparison import evaluate_federated
from privet.simulations.evaluation.metrics import Evaluation
from privet.simulations.federation import Federated, Target, plan_for
from privet.simulations.fleet import InProcessFleet
from privet.simulations.preparation import Task

MODEL = Spectral()
DELTA = 1e-5
PARTS = ("SuperLink", "server", "embedded devices", "SuperNodes")


def main() -> int:
    """Run both and compare."""
    arguments = _arguments()
    quiet_flower()
    task = real_task("ml-100k")
    rows = arguments.devices
    task = replace(task, train=task.train.slice(0, rows), test=task.test.slice(0, rows))
    target = Target(
        epsilon=arguments.epsilon,
        delta=DELTA,
        trust=Trust.SECURE_AGGREGATION,
        min_survivors=rows * 9 // 10,
    )
    plan = plan_for(MODEL, task, target, seeded_noise=True)
    sizes = {step.name: step.encoding.dimension for step in plan.steps}
    print(f"{rows} devices, epsilon {arguments.epsilon}, numbers in a vector: {sizes}", flush=True)
    with tempfile.TemporaryDirectory(prefix="privet-ml100k-") as name, ExitStack() as stack:
        folder = Path(name)
        durable = arguments.state == "file"
        link = stack.enter_context(superlink(folder, durable=durable))
        key = SigningKey.generate()
        live = LiveFederation(
            link=link,
            folder=folder,
            plan=plan,
            model=MODEL,
            cohort=task.train,
            federation=Federation(run="ml-100k", server_key=key.public),
            key=key,
            participations=1,
            pace=lambda: Pace.among(rows),
            heartbeat_seconds=900.0,
            lanes=arguments.lanes,
            app=APP,
        )
        found = play(live, arguments)
        return report(live, task, found, arguments)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=943)
    parser.add_argument("--supernodes", type=int, default=3)
    parser.add_argument("--processes", type=int, default=3, help="of embedded devices")
    parser.add_argument("--lanes", type=int, default=4, help="threads of such a process")
    parser.add_argument("--state", choices=("memory", "file"), default="memory")
    parser.add_argument("--epsilon", type=float, default=4.0)
    parser.add_argument("--deadline", type=float, default=1500.0, help="seconds, of a stage")
    parser.add_argument("--limit", type=float, default=7200.0, help="seconds, then it is given up")
    return parser.parse_args()


def play(live: LiveFederation, arguments: argparse.Namespace) -> dict[str, float]:
    """The federation, over the network; processor seconds of each part."""
    embedded = range(arguments.supernodes, arguments.devices)
    live.enrol(embedded)
    with ExitStack() as stack:
        nodes = []
        for row in range(arguments.supernodes):
            home = live.folder / f"node-{row}"
            nodes.append(SuperNode(live.link, home, {"folder": str(home)}))
            live.nodes[row] = nodes[-1].node_id
            write_device(home, live, row)
            stack.callback(nodes[-1].kill)
            nodes[-1].start()
        devices = []
        for at in range(arguments.processes):
            devices.append(live.devices(embedded[at :: arguments.processes]))
            stack.callback(kill, devices[-1])
        return watch(live, nodes, devices, arguments)


def watch(
    live: LiveFederation,
    nodes: Sequence[SuperNode],
    devices: Sequence[int],
    arguments: argparse.Namespace,
) -> dict[str, float]:
    """Run the server until it ends, or kill it at the limit; processor seconds of each part."""
    patience = Deadlines(**dict.fromkeys(vars(Deadlines()), arguments.deadline))
    server = live.server(
        Serving(
            directory=live.folder / "run",
            journal=live.folder / "journal",
            deadlines=patience,
            poll_seconds=1.0,
        )
    )
    began, spent = time.monotonic(), dict.fromkeys(PARTS, 0.0)
    assert live.link.process is not None
    while not os.waitpid(server, os.WNOHANG)[0]:
        spent["SuperLink"] = _cpu_seconds([live.link.process.pid])
        spent["server"] = _cpu_seconds([server]) or spent["server"]
        spent["embedded devices"] = _cpu_seconds(devices)
        spent["SuperNodes"] = _cpu_seconds([node.process.pid for node in nodes if node.process])
        if time.monotonic() - began > arguments.limit:
            os.kill(server, signal.SIGKILL)
        time.sleep(1.0)
    return spent


def _cpu_seconds(processes: Sequence[int]) -> float:
    """Of these and of their children that have ended."""
    total = 0
    for process in processes:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        total += sum(int(field) for field in fields[11:15])
    return total / os.sysconf("SC_CLK_TCK")


def report(
    live: LiveFederation, task: Task, spent: dict[str, float], arguments: argparse.Namespace
) -> int:
    """Print tables and the JSON line; 0 if the model is the simulation's."""
    seen = events(live.folder / "journal")
    rounds = stages(seen)
    table(("round", "stage", "asked", "answered", "seconds"), rounds)
    table(("part", "processor s"), [(part, f"{seconds:.0f}") for part, seconds in spent.items()])
    figures: dict[str, Any] = {
        "benchmark": "federation_ml100k",
        "devices": arguments.devices,
        "supernodes": arguments.supernodes,
        "superlink_state": arguments.state,
        "epsilon": arguments.epsilon,
        "numbers": {step.name: step.encoding.dimension for step in live.plan.steps},
        "seconds": round(float(seen[-1]["at"]) - float(seen[0]["at"]), 1) if seen else None,
        "cpu_seconds": {part: round(seconds, 1) for part, seconds in spent.items()},
    }
    if not seen or seen[-1].get("error") != "":
        print(f"The run did not end: {seen[-1] if seen else 'it never began'}")
        finish(figures, passed=False)
        return 1
    store = RunStore(live.folder / "run")
    checkpoint = store.checkpoint()
    store.close()
    assert checkpoint is not None
    simulated, sums = simulate(live, seen)
    here = evaluation(task, live, simulated)
    there = evaluation(task, live, checkpoint[1])
    names = list(there.metrics)
    table(
        ("", *names, "model"),
        [
            (
                where,
                *(f"{found.metrics[name].mean:.4f}" for name in names),
                state_hash(shared)[:12],
            )
            for where, found, shared in (
                ("over the network", there, checkpoint[1]),
                ("simulated", here, simulated),
            )
        ],
    )
    same = state_hash(simulated) == state_hash(checkpoint[1]) and sums
    figures |= {
        "survivors": [event["survivors"] for event in seen if event["event"] == "sum"],
        "same_sums_and_model": same,
        **{name: round(found.mean, 5) for name, found in there.metrics.items()},
    }
    finish(figures, passed=same)
    return 0 if same else 1


def stages(seen: Sequence[Event]) -> list[tuple[object, ...]]:
    """From a stage's first request to its last reply that was in time."""
    order: dict[tuple[int, str], list[Event]] = {}
    for event in seen:
        if "stage" in event:
            order.setdefault((event["round"], event["stage"]), []).append(event)
    numbers = list(dict.fromkeys(number for number, _ in order))
    return [
        (
            numbers.index(number) + 1,
            stage,
            sum(len(event.get("nodes", ())) for event in found),
            sum(event["event"] == "reply" for event in found),
            f"{found[-1]['at'] - found[0]['at']:.1f}",
        )
        for (number, stage), found in order.items()
    ]


class Again:
    """A simulation of the rounds with the devices that were in them."""

    def __init__(self, fleet: Fleet, rows: Sequence[Sequence[int]], totals: list[bytes]) -> None:
        """Take the rounds in order."""
        self._fleet, self._rows, self._totals = fleet, list(rows), totals
        self.same = True

    def run(self, round_: Round, charge: ChargeSum) -> Aggregate:
        """The next round; see `Fleet`."""
        rows = np.array(self._rows.pop(0), np.int64)
        found = self._fleet.run(replace(round_, devices=rows), charge)
        self.same &= found.total.tobytes() == self._totals.pop(0)
        return found


def simulate(live: LiveFederation, seen: Sequence[Event]) -> tuple[SharedState, bool]:
    """The same plan in a simulation; its model, and whether all sums were those of the network."""
    sums = [at for at, event in enumerate(seen) if event["event"] == "sum"]
    rows = [vectors_from(seen[:at], live) for at in sums]
    totals = []
    for at in sums:
        with np.load(live.folder / seen[at]["file"]) as arrays:
            totals.append(arrays["total"].tobytes())
    randomness = Randomness.insecure_seeded(SEED)
    gate = Gate(egress_policy(live.plan))
    again = Again(
        InProcessFleet(MODEL, live.cohort, randomness=randomness, gate=gate), rows, totals
    )
    store = RunStore(live.folder / "simulated", create=True)
    shared = Coordinator(
        model=MODEL,
        plan=live.plan,
        fleet=again,
        store=store,
        randomness=randomness,
        repeatable=True,
    ).run()
    store.close()
    return shared, again.same


def evaluation(task: Task, live: LiveFederation, shared: SharedState) -> Evaluation:
    """Quality of a model on the held-out events."""
    federated = Federated(plan=live.plan, shared=shared, entries=(), budget=live.plan.facts.epsilon)
    return evaluate_federated(MODEL, task, federated)


if __name__ == "__main__":
    sys.exit(main())
