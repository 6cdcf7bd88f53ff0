"""What a device costs a stock SuperLink: milliseconds of its processor's time for each request.

One SuperLink on loopback with TLS and node authentication, with its state in a file and then in
memory; embedded devices, one after the other, so that nothing waits for anything. Wall time on a
machine with other work says little, so the processor's time of the SuperLink's process is read.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from common import finish, table
from tests.client.embedded.world import admitted, envelope, flower_message, record_of, server_of
from tests.superlink import SuperLink, superlink

from privet.client.embedded.identity import NodeIdentity
from privet.client.embedded.objects import Request
from privet.client.embedded.transport import FleetConnection
from privet.server.flower import PULLED_AT_ONCE, PUSHED_AT_ONCE

REQUEST_BYTES = 2000
REPLY = admitted(bytes(32))


def main() -> int:
    """Print a table, and fail if a message or its reply was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=96)
    devices = parser.parse_args().devices
    found: dict[str, dict[str, float]] = {}
    for where, durable in (("a file", True), ("memory", False)):
        with (
            tempfile.TemporaryDirectory(prefix="privet-superlink-") as folder,
            superlink(Path(folder), durable=durable) as link,
        ):
            found[where] = costs(link, devices)
    rows = [(what, *(f"{cost[what]:.1f}" for cost in found.values())) for what in found["memory"]]
    table(("ms of the SuperLink for a device", *(f"state in {where}" for where in found)), rows)
    figures: dict[str, Any] = {"benchmark": "superlink", "devices": devices, "ms": found}
    finish(figures, passed=True)
    return 0


def costs(link: SuperLink, devices: int) -> dict[str, float]:
    """Milliseconds for a device, by what is done."""
    found: dict[str, float] = {}

    def timed(what: str, work: Callable[[], Any]) -> Any:
        before = _cpu_seconds(link)
        result = work()
        found[what] = 1000 * (_cpu_seconds(link) - before) / devices
        return result

    identities = [NodeIdentity.generate() for _ in range(devices)]
    nodes = [link.register(identity.public_pem()) for identity in identities]
    connections = [FleetConnection(server_of(link), identity) for identity in identities]
    pairs = list(zip(connections, nodes, strict=True))

    def come_online() -> None:
        for connection, node in pairs:
            connection.heartbeat(node, 900.0)

    def look() -> list[Any]:
        return [connection.poll(node) for connection, node in pairs]

    timed("coming online, with a new connection", come_online)
    timed("a look for nothing", look)
    for connection in connections:
        connection.close()
    timed("a look for nothing, with a new connection", look)
    side = link.start_run()
    messages = [flower_message(node, envelope(os.urandom(REQUEST_BYTES))) for node in nodes]
    batches = range(0, devices, PUSHED_AT_ONCE)
    sent = timed(
        "a request is sent by the server",
        lambda: [one for at in batches for one in side.push(messages[at : at + PUSHED_AT_ONCE])],
    )
    announced = timed("a look that finds it", look)
    requests: list[Request] = timed(
        "a device fetches it: 3 objects, 1 confirmation",
        lambda: [c.fetch(a) for c, a in zip(connections, announced, strict=True)],
    )
    timed(
        "a device answers: 1 announcement, 3 objects",
        lambda: [c.send(r, REPLY) for c, r in zip(connections, requests, strict=True)],
    )
    batches = range(0, devices, PULLED_AT_ONCE)
    replies = timed(
        "the server has the reply: 3 objects, 1 confirmation",
        lambda: [
            reply
            for at in batches
            for reply in side.grid.pull_messages(sent[at : at + PULLED_AT_ONCE])
        ],
    )
    assert len(replies) == devices and all(REPLY.payload == record_of(r).payload for r in replies)
    names = list(found)
    found["an exchange: the last five"] = sum(found[name] for name in names[-5:])
    for connection in connections:
        connection.close()
    side.close()
    return found


def _cpu_seconds(link: SuperLink) -> float:
    assert link.process is not None
    fields = Path(f"/proc/{link.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    sys.exit(main())
