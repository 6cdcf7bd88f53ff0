"""One bad device of each kind: it has dropped out, and the sum is that of the others."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flwr.app import ConfigRecord, Error, Message, RecordDict
from numpy.typing import NDArray
from tests.federation.world import (
    DEVICES,
    FEWEST,
    SEED,
    Recording,
    World,
    charged,
    coordinate,
    histories,
    plan_of,
)

from privet.client.device import DeviceTask, egress_policy, take_part
from privet.models.plan import Plan
from privet.models.popularity import Popularity
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.encoding import wrap
from privet.privacy.errors import IntegrityError, PrivacyError
from privet.privacy.minimization.agreement import Agreement
from privet.privacy.minimization.envelope import RECORD, Envelope
from privet.privacy.minimization.gate import Gate
from privet.privacy.randomness import Randomness
from privet.simulations.memory_grid import MemoryGrid, Node

MODEL = Popularity()
BAD = 5
Change = Callable[[Envelope, Envelope], Envelope]


def sum_of(plan: Plan, rows: Iterable[int]) -> bytes:
    """What a round over these devices gives, each device's own vector by itself."""
    total, (step,) = np.zeros(plan.steps[0].encoding.dimension, np.int64), plan.steps
    for row in rows:
        admitted, _ = take_part(
            MODEL,
            DeviceTask(plan=plan, step=step, shared={}),
            {},
            histories().slice(row, row + 1),
            randomness=Randomness.insecure_seeded(SEED),
            gate=Gate(egress_policy(plan)),
            add_noise_share=plan.facts.trust is not Trust.CENTRAL,
        )
        admitted.add_into(total)
    found: NDArray[np.uint32] = wrap(total)
    return found.tobytes()


def _flip(payload: bytes, at: int) -> bytes:
    changed = bytearray(payload)
    changed[at] ^= 0xFF
    return bytes(changed)


PAYLOADS: dict[str, Change] = {
    "oversized": lambda _, r: r.reply(r.payload + bytes(1 << 20)),
    "cut off": lambda _, r: r.reply(r.payload[:-1]),
    "empty": lambda _, r: r.reply(b""),
    "not ours": lambda _, r: r.reply(b"\x93NUMPY" + bytes(100)),
    "another version of the policy's wire": lambda _, r: r.reply(_flip(r.payload, 4)),
    "another policy": lambda _, r: r.reply(_flip(r.payload, 20)),
    "another version of the protocol": lambda _, r: r.reply(_flip(r.payload, 39 + 4)),
    "another round": lambda _, r: replace(r, round=r.round ^ 1),
    "another stage": lambda _, r: replace(r, stage="hello"),
    "a changed content": lambda _, r: r.reply(_flip(r.payload, 39 + 60)),
    "a changed signature": lambda _, r: r.reply(_flip(r.payload, -1)),
    "the request sent back": lambda q, r: r.reply(q.payload),
}


def changing(stage: str, change: Change) -> Callable[[Node], Node]:
    """A device whose answers to a stage are changed."""

    def wrapped(node: Node) -> Node:
        def answer(message: Message) -> Iterable[Message]:
            request = Envelope.from_fields(dict(message.content.config_records[RECORD]))
            for reply in node(message):
                if request.stage == stage:
                    sent = Envelope.from_fields(dict(reply.content.config_records[RECORD]))
                    fields = change(request, sent).fields
                    reply.content = RecordDict({RECORD: ConfigRecord({**fields})})
                yield reply

        return answer

    return wrapped


def play(
    world: World, change: Callable[[Node], Node], directory: Path
) -> tuple[list[bytes], list[int]]:
    fleet = Recording(world.fleet(world.grid({BAD: change})))
    coordinate(fleet, world.plan, MODEL, directory)
    return fleet.sums, [charge.terms.survivors for charge in charged(directory)]


def others(stage: str) -> list[int]:
    """Who is in the sum if one device drops out in a stage."""
    return [row for row in range(DEVICES) if row != BAD or stage in ("cosign", "unmask")]


@pytest.mark.parametrize("kind", PAYLOADS)
@pytest.mark.parametrize("stage", ["advertise", "mask", "unmask"])
def test_a_bad_answer_is_a_dropout_and_harms_nobody_else(
    stage: str, kind: str, tmp_path: Path
) -> None:
    plan = plan_of(Trust.SECURE_AGGREGATION, MODEL)
    sums, survivors = play(
        World(plan, MODEL, lasting=True), changing(stage, PAYLOADS[kind]), tmp_path
    )
    assert sums == [sum_of(plan, others(stage))]
    assert survivors == [len(others(stage))]


@pytest.mark.parametrize("kind", sorted(PAYLOADS.keys() - {"another version of the protocol"}))
@pytest.mark.parametrize("trust", [Trust.CENTRAL, Trust.LOCAL])
def test_a_bad_answer_is_a_dropout_without_masks_too(
    trust: Trust, kind: str, tmp_path: Path
) -> None:
    plan = plan_of(trust, MODEL)
    sums, survivors = play(
        World(plan, MODEL, lasting=True), changing("contribute", PAYLOADS[kind]), tmp_path
    )
    if trust is Trust.LOCAL:
        assert sums == [sum_of(plan, others("contribute"))]
    # Under local trust all that were asked are charged, before they are asked.
    assert survivors == [DEVICES if trust is Trust.LOCAL else DEVICES - 1]


def twice(node: Node) -> Node:
    """Every reply twice."""

    def answer(message: Message) -> Iterable[Message]:
        for reply in node(message):
            yield from (reply, reply)

    return answer


def late(node: Node) -> Node:
    """Every reply with the next request, when nobody waits for it any more."""
    held: list[Message] = []

    def answer(message: Message) -> Iterable[Message]:
        hello = message.content.config_records[RECORD]["stage"] == "hello"
        before, held[:] = list(held), node(message)
        return held if hello else before

    return answer


def failing(node: Node) -> Node:
    """Errors, as Flower makes them for a device that died or an app that raised."""

    def answer(message: Message) -> Iterable[Message]:
        hello = message.content.config_records[RECORD]["stage"] == "hello"
        return node(message) if hello else [Message(Error(code=2, reason="x"), reply_to=message)]

    return answer


def strange(node: Node) -> Node:
    """A record of another name."""

    def answer(message: Message) -> Iterable[Message]:
        for reply in node(message):
            reply.content = RecordDict({"other": reply.content.config_records[RECORD]})
            yield reply

    return answer


def of_another(world: World) -> Callable[[Node], Node]:
    """A device that passes on the answers of its neighbour, who takes part as well."""
    return lambda _: world.nodes[100 + BAD + 1]


@pytest.mark.parametrize(
    ("change", "left"),
    [(twice, DEVICES), (late, DEVICES - 1), (failing, DEVICES - 1), (strange, DEVICES - 1)],
)
def test_duplicates_count_once_and_late_replies_and_errors_not_at_all(
    change: Callable[[Node], Node], left: int, tmp_path: Path
) -> None:
    plan = plan_of(Trust.SECURE_AGGREGATION, MODEL)
    sums, survivors = play(World(plan, MODEL, lasting=True), change, tmp_path)
    assert sums == [sum_of(plan, range(DEVICES) if left == DEVICES else others("mask"))]
    assert survivors == [left]


@pytest.mark.parametrize("trust", list(Trust))
def test_a_node_that_speaks_for_another_devices_identity_is_not_enrolled(
    trust: Trust, tmp_path: Path
) -> None:
    plan = plan_of(trust, MODEL)
    world = World(plan, MODEL, lasting=True)
    fleet = world.fleet(world.grid({BAD: of_another(world)}))
    coordinate(fleet, plan, MODEL, tmp_path)
    assert fleet.attendance.answered["hello"] == DEVICES - 1  # type: ignore[index]
    assert charged(tmp_path)[0].terms.survivors == DEVICES - 1


class Failing(MemoryGrid):
    """A Grid that raises as Flower's does where one device's objects cannot be sent or read."""

    def __init__(self, nodes: dict[int, Node], way: str) -> None:
        super().__init__(nodes)
        self.way, self.bad = way, set[str]()

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        some = list(messages)
        stages = {str(m.content.config_records[RECORD]["stage"]) for m in some}
        to_bad = any(m.metadata.dst_node_id == 100 + BAD for m in some) and stages != {"hello"}
        if to_bad and self.way == "push":
            raise RuntimeError("an object cannot be pushed")
        found = super().push_messages(some)
        if to_bad:
            self.bad |= {
                name
                for name, m in zip(found, some, strict=True)
                if m.metadata.dst_node_id == 100 + BAD
            }
        return found

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        some = list(message_ids)
        if self.bad & set(some):
            raise ValueError("an object cannot be read")
        return super().pull_messages(some)


@pytest.mark.parametrize("way", ["push", "pull"])
def test_objects_that_flower_cannot_send_or_read_cost_their_own_device_only(
    way: str, tmp_path: Path
) -> None:
    plan = plan_of(Trust.SECURE_AGGREGATION, MODEL)
    world = World(plan, MODEL, lasting=True)
    fleet = Recording(world.fleet(Failing(world.nodes, way)))
    coordinate(fleet, plan, MODEL, tmp_path)
    assert fleet.sums == [sum_of(plan, others("mask"))]


def test_only_the_devices_that_are_allowed_take_part_by_their_own_numbers(tmp_path: Path) -> None:
    plan = plan_of(Trust.SECURE_AGGREGATION, MODEL)
    world = World(plan, MODEL, lasting=True)
    allowed = {device.identity.public: row for row, device in enumerate(world.devices)}
    allowed[world.devices[BAD].identity.public] = BAD + 100
    fleet = Recording(world.fleet(world.grid(), allowed=allowed))
    coordinate(fleet, plan, MODEL, tmp_path)
    assert fleet.sums == [sum_of(plan, others("mask"))]


def test_a_device_that_agreed_to_another_plan_is_silent(tmp_path: Path) -> None:
    plan = plan_of(Trust.SECURE_AGGREGATION, MODEL)
    world = World(plan, MODEL, lasting=True)
    nothing = Agreement(plan_hashes=frozenset({"0" * 64}), policy_hashes=frozenset())
    world.devices[BAD] = replace(world.devices[BAD], agreement=nothing)
    world.restart(BAD)
    fleet = Recording(world.fleet(world.grid()))
    coordinate(fleet, plan, MODEL, tmp_path)
    assert fleet.sums == [sum_of(plan, others("mask"))]


@pytest.mark.parametrize("stage", ["advertise", "share", "mask", "cosign"])
def test_too_few_good_devices_end_the_round_with_nothing_learnt_or_charged(
    stage: str, tmp_path: Path
) -> None:
    plan = plan_of(Trust.SECURE_AGGREGATION, MODEL)
    world = World(plan, MODEL, lasting=True)
    bad = dict.fromkeys(
        range(DEVICES - FEWEST + 3), changing(stage, PAYLOADS["a changed signature"])
    )
    fleet = world.fleet(world.grid(bad))
    with pytest.raises(PrivacyError):
        coordinate(fleet, plan, MODEL, tmp_path)
    assert charged(tmp_path) == []


def test_too_few_shares_leave_the_sum_masked_and_the_charge_in_place(tmp_path: Path) -> None:
    plan = plan_of(Trust.SECURE_AGGREGATION, MODEL)
    world = World(plan, MODEL, lasting=True)
    bad = dict.fromkeys(range(DEVICES), changing("unmask", PAYLOADS["cut off"]))
    with pytest.raises(IntegrityError):
        coordinate(world.fleet(world.grid(bad)), plan, MODEL, tmp_path)
    assert len(charged(tmp_path)) == 1
