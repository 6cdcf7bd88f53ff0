"""1,000 devices over Flower's messages with the whole protocol: seconds a round, bytes a device.

Server, Grid, ClientApp, gate, signatures, masks and shares are all real; only the network is not
there: it is one process with one thread. Beside it Flower's own SecAgg+ workflow (masks from
seeds of 32 bits at most, nothing signed) on the same Grid and vector size.
"""

import argparse
import hashlib
import resource
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from common import finish, table
from flower_secagg import Cost, secagg_plus
from flwr.app import Message

from privet.client.flower_app import client_app
from privet.client.session import Device, DeviceSession
from privet.models.cohort import Cohort
from privet.models.federation import Federation
from privet.models.federation_policy import federation_policy
from privet.models.plan import PublicFacts
from privet.models.planning import make_plan
from privet.models.popularity import Popularity
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.encoding import decode
from privet.privacy.minimization.agreement import Agreement
from privet.privacy.minimization.envelope import RECORD
from privet.privacy.secagg.parameters import graph_parameters
from privet.privacy.secagg.primitives import SigningKey
from privet.server.courier import Deadlines
from privet.server.fleet import Aggregate, Round
from privet.server.flower import FlowerFleet
from privet.simulations.memory_grid import MemoryGrid, app_node

MODEL = Popularity()
CORRUPT, DROP = 50, 100
# In memory every reply is there at the first look; who is silent then stays so.
_DEADLINES = Deadlines(**dict.fromkeys(vars(Deadlines()), 0.1))
STAGES = ("hello", "advertise", "share", "mask", "cosign", "unmask")


def main() -> None:
    """Run both, print a table and the JSON line."""
    arguments = _arguments()
    header = (
        "devices",
        "of them gone",
        "numbers",
        "protocol",
        "s a round",
        "CPU s",
        "kB up",
        "kB down",
    )
    devices, gone = arguments.devices, arguments.devices * arguments.gone // 1000
    ours = Ours(devices, arguments.numbers)
    found = ours.run(gone)
    fewer = Ours(arguments.flower_devices, arguments.numbers)
    small = fewer.run(0)
    shares = graph_parameters(
        arguments.flower_devices, corrupt_permille=CORRUPT, drop_permille=DROP
    ).neighbours
    flower = secagg_plus(
        arguments.flower_devices, arguments.numbers, shares + 1 - shares % 2, shares // 2 + 1
    )
    rows = [
        (devices, gone, arguments.numbers, "Privet", *_cells(found)),
        (arguments.flower_devices, 0, arguments.numbers, "Privet", *_cells(small)),
        (arguments.flower_devices, 0, arguments.numbers, "Flower's SecAgg+", *_cells(flower)),
    ]
    table(header, rows)
    print()
    table(
        ("stage", "seconds", "bytes up", "bytes down"),
        [
            (stage, f"{ours.seconds[stage]:.2f}", ours.up[stage], ours.down[stage])
            for stage in STAGES
        ],
    )
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"Largest memory of the process: {memory} MB. Bytes are the largest message's.")
    figures = {
        "benchmark": "federation",
        "devices": devices,
        "dropped": gone,
        "numbers": arguments.numbers,
        "seconds_a_round": round(found.seconds, 2),
        "cpu_seconds_a_round": round(found.cpu_seconds, 2),
        "bytes_up": round(found.bytes_up),
        "bytes_down": round(found.bytes_down),
        "error_of_the_sum": ours.error,
        "small": vars(small),
        "flower_secagg_plus": vars(flower),
        "memory_mb": memory,
    }
    finish(figures, passed=ours.exact and fewer.exact)
    sys.exit(0 if ours.exact and fewer.exact else 1)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=1000)
    parser.add_argument("--numbers", type=int, default=65_536, help="length of the vector")
    parser.add_argument("--gone", type=int, default=50, help="permille that send no vector")
    parser.add_argument("--flower-devices", type=int, default=100)
    return parser.parse_args()


def _cells(cost: Cost) -> tuple[str, ...]:
    sizes = (f"{size / 1000:,.1f}" for size in (cost.bytes_up, cost.bytes_down))
    return (f"{cost.seconds:.1f}", f"{cost.cpu_seconds:.1f}", *sizes)


@dataclass
class Ours:
    """A federation of devices with random histories."""

    devices: int
    numbers: int

    def __post_init__(self) -> None:
        """Make plan and devices; that is not part of a round."""
        rng = np.random.default_rng(1)
        items = np.sort(rng.integers(0, self.numbers, (self.devices, 100)), axis=1)
        users = np.repeat(np.arange(self.devices), 100)
        self.cohort = Cohort.from_pairs(
            users, items.ravel(), n_users=self.devices, n_items=self.numbers
        )
        facts = PublicFacts(
            devices=self.devices,
            items=self.numbers,
            epsilon=float("inf"),
            delta=0.1 / self.devices,
            trust=Trust.SECURE_AGGREGATION,
            min_survivors=self.devices * 8 // 10,
        )
        self.plan = make_plan(MODEL, facts, catalogue_hash="0" * 64)
        self.key = SigningKey.generate()
        self.federation = Federation(
            run="benchmark",
            server_key=self.key.public,
            corrupt_permille=CORRUPT,
            drop_permille=DROP,
        )
        self.sessions = [self._session(row) for row in range(self.devices)]
        self.up: Counter[str] = Counter()
        self.down: Counter[str] = Counter()
        self.seconds = dict.fromkeys(STAGES, 0.0)
        self.total = Counter({"up": 0, "down": 0})
        self.error, self.exact = float("nan"), False

    def _session(self, row: int) -> DeviceSession:
        policy = federation_policy(self.plan, self.federation)
        return DeviceSession(
            Device(
                model=MODEL,
                history=self.cohort.slice(row, row + 1),
                identity=SigningKey.from_secret(hashlib.sha256(b"%d" % row).digest()),
                federation=self.federation,
                agreement=Agreement.to(policy),
            )
        )

    def run(self, gone: int) -> Cost:
        """One round; the last ``gone`` devices are silent from the masked vector on."""

        def open_session(config: Mapping[str, object]) -> DeviceSession:
            row = config["row"]
            assert isinstance(row, int)
            return self.sessions[row]

        app = client_app(open_session, lasting=True)
        nodes = {row + 2: app_node(app, row + 2, {"row": row}) for row in range(self.devices)}
        silent = range(self.devices - gone + 2, self.devices + 2)
        clock = [("", time.perf_counter())]

        def watch(message: Message) -> None:
            if message.has_error():
                raise RuntimeError("A device gave no answer.")
            record = message.content.config_records[RECORD]
            stage, payload = str(record["stage"]), record["payload"]
            assert isinstance(payload, bytes)
            reply = bool(message.metadata.reply_to_message_id)
            size, way = (self.up, "up") if reply else (self.down, "down")
            size[stage] = max(size[stage], len(payload))
            self.total[way] += len(payload)
            if stage != clock[-1][0]:
                clock.append((stage, time.perf_counter()))
                if stage == "mask":
                    for node in silent:
                        del grid.nodes[node]

        grid = MemoryGrid(nodes, watch=watch)
        fleet = FlowerFleet(grid, federation=self.federation, key=self.key, deadlines=_DEADLINES)
        start, cpu = time.perf_counter(), time.process_time()
        found = fleet.run(Round(plan=self.plan, step=self.plan.steps[0], shared={}), _charge)
        end, spent = time.perf_counter(), time.process_time() - cpu
        for (stage, began), (_, ended) in zip(clock, [*clock[1:], ("", end)], strict=True):
            if stage:
                self.seconds[stage] += ended - began
        self._check(found, self.devices - gone)
        return Cost(
            seconds=end - start,
            cpu_seconds=spent,
            bytes_up=self.total["up"] / self.devices,
            bytes_down=self.total["down"] / self.devices,
        )

    def _check(self, found: Aggregate, devices: int) -> None:
        """Without noise the decoded sum is the sum, but for each device's rounding."""
        step = self.plan.steps[0]
        rows = self.cohort.slice(0, devices)
        weights = np.repeat(1 / np.sqrt(np.maximum(rows.sizes, 1)), rows.sizes)
        exact = np.bincount(rows.items, weights=weights, minlength=self.numbers)
        difference = np.abs(decode(found.total, step.encoding) - exact)
        self.error = float(difference.max())
        self.exact = found.survivors == devices and self.error * step.encoding.scale < devices


def _charge(survivors: object) -> None:
    """No ledger: its cost is that of one transaction."""


if __name__ == "__main__":
    main()
