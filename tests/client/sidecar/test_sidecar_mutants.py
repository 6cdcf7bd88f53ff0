"""Each protection of the sidecar removed, one at a time, and noticed."""

import hmac
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.client.sidecar.refusals import Both, assert_all_refused
from tests.client.sidecar.test_hardening import (
    test_one_connection_too_many_is_turned_away_and_room_comes_back as connections_are_limited,
)
from tests.client.sidecar.test_hardening import (
    test_slow_requests_are_ended_however_often_they_send_a_byte as time_is_limited,
)
from tests.client.sidecar.world import running

from privet.client.sidecar import admission, fields, handler
from privet.client.sidecar.admission import Admission
from privet.client.sidecar.problem import Refused
from privet.client.sidecar.server import SidecarLimits

Patch = pytest.MonkeyPatch


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
    "half of the token is enough": (token_compared_in_part, "another token|a longer token"),
    "no token is needed": (skips("token"), "no token"),
    "any host will do": (skips("host"), "a rebound host"),
    "pages may ask": (skips("origin"), "an origin"),
    "bodies without end": (takes_any_body, "too large"),
    "chunks are taken": (takes_chunks, "chunks and a length"),
    "errors quote": (quotes_the_request, "was quoted"),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_sidecar_without_one_of_its_checks_is_noticed(
    mutant: str, agreed: Both, monkeypatch: Patch
) -> None:
    change, noticed = MUTANTS[mutant]
    change(monkeypatch)
    with pytest.raises(AssertionError, match=noticed):
        assert_all_refused(agreed)


def test_a_sidecar_without_a_limit_of_time_or_of_connections_is_noticed(tmp_path: Path) -> None:
    with running(tmp_path, limits=SidecarLimits(connections=99, seconds=4.0)) as found:
        with pytest.raises(AssertionError):
            time_is_limited(found)
        with pytest.raises((AssertionError, TimeoutError)):
            connections_are_limited(found)
