"""A whole federation on loopback, in processes: killed, gone on with, watched, and delivered from.

What a server decides is in `test_service`; here are the SuperLink, the network and real deaths.
"""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.server.operation.federation import CATALOGUE, Fleet, made, privet, settings
from tests.server.operation.test_documented import documented
from tests.server.world import charges_in_file
from tests.superlink import free_port

pytestmark = [
    pytest.mark.slow,
    # Python 3.11 does not close a socket that is reset between its connection and TLS, as one is
    # where a SuperLink is killed.
    pytest.mark.filterwarnings("ignore:Exception ignored in. <ssl.SSLSocket"),
]

DEVICES = 8


class Server:
    """`privet server up` in a process of its own, and what it logs."""

    def __init__(self, place: Path, *options: str) -> None:
        self.place, self.log = place, list[dict[str, Any]]()
        command = [str(Path(sys.executable).with_name("privet")), "server", "up", str(place)]
        self.process = subprocess.Popen(
            [*command, *options], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        )

    def until(self, event: str, **values: str) -> None:
        """Read its log as far as an event."""
        assert self.process.stderr is not None
        for text in self.process.stderr:
            line = json.loads(text)
            self.log.append(line)
            if line["event"] == event and values.items() <= line.items():
                return
        raise AssertionError(f"the server ended before {event!r}: {self.log[-3:]}")

    def kill(self) -> None:
        self.process.kill()
        self._end()

    def stop(self) -> int:
        self.process.terminate()
        return self._end()

    def kill_superlink(self) -> None:
        os.kill(int((self.place / "superlink" / "superlink.pid").read_text()), signal.SIGKILL)

    def _end(self) -> int:
        _, rest = self.process.communicate(timeout=60)
        self.rest = rest
        return self.process.returncode


@contextmanager
def by_command(device: Path, folder: Path) -> Iterator[None]:
    """One of the devices, run by the command line; it answers, and says so when it is stopped."""
    events, items = folder / "events.csv", folder / "items.csv"
    events.write_text("item_id\nitem-3\nitem-5\nno such item\n")
    items.write_text("item_id\n" + "\n".join(CATALOGUE.item_ids) + "\n")
    command = [str(Path(sys.executable).with_name("privet")), "client", "run", str(device)]
    command += ["--data", str(events), "--catalogue", str(items), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield
        finally:
            process.terminate()
            said, _ = process.communicate(timeout=120)
    body = json.loads(said)
    assert set(body) == documented("privet client run")
    assert body["answered"] > 0 and body["version"] == 1


def test_a_federation_outlives_its_server_and_its_superlink(tmp_path: Path) -> None:
    place, port = tmp_path / "server", free_port()
    own = settings(budget=30.0, devices=DEVICES)
    own = replace(
        own,
        network=replace(own.network, metrics_port=port),
        rounds=replace(own.rounds, attempts=9, rollout_permille=500),
    )
    directory = made(place, own)
    fleet = Fleet(directory, tmp_path, DEVICES)
    with fleet.alive(first=1), by_command(fleet.folders[0], tmp_path):
        first = Server(place, "--once")
        first.until("round reached a phase", phase="charged")
        first.kill()
        assert charges_in_file(place / "runs" / "1") == 1
        # What the dead server may have learnt stays paid for: a repeat is beyond the run's budget.
        server = Server(place, "--budget", "20")
        try:
            server.until("round reached a phase", phase="allowed")
            server.kill_superlink()
            server.until("superlink died and was started again")
            server.until("model rolled out")
            assert charges_in_file(place / "runs" / "1") == 2
            code, body, _ = privet("server", "up", str(place))
            assert (code, body["error"]) == (2, "InputError")  # one server at a time
            assert privet("server", "rollout", str(place), "1", "1000")[1]["stable"] == 1
            status = await_models(place)
            assert status["serving"] and status["run"]["finished"]
            assert status["population"]["releases"] == 2
            metrics = scraped(port)
            assert metrics["privet_superlink_restarts_total"] == 1
            assert metrics["privet_devices_in_last_sum"] >= 6
            assert metrics["privet_population_epsilon"] == status["population"]["epsilon"]
        finally:
            code = server.stop()
        assert code == 130 and server.rest.splitlines()[-1] == "privet: Interrupted."
        (model,) = privet("server", "models", str(place))[1]["models"]
        assert fleet.held() == [(1, model["state_hash"])] * DEVICES
        code, body, log = privet("server", "up", str(place), "--once")
        assert code == 0 and not body["trained"] and body["waiting"] == 0
        assert set(body) == documented("privet server up")
        assert all(json.loads(line) for line in log.splitlines())
    verified = privet("verify", str(place / "runs" / "1"), "--population", str(place))
    assert verified[0] == 0 and verified[1]["verified"]


def await_models(place: Path) -> dict[str, Any]:
    """Where a federation is, once all of its devices said that they have the first model."""
    for _ in range(60):
        status = privet("server", "status", str(place))[1]
        if status["devices"]["by_model"] == {"1": DEVICES}:
            return status
    raise AssertionError(status)


def scraped(port: int) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as reply:
        families = text_string_to_metric_families(reply.read().decode())
        return {sample.name: sample.value for family in families for sample in family.samples}
