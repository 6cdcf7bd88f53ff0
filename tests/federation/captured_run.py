"""A whole run, or a device that leaks, while every frame is captured; prints what was seen as JSON.

To be run in a namespace of its own, see ``capture``. Every process that is Python's and ours also
has an audit hook that writes down to whom it connects and what names it looks up.
"""

import json
import os
import socket
import sys
import threading
from base64 import b64encode
from pathlib import Path
from typing import Any

import numpy as np
from tests.federation.capture import Capture, packets, readable, strangers, streams
from tests.federation.live import LiveFederation, Serving, events, identity_key, kill
from tests.federation.world import FEDERATION, SERVER_KEY, histories, plan_of
from tests.superlink import SuperLink, superlink

from privet.models.popularity import Popularity
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.minimization.flower_environment import quiet_flower
from privet.server.courier import Deadlines

DEVICES, ITEMS = 4, 20
ELSEWHERE = ("198.51.100.7", 53)  # of a range that is for documents
PATIENT = Deadlines(**dict.fromkeys(vars(Deadlines()), 60.0))


def main(folder: Path, mode: str) -> None:
    """Capture a run (``honest``), or a device that leaks (``leaking``)."""
    quiet_flower()
    audit = folder / "audit"
    _watch(audit)
    capture = Capture(folder / "frames")
    with superlink(folder) as link:
        live = _federation(link, folder)
        live.enrol(range(DEVICES))
        outcome = _honest(live) if mode == "honest" else _leaking(live)
        said, port = secrets(live), link.port
    found = list(packets(capture.stop()))
    lines = [json.loads(line) for line in audit.read_text().splitlines()]
    answer = {
        "outcome": outcome,
        "packets": len(found),
        "bytes": sum(len(packet.payload) for packet in found),
        "readable": readable(streams(found), said),
        "searched": sorted(said),
        "strangers": strangers(found, port),
        "connected": sorted({line for line in lines if line != f"socket.connect 127.0.0.1:{port}"}),
        "connections": len(lines),
    }
    print(json.dumps(answer))


def _federation(link: SuperLink, folder: Path) -> LiveFederation:
    cohort = histories(DEVICES, ITEMS)
    model = Popularity()
    return LiveFederation(
        link=link,
        folder=folder,
        plan=plan_of(Trust.SECURE_AGGREGATION, model, cohort=cohort, seeded=False, fewest=DEVICES),
        model=model,
        cohort=cohort,
        federation=FEDERATION,
        key=SERVER_KEY,
    )


def _honest(live: LiveFederation) -> str:
    """A run from its first message to its model."""
    devices = [live.devices(range(2)), live.devices(range(2, DEVICES))]
    serving = Serving(
        directory=live.folder / "run", journal=live.folder / "journal", deadlines=PATIENT
    )
    os.waitpid(live.server(serving), 0)
    for process in devices:
        kill(process)
    last = events(serving.journal)[-1]
    return str(last.get("error")) or "finished"


def _leaking(live: LiveFederation) -> str:
    """What a device must not do: each secret in the clear to loopback, and a packet to elsewhere."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        where = server.getsockname()

        def leak() -> None:
            with socket.create_connection(where) as connection:
                for forms in secrets(live).values():
                    connection.sendall(b"|".join(forms))
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.sendto(b"name?", ELSEWHERE)

        thread = threading.Thread(target=leak)
        thread.start()
        connection, _ = server.accept()
        with connection:
            while connection.recv(1 << 16):
                pass
        thread.join()
    return "leaked"


def secrets(live: LiveFederation) -> dict[str, list[bytes]]:
    """What must not be readable, in the forms that it could have."""
    histories = [live.cohort.slice(row, row + 1).items for row in range(len(live.cohort))]
    identities = [identity_key(row).public for row in range(DEVICES)]
    items = [one for one in histories if len(one) > 2]
    words = ("advertise", "share", "cosign", "unmask", "hello", "privet", "popularity")
    return {
        "identity keys": [form for key in identities for form in _forms(key)],
        "transport keys": [
            b"".join(identity.public_pem().splitlines()[1:-1])
            for identity in live.identities.values()
        ],
        "server key": _forms(live.federation.server_key),
        "plan": [live.plan.hash.encode(), *_forms(bytes.fromhex(live.plan.hash))],
        "run": [live.federation.run.encode()],
        "histories": [
            form
            for one in items
            for kind in ("<u4", ">u4", "<i8", ">i8")
            for form in (one.astype(kind).tobytes(),)
        ]
        + [json.dumps(one.tolist()).encode() for one in items]
        + [",".join(map(str, one.tolist())).encode() for one in items],
        "dense histories": [
            np.isin(np.arange(ITEMS), one).astype(kind).tobytes()
            for one in items
            for kind in ("u1", "<u4", ">u4", "<f4", "<f8")
        ],
        **{f"the word {word}": [word.encode()] for word in words},
    }


def _forms(data: bytes) -> list[bytes]:
    return [data, data.hex().encode(), b64encode(data)]


def _watch(file: Path) -> None:
    """From now on, write down whom this process and its forks connect to or look up."""
    out = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
            where = arguments[1]
            name = ":".join(map(str, where[:2])) if isinstance(where, tuple) else str(where)
        elif event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
            name = str(arguments[0])
            if name == "127.0.0.1":
                return  # no look-up: it is an address already
        else:
            return
        os.write(out, json.dumps(f"{event} {name}").encode() + b"\n")

    sys.addaudithook(hook)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
