"""Every protection of the transport, removed: some test must then fail (see tests/privacy)."""

import hashlib
import ssl
import time
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.client.embedded import test_federation, test_hostile, test_objects
from tests.client.embedded.proxy import Proxy, proxy_before
from tests.client.embedded.world import new_device
from tests.superlink import ServerSide, SuperLink

from privet.client.embedded import device_loop, objects, transport
from privet.client.embedded.device_loop import EmbeddedDevice
from privet.client.embedded.errors import RejectedError
from privet.client.embedded.objects import Reply, Request
from privet.client.embedded.transport import FleetConnection
from privet.privacy.minimization import gate as gates
from privet.privacy.minimization.gate import AdmittedMessage

CAUGHT = (AssertionError, pytest.fail.Exception)
Patch = pytest.MonkeyPatch


def weaker(monkeypatch: Patch, **settings: Any) -> None:
    """A TLS context with some settings changed after it was made."""
    real = transport._context

    def context(authority: Path) -> ssl.SSLContext:
        made = real(authority)
        for name, value in settings.items():
            setattr(made, name, value)
        return made

    monkeypatch.setattr(transport, "_context", context)


def test_any_authority_will_do(link: SuperLink, tmp_path: Path, monkeypatch: Patch) -> None:
    weaker(monkeypatch, check_hostname=False, verify_mode=ssl.CERT_NONE)
    with pytest.raises((*CAUGHT, RejectedError)):
        test_hostile.test_a_server_of_another_authority_gets_no_byte(link, tmp_path)


def test_any_name_will_do(link: SuperLink, tmp_path: Path, monkeypatch: Patch) -> None:
    weaker(monkeypatch, check_hostname=False)
    with pytest.raises((*CAUGHT, RejectedError)):
        test_hostile.test_a_certificate_for_another_name_is_not_enough(link, tmp_path)


def test_any_tls_will_do(link: SuperLink, monkeypatch: Patch) -> None:
    weaker(monkeypatch, minimum_version=ssl.TLSVersion.TLSv1_2)
    with pytest.raises((*CAUGHT, RejectedError)):
        test_hostile.test_an_older_tls_is_refused(link)


def test_hashes_are_not_checked(link: SuperLink, side: ServerSide, monkeypatch: Patch) -> None:
    real = objects.unpack
    monkeypatch.setattr(
        objects, "unpack", lambda _, content, **rest: real(_sha256(content), content, **rest)
    )
    with proxy_before(link) as proxy, new_device(link, port=proxy.port) as device:
        with pytest.raises(CAUGHT):
            test_hostile.test_a_tampered_object_is_thrown_away_unread(side, device, proxy)
        proxy.tamper = Proxy().tamper


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_anything_may_be_sent(link: SuperLink, side: ServerSide, monkeypatch: Patch) -> None:
    real = FleetConnection.send

    def send(self: FleetConnection, request: Request, thing: Any) -> bool:
        payload = getattr(thing, "payload", thing)
        whole = AdmittedMessage(payload, gates._KEY)
        return real(self, request, whole)

    monkeypatch.setattr(FleetConnection, "send", send)
    with (
        proxy_before(link) as proxy,
        new_device(link, port=proxy.port) as device,
        pytest.raises(CAUGHT),
    ):
        test_hostile.test_nothing_but_what_the_gate_admitted_is_sent(side, device, proxy)


def test_a_reply_tells_the_devices_time(side: ServerSide, monkeypatch: Patch) -> None:
    real = objects.make_reply

    def make_reply(request: Request, payload: bytes) -> Reply:
        later = {**request.metadata, "created_at": time.time()}
        return real(replace(request, metadata=later), payload)

    monkeypatch.setattr(test_objects, "make_reply", make_reply)
    with pytest.raises(CAUGHT):
        test_objects.test_a_reply_says_nothing_but_the_payload(monkeypatch)


def test_a_request_is_answered_as_often_as_it_comes(
    link: SuperLink, side: ServerSide, monkeypatch: Patch
) -> None:
    class Forgetful(OrderedDict[str, None]):
        def __contains__(self, key: object) -> bool:
            return False

    monkeypatch.setattr(device_loop, "OrderedDict", Forgetful)
    with proxy_before(link) as proxy, new_device(link, port=proxy.port) as device:
        with pytest.raises(CAUGHT):
            test_hostile.test_a_replayed_announcement_is_answered_once(side, device, proxy)
        proxy.tamper = Proxy().tamper


@pytest.mark.parametrize("asked", ["never", "before a request alone"])
def test_permission_is_not_asked_before_a_reply(
    link: SuperLink, side: ServerSide, monkeypatch: Patch, asked: str
) -> None:
    honest, first = EmbeddedDevice._permitted, dict[int, bool]()

    def permitted(device: EmbeddedDevice) -> bool:
        return True if asked == "never" else first.setdefault(id(device), honest(device))

    monkeypatch.setattr(EmbeddedDevice, "_permitted", permitted)
    with pytest.raises(CAUGHT):
        test_federation.test_a_handler_that_takes_consent_back_is_not_spoken_for(link, side)
