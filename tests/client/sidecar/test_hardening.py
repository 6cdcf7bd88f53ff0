"""Who may not use a sidecar does not: a clear refusal, nothing recorded, nothing told."""

import hmac
import json
import logging
import socket
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.client.app.world import opened
from tests.client.sidecar.world import Asker, events, running

from privet.client.client import Client
from privet.client.sidecar import admission, fields, handler
from privet.client.sidecar.admission import Admission
from privet.client.sidecar.problem import MEDIA_TYPE, Refused
from privet.client.sidecar.server import Sidecar, SidecarLimits
from privet.client.vault.vault import Vault
from privet.privacy.errors import InputError

CANARY = "canary-item-7f3a"
LIKE = json.dumps({"kind": "like", "item": CANARY}).encode()
Patch = pytest.MonkeyPatch
Both = tuple[Asker, Client]


@pytest.fixture
def both(tmp_path: Path) -> Iterator[Both]:
    """A sidecar of a user who agreed, with short limits."""
    with running(tmp_path, limits=SidecarLimits(connections=3, seconds=0.6)) as found:
        found[1].consent.grant("personalize")
        yield found


def refusals(asker: Asker) -> dict[str, tuple[int, dict[str, str | None], bytes | None]]:
    """Requests to record, each with one thing that is wrong: status, headers, body."""
    port, token = asker.port, asker.token
    return {
        "no token": (401, {"Authorization": None}, LIKE),
        "another token": (401, {"Authorization": "Bearer " + token[:-1]}, LIKE),
        "a longer token": (401, {"Authorization": f"Bearer {token}x"}, LIKE),
        "another scheme": (401, {"Authorization": f"Basic {token}"}, LIKE),
        "a token that is no ASCII": (401, {"Authorization": "Bearer \xe9\xff"}, LIKE),
        "a rebound host": (421, {"Host": f"evil.example:{port}"}, LIKE),
        "another port": (421, {"Host": f"127.0.0.1:{port + 1}"}, LIKE),
        "no port": (421, {"Host": "127.0.0.1"}, LIKE),
        "no host": (421, {"Host": None}, LIKE),
        "an origin": (403, {"Origin": "https://evil.example"}, LIKE),
        "its own origin": (403, {"Origin": f"http://127.0.0.1:{port}"}, LIKE),
        "a null origin": (403, {"Origin": "null"}, LIKE),
        "too large": (413, {"Content-Length": str((1 << 20) + 1)}, b"x" * ((1 << 20) + 1)),
        "far too large": (413, {"Content-Length": "9" * 40}, LIKE),
        "no length": (411, {"Content-Length": None}, None),
        "no number": (400, {"Content-Length": "+5"}, LIKE),
        "chunks": (411, {"Content-Length": None, "Transfer-Encoding": "chunked"}, b"0\r\n\r\n"),
        "chunks and a length": (411, {"Transfer-Encoding": "chunked"}, LIKE),
        "a form": (415, {"Content-Type": "text/plain"}, LIKE),
        "no type": (415, {"Content-Type": None}, LIKE),
        "compressed": (415, {"Content-Encoding": "gzip"}, LIKE),
        "no JSON": (400, {}, b'{"kind": "like", "item": "' + CANARY.encode()),
        "no UTF-8": (400, {}, b'{"kind": "\xff"}'),
        "no object": (400, {}, b"[1]"),
        "a name twice": (400, {}, b'{"kind": "like", "kind": "view"}'),
        "no number of JSON": (400, {}, b'{"kind": "like", "value": NaN}'),
        "half a pair": (400, {}, rb'{"kind": "like", "item": "\ud800"}'),
        "too deep": (400, {}, b'{"a":' * 100_000),
        "an unknown member": (422, {}, b'{"kind": "like", "' + CANARY.encode() + b'": 1}'),
        "a missing member": (422, {}, b'{"item": "' + CANARY.encode() + b'"}'),
        "another type": (422, {}, b'{"kind": "like", "item": 7}'),
        "yes for a number": (422, {}, b'{"kind": "like", "value": true}'),
        "a number without end": (422, {}, b'{"kind": "like", "value": 1' + b"0" * 400 + b"}"),
    }


def assert_told_nothing(asker: Asker, headers: dict[str, str], body: bytes) -> None:
    assert CANARY.encode() not in body and asker.token.encode() not in body
    assert headers["Cache-Control"] == "no-store"
    assert not any(name.lower().startswith("access-control") for name in headers)


def assert_all_refused(found: Both) -> None:
    asker, client = found
    for what, (status, headers, body) in refusals(asker).items():
        got, answered, answer = asker.raw("POST", "/v1/record", body, headers)
        assert got == status, what
        assert answered["Content-Type"] == MEDIA_TYPE, what
        problem = json.loads(answer)
        assert problem["status"] == status and problem["detail"] and problem["type"], what
        assert_told_nothing(asker, answered, answer)
    assert events(client) == 0


def test_whatever_is_wrong_is_refused_and_nothing_is_recorded(both: Both) -> None:
    assert_all_refused(both)
    asker, client = both
    assert asker.raw("POST", "/v1/record", LIKE)[0] == 200  # the same without what was wrong
    localhost: dict[str, str | None] = {
        "Host": f"LOCALHOST:{asker.port}",
        "Content-Type": "application/json; charset=utf-8",
    }
    assert asker.raw("POST", "/v1/record", LIKE, localhost)[0] == 200
    assert events(client) == 2


def test_unknown_paths_and_methods_are_refused(both: Both) -> None:
    asker, client = both
    for path in (f"/v1/{CANARY}", "/", "/v1/record/", "/v1/record?item=1"):
        status, headers, body = asker.raw("GET", path)
        assert status == 404, path
        assert_told_nothing(asker, headers, body)
    for method in ("GET", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH", "CONNECT"):
        status, headers, body = asker.raw(method, "/v1/record")
        assert (status, headers["Allow"]) == (405, "POST")
        assert_told_nothing(asker, headers, body)
    assert asker.raw("POST", "/v1/health", b"{}")[0] == 405
    assert asker.raw("GET", "/v1/health", b"{}")[0] == 413
    assert events(client) == 0


def said_to(port: int, data: bytes) -> bytes:
    """What a raw connection is answered."""
    with socket.create_connection(("127.0.0.1", port), timeout=2) as link:
        link.sendall(data)
        parts = []
        while part := link.recv(1 << 16):
            parts.append(part)
    return b"".join(parts)


def test_what_is_no_request_of_http_is_refused(both: Both) -> None:
    asker, client = both
    good = f"Host: 127.0.0.1:{asker.port}\r\nAuthorization: Bearer {asker.token}\r\n"
    start = "GET /v1/health HTTP/1.1\r\n"
    raw = {
        f"\x16\x03\x01 {CANARY}\r\n\r\n": b"400",
        f"GET /{CANARY} HTTP/9.9\r\n\r\n": b"505",
        f"GET /{CANARY}\r\n\r\n": b"400",
        f"GET /{'x' * 5000} HTTP/1.1\r\n\r\n": b"414",
        start + good + "X: y\r\n" * 200 + "\r\n": b"431",
        start + good + f"no colon\r\nOrigin: {CANARY}\r\n\r\n": b"400",
        start + good + f"Host: evil.example:{asker.port}\r\n\r\n": b"421",
        start + good + "Authorization: Bearer x\r\n\r\n": b"401",
        start + good + "\r\n": b"200",
    }
    for text, status in raw.items():
        found = said_to(asker.port, text.encode())
        assert found.split(b" ")[1] == status, text[:60]
        assert CANARY.encode() not in found
    two = f"POST /v1/record HTTP/1.1\r\n{good}Content-Type: application/json\r\n"
    for lengths in ("Content-Length: 2\r\nContent-Length: 40\r\n", "Content-Length: 2, 40\r\n"):
        assert said_to(asker.port, (two + lengths + "\r\n{}").encode()).split(b" ")[1] == b"400"
    assert events(client) == 0


def test_a_body_is_asked_for_when_the_request_is_admitted(both: Both) -> None:
    asker, client = both
    head = (
        f"POST /v1/record HTTP/1.1\r\nHost: 127.0.0.1:{asker.port}\r\nExpect: 100-continue\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(LIKE)}\r\n"
    )
    assert said_to(asker.port, (head + "\r\n").encode()).startswith(b"HTTP/1.1 401")
    whole = (head + f"Authorization: Bearer {asker.token}\r\n\r\n").encode() + LIKE
    first, _, rest = said_to(asker.port, whole).partition(b"\r\n\r\n")
    assert first == b"HTTP/1.1 100 Continue" and rest.startswith(b"HTTP/1.1 200")
    assert events(client) == 1


def test_slow_requests_are_ended_however_often_they_send_a_byte(both: Both) -> None:
    asker, client = both
    begun = time.monotonic()
    with socket.create_connection(("127.0.0.1", asker.port), timeout=5) as link:
        link.sendall(b"POST /v1/record HTTP/1.1\r\nX: ")
        link.settimeout(0.1)
        answer = b""
        while not answer and time.monotonic() - begun < 2:
            link.sendall(b"x")
            try:
                answer = link.recv(1 << 12)
            except TimeoutError:
                continue
    assert answer.startswith(b"HTTP/1.1 408") and time.monotonic() - begun < 2
    assert events(client) == 0


def test_one_connection_too_many_is_turned_away_and_room_comes_back(both: Both) -> None:
    asker, _ = both
    with ExitStack() as idle:
        for _ in range(3):
            idle.enter_context(socket.create_connection(("127.0.0.1", asker.port)))
        time.sleep(0.1)
        assert said_to(asker.port, b"").startswith(b"HTTP/1.1 503")
    time.sleep(0.2)
    assert asker.get("/v1/health") == {"status": "ok"}


def test_global_privacy_control_in_a_header_opts_out_of_contributing(both: Both) -> None:
    asker, client = both
    signals: tuple[dict[str, str | None], ...] = (
        {"Sec-GPC": "0"},
        {"Sec-GPC": "1", "Authorization": "Bearer x"},
    )
    for headers in signals:
        asker.raw("GET", "/v1/health", None, headers)
        assert not client.has_opted_out("contribute")
    assert asker.raw("GET", "/v1/health", None, {"Sec-GPC": "1"})[0] == 200
    assert client.has_opted_out("contribute") and not client.has_opted_out("personalize")


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.1", "::", "", "localhost", "example.org"])
def test_it_listens_on_the_loopback_interface_alone(host: str, tmp_path: Path) -> None:
    refused = pytest.raises(InputError, match="this device alone")
    with opened(tmp_path / "me.db") as client, refused:
        Sidecar(client, tmp_path / "token.json", host=host)
    assert not (tmp_path / "token.json").exists()


def test_the_token_file_is_its_owners_and_goes_with_the_sidecar(tmp_path: Path) -> None:
    (tmp_path / "token.json").write_text("of a sidecar that crashed")
    (tmp_path / "token.json").chmod(0o644)
    with running(tmp_path) as (asker, _):
        assert stat.S_IMODE((tmp_path / "token.json").stat().st_mode) == 0o600
        assert set(json.loads((tmp_path / "token.json").read_text())) == {"port", "token"}
        assert len(asker.token) >= 43 and not (tmp_path / "token.json.new").exists()
        first = asker.token
    assert not (tmp_path / "token.json").exists()
    with pytest.raises(ConnectionRefusedError):
        asker.get("/v1/health")
    with running(tmp_path) as (asker, _):
        assert asker.token != first
        (tmp_path / "token.json").write_text("of another one")
    assert (tmp_path / "token.json").read_text() == "of another one"


def test_logs_and_errors_have_nothing_of_the_user(
    both: Both, monkeypatch: Patch, capfd: pytest.CaptureFixture[str], caplog: Any
) -> None:
    asker, _ = both
    caplog.set_level(logging.DEBUG)
    assert asker.raw("POST", "/v1/record", LIKE)[0] == 200
    asker.raw("GET", f"/v1/{CANARY}")

    def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError(f"about {CANARY}")

    monkeypatch.setattr(Vault, "add", broken)
    status, headers, body = asker.raw("POST", "/v1/record", LIKE)
    assert status == 500 and "failed" in caplog.text and "RuntimeError" in caplog.text
    assert_told_nothing(asker, headers, body)
    assert asker.raw("POST", "/v1/explain", json.dumps({"item": CANARY}).encode())[0] == 422
    found = capfd.readouterr()
    for text in (found.out, found.err, caplog.text):
        assert CANARY not in text and asker.token not in text and "/v1/" not in text


def test_tokens_are_compared_in_bytes_and_in_constant_time(both: Both, monkeypatch: Patch) -> None:
    asker, _ = both
    seen: list[tuple[object, object]] = []
    honest: Callable[[Any, Any], bool] = hmac.compare_digest

    def watched(given: Any, wanted: Any) -> bool:
        seen.append((given, wanted))
        return honest(given, wanted)

    monkeypatch.setattr(hmac, "compare_digest", watched)
    assert asker.raw("GET", "/v1/health")[0] == 200
    assert asker.raw("GET", "/v1/health", None, {"Authorization": "Bearer x"})[0] == 401
    assert [type(one) for pair in seen for one in pair] == [bytes] * 4


def token_compared_in_part(patch: Patch) -> None:
    honest = hmac.compare_digest
    patch.setattr(hmac, "compare_digest", lambda a, b: honest(a[:20], b[:20]))


def skips(*needles: str) -> Callable[[Patch], None]:
    """The checks of requests, without some of their refusals."""

    def change(patch: Patch) -> None:
        honest = Admission.check

        def check(self: Admission, headers: Any) -> None:
            try:
                honest(self, headers)
            except Refused as refused:
                if refused.kind not in needles:
                    raise

        patch.setattr(Admission, "check", check)

    return change


def takes_any_body(patch: Patch) -> None:
    patch.setattr(admission, "MAX_BODY_BYTES", 1 << 30)


def takes_chunks(patch: Patch) -> None:
    honest = admission.body_bytes

    def lenient(headers: Any, *, reads: bool) -> int:
        del headers["Transfer-Encoding"]
        return honest(headers, reads=reads)

    patch.setattr(handler, "body_bytes", lenient)


def quotes_the_request(patch: Patch) -> None:
    honest = fields.read_body

    def quoting(data: bytes, known: Any) -> dict[str, Any]:
        try:
            return honest(data, known)
        except Refused as refused:
            raise Refused(refused.status, refused.kind, data[:99].decode("latin-1")) from None

    patch.setattr(handler, "read_body", quoting)


MUTANTS = {
    "half of the token is enough": token_compared_in_part,
    "no token is needed": skips("token"),
    "any host will do": skips("host"),
    "pages may ask": skips("origin"),
    "bodies without end": takes_any_body,
    "chunks are taken": takes_chunks,
    "errors quote": quotes_the_request,
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_sidecar_without_one_of_its_checks_is_noticed(
    mutant: str, both: Both, monkeypatch: Patch
) -> None:
    MUTANTS[mutant](monkeypatch)
    with pytest.raises(AssertionError):
        assert_all_refused(both)


def test_a_sidecar_without_a_limit_of_time_or_of_connections_is_noticed(tmp_path: Path) -> None:
    with running(tmp_path, limits=SidecarLimits(connections=99, seconds=4.0)) as found:
        with pytest.raises(AssertionError):
            test_slow_requests_are_ended_however_often_they_send_a_byte(found)
        with pytest.raises((AssertionError, TimeoutError)):
            test_one_connection_too_many_is_turned_away_and_room_comes_back(found)
