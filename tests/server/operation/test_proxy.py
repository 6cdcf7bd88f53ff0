"""What faces the network: through the proxy of the example the Fleet paths answer, and no others."""

import http.client
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.client.embedded.world import echo, envelope, flower_message, record_of
from tests.superlink import HOST, SuperLink, free_port, superlink

from privet.client.embedded.device_loop import EmbeddedDevice
from privet.client.embedded.fleet_server import FleetServer
from privet.client.embedded.identity import NodeIdentity
from privet.client.embedded.pace import Pace
from privet.client.embedded.transport import FleetConnection

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
EXAMPLE = Path(__file__).parents[3] / "server" / "examples" / "nginx.conf"
PASSED = {
    f"/v1/fleet/{name}"
    for name in (
        "activate-node",
        "deactivate-node",
        "send-node-heartbeat",
        "pull-messages",
        "push-messages",
        "pull-object",
        "push-object",
        "confirm-message-received",
    )
}
pytestmark = pytest.mark.skipif(NGINX is None, reason="needs nginx")


@pytest.fixture(scope="module")
def link(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SuperLink]:
    with superlink(tmp_path_factory.mktemp("link")) as running:
        yield running


@pytest.fixture(scope="module")
def proxy(link: SuperLink, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The example's nginx before the SuperLink."""
    with nginx(link, link.address, tmp_path_factory.mktemp("nginx")) as port:
        yield port


@contextmanager
def nginx(link: SuperLink, address: str, folder: Path) -> Iterator[int]:
    """The example's nginx, with its ports and paths and nothing else changed."""
    port = free_port()
    text = EXAMPLE.read_text()
    for old, new in {
        "127.0.0.1:9092": address,
        "443 ssl": f"{HOST}:{port} ssl",
        "/srv/federation/tls/server.pem": str(link.certificates.server),
        "/srv/federation/tls/server.key": str(link.certificates.key),
        "/srv/federation/tls/authority.pem": str(link.certificates.authority),
        "federation.example.org": "localhost",
    }.items():
        assert old in text
        text = text.replace(old, new)
    for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"):
        text = text.replace("http {", f"http {{\n    {name}_temp_path {folder}/{name};", 1)
    config = folder / "nginx.conf"
    config.write_text(f"pid {folder}/pid;\ndaemon off;\n{text}")
    with (folder / "log").open("wb") as log:
        command = [str(NGINX), "-e", str(folder / "errors"), "-c", str(config)]
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _await(port, process, folder / "log")
        yield port
    finally:
        process.terminate()
        process.wait(timeout=30)


def _await(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(log.read_text())


def _status(link: SuperLink, port: int, path: str, method: str = "POST") -> int:
    context = ssl.create_default_context(cafile=str(link.certificates.authority))
    connection = http.client.HTTPSConnection(HOST, port, context=context, timeout=30)
    try:
        connection.request(method, path, b"", {"Content-Type": "application/protobuf"})
        return connection.getresponse().status
    finally:
        connection.close()


def _paths() -> set[str]:
    """All that the installed SuperLink serves on its one port."""
    from flwr.supercore.runtime import runtime_http_client
    from flwr.superlink.routers.control.router import router as control
    from flwr.superlink.routers.fleet.router import router as fleet

    source = Path(runtime_http_client.__file__).read_text()
    found = {route.path for router in (control, fleet) for route in router.routes}  # type: ignore[attr-defined]
    found |= set(re.findall(r'"(/v1/runtime/[a-z-]+)"', source))
    assert len([path for path in found if "/control/" in path]) > 20
    assert len([path for path in found if "/runtime/" in path]) > 5
    return found


def test_nothing_but_the_fleet_paths_of_embedded_devices_answers(
    link: SuperLink, proxy: int
) -> None:
    closed = _paths() - PASSED
    assert _paths() >= PASSED
    for path in sorted(closed):
        assert _status(link, proxy, path) == 404, path
    assert _status(link, link.port, "/v1/control/list-runs") == 200  # or the test shows nothing


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1/fleet/",
        "/v1/fleet/../control/start-run",
        "/v1/fleet/pull-messages/../../control/start-run",
        "/v1/fleet/%2e%2e/control/start-run",
        "/v1/fleet/..%2fcontrol%2fstart-run",
        "//v1/control/start-run",
        "/v1/control/start-run?/v1/fleet/pull-messages",
        "/v1/fleet/pull-messages%00/../control/start-run",
        "/V1/CONTROL/START-RUN",
        "/docs",
        "/openapi.json",
    ],
)
def test_no_other_spelling_of_a_path_gets_through(path: str, link: SuperLink, proxy: int) -> None:
    assert _status(link, proxy, path) in (400, 404)


def test_only_posts_pass(link: SuperLink, proxy: int) -> None:
    assert _status(link, proxy, "/v1/fleet/pull-messages", "GET") == 403


def test_an_embedded_device_lives_behind_it(link: SuperLink, proxy: int) -> None:
    identity = NodeIdentity.generate()
    link.register(identity.public_pem())
    server = FleetServer(host=HOST, port=proxy, authority=link.certificates.authority)
    side, done = link.start_run(), threading.Event()
    device = EmbeddedDevice(FleetConnection(server, identity), echo)

    def live() -> None:
        with device:
            device.run(done.is_set, pace=Pace(poll_seconds=0.1, idle_seconds=0.1), wait=done.wait)

    thread = threading.Thread(target=live, daemon=True)
    thread.start()
    try:
        deadline = time.monotonic() + 60
        while not (nodes := list(side.grid.get_node_ids())) and time.monotonic() < deadline:
            time.sleep(0.1)
        (node,) = nodes
        asked = envelope(b"x" * 200_000)
        (reply,) = side.replies(side.push([flower_message(node, asked)]), timeout=60)
        assert record_of(reply).payload == echo(asked).payload
    finally:
        done.set()
        thread.join(timeout=60)
        side.close()


def test_it_writes_nothing_about_who_connects(link: SuperLink, tmp_path: Path) -> None:
    with nginx(link, f"{HOST}:{free_port()}", tmp_path) as port:
        for path in ("/v1/fleet/pull-messages", "/v1/control/start-run", "/canary"):
            assert _status(link, port, path) in (404, 502)
        with pytest.raises(ssl.SSLError), socket.create_connection((HOST, port)) as plain:
            old = ssl.create_default_context(cafile=str(link.certificates.authority))
            old.maximum_version = ssl.TLSVersion.TLSv1_2
            old.wrap_socket(plain, server_hostname="localhost")
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    written = written.replace((tmp_path / "nginx.conf").read_bytes(), b"")
    assert b"client" not in written and HOST.encode() not in written and b"canary" not in written


def test_the_examples_paths_are_those_that_the_device_uses() -> None:
    source = Path(__file__).parents[3] / "client/privet/client/embedded/transport.py"
    used = set(re.findall(r'_call\(\s*"([a-z-]+)"', source.read_text()))
    assert used
    assert {f"/v1/fleet/{name}" for name in used} <= PASSED
