"""Requests that a sidecar refuses, each with one thing that is wrong."""

import json
from typing import TypeAlias

from tests.client.sidecar.world import Asker, events

from privet.client.client import Client
from privet.client.sidecar.problem import MEDIA_TYPE

CANARY = "canary-item-7f3a"
LIKE = json.dumps({"kind": "like", "item": CANARY}).encode()
Both: TypeAlias = tuple[Asker, Client]


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
    assert CANARY.encode() not in body, "the request was quoted"
    assert asker.token.encode() not in body
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
