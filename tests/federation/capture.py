"""Every frame of a network namespace of one's own, and what can be read in them.

The namespace has loopback and a way out that leads nowhere, so that whoever tries to reach another
host is seen doing it. Needs the right to make one, and raw sockets: ``why_not`` says what is missing.
"""

import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

_EVERYTHING = 3  # ETH_P_ALL
_FORCE_BUFFER = 33  # SO_RCVBUFFORCE
_WAY_OUT = """
sysctl -q net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
ip link set lo up
ip link add out0 type veth peer name nowhere
ip addr add 192.0.2.1/24 dev out0
ip link set out0 up
ip link set nowhere up
ip neigh add 192.0.2.2 lladdr 02:00:00:00:00:01 nud permanent dev out0
ip route add default via 192.0.2.2 dev out0
"""


def in_namespace(command: Sequence[str]) -> list[str]:
    """A command that runs another in such a namespace."""
    return ["unshare", "-n", "sh", "-ec", _WAY_OUT + 'exec "$@"', "sh", *command]


def why_not() -> str:
    """Why nothing can be captured here; empty if it can."""
    missing = [tool for tool in ("unshare", "ip", "sysctl") if shutil.which(tool) is None]
    if missing or not sys.platform.startswith("linux"):
        return f"needs Linux and {', '.join(missing) or 'its tools'}"
    probe = "import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close()"
    command = in_namespace([sys.executable, "-c", probe])
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return ""
    return "no namespace or no raw socket: " + (done.stderr.strip().splitlines() or ["?"])[-1]


class Capture:
    """A process that writes down every frame of every interface."""

    def __init__(self, file: Path) -> None:
        """Start it; from here on nothing is missed."""
        raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_EVERYTHING))
        raw.setsockopt(socket.SOL_SOCKET, _FORCE_BUFFER, 64 << 20)
        self.file = file
        sys.stdout.flush()
        self._process = os.fork()
        if not self._process:
            try:
                self._write(raw)
            finally:
                os._exit(0)
        raw.close()

    def _write(self, raw: socket.socket) -> None:
        with self.file.open("wb", buffering=0) as file:
            while True:
                frame = raw.recv(1 << 17)
                file.write(struct.pack(">I", len(frame)) + frame)

    def stop(self) -> list[bytes]:
        """End it; all frames."""
        os.kill(self._process, signal.SIGKILL)
        os.waitpid(self._process, 0)
        data, frames = self.file.read_bytes(), []
        while len(data) >= 4:
            (size,) = struct.unpack(">I", data[:4])
            frames.append(data[4 : 4 + size])
            data = data[4 + size :]
        return frames


@dataclass(frozen=True)
class Packet:
    """An IPv4 packet: who, to whom, and the bytes of its transport."""

    source: tuple[str, int]
    to: tuple[str, int]
    protocol: str
    sequence: int
    payload: bytes


def packets(frames: Sequence[bytes]) -> Iterator[Packet]:
    """The IPv4 packets; other frames as one of protocol ``other``."""
    for frame in frames:
        if frame[12:14] != b"\x08\x00":
            yield Packet(("", 0), ("", 0), f"other {frame[12:14].hex()}", 0, frame[14:])
            continue
        header = 4 * (frame[14] & 15)
        (total,) = struct.unpack(">H", frame[16:18])
        source, to = (str(IPv4Address(frame[at : at + 4])) for at in (26, 30))
        protocol = {6: "tcp", 17: "udp"}.get(frame[23], str(frame[23]))
        data = frame[14 + header : 14 + total]
        ports, sequence, body = (0, 0), 0, data
        if protocol in ("tcp", "udp"):
            ports = struct.unpack(">HH", data[:4])
            body = data[8:]
        if protocol == "tcp":
            (sequence,) = struct.unpack(">I", data[4:8])
            body = data[4 * (data[12] >> 4) :]
        yield Packet((source, ports[0]), (to, ports[1]), protocol, sequence, body)


def streams(found: Sequence[Packet]) -> list[bytes]:
    """What was said: each direction of each TCP connection in its order, then every other packet."""
    parts: dict[tuple[tuple[str, int], tuple[str, int]], dict[int, bytes]] = defaultdict(dict)
    others = []
    for packet in found:
        if packet.protocol == "tcp":
            if packet.payload:
                parts[packet.source, packet.to][packet.sequence] = packet.payload
        else:
            others.append(packet.payload)
    return [b"".join(data for _, data in sorted(part.items())) for part in parts.values()] + others


def readable(said: Sequence[bytes], secrets: Mapping[str, Sequence[bytes]]) -> list[str]:
    """The names of the secrets that someone who listens can read."""
    return [
        name
        for name, forms in secrets.items()
        if any(form in stream for stream in said for form in forms)
    ]


def strangers(found: Sequence[Packet], port: int) -> list[str]:
    """Whoever was spoken to and is not the server on loopback."""
    server = ("127.0.0.1", port)
    names = set()
    for packet in found:
        here = packet.source[0] == packet.to[0] == "127.0.0.1"
        if packet.protocol != "tcp" or not here or server not in (packet.source, packet.to):
            names.add(f"{packet.protocol} {packet.to[0]}:{packet.to[1]}")
    return sorted(names)
