"""What a device does when the network, the server or a stranger in its place misbehaves."""

import hashlib
import ssl
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from tests.certificates import make_certificates
from tests.client.embedded.proxy import Answer, Proxy, proxy_before
from tests.client.embedded.test_contract import CALLS
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
from tests.superlink import HOST, ServerSide, SuperLink

from privet.client.embedded.device_loop import MAX_BUSY, EmbeddedDevice, Outcome
from privet.client.embedded.errors import (
    ProtocolError,
    RejectedError,
    UnreachableError,
    UntrustedServerError,
)
from privet.client.embedded.fleet_server import FleetServer
from privet.client.embedded.identity import NodeIdentity
from privet.client.embedded.objects import Request
from privet.client.embedded.transport import FleetConnection
from privet.client.embedded.wire import decode, encode
from privet.privacy.errors import EgressError, InputError
from privet.privacy.minimization.envelope import Envelope
from privet.privacy.minimization.gate import AdmittedMessage

QUESTION = b"question" * 500


@pytest.fixture
def proxy(link: SuperLink) -> Iterator[Proxy]:
    """A proxy that forwards, until a test says otherwise."""
    with proxy_before(link) as running:
        yield running


@pytest.fixture
def device(link: SuperLink, proxy: Proxy) -> Iterator[EmbeddedDevice]:
    """A device that has joined through the proxy."""
    with new_device(link, port=proxy.port) as joined:
        yield joined
        proxy.tamper = lambda call, answer: answer


def ask(side: ServerSide, device: EmbeddedDevice, *, ttl: float = 60.0) -> list[str]:
    """Send the device a request; its id."""
    assert device.node_id
    return side.push([flower_message(device.node_id, envelope(QUESTION), ttl=ttl)])


def assert_answered(side: ServerSide, ids: list[str]) -> None:
    """Exactly one reply came, and it is the right one."""
    (reply,) = side.replies(ids)
    assert record_of(reply).payload == admitted(hashlib.sha256(QUESTION).digest()).payload


def distrusts(server: FleetServer) -> UntrustedServerError:
    """Check that a device does not speak to this server; what it says instead."""
    with (
        closing(FleetConnection(server, NodeIdentity.generate())) as connection,
        pytest.raises(UntrustedServerError) as raised,
    ):
        connection.activate(30.0)
    return raised.value


def test_a_server_of_another_authority_gets_no_byte(link: SuperLink, tmp_path: Path) -> None:
    stranger = make_certificates(tmp_path)
    with proxy_before(link, certificates=stranger) as proxy:
        server = server_of(link, port=proxy.port)
        assert "Nothing was sent" in str(distrusts(server))
        assert proxy.seen == []


def test_a_certificate_for_another_name_is_not_enough(link: SuperLink, tmp_path: Path) -> None:
    other = make_certificates(tmp_path, ["example.org"])
    with proxy_before(link, certificates=other) as proxy:
        distrusts(FleetServer(host=HOST, port=proxy.port, authority=other.authority))
        assert proxy.seen == []


def test_an_older_tls_is_refused(link: SuperLink) -> None:
    with proxy_before(link, newest_tls=ssl.TLSVersion.TLSv1_2) as proxy:
        distrusts(server_of(link, port=proxy.port))
        assert proxy.seen == []


def test_a_file_without_an_authority_is_a_clear_error(tmp_path: Path) -> None:
    empty = tmp_path / "ca.pem"
    empty.write_text("nothing")
    for file in (empty, tmp_path / "missing.pem"):
        server = FleetServer(host=HOST, port=1, authority=file)
        with pytest.raises(InputError, match="as PEM"):
            FleetConnection(server, NodeIdentity.generate())


def test_proxies_of_the_environment_and_redirects_are_not_followed(
    side: ServerSide, device: EmbeddedDevice, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    device.connection.close()
    ids = ask(side, device)
    steps_until(device, Outcome.ANSWERED)
    assert_answered(side, ids)
    where = {"Location": "https://127.0.0.1:9/v1/fleet/pull-messages", "Content-Length": "0"}
    proxy.tamper = lambda call, answer: Answer(307, where, b"")
    with pytest.raises(RejectedError, match="307"):
        device.step()


def test_what_leaves_is_the_protocols_envelopes_and_the_admitted_payload(
    side: ServerSide, device: EmbeddedDevice, proxy: Proxy
) -> None:
    ids = ask(side, device)
    steps_until(device, Outcome.ANSWERED)
    assert_answered(side, ids)
    payload = admitted(hashlib.sha256(QUESTION).digest()).payload
    assert {call for call, _, _ in proxy.seen} <= set(CALLS)  # no code, no settings, no run
    protocol = {"flwr-public-key", "flwr-timestamp", "flwr-signature"}
    http = {"host", "accept-encoding", "content-length", "content-type", "accept"}
    for call, headers, body in proxy.seen:
        assert {name.lower() for name in headers} == protocol | http
        assert (payload in body) is (call == "push-object" and b"ConfigRecord" in body)
    (pushed,) = proxy.calls("push-messages")
    assert decode("PushMessagesRequest", pushed)["clientapp_runtime_list"] == []
    assert max(len(body) for _, _, body in proxy.seen) < 1500


def test_nothing_but_what_the_gate_admitted_is_sent(
    side: ServerSide, device: EmbeddedDevice, proxy: Proxy
) -> None:
    class Lookalike:
        payload = b"history"

    device.handler = lambda asked: b"history"  # type: ignore[assignment,return-value]
    ask(side, device)
    with pytest.raises(EgressError):
        steps_until(device, Outcome.ANSWERED)
    request = Request(metadata={"message_id": "0" * 64}, envelope=envelope())
    for thing in (b"history", Lookalike(), None):
        with pytest.raises(EgressError):
            device.connection.send(request, thing)  # type: ignore[arg-type]
    assert proxy.calls("push-messages") == []
    assert all(b"history" not in body for _, _, body in proxy.seen)


def test_a_tampered_object_is_thrown_away_unread(
    side: ServerSide, device: EmbeddedDevice, proxy: Proxy
) -> None:
    asked: list[Envelope] = []

    def handler(received: Envelope) -> AdmittedMessage:
        asked.append(received)
        return echo(received)

    def flip(call: str, answer: Answer) -> Answer:
        if call == "pull-object" and b"ConfigRecord" in answer.body:
            return replace(answer, body=answer.body.replace(b"question", b"Question", 1))
        return answer

    device.handler, proxy.tamper = handler, flip
    ask(side, device)
    step = steps_until(device, Outcome.DROPPED, Outcome.ANSWERED)[-1]
    assert isinstance(step.error, ProtocolError) and "hash" in str(step.error)
    assert asked == [] and proxy.calls("push-messages") == []


def test_a_replayed_announcement_is_answered_once(
    side: ServerSide, device: EmbeddedDevice, proxy: Proxy
) -> None:
    first: list[Answer] = []

    def replay(call: str, answer: Answer) -> Answer:
        if call == "pull-messages":
            if decode("PullMessagesResponse", answer.body)["messages_list"]:
                first.append(answer)
            return first[0] if first else answer
        return answer

    proxy.tamper = replay
    ids = ask(side, device)
    steps_until(device, Outcome.ANSWERED)
    step = steps_until(device, Outcome.DROPPED)[-1]
    assert "second time" in str(step.error)
    assert len(proxy.calls("push-messages")) == 1
    assert_answered(side, ids)


@pytest.mark.parametrize("call", ["pull-object", "push-messages", "push-object"])
@pytest.mark.parametrize("before", [True, False])
def test_a_cut_connection_costs_time_and_nothing_else(
    side: ServerSide, device: EmbeddedDevice, proxy: Proxy, call: str, before: bool
) -> None:
    cuts: list[str] = []

    def cut(name: str, answer: Answer) -> Answer | None:
        if name == call and len(cuts) < 2:  # the second time, not the first try on a used one
            cuts.append(name)
            return None if before else replace(answer, body=answer.body[:-1])
        return answer

    proxy.tamper = cut
    ids = ask(side, device)
    taken = steps_until(device, Outcome.ANSWERED)
    assert len(cuts) == 2 and any(isinstance(step.error, UnreachableError) for step in taken)
    assert len(set(proxy.calls("push-messages"))) == 1
    assert_answered(side, ids)


def test_a_lost_confirmation_does_not_keep_the_reply_back(
    side: ServerSide, device: EmbeddedDevice, proxy: Proxy
) -> None:
    proxy.tamper = lambda call, answer: None if call == "confirm-message-received" else answer
    ids = ask(side, device)
    steps_until(device, Outcome.ANSWERED)
    assert_answered(side, ids)


def test_a_server_that_cannot_take_a_reply_does_not_hold_the_device_for_ever(
    side: ServerSide, device: EmbeddedDevice, proxy: Proxy
) -> None:
    busy = Answer(500, {"Content-Length": "0"}, b"")
    proxy.tamper = lambda call, answer: busy if call == "push-messages" else answer
    ask(side, device)
    steps = steps_until(device, Outcome.DROPPED)
    assert len([step for step in steps if step.error and "500" in str(step.error)]) == MAX_BUSY
    assert device.step().outcome is Outcome.IDLE


def test_a_reply_that_comes_too_late_is_not_sent(
    side: ServerSide, device: EmbeddedDevice, proxy: Proxy
) -> None:
    def slow(asked: Envelope) -> AdmittedMessage:
        time.sleep(2.1)
        return echo(asked)

    device.handler = slow
    ask(side, device, ttl=2.0)
    step = steps_until(device, Outcome.DROPPED)[-1]
    assert "time was over" in str(step.error) and proxy.calls("push-messages") == []


@pytest.mark.parametrize("lie", [False, True])
def test_an_oversized_request_is_refused_unread(
    link: SuperLink, side: ServerSide, proxy: Proxy, lie: bool
) -> None:
    def endless(call: str, answer: Answer) -> Answer:
        if call == "pull-object" and lie:
            headers = {"Transfer-Encoding": "chunked"}
            return Answer(200, headers, b"%x\r\n" % (1 << 20) + bytes(1 << 20) + b"\r\n")
        return answer

    with new_device(link, port=proxy.port, max_request_bytes=1000) as device:
        proxy.tamper = endless
        ask(side, device)
        step = steps_until(device, Outcome.DROPPED)[-1]
        assert "larger than this device accepts" in str(step.error)
        assert proxy.calls("push-messages") == []
        proxy.tamper = lambda call, answer: answer


def whole(body: bytes) -> Answer:
    return Answer(200, {"Content-Length": str(len(body))}, body)


ANSWERS = {
    "garbage": b"\xff\xff",
    "two messages": encode("PullMessagesResponse", {"messages_list": [{}, {}]}),
    "a message without metadata": encode("PullMessagesResponse", {"messages_list": [{}]}),
    "far too much": bytes(1 << 20),
}


@pytest.mark.parametrize("what", ANSWERS)
def test_an_answer_that_is_not_the_protocol_is_dropped(
    device: EmbeddedDevice, proxy: Proxy, what: str
) -> None:
    proxy.tamper = lambda call, answer: whole(ANSWERS[what])
    step = device.step()
    assert step.outcome is Outcome.DROPPED and isinstance(step.error, ProtocolError)
    proxy.tamper = lambda call, answer: answer
    assert device.step().outcome is Outcome.IDLE


def test_a_server_cannot_ask_for_objects_that_are_not_the_replys(
    side: ServerSide, device: EmbeddedDevice, proxy: Proxy
) -> None:
    wanted = encode("PushMessagesResponse", {"objects_to_push": ["0" * 64], "session_id": "s"})
    proxy.tamper = lambda call, answer: whole(wanted) if call == "push-messages" else answer
    ask(side, device)
    step = steps_until(device, Outcome.DROPPED)[-1]
    assert isinstance(step.error, ProtocolError) and proxy.calls("push-object") == []


def test_a_server_that_is_not_there_is_waited_for(link: SuperLink, proxy: Proxy) -> None:
    waited: list[float] = []
    with new_device(link, port=proxy.port) as device:
        device.connection.close()
        device.connection.server = replace(device.connection.server, port=9)
        device.run(lambda: len(waited) == 8, wait=waited.append)
        assert waited[0] < 0.5 and 5 < waited[-1] <= 30
        device.connection.server = replace(device.connection.server, port=proxy.port)
        assert device.step().outcome is Outcome.IDLE
