"""Flower's own SecAgg+ over our Grid in memory, to compare with: a legacy interface of Flower's.

Its masks come from seeds of at most 32 bits (its public issue 7522) and nothing is signed; it is
here for its cost alone. Its classes are not public, so this file may break with another version.
"""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from privet.privacy.minimization.flower_environment import quiet_flower
from privet.simulations.memory_grid import MemoryGrid, app_node

quiet_flower()


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one round cost.

    Attributes:
        seconds: Of wall time, all parties in one process.
        cpu_seconds: Of the processor's time, which does not depend on who else is on the machine.
        bytes_up: From a device, the mean.
        bytes_down: To a device, the mean.
    """

    seconds: float
    cpu_seconds: float
    bytes_up: float
    bytes_down: float


class _Strategy:
    """The least that the workflow asks of a strategy."""

    def __init__(self, nodes: list[int]) -> None:
        self.nodes = nodes

    def configure_fit(self, server_round: int, parameters: Any, client_manager: Any) -> Any:
        from flwr.common import FitIns
        from flwr.server.compat.grid_client_proxy import GridClientProxy

        found = []
        for node in self.nodes:
            proxy = GridClientProxy.__new__(GridClientProxy)
            proxy.node_id = node
            found.append((proxy, FitIns(parameters, {})))
        return found

    def aggregate_fit(self, server_round: int, results: Any, failures: Any) -> Any:
        return results[0][1].parameters, {}


class _Manager:
    """The least that the workflow asks of a client manager."""

    def num_available(self) -> int:
        return 0


def _bytes(value: Any) -> int:
    """Of a value in a record; of names and types, which are few, nothing is counted."""
    if isinstance(value, list):
        return sum(map(_bytes, value))
    if isinstance(value, bytes | str):
        return len(value)
    return len(value.data) if hasattr(value, "data") and hasattr(value, "stype") else 8


def secagg_plus(devices: int, dimension: int, shares: int, threshold: int) -> Cost:
    """One round over devices that all stay, each with a float32 vector.

    Args:
        devices: How many.
        dimension: Length of the vector.
        shares: Shares of a secret, so neighbours in the graph with the device itself.
        threshold: Shares that reconstruct it.
    """
    from flwr.app import ArrayRecord, ConfigRecord, Context, Message, RecordDict
    from flwr.client.mod import secaggplus_mod
    from flwr.clientapp import ClientApp
    from flwr.common import Code, FitRes, Status, ndarrays_to_parameters
    from flwr.compat.common import recorddict_compat
    from flwr.server import LegacyContext
    from flwr.server.workflow import SecAggPlusWorkflow

    vector = np.random.default_rng(0).random(dimension).astype(np.float32)
    app = ClientApp(mods=[secaggplus_mod])

    @app.train()
    def train(message: Message, context: Context) -> Message:
        done = FitRes(Status(Code.OK, ""), ndarrays_to_parameters([vector]), 1000, {})
        return Message(recorddict_compat.fitres_to_recorddict(done, False), reply_to=message)

    size = {"up": 0, "down": 0}

    def watch(message: Message) -> None:
        if message.has_error():
            raise RuntimeError("Flower's own secure aggregation failed in a client.")
        way = "up" if message.metadata.reply_to_message_id else "down"
        records = message.content.values()
        size[way] += sum(_bytes(value) for record in records for value in record.values())

    nodes = {number: app_node(app, number, {}) for number in range(1, devices + 1)}
    state = RecordDict(
        {
            "config": ConfigRecord({"current_round": 1}),
            "parameters": ArrayRecord([np.zeros(dimension, np.float32)]),
        }
    )
    context = Context(run_id=1, node_id=1, node_config={}, state=state, run_config={})
    legacy = LegacyContext(
        context,
        strategy=_Strategy(list(nodes)),  # type: ignore[arg-type]
        client_manager=_Manager(),  # type: ignore[arg-type]
    )
    workflow = SecAggPlusWorkflow(shares, threshold)
    start, cpu = time.perf_counter(), time.process_time()
    workflow(MemoryGrid(nodes, watch=watch), legacy)
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
    found = legacy.state.array_records["parameters"].to_numpy_ndarrays()[0]
    if not np.allclose(found, vector, atol=1e-3):
        raise RuntimeError("Flower's own secure aggregation gave another mean.")
    return Cost(
        seconds=seconds,
        cpu_seconds=cpu_seconds,
        bytes_up=size["up"] / devices,
        bytes_down=size["down"] / devices,
    )
