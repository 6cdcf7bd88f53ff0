"""A server that waits for many devices does not keep its SuperLink busy with looking."""

import time
from collections.abc import Iterable
from typing import Any

import pytest

from privet.privacy.minimization.envelope import Envelope
from privet.server.flower import PULLED_AT_ONCE, REST_SECONDS, GridCourier
from privet.simulations.memory_grid import MemoryGrid

SECONDS = 1.2


class Counting(MemoryGrid):
    """A Grid of nodes that say nothing, which counts the looks for replies."""

    def __init__(self, nodes: int) -> None:
        super().__init__(dict.fromkeys(range(100, 100 + nodes), lambda message: []))
        self.looks = 0

    def pull_messages(self, message_ids: Iterable[str]) -> list[Any]:
        self.looks += 1
        return super().pull_messages(message_ids)


@pytest.mark.parametrize("devices", [1, 10 * PULLED_AT_ONCE])
def test_looks_for_replies_are_as_rare_as_they_are_many(devices: int) -> None:
    grid = Counting(devices)
    asked = Envelope(stage="hello", run="a-test", round=1, payload=b"")
    courier = GridCourier(grid, poll_seconds=REST_SECONDS)
    began = time.monotonic()
    assert list(courier.exchange(dict.fromkeys(grid.nodes, asked), SECONDS)) == []
    passed = time.monotonic() - began
    assert passed >= SECONDS
    at_once = -(-devices // PULLED_AT_ONCE)
    assert 2 * at_once <= grid.looks <= passed / REST_SECONDS + 2 * at_once
