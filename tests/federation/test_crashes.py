"""The server dies at any stage and comes back: the run goes on, and nothing learnt is uncharged."""

from collections.abc import Callable
from pathlib import Path

import pytest
from flwr.app import Message
from tests.federation.world import DEVICES, World, charged, coordinate, plan_of
from tests.server.world import charges_in_file

from privet.models.popularity import Popularity
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.errors import BudgetError
from privet.privacy.minimization.envelope import RECORD
from privet.server import protocol_round
from privet.server.coordinator import Phase, Progress
from privet.simulations.memory_grid import MemoryGrid

MODEL = Popularity()
LEARNT_FROM = {Trust.SECURE_AGGREGATION: "unmask", Trust.LOCAL: "contribute"}


class Crash(BaseException):
    """The process dies: nothing in it may catch this."""


class Unpaid(BaseException):
    """Something can be learnt that was not charged."""


class Wire:
    """Watches the wire, checks that every request that reveals something was paid for, and dies."""

    def __init__(self, directory: Path, trust: Trust, die: Callable[[str, bool], bool]) -> None:
        self.directory, self.reveals, self.die = directory, LEARNT_FROM.get(trust), die
        self.revealing: set[str] = set()

    def __call__(self, message: Message) -> None:
        stage = str(message.content.config_records[RECORD]["stage"])
        if stage == self.reveals:
            self.revealing.add(str(message.content.config_records[RECORD]["round"]))
            if charges_in_file(self.directory) < len(self.revealing):
                raise Unpaid
        if self.die(stage, bool(message.metadata.reply_to_message_id)):
            raise Crash


def after(stage: str, seen: int, *, reply: bool) -> Callable[[str, bool], bool]:
    """Die when this many requests of a stage, or replies to them, have been on the wire."""
    count = 0

    def die(found: str, is_reply: bool) -> bool:
        nonlocal count
        count += found == stage and is_reply is reply
        return count >= seen

    return die


def never(stage: str, is_reply: bool) -> bool:
    return False


MOMENTS = [
    (stage, seen, reply)
    for stage in ("hello", "advertise", "share", "mask", "cosign", "unmask")
    for seen, reply in ((1, False), (DEVICES // 2, True), (DEVICES, True))
]


@pytest.mark.parametrize(("stage", "seen", "reply"), MOMENTS)
def test_a_server_that_dies_in_a_round_goes_on_and_pays_for_what_it_could_learn(
    stage: str, seen: int, reply: bool, tmp_path: Path
) -> None:
    trust = Trust.SECURE_AGGREGATION
    world = World(plan_of(trust, MODEL, seeded=False), MODEL)
    wire = Wire(tmp_path, trust, after(stage, seen, reply=reply))
    with pytest.raises(Crash):
        coordinate(world.fleet(MemoryGrid(world.nodes, watch=wire)), world.plan, MODEL, tmp_path)
    paid = 1 if stage == "unmask" else 0
    assert len(charged(tmp_path)) == paid
    wire.die = never
    again = world.fleet(MemoryGrid(world.nodes, watch=wire))
    if paid:  # a repeat has fresh noise, and the plan's budget is for one
        with pytest.raises(BudgetError):
            coordinate(again, world.plan, MODEL, tmp_path, resume=True)
    shared = coordinate(again, world.plan, MODEL, tmp_path, resume=True, budget=100.0)
    assert "popularity" in shared
    found = charged(tmp_path)
    assert [charge.attempt for charge in found] == list(range(paid + 1))
    assert found[-1].terms.survivors == DEVICES


@pytest.mark.parametrize("phase", [Phase.COLLECTED, Phase.CHARGED, Phase.SUMMED, Phase.UPDATED])
def test_a_server_that_dies_between_a_rounds_phases_goes_on(phase: Phase, tmp_path: Path) -> None:
    trust = Trust.SECURE_AGGREGATION
    world = World(plan_of(trust, MODEL, seeded=False), MODEL)
    wire = Wire(tmp_path, trust, never)

    def observe(progress: Progress) -> None:
        if progress.phase is phase:
            raise Crash

    fleet = world.fleet(MemoryGrid(world.nodes, watch=wire))
    with pytest.raises(Crash):
        coordinate(fleet, world.plan, MODEL, tmp_path, observer=observe)
    paid = 0 if phase is Phase.COLLECTED else 1
    assert len(charged(tmp_path)) == paid
    assert len(wire.revealing) == (1 if phase in (Phase.SUMMED, Phase.UPDATED) else 0)
    again = world.fleet(MemoryGrid(world.nodes, watch=wire))
    coordinate(again, world.plan, MODEL, tmp_path, resume=True, budget=100.0)
    assert len(charged(tmp_path)) == paid + 1


@pytest.mark.parametrize("seen", [1, DEVICES // 2])
def test_under_local_trust_vectors_are_paid_for_before_they_are_asked_for(
    seen: int, tmp_path: Path
) -> None:
    world = World(plan_of(Trust.LOCAL, MODEL, seeded=False), MODEL)
    wire = Wire(tmp_path, Trust.LOCAL, after("contribute", seen, reply=True))
    with pytest.raises(Crash):
        coordinate(world.fleet(MemoryGrid(world.nodes, watch=wire)), world.plan, MODEL, tmp_path)
    assert len(charged(tmp_path)) == 1


@pytest.mark.parametrize("trust", [Trust.SECURE_AGGREGATION, Trust.LOCAL])
def test_the_watch_catches_a_round_that_charges_late(
    trust: Trust, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mutant: what the round charges, it charges when it is over."""
    name = "secure_round" if trust is Trust.SECURE_AGGREGATION else "plain_round"
    honest = getattr(protocol_round, name)

    def late(setup: object, *rest: object) -> object:
        *others, charge = rest
        kept: list[object] = []
        found = honest(setup, *others, kept.append)
        charge(kept[0])  # type: ignore[operator]
        return found

    monkeypatch.setattr(f"privet.server.remote_fleet.{name}", late)
    world = World(plan_of(trust, MODEL, seeded=False), MODEL)
    wire = Wire(tmp_path, trust, never)
    with pytest.raises(Unpaid):
        coordinate(world.fleet(MemoryGrid(world.nodes, watch=wire)), world.plan, MODEL, tmp_path)


def test_devices_that_restart_in_a_round_have_dropped_out_of_it_and_take_part_in_the_next(
    tmp_path: Path,
) -> None:
    world = World(plan_of(Trust.SECURE_AGGREGATION, MODEL, seeded=False), MODEL, lasting=True)
    gone = (1, 4)

    def restart(message: Message) -> None:
        row = message.metadata.dst_node_id - 100  # below 0 for a reply
        if row in gone and message.content.config_records[RECORD]["stage"] == "share":
            world.restart(row)

    fleet = world.fleet(MemoryGrid(world.nodes, watch=restart))
    coordinate(fleet, world.plan, MODEL, tmp_path)
    assert charged(tmp_path)[0].terms.survivors == DEVICES - len(gone)
