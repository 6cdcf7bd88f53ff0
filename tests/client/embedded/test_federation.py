"""Embedded devices on a stock SuperLink: TLS, node authentication, nothing of Flower in the device."""

import hashlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import pytest
from tests.client.embedded.world import (
    admitted,
    echo,
    envelope,
    flower_message,
    new_device,
    record_of,
    server_of,
    steps_until,
)
from tests.superlink import ServerSide, SuperLink

from privet.client.embedded.device_loop import EmbeddedDevice, Outcome, Step
from privet.client.embedded.errors import RejectedError, UnreachableError
from privet.client.embedded.identity import NodeIdentity, ServerClock
from privet.client.embedded.pace import Pace
from privet.client.embedded.transport import FleetConnection
from privet.privacy.errors import EgressError, PrivacyError
from privet.privacy.minimization.envelope import NO_ANSWER, NO_ANSWER_CODE, Envelope
from privet.privacy.minimization.gate import AdmittedMessage


@contextmanager
def running(devices: Sequence[EmbeddedDevice]) -> Iterator[list[Step]]:
    """Devices that run in threads of their own until the end."""
    stop, steps = threading.Event(), list[Step]()

    def run(device: EmbeddedDevice) -> None:
        device.run(
            stop.is_set,
            pace=Pace(poll_seconds=0.1, idle_seconds=0.1),
            wait=stop.wait,
            watch=steps.append,
        )

    threads = [threading.Thread(target=run, args=(device,), daemon=True) for device in devices]
    for thread in threads:
        thread.start()
    try:
        yield steps
    finally:
        stop.set()
        for thread in threads:
            thread.join(timeout=30)


def test_several_devices_in_one_process_answer_a_stock_superlink_exactly(
    link: SuperLink, side: ServerSide
) -> None:
    with ExitStack() as stack:
        devices = [stack.enter_context(new_device(link, echo)) for _ in range(3)]
        online = {node.node_id for node in side.grid.get_nodes()}
        assert {device.node_id for device in devices} <= online
        payloads = {device.node_id: os.urandom(50_000) for device in devices if device.node_id}
        with running(devices):
            asked = [
                flower_message(node, envelope(payload, number=3))
                for node, payload in payloads.items()
            ]
            replies = side.replies(side.push(asked))
        assert {reply.metadata.src_node_id for reply in replies} == set(payloads)
        for reply in replies:
            digest = hashlib.sha256(payloads[reply.metadata.src_node_id]).digest()
            expected = envelope(number=3).reply(admitted(digest).payload)
            assert record_of(reply) == expected
    assert not {node.node_id for node in side.grid.get_nodes()} & set(payloads)


def test_a_no_is_the_same_reply_whatever_its_reason(link: SuperLink, side: ServerSide) -> None:
    def refuse(asked: Envelope) -> None:
        if asked.stage == "loud":
            raise PrivacyError("not agreed")

    with new_device(link, refuse) as device:
        assert device.node_id
        sent = [flower_message(device.node_id, envelope(stage=s)) for s in ("quiet", "loud")]
        ids = side.push(sent)
        steps = [steps_until(device, Outcome.REFUSED)[-1] for _ in ids]
        assert {type(step.error) for step in steps} == {type(None), PrivacyError}
        assert steps_until(device, Outcome.IDLE)[-1].error is None
        replies = side.replies(ids)
        assert [reply.has_content() for reply in replies] == [False, False]
        said = {(reply.error.code, reply.error.reason) for reply in replies}
        assert said == {(NO_ANSWER_CODE, NO_ANSWER)}


def test_a_bug_in_the_handler_reaches_the_host_and_is_not_repeated(
    link: SuperLink, side: ServerSide
) -> None:
    def broken(asked: Envelope) -> None:
        raise ZeroDivisionError

    with new_device(link, broken) as device:
        assert device.node_id
        side.push([flower_message(device.node_id, envelope())])
        with pytest.raises(ZeroDivisionError):
            steps_until(device, Outcome.REFUSED)
        assert device.step().outcome is Outcome.IDLE


def test_an_unregistered_key_is_refused_and_a_stranger_cannot_speak_for_a_device(
    link: SuperLink,
) -> None:
    stranger = FleetConnection(server_of(link), NodeIdentity.generate())
    with pytest.raises(RejectedError, match="not registered"):
        stranger.activate(30.0)
    with new_device(link, echo) as device:
        assert device.node_id
        with pytest.raises(RejectedError, match="does not know this device's key"):
            stranger.poll(device.node_id)
    stranger.close()


@pytest.mark.parametrize("off", [-7200.0, 40.0, 7200.0])
def test_a_device_with_a_wrong_clock_follows_its_servers(
    link: SuperLink, side: ServerSide, off: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = new_device(link, echo)
    true_time = time.time
    with monkeypatch.context() as patched:
        patched.setattr("privet.client.embedded.identity.time.time", lambda: true_time() + off)
        node_id = device.join()
        assert abs(device.connection.clock.offset + off) < 5
    ids = side.push([flower_message(node_id, envelope())])
    with monkeypatch.context() as patched:
        patched.setattr("privet.client.embedded.identity.time.time", lambda: true_time() + off)
        steps_until(device, Outcome.ANSWERED)
        device.leave()
    assert len(side.replies(ids)) == 1


def test_a_clock_that_is_too_far_off_is_the_users_to_set(
    link: SuperLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = NodeIdentity.generate()
    link.register(identity.public_pem())
    connection = FleetConnection(server_of(link), identity, clock=ServerClock(limit=3600))
    true_time = time.time
    monkeypatch.setattr("privet.client.embedded.identity.time.time", lambda: true_time() + 7200)
    with pytest.raises(RejectedError, match="clock"):
        connection.activate(30.0)
    connection.close()


def test_a_device_that_was_cut_off_comes_back_at_once_with_its_node_id(link: SuperLink) -> None:
    identity = NodeIdentity.generate()
    link.register(identity.public_pem())
    first = EmbeddedDevice(FleetConnection(server_of(link), identity), echo)
    node_id = first.join()
    first.connection.close()  # the app was killed: nobody told the server
    forgetful = EmbeddedDevice(FleetConnection(server_of(link), identity), echo)
    with pytest.raises(RejectedError, match="did not leave"):
        forgetful.join()
    with EmbeddedDevice(FleetConnection(server_of(link), identity), echo, node_id=node_id) as again:
        assert again.step().outcome is Outcome.IDLE
    with EmbeddedDevice(FleetConnection(server_of(link), identity), echo, node_id=1) as other:
        assert other.node_id == node_id


def test_the_superlink_dies_and_comes_back_and_the_reply_arrives_once(
    link: SuperLink, side: ServerSide
) -> None:
    answered: list[Envelope] = []

    def slow(asked: Envelope) -> AdmittedMessage:
        answered.append(asked)
        link.kill()  # while the device computes
        return echo(asked)

    with new_device(link, slow) as device:
        assert device.node_id
        ids = side.push([flower_message(device.node_id, envelope(b"question"))])
        stuck = steps_until(device, Outcome.WAITING)
        while answered == []:
            stuck = steps_until(device, Outcome.WAITING)
        assert isinstance(stuck[-1].error, UnreachableError)
        assert device.step().outcome is Outcome.WAITING
        link.start()
        steps_until(device, Outcome.ANSWERED)
        replies = side.replies(ids)
        assert len(answered) == len(replies) == 1
        assert record_of(replies[0]).payload[-32:] == hashlib.sha256(b"question").digest()
        assert device.step().outcome is Outcome.IDLE


def test_a_reply_that_waits_is_dropped_when_the_device_may_not_speak_any_more(
    link: SuperLink, side: ServerSide
) -> None:
    """Consent taken back while the server is away: nothing more reaches it, not even a farewell."""
    allowed, made = [True], list[AdmittedMessage]()

    def slow(asked: Envelope) -> AdmittedMessage:
        link.kill()
        made.append(echo(asked))
        return made[-1]

    with new_device(link, slow) as device:
        device.permits = lambda: allowed[0]
        assert device.node_id
        ids = side.push([flower_message(device.node_id, envelope(b"question"))])
        while not made:
            device.step()
        allowed[0] = False
        link.start()
        assert [device.step().outcome for _ in range(3)] == [Outcome.WITHHELD] * 3
        assert device.waiting() is None
        device.leave()
        with pytest.raises(EgressError, match="may not speak"):
            device.join()
        assert side.replies(ids, timeout=0.3) == []


def test_a_reply_that_waits_can_be_dropped(link: SuperLink, side: ServerSide) -> None:
    """Something of the history was erased while the server was away."""
    made = list[AdmittedMessage]()

    def slow(asked: Envelope) -> AdmittedMessage:
        link.kill()
        made.append(echo(asked))
        return made[-1]

    with new_device(link, slow) as device:
        assert device.node_id
        ids = side.push([flower_message(device.node_id, envelope(b"question"))])
        while not made:
            device.step()
        device.forget()
        link.start()
        steps_until(device, Outcome.IDLE)
        assert side.replies(ids, timeout=0.3) == [] and len(made) == 1


def test_a_handler_that_takes_consent_back_is_not_spoken_for(
    link: SuperLink, side: ServerSide
) -> None:
    allowed = [True]

    def ask(asked: Envelope) -> AdmittedMessage:
        allowed[0] = False  # while the device computes
        return echo(asked)

    with new_device(link, ask) as device:
        device.permits = lambda: allowed[0]
        assert device.node_id
        ids = side.push([flower_message(device.node_id, envelope())])
        steps_until(device, Outcome.WITHHELD)
        assert side.replies(ids, timeout=0.3) == []


def test_a_request_that_waits_can_be_looked_at_before_it_is_answered(
    link: SuperLink, side: ServerSide
) -> None:
    with new_device(link, echo) as device:
        assert device.node_id and device.waiting() is None
        ids = side.push([flower_message(device.node_id, envelope(b"question"))])
        found = None
        while found is None:
            found = device.waiting()
        assert device.waiting() == found and found.payload == b"question"
        assert side.replies(ids, timeout=0.3) == []
        assert device.step().outcome is Outcome.ANSWERED
        assert len(side.replies(ids)) == 1 and device.waiting() is None


def test_a_device_process_has_nothing_of_flower_in_it(link: SuperLink) -> None:
    identity = NodeIdentity.generate()
    link.register(identity.public_pem())
    code = """
import sys
from pathlib import Path
from privet.client.embedded.device_loop import EmbeddedDevice
from privet.client.embedded.fleet_server import FleetServer
from privet.client.embedded.identity import NodeIdentity
from privet.client.embedded.transport import FleetConnection

port, authority = int(sys.argv[1]), Path(sys.argv[2])
server = FleetServer(host="localhost", port=port, authority=authority)
identity = NodeIdentity.from_pem(sys.stdin.buffer.read())
with EmbeddedDevice(FleetConnection(server, identity), lambda asked: None) as device:
    assert device.step().outcome == "idle"
print(*sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(link.port), str(link.certificates.authority)],
        input=identity.private_pem(),
        capture_output=True,
        check=True,
        timeout=60,
    )
    loaded = {name.split(".")[0] for name in done.stdout.decode().split()}
    assert "privet" in loaded
    assert not loaded & {"flwr", "google", "grpc", "httpx", "requests", "urllib3", "scipy", "typer"}
