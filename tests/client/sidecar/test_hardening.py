"""Who may not use a sidecar does not: a clear refusal, nothing recorded, nothing told."""

import hmac
import json
import logging
import socket
import stat
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.client.app.world import opened
from tests.client.sidecar.refusals import (
    CANARY,
    LIKE,
    Both,
    assert_all_refused,
    assert_told_nothing,
)
from tests.client.sidecar.world import events, running

from privet.client.sidecar.server import Sidecar
from privet.client.vault.vault import Vault
from privet.privacy.errors import InputError

Patch = pytest.MonkeyPatch


def test_whatever_is_wrong_is_refused_and_nothing_is_recorded(agreed: Both) -> None:
    assert_all_refused(agreed)
    asker, client = agreed
    assert asker.raw("POST", "/v1/record", LIKE)[0] == 200  # the same without what was wrong
    localhost: dict[str, str | None] = {
        "Host": f"LOCALHOST:{asker.port}",
        "Content-Type": "application/json; charset=utf-8",
    }
    assert asker.raw("POST", "/v1/record", LIKE, localhost)[0] == 200
    assert events(client) == 2


def test_unknown_paths_and_methods_are_refused(agreed: Both) -> None:
    asker, client = agreed
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


def test_what_is_no_request_of_http_is_refused(agreed: Both) -> None:
    asker, client = agreed
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


def test_a_body_is_asked_for_when_the_request_is_admitted(agreed: Both) -> None:
    asker, client = agreed
    head = (
        f"POST /v1/record HTTP/1.1\r\nHost: 127.0.0.1:{asker.port}\r\nExpect: 100-continue\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(LIKE)}\r\n"
    )
    assert said_to(asker.port, (head + "\r\n").encode()).startswith(b"HTTP/1.1 401")
    whole = (head + f"Authorization: Bearer {asker.token}\r\n\r\n").encode() + LIKE
    first, _, rest = said_to(asker.port, whole).partition(b"\r\n\r\n")
    assert first == b"HTTP/1.1 100 Continue" and rest.startswith(b"HTTP/1.1 200")
    assert events(client) == 1


def test_slow_requests_are_ended_however_often_they_send_a_byte(agreed: Both) -> None:
    asker, client = agreed
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


def test_one_connection_too_many_is_turned_away_and_room_comes_back(agreed: Both) -> None:
    asker, _ = agreed
    with ExitStack() as idle:
        for _ in range(3):
            idle.enter_context(socket.create_connection(("127.0.0.1", asker.port)))
        time.sleep(0.1)
        assert said_to(asker.port, b"").startswith(b"HTTP/1.1 503")
    time.sleep(0.2)
    assert asker.get("/v1/health") == {"status": "ok"}


def test_global_privacy_control_in_a_header_opts_out_of_contributing(agreed: Both) -> None:
    asker, client = agreed
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
    agreed: Both, monkeypatch: Patch, capfd: pytest.CaptureFixture[str], caplog: Any
) -> None:
    asker, _ = agreed
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


def test_tokens_are_compared_in_bytes_and_in_constant_time(
    agreed: Both, monkeypatch: Patch
) -> None:
    asker, _ = agreed
    seen: list[tuple[object, object]] = []
    honest: Callable[[Any, Any], bool] = hmac.compare_digest

    def watched(given: Any, wanted: Any) -> bool:
        seen.append((given, wanted))
        return honest(given, wanted)

    monkeypatch.setattr(hmac, "compare_digest", watched)
    assert asker.raw("GET", "/v1/health")[0] == 200
    assert asker.raw("GET", "/v1/health", None, {"Authorization": "Bearer x"})[0] == 401
    assert [type(one) for pair in seen for one in pair] == [bytes] * 4
