"""What is previewed is what leaves, to the bit; a no, in any form, is silence."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from tests.client.rights.world import MODEL, Clock, consents, terms, vault
from tests.federation.test_session import LOCAL, SECURE, device, request
from tests.federation.world import World, coordinate, plan_of

from privet.client.consent import Terms
from privet.client.release import Preview
from privet.client.rights.consents import Consents
from privet.client.rights.quotas import Quotas, Usage
from privet.client.rights.uploads import Uploads
from privet.client.session import DeviceSession
from privet.models.plan import Plan
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.minimization.denials import Reason
from privet.privacy.minimization.envelope import Envelope
from privet.privacy.minimization.gate import AdmittedMessage
from privet.privacy.minimization.messages import Message, encode_message
from privet.simulations.memory_grid import MemoryGrid

SECRET = "item 777001 is in my history"
PLANS = {"secure": ("advertise", SECURE), "local": ("contribute", LOCAL)}


class Previewing(DeviceSession):
    """A session that is asked for a preview of every message, as often as one likes."""

    seen: ClassVar[list[tuple[str, bytes, bytes]]] = []

    def answer(self, request: Envelope) -> AdmittedMessage | None:
        before, again = self.preview(request), self.preview(request)
        length = self._device.ledger.length
        lines = len(self._device.ledger.lines)
        sent = super().answer(request)
        assert (before is None) == (again is None) == (sent is None)
        if before is not None and again is not None and sent is not None:
            assert len(self._device.ledger.lines) > lines and self._device.ledger.length > length
            assert before.payload == again.payload
            self.seen.append((request.stage, before.payload, sent.payload))
        return sent


@pytest.mark.parametrize("trust", [Trust.SECURE_AGGREGATION, Trust.LOCAL, Trust.CENTRAL])
def test_what_is_previewed_is_bit_for_bit_what_is_sent(tmp_path: Path, trust: Trust) -> None:
    """In a whole round of real sessions, every stage, and the round's sum is released."""
    plan = plan_of(trust, MODEL, seeded=False)
    world = World(plan, MODEL, lasting=True)
    world.sessions[:] = [Previewing(held) for held in world.devices]
    Previewing.seen = []
    shared = coordinate(world.fleet(MemoryGrid(world.nodes)), plan, MODEL, tmp_path)
    assert shared
    stages = {stage for stage, _, _ in Previewing.seen}
    secure = {"hello", "advertise", "share", "mask", "cosign", "unmask"}
    assert stages == (secure if trust is Trust.SECURE_AGGREGATION else {"hello", "contribute"})
    assert len(Previewing.seen) >= 12 * len(stages)
    assert all(before == sent for _, before, sent in Previewing.seen)


@pytest.mark.parametrize("kind", PLANS)
def test_a_preview_says_what_is_in_the_bytes_and_sends_and_records_nothing(kind: str) -> None:
    stage, plan = PLANS[kind]
    asked = device(plan)
    found = asked.preview(request(stage, plan))
    assert found is not None
    assert asked._device.ledger.lines == () and asked._device.ledger.sent == ()
    assert asked._device.ledger.denials == ()
    policy = asked._gates[plan.hash].policy
    message = Message(step=found.step, fields=found.fields)
    assert encode_message(policy, message) == found.payload
    assert tuple(found.fields) == tuple(rule.field for rule in found.rules)
    assert found.from_history == (stage == "contribute")
    assert (found.plan_hash, found.policy_hash) == (plan.hash, policy.hash)
    for value in found.fields.values():
        assert isinstance(value, np.ndarray) and not value.flags.writeable
    body = found.to_dict()
    assert bytes.fromhex(str(body["payload"])) == found.payload
    assert len(repr(found)) < 400


def test_a_preview_is_of_the_round_that_is_asked_for() -> None:
    asked = device(LOCAL)
    one = asked.preview(request("contribute", LOCAL, number=1))
    two = asked.preview(request("contribute", LOCAL, number=2))
    sent = asked.answer(request("contribute", LOCAL, number=2))
    assert one is not None and two is not None and sent is not None
    assert one.payload != two.payload == sent.payload


def test_where_the_device_would_be_silent_there_is_no_preview() -> None:
    assert device(SECURE).preview(request("contribute")) is None
    assert device(LOCAL).preview(replace(request("contribute", LOCAL), run="another")) is None


class Asked:
    """A release that says what a test wants, and remembers what it was asked."""

    def __init__(self, allows: Callable[[Preview], object], opens: bool = True) -> None:
        self._allows, self._opens = allows, opens
        self.previews: list[Preview] = []

    def open(self) -> bool:
        return self._opens

    def allows(self, preview: Preview) -> bool:
        self.previews.append(preview)
        return self._allows(preview)  # type: ignore[return-value]


def fail(preview: Preview) -> bool:
    raise ValueError(SECRET)


def change(preview: Preview) -> bool:
    for value in preview.fields.values():
        assert isinstance(value, np.ndarray)
        value += 1  # read-only
    return True


NOES: dict[str, Callable[[Preview], object]] = {
    "False": lambda preview: False,
    "None": lambda preview: None,
    "1": lambda preview: 1,
    "an exception": fail,
    "an attempt to change it": change,
}


@pytest.mark.parametrize("no", NOES)
@pytest.mark.parametrize("kind", PLANS)
def test_whatever_is_no_yes_cancels_and_reaches_neither_server_nor_host(
    kind: str, no: str, caplog: pytest.LogCaptureFixture
) -> None:
    stage, plan = PLANS[kind]
    caplog.set_level(logging.DEBUG)
    release = Asked(NOES[no])
    asked = device(plan, release=release)
    assert asked.answer(request(stage, plan)) is None
    ledger = asked._device.ledger
    assert ledger.lines == () and ledger.sent == ()
    (denial,) = ledger.denials
    assert denial.reason is Reason.CANCELLED
    assert SECRET not in caplog.text and SECRET not in ledger.to_bytes().decode()
    assert len(release.previews) == 1


@pytest.mark.parametrize("kind", PLANS)
def test_what_was_cancelled_leaves_later_in_the_same_bytes_if_it_may_then(kind: str) -> None:
    stage, plan = PLANS[kind]
    answers = iter((False, True))
    release = Asked(lambda preview: next(answers))
    asked = device(plan, release=release)
    assert asked.answer(request(stage, plan)) is None
    sent = asked.answer(request(stage, plan))
    first, second = release.previews
    assert sent is not None and sent.payload == first.payload == second.payload


@pytest.mark.parametrize("kind", PLANS)
def test_a_repeat_is_asked_about_again(kind: str) -> None:
    stage, plan = PLANS[kind]
    answers = iter((True, False))
    asked = device(plan, release=Asked(lambda preview: next(answers)))
    assert asked.answer(request(stage, plan)) is not None
    assert asked.answer(request(stage, plan)) is None


@pytest.mark.parametrize("stage", ["hello", "advertise"])
def test_a_device_that_is_closed_computes_nothing_and_says_nothing(stage: str) -> None:
    release = Asked(lambda preview: True, opens=False)
    asked = device(release=release)
    assert asked.answer(request(stage)) is None and asked.preview(request(stage)) is None
    assert release.previews == [] and asked._device.ledger.entries == ()


def test_a_session_that_forgot_sends_neither_what_it_made_nor_anything_of_its_history() -> None:
    held = World(LOCAL, MODEL).devices[3]
    asked = DeviceSession(held)
    before = asked.preview(request("contribute", LOCAL))
    asked.forget()
    assert asked.answer(request("contribute", LOCAL)) is None
    assert asked.preview(request("contribute", LOCAL)) is None
    sent = DeviceSession(held).answer(request("contribute", LOCAL))
    assert before is not None and sent is not None and before.payload != sent.payload


def check_withdrawal_in_a_round(folder: Path, stage: str) -> None:
    """One device's user takes consent back at a stage of a round; the others end it without it."""
    plan = SECURE
    world = World(plan, MODEL, lasting=True)
    with vault(folder) as held:
        agreed = consents(held)
        agreed.grant("contribute", terms=terms_of_world(plan))
        uploads = Uploads(agreed, Usage(held, clock=Clock()))
        world.devices[3] = replace(world.devices[3], release=uploads)
        asked = Recorded(world.devices[3], agreed, stage)
        world.sessions[3] = asked
        shared = coordinate(world.fleet(MemoryGrid(world.nodes)), plan, MODEL, folder / "run")
    assert shared, "the round ends without the device"
    assert asked.stages[:1] == ["hello"] and stage not in asked.answered
    order = ["hello", "advertise", "share", "mask", "cosign", "unmask"]
    assert asked.answered == order[: order.index(stage)]


class Recorded(DeviceSession):
    """A session whose user takes consent back just before a stage."""

    def __init__(self, held: object, agreed: Consents, stage: str) -> None:
        super().__init__(held)  # type: ignore[arg-type]
        self._agreed, self._stage = agreed, stage
        self.stages: list[str] = []
        self.answered: list[str] = []

    def answer(self, request: Envelope) -> AdmittedMessage | None:
        if request.stage == self._stage:
            self._agreed.withdraw("contribute")
        self.stages.append(request.stage)
        found = super().answer(request)
        self.answered += [request.stage] * (found is not None)
        return found


def terms_of_world(plan: Plan) -> Terms:
    return replace(terms(), plan_hash=plan.hash)


@pytest.mark.parametrize("stage", ["advertise", "share", "mask", "cosign", "unmask"])
def test_consent_that_is_taken_back_stops_the_next_message_of_a_round(
    tmp_path: Path, stage: str
) -> None:
    check_withdrawal_in_a_round(tmp_path, stage)


def check_withdrawal_in_a_hook(folder: Path) -> None:
    """The user takes consent back while the app shows them what would leave."""
    with vault(folder) as held:
        agreed = consents(held)
        agreed.grant("contribute", terms=terms_of_world(LOCAL))
        uploads = Uploads(agreed, Usage(held, clock=Clock()))

        def hook(preview: Preview) -> bool:
            agreed.withdraw("contribute")
            return True

        uploads.on_upload(hook)
        asked = device(LOCAL, release=uploads)
        assert asked.answer(request("contribute", LOCAL)) is None
        assert asked._device.ledger.lines == ()


def test_consent_that_is_taken_back_while_the_hook_runs_stops_that_very_message(
    tmp_path: Path,
) -> None:
    check_withdrawal_in_a_hook(tmp_path)


def check_another_plan(folder: Path) -> None:
    with vault(folder) as held:
        agreed = consents(held)
        agreed.grant("contribute", terms=terms_of_world(SECURE))
        asked = device(LOCAL, release=Uploads(agreed, Usage(held, clock=Clock())))
        assert asked.answer(request("contribute", LOCAL)) is None


def test_consent_to_one_plan_lets_nothing_out_for_another(tmp_path: Path) -> None:
    check_another_plan(tmp_path)


def check_personalize_alone(folder: Path) -> None:
    with vault(folder) as held:
        agreed = consents(held)
        agreed.grant("personalize")
        asked = device(LOCAL, release=Uploads(agreed, Usage(held, clock=Clock())))
        for stage in ("hello", "contribute"):
            assert asked.answer(request(stage, LOCAL)) is None
        assert asked._device.ledger.entries == ()


def test_with_consent_to_personalize_alone_nothing_is_computed_or_sent(tmp_path: Path) -> None:
    check_personalize_alone(tmp_path)


def test_all_hooks_must_agree_and_a_failing_one_is_a_no(tmp_path: Path) -> None:
    with vault(tmp_path) as held:
        agreed = consents(held)
        agreed.grant("contribute", terms=terms_of_world(LOCAL))
        uploads = Uploads(agreed, Usage(held, clock=Clock()))
        asked = device(LOCAL, release=uploads)
        seen: list[bytes] = []

        def look(preview: Preview) -> bool:
            seen.append(preview.payload)
            return True

        uploads.on_upload(look)
        sent = asked.answer(request("contribute", LOCAL))
        assert sent is not None and seen == [sent.payload]
        uploads.on_upload(fail)
        assert asked.answer(request("contribute", LOCAL, number=8)) is None


def check_bytes(folder: Path) -> None:
    """As many messages as the quota has bytes for, in one session or after a restart."""
    answered = []
    for number in (1, 2, 3):
        with vault(folder) as held:
            agreed = consents(held)
            if number == 1:
                agreed.grant("contribute", terms=terms_of_world(LOCAL))
            asked = device(LOCAL)
            found = asked.preview(request("contribute", LOCAL, number=number))
            assert found is not None
            usage = Usage(held, Quotas(sent_bytes=2 * len(found.payload)), clock=Clock())
            asked = device(LOCAL, release=Uploads(agreed, usage))
            answered.append(asked.answer(request("contribute", LOCAL, number=number)) is not None)
    assert answered == [True, True, False]


def test_beyond_a_quota_of_bytes_nothing_leaves_also_after_a_restart(tmp_path: Path) -> None:
    check_bytes(tmp_path)
