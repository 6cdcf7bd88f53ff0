"""One embedded device on a stock SuperLink: import time, resident memory, median exchange.

The device is a process of its own without Flower; the SuperLink is the installed one, on loopback,
with TLS and node authentication. An exchange is one request and its reply, from the moment the
server's app sends to the moment it has the reply; the app asks the SuperLink every 0.2 s, the device
once a second, its default, and then five times a second.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from common import finish, table

from privet.client.embedded.identity import NodeIdentity
from privet.privacy.minimization.envelope import MESSAGE_TYPE, RECORD, Envelope

ROOT = Path(__file__).parents[1]
BAR_SECONDS = 2.0
REQUEST_BYTES = 1 << 20
REPLY_INTEGERS = 1 << 14

DEVICE = """
import json
import sys
from pathlib import Path
import numpy as np
from privet.client.embedded.device_loop import EmbeddedDevice
from privet.client.embedded.fleet_server import FleetServer
from privet.client.embedded.identity import NodeIdentity
from privet.client.embedded.pace import Pace
from privet.client.embedded.transport import FleetConnection
from privet.privacy.accounting.adversaries import Adversary
from privet.privacy.minimization.gate import Gate
from privet.privacy.minimization.messages import Message
from privet.privacy.minimization.policy import EgressPolicy, FieldRule, FieldType

port, authority, poll, length = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
rule = FieldRule(
    field="v", type=FieldType.UINT32, shapes={"s": (length,)}, bits=32, purpose="p", mechanism="m",
    retention="r", adversaries=(Adversary.CURIOUS_SERVER,),
)
gate, done = Gate(EgressPolicy(rules=(rule,))), []


def handler(asked):
    if asked.stage == "stop":
        done.append(True)
        return None
    return gate.admit_message(Message(step="s", fields={"v": np.zeros(length, np.uint32)}))


def memory(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(name))


identity = NodeIdentity.from_pem(sys.stdin.buffer.read())
server = FleetServer(host="127.0.0.1", port=port, authority=authority)
with EmbeddedDevice(FleetConnection(server, identity), handler) as device:
    print(device.node_id, flush=True)
    device.run(lambda: bool(done), pace=Pace(poll_seconds=float(poll)))
print(json.dumps({
    "rss_mb": memory("VmRSS"), "peak_rss_mb": memory("VmHWM"), "flwr_loaded": "flwr" in sys.modules,
}))
"""


def import_seconds(repeats: int = 5) -> float:
    """Shortest import of the device in a fresh process, numpy included."""
    code = (
        "import time; s = time.perf_counter(); import privet.client.embedded.device_loop; "
        "print(time.perf_counter() - s)"
    )
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        for _ in range(repeats)
    ]
    return min(float(run.stdout) for run in runs)


def measure(link: Any, side: Any, poll: str, exchanges: int) -> tuple[list[float], dict[str, Any]]:
    """Seconds of each exchange, and what the device says of itself at its end."""
    from flwr.app import ConfigRecord, Message, RecordDict

    identity = NodeIdentity.generate()
    link.register(identity.public_pem())
    arguments = [str(link.port), str(link.certificates.authority), poll, str(REPLY_INTEGERS)]
    device = subprocess.Popen(
        [sys.executable, "-c", DEVICE, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert device.stdin is not None and device.stdout is not None
    device.stdin.write(identity.private_pem())
    device.stdin.close()
    node_id = int(device.stdout.readline())

    def send(stage: str, number: int) -> list[str]:
        payload = bytes(REQUEST_BYTES)
        asked = Envelope(stage=stage, run="benchmark", round=number, payload=payload)
        content = RecordDict({RECORD: ConfigRecord(dict(asked.fields))})
        message = Message(content, dst_node_id=node_id, message_type=MESSAGE_TYPE, ttl=60.0)
        return list(side.push([message]))

    seconds = []
    for number in range(exchanges):
        time.sleep(0.37 * (number % 3))  # so that requests do not keep step with the device's polls
        start = time.perf_counter()
        (reply,) = side.replies(send("ask", number), poll_seconds=0.2)
        seconds.append(time.perf_counter() - start)
        assert reply.has_content()
    send("stop", exchanges)
    said = json.loads(device.stdout.read())
    device.wait(timeout=60)
    return seconds, said


def main() -> None:
    """Print one row for each polling interval."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--exchanges", type=int, default=21)
    exchanges = parser.parse_args().exchanges
    sys.path.insert(0, str(ROOT))
    from tests.superlink import superlink

    rows, figures = [], dict[str, Any]()
    with (
        tempfile.TemporaryDirectory(prefix="privet-bench-") as folder,
        superlink(Path(folder)) as link,
    ):
        side = link.start_run()
        for poll in ("1.0", "0.2"):
            seconds, said = measure(link, side, poll, exchanges)
            median = statistics.median(seconds)
            rows.append([poll, f"{median:.2f}", f"{max(seconds):.2f}", f"{said['rss_mb']:.0f}"])
            figures[f"median_exchange_seconds_poll_{poll}"] = round(median, 3)
            figures |= {name: said[name] for name in ("rss_mb", "peak_rss_mb", "flwr_loaded")}
        side.close()
    figures["import_seconds"] = round(import_seconds(), 3)
    print(f"One device, requests of {REQUEST_BYTES:,} bytes, replies of {4 * REPLY_INTEGERS:,}")
    table(["device polls every, s", "median exchange, s", "longest", "resident, MB"], rows)
    print(f"Import: {figures['import_seconds']} s; Flower loaded: {figures['flwr_loaded']}")
    worst = max(value for name, value in figures.items() if name.startswith("median"))
    finish(figures, passed=worst <= BAR_SECONDS and not figures["flwr_loaded"])


if __name__ == "__main__":
    main()
