"""A whole federation on loopback: trained, killed, gone on with, paid for, rolled out and back."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.server.operation.federation import CATALOGUE, DEVICES, Fleet, made, privet, settings
from tests.server.operation.test_documented import documented
from tests.server.world import charges_in_file

from privet.privacy.ledger import charges
from privet.server.storage import RunStore

pytestmark = pytest.mark.slow


def killed_at(place: Path, phase: str) -> None:
    """Start a server, and kill it where its log says that a round reached a phase."""
    command = [str(Path(sys.executable).with_name("privet")), "server", "up", str(place), "--once"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if json.loads(line).get("phase") == phase:
                break
        else:
            raise AssertionError(f"the server ended before {phase}")
        os.kill(process.pid, signal.SIGKILL)


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


def spent(place: Path) -> int:
    store = RunStore(place / "runs" / "1")
    try:
        return len(charges(store.entries))
    finally:
        store.close()


def test_a_server_that_is_killed_goes_on_and_models_reach_devices_and_are_taken_back(
    tmp_path: Path,
) -> None:
    place = tmp_path / "server"
    fleet = Fleet(made(place, settings(budget=30.0)), tmp_path)
    with fleet.alive(first=1), by_command(fleet.folders[0], tmp_path):
        killed_at(place, "allowed")
        assert spent(place) == 0
        killed_at(place, "charged")
        assert spent(place) == 1
        # What the dead server may have learnt stays paid for: a repeat is beyond the run's budget.
        code, body, _ = privet("server", "up", str(place), "--once")
        assert (code, body["error"]) == (4, "BudgetError")
        code, body, _ = privet("server", "up", str(place), "--once", "--budget", "20")
        assert code == 0 and body["trained"] and body["waiting"] == 0
        assert set(body) == documented("privet server up")
        assert spent(place) == 2 == charges_in_file(place / "runs" / "1")
        first = body["state_hash"]
        _, models, _ = privet("server", "models", str(place))
        assert [m["state_hash"] for m in models["models"]] == [first]
        assert fleet.held() == [(1, first)] * DEVICES

        code, body, _ = privet("server", "up", str(place), "--once", "--again")
        assert code == 0 and body["version"] == 2
        assert fleet.held() == [(2, body["state_hash"])] * DEVICES
        assert privet("server", "rollback", str(place))[1]["stable"] == 1
        code, body, _ = privet("server", "up", str(place), "--once")
        assert code == 0 and not body["trained"]
        assert fleet.held() == [(1, first)] * DEVICES
    _, status, _ = privet("server", "status", str(place))
    assert status["devices"]["by_model"] == {"1": DEVICES}
    assert status["population"]["releases"] == 3


def test_nothing_is_asked_of_devices_for_a_run_beyond_the_budget(tmp_path: Path) -> None:
    place = tmp_path / "server"
    directory = made(place, settings(budget=4.0))
    fleet = Fleet(directory, tmp_path)
    population = directory.population()
    population.start(directory.invitation.plan, tuning=False)
    population.close()
    text = (place / "privet.toml").read_text()
    (place / "privet.toml").write_text(text.replace("budget = 4.0", "budget = 1.0"))
    with fleet.alive() as members:
        code, body, log = privet("server", "up", str(place), "--once")
        assert (code, body["error"]) == (4, "BudgetError")
        assert "server started" not in log
        assert all(not member.store.ledger.entries for member in members)
