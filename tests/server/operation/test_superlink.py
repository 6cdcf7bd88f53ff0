"""Where a SuperLink keeps what devices send, as the runbook says it."""

import os
import threading
from pathlib import Path

import pytest
from tests.client.embedded.world import admitted
from tests.superlink import HOST, superlink

from privet.client.embedded.device_loop import EmbeddedDevice, Outcome
from privet.client.embedded.fleet_server import FleetServer
from privet.client.embedded.identity import NodeIdentity
from privet.client.embedded.transport import FleetConnection
from privet.privacy.minimization.envelope import Envelope
from privet.privacy.minimization.gate import AdmittedMessage
from privet.server.courier import Courier
from privet.server.flower import GridCourier

SENT = os.urandom(32)


def answer(asked: Envelope) -> AdmittedMessage:
    return admitted(SENT)


def exchange(courier: Courier, device: EmbeddedDevice) -> None:
    """One request, and a reply that says `SENT`."""
    asked = Envelope(stage="echo", run="a-run", round=1, payload=b"")
    device.join()
    node = device.node_id
    assert node is not None

    def take_turns() -> None:
        while device.step().outcome is not Outcome.ANSWERED:
            pass

    turns = threading.Thread(target=take_turns, daemon=True)
    turns.start()
    (reply,) = courier.exchange({node: asked}, 60.0)
    turns.join(timeout=60)
    device.leave()
    assert reply.payload is not None and SENT in reply.payload


def device_of(authority: Path, port: int, identity: NodeIdentity) -> EmbeddedDevice:
    server = FleetServer(host=HOST, port=port, authority=authority)
    return EmbeddedDevice(FleetConnection(server, identity), answer)


def on_disk(folder: Path) -> list[str]:
    return [p.name for p in folder.rglob("*") if p.is_file() and SENT in p.read_bytes()]


@pytest.mark.parametrize("durable", [True, False])
def test_what_devices_send_is_on_the_disk_of_a_superlink_with_a_database(
    durable: bool, tmp_path: Path
) -> None:
    identity = NodeIdentity.generate()
    with superlink(tmp_path, durable=durable) as link:
        link.register(identity.public_pem())
        side = link.start_run()
        device = device_of(link.certificates.authority, link.port, identity)
        exchange(GridCourier(side.grid), device)
        side.close()
        assert bool(on_disk(tmp_path)) == durable
