"""What a device answers, and what it meets with silence."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import ConfigRecord, Message, RecordDict
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.federation.world import FEDERATION, SERVER_KEY, World, coordinate, plan_of
from tests.server.world import TwoSums

from privet.client import flower_app, session
from privet.client.local_states import LocalStateFolder, LocalStates, MemoryLocalStates
from privet.client.session import DeviceSession
from privet.models.federation_policy import federation_policy
from privet.models.identified import CHALLENGE_BYTES
from privet.models.model import SharedState, state_hash
from privet.models.plan import Plan
from privet.models.popularity import Popularity
from privet.models.requests import TaskMessage, sign_request
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.canonical import canonical_bytes
from privet.privacy.errors import EgressError, IntegrityError, PrivacyError
from privet.privacy.minimization.agreement import Agreement, Limits
from privet.privacy.minimization.device_state import DeviceState
from privet.privacy.minimization.envelope import MESSAGE_TYPE, RECORD, Envelope
from privet.privacy.minimization.gate import Gate, Upload
from privet.privacy.minimization.messages import HEADER_BYTES, message_bytes
from privet.privacy.randomness import Randomness
from privet.privacy.secagg.device_messages import Advert
from privet.privacy.secagg.primitives import SigningKey
from privet.privacy.secagg.roster import encode_roster
from privet.simulations.memory_grid import MemoryGrid, app_node

MODEL = Popularity()
SECURE = plan_of(Trust.SECURE_AGGREGATION, MODEL, seeded=False)
LOCAL = plan_of(Trust.LOCAL, MODEL, seeded=False)


def request(
    stage: str,
    plan: Plan = SECURE,
    *,
    shared: SharedState | None = None,
    key: SigningKey = SERVER_KEY,
    step: str = "popularity",
    number: int = 7,
    signed_stage: str = "",
    **signed: Any,
) -> Envelope:
    """A signed request as the server makes it; ``signed`` is what the signature says instead."""
    if stage == "hello":
        body = bytes(CHALLENGE_BYTES) + canonical_bytes(plan.to_dict())
    else:
        body = TaskMessage(plan=plan, step=step, attempt=0, shared=shared or {}).encode()
    says = {
        "stage": signed_stage or stage,
        "run": FEDERATION.run,
        "round_number": number,
        "body": body,
        **signed,
    }
    payload = sign_request(key, **says)[:64] + body
    return Envelope(stage=stage, run=FEDERATION.run, round=number, payload=payload)


def device(plan: Plan = SECURE, **changes: Any) -> DeviceSession:
    return DeviceSession(replace(World(plan, MODEL).devices[3], **changes))


@pytest.mark.parametrize(
    ("stage", "plan"), [("hello", SECURE), ("advertise", SECURE), ("contribute", LOCAL)]
)
def test_an_answer_is_one_message_of_the_policy_and_is_in_the_ledger(
    stage: str, plan: Plan
) -> None:
    asked = device(plan)
    found = asked.answer(request(stage, plan))
    assert found is not None
    policy = federation_policy(plan, FEDERATION)
    step = "popularity" if stage == "contribute" else stage
    assert len(found.payload) == message_bytes(policy, step)
    (line,) = asked._device.ledger.lines
    assert (line.step, line.policy_hash) == (step, policy.hash)


REFUSED: dict[str, tuple[Callable[[str, Plan], Envelope], dict[str, Any]]] = {
    "another server": (lambda s, p: request(s, p, key=SigningKey.generate()), {}),
    "signed for another stage": (lambda s, p: request(s, p, signed_stage="share"), {}),
    "another run": (lambda s, p: replace(request(s, p), run="another"), {}),
    "another round": (lambda s, p: replace(request(s, p), round=8), {}),
    "signed body changed": (lambda s, p: request(s, p, body=b"another"), {}),
    "an unknown stage": (lambda s, p: replace(request(s, p), stage="train"), {}),
    "no plan": (lambda s, p: replace(request(s, p), payload=b""), {}),
    "a plan that was changed": (lambda s, p: request(s, replace(p, catalogue_hash="1" * 64)), {}),
    "another model": (request, {"model": TwoSums()}),
    "not agreed to": (
        request,
        {"agreement": Agreement(plan_hashes=frozenset(), policy_hashes=frozenset())},
    ),
    "another federation": (
        request,
        {"federation": replace(FEDERATION, server_key=SigningKey.generate().public)},
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize(
    ("stage", "plan"), [("hello", SECURE), ("advertise", SECURE), ("contribute", LOCAL)]
)
def test_what_its_user_did_not_agree_to_is_met_with_silence(
    stage: str, plan: Plan, kind: str
) -> None:
    make, changes = REFUSED[kind]
    asked = device(plan, **changes)
    assert asked.answer(make(stage, plan)) is None
    assert asked._device.ledger.lines == ()


def test_assumptions_that_its_user_did_not_agree_to_are_met_with_silence() -> None:
    other = replace(FEDERATION, drop_permille=50, corrupt_permille=100)
    assert device(federation=other).answer(request("advertise")) is None


@pytest.mark.parametrize("step", ["another", ""])
def test_a_step_that_the_plan_does_not_have_is_met_with_silence(step: str) -> None:
    assert device().answer(request("advertise", step=step)) is None
    assert device(LOCAL).answer(request("contribute", LOCAL, step=step)) is None


@settings(max_examples=30)
@given(st.sampled_from(["hello", "advertise", "share", "mask", "unmask", "x"]), st.binary())
def test_whatever_comes_an_answer_is_silence_or_admitted(stage: str, payload: bytes) -> None:
    asked = Envelope(stage=stage, run=FEDERATION.run, round=7, payload=payload)
    assert device().answer(asked) is None


def test_under_secure_aggregation_no_vector_leaves_unmasked() -> None:
    assert device().answer(request("contribute")) is None
    gate = Gate(federation_policy(SECURE, FEDERATION))
    dimension = SECURE.steps[0].encoding.dimension
    none = np.zeros(0, np.int64)
    upload = Upload(
        field="contribution",
        step="popularity",
        devices=1,
        dimension=dimension,
        indices=none,
        integers=none,
    )
    with pytest.raises(EgressError):
        gate.admit(upload)
    with pytest.raises(EgressError):
        gate.admit_message(upload.message())


def test_a_device_answers_for_a_step_as_often_as_agreed() -> None:
    asked = device(
        LOCAL,
        agreement=Agreement.to(
            federation_policy(LOCAL, FEDERATION), limits=Limits(max_participations=2)
        ),
    )
    found = [asked.answer(request("contribute", LOCAL, number=number)) for number in (1, 2, 3)]
    assert found[0] is not None and found[1] is not None and found[2] is None
    assert found[0].payload != found[1].payload  # each with noise of its own


@pytest.mark.parametrize(("stage", "plan"), [("advertise", SECURE), ("contribute", LOCAL)])
def test_whoever_asks_twice_in_a_round_gets_the_same_bytes(stage: str, plan: Plan) -> None:
    """Two answers with different noise would reveal their difference."""
    asked = device(plan, agreement=Agreement.to(federation_policy(plan, FEDERATION)))
    first, again = (asked.answer(request(stage, plan)) for _ in range(2))
    assert first is not None and again is not None and first.payload == again.payload
    other = asked.answer(request(stage, plan, shared={"popularity": np.ones(14)}))
    assert other is None or other.payload == first.payload
    if stage == "contribute":
        asked._device.ledger.forget_answer()
        assert asked.answer(request(stage, plan)) is None


def test_a_seed_is_refused_where_the_plan_promises_privacy() -> None:
    seeded = {"randomness": lambda: Randomness.insecure_seeded(1)}
    assert device(LOCAL, **seeded).answer(request("contribute", LOCAL)) is None
    plan = plan_of(Trust.LOCAL, MODEL, seeded=True)
    assert device(plan, **seeded).answer(request("contribute", plan)) is not None


def test_a_roster_for_another_shared_state_than_received_is_met_with_silence() -> None:
    shared, other = {"popularity": np.ones(14)}, {"popularity": np.zeros(14)}

    def answers(received: SharedState) -> bool:
        """Whether a device shares its secrets under a roster that has it, for ``shared``."""
        world = World(SECURE, MODEL, lasting=True)
        terms = FEDERATION.terms(
            SECURE, SECURE.steps[0], model_hash=state_hash(shared), round_number=7
        )
        adverts = []
        for row, asked in enumerate(world.sessions):
            found = asked.answer(request("advertise", shared=received if row == 3 else shared))
            assert found is not None
            adverts.append(Advert.parse(found.payload[HEADER_BYTES:], False)[1])
        roster = encode_roster(terms, adverts, SERVER_KEY)
        asked_to_share = Envelope(stage="share", run=FEDERATION.run, round=7, payload=roster)
        return world.sessions[3].answer(asked_to_share) is not None

    assert answers(shared)
    assert not answers(other)


def test_all_devices_messages_of_a_stage_have_one_length(tmp_path: Path) -> None:
    sizes: dict[str, set[int]] = {}

    def watch(message: Message) -> None:
        record = message.content.config_records[RECORD]
        payload = record["payload"]
        assert isinstance(payload, bytes)
        if message.metadata.reply_to_message_id:
            sizes.setdefault(str(record["stage"]), set()).add(len(payload))

    world = World(SECURE, MODEL)
    coordinate(world.fleet(MemoryGrid(world.nodes, watch=watch)), SECURE, MODEL, tmp_path)
    assert len(sizes) == 6
    assert all(len(found) == 1 for found in sizes.values()), sizes


def test_flower_is_told_nothing_of_an_error() -> None:
    def fail(config: Mapping[str, object]) -> DeviceSession:
        raise ValueError("item 777001 is in my history")

    node = app_node(flower_app.client_app(fail), 5, {})
    grid = MemoryGrid({5: node})
    for content in (
        RecordDict({RECORD: ConfigRecord({**request("hello").fields})}),
        RecordDict({RECORD: ConfigRecord({"stage": "hello"})}),
        RecordDict(),
    ):
        sent = Message(content, dst_node_id=5, message_type=MESSAGE_TYPE)
        (reply,) = grid.send_and_receive([sent])
        assert reply.has_error() and not reply.has_content()
        assert (reply.error.code, reply.error.reason) == (0, "no answer")


def test_a_round_that_was_suspended_goes_on_only_on_its_own_device() -> None:
    world = World(SECURE, MODEL)
    first, second = DeviceSession(world.devices[3]), DeviceSession(world.devices[4])
    assert first.suspend() == b""
    assert first.answer(request("advertise")) is not None
    kept = first.suspend()
    for other in (second, DeviceSession(replace(world.devices[3], federation=FEDERATION))):
        other.resume(kept)
    assert second.suspend() == b""
    assert other.suspend() == kept
    for broken in (kept[:-1], kept[:50], b"\0" * 8, kept[:20] + b"x" + kept[21:]):
        other.resume(broken)
        assert other.suspend() == b""


@pytest.mark.parametrize("durable", [False, True])
def test_a_step_that_is_repeated_starts_where_it_started(durable: bool, tmp_path: Path) -> None:
    plan = "0" * 64
    states: LocalStates = LocalStateFolder(tmp_path) if durable else MemoryLocalStates()
    one, two, three = ({"factors": np.full((1, 2), float(n))} for n in (1, 2, 3))
    assert states.before(plan, "a") == {}
    states.keep(plan, "a", one)
    assert states.before(plan, "a") == {}
    states.keep(plan, "b", two)
    states.keep(plan, "b", three)
    if durable:
        states = LocalStateFolder(tmp_path)
        assert [path.stat().st_mode & 0o77 for path in tmp_path.iterdir()] == [0]
    assert np.array_equal(states.before(plan, "b")["factors"], one["factors"])
    assert np.array_equal(states.before(plan, "c")["factors"], three["factors"])
    assert states.before("1" * 64, "b") == {}


def test_local_state_that_is_damaged_is_refused(tmp_path: Path) -> None:
    states = LocalStateFolder(tmp_path)
    states.keep("0" * 64, "a", {"factors": np.ones(3)})
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(IntegrityError):
        states.before("0" * 64, "b")


def bounded(agreement: Agreement, most: int) -> Agreement:
    return replace(agreement, limits=replace(agreement.limits, max_messages=most))


def test_what_a_server_can_make_a_device_write_down_is_bounded() -> None:
    policies = [federation_policy(plan, FEDERATION) for plan in (SECURE, LOCAL)]
    held = replace(
        World(SECURE, MODEL).devices[3], agreement=bounded(Agreement.to(*policies), most=5)
    )
    lengths = []
    for number in range(64):
        for stage, plan in (("advertise", SECURE), ("hello", LOCAL), ("hello", SECURE)):
            # As behind a SuperNode: a session of its own for every message.
            DeviceSession(held).answer(request(stage, plan, number=number))
        lengths.append(held.ledger.length)
    by_plan = [line.plan_hash for line in held.ledger.lines]
    assert [by_plan.count(plan.hash) for plan in (SECURE, LOCAL)] == [5, 5]
    assert lengths[63] - lengths[31] <= 3  # what is denied is written down at powers of 2


@pytest.mark.parametrize(("most", "enough"), [(4, False), (5, True)])
def test_a_device_that_takes_part_may_go_on_to_the_end_of_its_plan(
    most: int, enough: bool, tmp_path: Path
) -> None:
    plan = plan_of(Trust.SECURE_AGGREGATION, TwoSums())
    world = World(plan, TwoSums())
    world.devices = [
        replace(device, agreement=bounded(device.agreement, most)) for device in world.devices
    ]
    # Between two vectors: the first one, two messages after it, two before the second.
    if enough:
        coordinate(world.fleet(world.grid()), plan, TwoSums(), tmp_path)
    else:
        with pytest.raises(PrivacyError, match="Fewer devices have shared"):
            coordinate(world.fleet(world.grid()), plan, TwoSums(), tmp_path)


MUTANTS: dict[str, tuple[str, Callable[..., Any], Callable[[], None]]] = {
    "signatures of requests are not checked": (
        "open_request",
        lambda key, *, payload, **rest: payload[64:],
        lambda: test_what_its_user_did_not_agree_to_is_met_with_silence(
            "contribute", LOCAL, "another server"
        ),
    ),
    "the model's version is taken from the server": (
        "state_hash",
        lambda shared: state_hash({"popularity": np.ones(14)}),
        test_a_roster_for_another_shared_state_than_received_is_met_with_silence,
    ),
}


def test_a_device_that_does_not_count_its_messages_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(DeviceState, "check_messages", lambda self, plan_hash, most: None)
    with pytest.raises(AssertionError):
        test_what_a_server_can_make_a_device_write_down_is_bounded()


@pytest.mark.parametrize("name", MUTANTS)
def test_these_tests_catch_a_session_without_its_checks(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    attribute, mutant, check = MUTANTS[name]
    monkeypatch.setattr(session, attribute, mutant)
    with pytest.raises((AssertionError, IntegrityError)):
        check()
