"""A simulation's three fleets on MovieLens 100K: seconds a round, in this process and on Ray.

Spectral with epsilon 2 and noise from a seed (NOT PRIVATE, so that the models can be compared: they
must be the same) over all 943 devices, under central trust and secure aggregation. `in-process` does
many devices at once and simulates what masks do; `protocol` runs secure aggregation for real, device by
device, in the same process; `flower` runs it in Flower's simulation engine on Ray, message by
message. Starting and ending Ray is counted apart. Processor seconds are of all processes, Ray's
services included, and are what to read where a machine is busy with other things as well.
"""

import argparse
import os
import sys
import tempfile
import time
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from common import finish, real_task, table

from privet.models.spectral import Spectral
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.secagg.agreed import ProtocolTerms
from privet.simulations.federation import Target, federate, plan_for
from privet.simulations.flower_engine import FlowerEngine
from privet.simulations.flower_fleet import opened_by
from privet.simulations.preparation import Task

MODEL, SEED = Spectral(), 0
CASES = (
    ("in-process", Trust.CENTRAL, False),
    ("flower", Trust.CENTRAL, True),
    ("in-process", Trust.SECURE_AGGREGATION, False),
    ("protocol", Trust.SECURE_AGGREGATION, False),
    ("flower", Trust.SECURE_AGGREGATION, True),
)


@dataclass(frozen=True)
class Found:
    """What one fleet took."""

    fleet: str
    trust: str
    rounds: int
    seconds_a_round: float
    cpu_seconds_a_round: float
    seconds_of_start_and_end: float
    model_hash: str


def main() -> int:
    """Run all, print a table and the JSON line."""
    arguments = _arguments()
    task = real_task("ml-100k")
    rows = arguments.devices or len(task.train)
    task = replace(task, train=task.train.slice(0, rows), test=task.test.slice(0, rows))
    engine = FlowerEngine(device_cpus=arguments.device_cpus, address=arguments.ray_address)
    found = []
    for fleet, trust, on_ray in CASES:
        if arguments.trust in (None, trust.value):
            found.append(_measure(task, fleet, trust, engine if on_ray else None))
            print(found[-1], flush=True)
    header = ("fleet", "trust", "rounds", "s a round", "CPU s a round", "s to start and end")
    table(header, [tuple(vars(one).values())[:-1] for one in found])
    models: dict[str, set[str]] = {}
    for one in found:
        models.setdefault(one.trust, set()).add(one.model_hash)
    same = all(len(hashes) == 1 for hashes in models.values())
    figures = {
        "benchmark": "flower_simulation",
        "devices": rows,
        "cores": os.cpu_count(),
        "fleets": [vars(one) for one in found],
        "same_models": same,
    }
    finish(figures, passed=same)
    return 0 if same else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=0, help="the first so many; 0 for all")
    parser.add_argument("--trust", choices=[t.value for t in Trust if t in MODEL.trusts])
    parser.add_argument("--device-cpus", type=float, default=1.0)
    parser.add_argument("--ray-address", help="of a cluster whose processes are not counted")
    return parser.parse_args()


def _measure(task: Task, fleet: str, trust: Trust, engine: FlowerEngine | None) -> Found:
    protocol = ProtocolTerms() if fleet != "in-process" and trust is not Trust.CENTRAL else None
    target = Target(epsilon=2.0, trust=trust, protocol=protocol)
    plan = plan_for(MODEL, task, target, seeded_noise=True)
    started = time.perf_counter()
    opened = nullcontext() if engine is None else opened_by(engine)(MODEL, task, plan, SEED)
    with tempfile.TemporaryDirectory(prefix="privet-bench-") as folder, opened as devices:
        begun, cpu = time.perf_counter(), _cpu_seconds()
        federated = federate(MODEL, task, plan, Path(folder) / "run", seed=SEED, fleet=devices)
        seconds, cpu = time.perf_counter() - begun, _cpu_seconds() - cpu
    whole, rounds = time.perf_counter() - started, len(plan.steps)
    return Found(
        fleet=fleet,
        trust=trust.value,
        rounds=rounds,
        seconds_a_round=round(seconds / rounds, 2),
        cpu_seconds_a_round=round(cpu / rounds, 2),
        seconds_of_start_and_end=round(whole - seconds, 1),
        model_hash=federated.model_hash,
    )


def _cpu_seconds() -> float:
    """Of this process and all that it started and that still runs; Linux only."""
    parents, seconds = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended
        process = int(stat.parent.name)
        parents[process] = int(fields[1])
        seconds[process] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    own, grown = {os.getpid()}, True
    while grown:
        more = {process for process, parent in parents.items() if parent in own} - own
        own, grown = own | more, bool(more)
    return sum(seconds[process] for process in own)


if __name__ == "__main__":
    sys.exit(main())
