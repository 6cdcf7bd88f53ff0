"""A device whose memory is carried between processes remembers what it must, and answers as others."""

from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Message
from tests.federation.world import DEVICES, TWO_SUMS, Recording, World, coordinate, plan_of

from privet.client.carried import CarriedSession
from privet.client.flower_app import client_app
from privet.client.local_states import MemoryLocalStates
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.errors import PrivacyError, PrivetError
from privet.privacy.minimization.entries import MemoryEntries
from privet.simulations.memory_grid import MemoryGrid, Node, app_node


class Forgetful(CarriedSession):
    """A mutant: its round and local state are carried along, its ledger is not."""

    def resume(self, data: bytes) -> None:
        super().resume(data)
        round_ = self._session.suspend()
        self._go_on(MemoryEntries(), self._local)
        self._session.resume(round_)


def carried_grid(world: World, kind: type[CarriedSession] = CarriedSession) -> MemoryGrid:
    """Every message is answered by a session of its own, as in a process of its own."""

    def open_session(config: Mapping[str, object]) -> CarriedSession:
        row = config["row"]
        assert isinstance(row, int)
        return kind(world.devices[row])

    app = client_app(open_session)
    return MemoryGrid({100 + row: app_node(app, 100 + row, {"row": row}) for row in range(DEVICES)})


@pytest.mark.parametrize("trust", list(Trust))
def test_carried_devices_give_the_same_sums(trust: Trust, tmp_path: Path) -> None:
    plan = plan_of(trust, TWO_SUMS)
    world = World(plan, TWO_SUMS)
    here = Recording(world.fleet(world.grid()))
    there = Recording(world.fleet(carried_grid(world)))
    coordinate(here, plan, TWO_SUMS, tmp_path / "here")
    coordinate(there, plan, TWO_SUMS, tmp_path / "there")
    assert len(here.sums) == 2 and here.sums == there.sums


@pytest.mark.parametrize("kind", [CarriedSession, Forgetful])
@pytest.mark.parametrize("trust", [Trust.LOCAL, Trust.SECURE_AGGREGATION])
def test_a_carried_device_answers_as_often_as_agreed_and_one_that_forgets_oftener(
    trust: Trust, kind: type[CarriedSession], tmp_path: Path
) -> None:
    plan = plan_of(trust, TWO_SUMS)
    world = World(plan, TWO_SUMS, participations=1)
    grid = carried_grid(world, kind)
    coordinate(world.fleet(grid), plan, TWO_SUMS, tmp_path / "first")
    with nullcontext() if kind is Forgetful else pytest.raises(PrivacyError):
        coordinate(world.fleet(grid), plan, TWO_SUMS, tmp_path / "second")


def test_a_carried_device_that_is_asked_again_says_the_same(tmp_path: Path) -> None:
    plan = plan_of(Trust.SECURE_AGGREGATION, TWO_SUMS)
    world = World(plan, TWO_SUMS)
    grid, asked = carried_grid(world), []

    def twice(node: Node) -> Node:
        def answer(message: Message) -> Iterable[Message]:
            asked.append(message.content.config_records["privet"]["stage"])
            first, again = ([r for r in node(message)] for _ in range(2))
            assert [r.content for r in first] == [r.content for r in again]
            return first

        return answer

    grid.nodes = {name: twice(node) for name, node in grid.nodes.items()}
    coordinate(world.fleet(grid), plan, TWO_SUMS, tmp_path / "run")
    assert len(asked) == DEVICES * (1 + 2 * 5)


def test_what_was_carried_and_is_damaged_is_refused() -> None:
    plan = plan_of(Trust.LOCAL, TWO_SUMS)
    world = World(plan, TWO_SUMS)
    session = CarriedSession(world.devices[1])
    data = session.suspend()
    session.resume(data)
    assert session.suspend() == data
    for broken in (data[:-1], data + b"\0", data[1:], b"\0" * 8, b"\xff" * 64):
        with pytest.raises(PrivetError):
            CarriedSession(world.devices[1]).resume(broken)


def test_local_states_come_back_as_they_were() -> None:
    states = MemoryLocalStates()
    states.keep("ab" * 32, "first", {"taste": np.arange(6.0).reshape(2, 3)})
    states.keep("ab" * 32, "second", {"taste": np.ones(3), "count": np.array([4])})
    again = MemoryLocalStates(states.to_bytes())
    for step in ("first", "second", "third"):
        found, expected = (s.before("ab" * 32, step) for s in (again, states))
        assert found.keys() == expected.keys()
        assert all((found[name] == expected[name]).all() for name in found)
    assert MemoryLocalStates(MemoryLocalStates().to_bytes()).before("ab" * 32, "first") == {}
