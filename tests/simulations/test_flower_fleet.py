"""Devices in Flower's simulation, on Ray: the integers of the simulation in this process."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.federation.world import (
    DEVICES,
    SEED,
    TWO_SUMS,
    Recording,
    charged,
    coordinate,
    histories,
    plan_of,
)
from tests.superlink import HOST, free_port

from privet.client.carried import CarriedSession
from privet.client.device import egress_policy
from privet.client.flower_app import OpenSession
from privet.models.federation import Stage
from privet.models.model import state_hash
from privet.models.plan import Plan
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.errors import InputError
from privet.privacy.minimization.envelope import Envelope
from privet.privacy.minimization.flower_environment import ENVIRONMENT
from privet.privacy.minimization.gate import AdmittedMessage, Gate
from privet.privacy.randomness import Randomness
from privet.privacy.secagg.agreed import ProtocolTerms
from privet.privacy.secagg.primitives import SigningKey
from privet.server.flower import FlowerFleet
from privet.simulations import cli
from privet.simulations.devices import SimulatedDevices
from privet.simulations.fleet import InProcessFleet
from privet.simulations.flower_app import Configuration
from privet.simulations.flower_devices import HandedDevices
from privet.simulations.flower_engine import FlowerEngine, guard_ray
from privet.simulations.flower_fleet import PATIENT
from privet.simulations.protocol_fleet import ProtocolFleet

APP = Path(__file__).parents[2] / "simulations/examples/flower-app"


def slow(test: Callable[..., None]) -> Callable[..., None]:
    """Marks what starts Ray, which takes seconds and is not to be had for every Python."""
    why = "Ray is not installed: pip install 'privet[ray]'"
    missing = pytest.mark.skipif(find_spec("ray") is None, reason=why)
    marked: Callable[..., None] = pytest.mark.slow(missing(test))
    return marked


def test_without_ray_the_error_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("privet.simulations.flower_engine.find_spec", lambda name: None)
    data = write_data(tmp_path)
    code = cli.run(["simulate", str(data), "--fleet", "flower", "--out", str(tmp_path / "run")])
    assert code == InputError.exit_code
    assert "pip install 'privet[ray]'" in capsys.readouterr().err
    assert not (tmp_path / "run" / "run.db").exists()


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--device-cpus", "2"], "--fleet flower"),
        (["--fleet", "flower", "--device-cpus", "0"], "CPUs"),
        (["--fleet", "flower", "--drop", "0.1"], "--drop"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    options: list[str], word: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code = cli.run(["simulate", str(write_data(tmp_path)), *options])
    assert code == InputError.exit_code and word in capsys.readouterr().err


def test_there_is_a_device_for_each_partition_and_no_other() -> None:
    handed = HandedDevices()
    with pytest.raises(InputError):
        handed({"partition-id": 0})
    devices, _ = joined(plan_of(Trust.LOCAL, TWO_SUMS))
    handed.hold(devices)
    handed({"partition-id": DEVICES - 1})
    for wrong in (-1, DEVICES, "1", None):
        with pytest.raises(InputError):
            handed({"partition-id": wrong})


def write_data(folder: Path) -> Path:
    """A few histories in a CSV file."""
    cohort = histories(24, 30)
    events = zip(cohort.rows.tolist(), cohort.items.tolist(), strict=True)
    lines = ["user_id,item_id", *(f"u{user},i{item}" for user, item in events)]
    (folder / "data.csv").write_text("\n".join(lines) + "\n")
    return folder / "data.csv"


def joined(plan: Plan) -> tuple[SimulatedDevices, SigningKey]:
    """Devices that agreed to a plan, and the key of their server."""
    key = SigningKey.generate()
    randomness = partial(Randomness.insecure_seeded, SEED)
    devices = SimulatedDevices.joined(
        TWO_SUMS, histories(), plan, server_key=key.public, randomness=randomness
    )
    return devices, key


@contextmanager
def ray_node(*options: str) -> Iterator[None]:
    """A node of a Ray cluster with one core, in processes of its own."""
    command = [str(Path(sys.executable).with_name("ray")), "start", *options, "--num-cpus", "1"]
    command += ["--block", "--disable-usage-stats"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        try:
            assert process.stdout is not None
            said = iter(process.stdout.readline, b"")
            assert any(b"Ray runtime started" in line for line in said), "Ray does not start"
            yield
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """A Ray cluster of two nodes, as if they were two machines; its address."""
    guard_ray()
    address = f"{HOST}:{free_port()}"
    head = ("--head", "--port", address.partition(":")[2], "--include-dashboard", "false")
    # In a folder of its own, for whoever asks for no address joins the last cluster of the usual one.
    with (
        tempfile.TemporaryDirectory(dir="/tmp") as folder,  # paths of Unix sockets are short
        ray_node(*head, "--temp-dir", folder),
        ray_node("--address", address),
    ):
        yield address


def run_over(
    cluster: str,
    plan: Plan,
    folder: Path,
    change: Callable[[HandedDevices], OpenSession] = lambda handed: handed,
) -> tuple[list[bytes], str]:
    """Sums and model of a plan whose devices are in the cluster."""
    handed, (devices, key) = HandedDevices(), joined(plan)
    handed.hold(devices)
    with FlowerEngine(address=cluster).grid(change(handed), DEVICES) as grid:
        fleet = FlowerFleet(grid, federation=devices.federation, key=key, deadlines=PATIENT)
        recording = Recording(fleet)
        shared = coordinate(recording, plan, TWO_SUMS, folder)
    return recording.sums, state_hash(shared)


@slow
@pytest.mark.parametrize("trust", list(Trust))
def test_devices_on_two_nodes_of_ray_give_the_integers_and_the_model_of_one_process(
    trust: Trust, cluster: str, tmp_path: Path
) -> None:
    plan = plan_of(trust, TWO_SUMS)
    randomness = Randomness.insecure_seeded(SEED)
    here = Recording(
        InProcessFleet(TWO_SUMS, histories(), randomness=randomness, gate=Gate(egress_policy(plan)))
    )
    model = state_hash(coordinate(here, plan, TWO_SUMS, tmp_path / "here"))
    assert len(here.sums) == 2
    assert run_over(cluster, plan, tmp_path / "there") == (here.sums, model)


def clumsy(handed: HandedDevices) -> OpenSession:
    """Opens devices of which one ends its actor's process, and one fails in its code."""

    class Clumsy(CarriedSession):
        def answer(self, request: Envelope) -> AdmittedMessage | None:
            row = int(self._device.history.devices[0])
            if (row, request.stage) == (2, Stage.MASK):
                os._exit(1)
            if (row, request.stage) == (7, Stage.SHARE):
                raise RuntimeError("a device's own fault")
            return super().answer(request)

    def open_session(config: Mapping[str, object]) -> CarriedSession:
        return Clumsy(handed(config)._device)

    return open_session


@slow
def test_a_device_that_fails_in_its_actor_or_ends_it_has_dropped_out(
    cluster: str, tmp_path: Path
) -> None:
    agreed = ProtocolTerms(corrupt_permille=0, drop_permille=300)
    plan = replace(plan_of(Trust.SECURE_AGGREGATION, TWO_SUMS), protocol=agreed)
    protocol = ProtocolFleet(
        TWO_SUMS,
        plan,
        histories(),
        randomness=Randomness.insecure_seeded(SEED),
        dropping=lambda number, rows: {Stage.MASK: [2], Stage.SHARE: [7]},
    )
    here = Recording(protocol)
    model = state_hash(coordinate(here, plan, TWO_SUMS, tmp_path / "here"))
    assert run_over(cluster, plan, tmp_path / "there", clumsy) == (here.sums, model)
    left = [charge.terms.survivors for charge in charged(tmp_path / "there")]
    assert left == [DEVICES - 2] * 2


def privet(*arguments: str) -> str:
    """What a command prints, in a process of its own, which Ray leaves unclosed files in."""
    command = [str(Path(sys.executable).with_name("privet")), *arguments]
    found = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert found.returncode == 0, found.stderr
    return found.stdout


@slow
def test_the_command_gives_the_model_of_one_process_in_a_run_that_verifies(
    tmp_path: Path,
) -> None:
    data, runs = str(write_data(tmp_path)), []
    for fleet in ("in-process", "flower"):
        out = str(tmp_path / fleet)
        options = ("--no-references", "--insecure-seeded-noise", "--fleet", fleet, "--json")
        runs.append(json.loads(privet("simulate", data, *options, "--out", out)))
        privet("verify", out)
    here, there = runs
    assert there["model_hash"] == here["model_hash"]
    assert there["metrics"] == here["metrics"]
    assert there["secure_aggregation"] == "protocol"


OWN_CLUSTER = """
import os
import sys
from privet.simulations.flower_devices import HandedDevices
from privet.simulations.flower_engine import FlowerEngine

with FlowerEngine().grid(HandedDevices(), 1):
    import ray

    address = ray.get_runtime_context().gcs_address
    print(address, os.environ["RAY_AUTH_TOKEN"], file=sys.__stdout__, flush=True)
    sys.stdin.read()
"""
ENTER = """
import sys
import ray

ray.init(address=sys.argv[1], logging_level="error", log_to_driver=False)
print("entered")
"""


@slow
def test_whoever_has_no_token_does_not_get_into_a_cluster_that_is_started_here() -> None:
    bare = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    script = [sys.executable, "-c", OWN_CLUSTER]
    pipe = subprocess.PIPE
    with subprocess.Popen(script, env=bare, stdin=pipe, stdout=pipe, text=True) as own:
        assert own.stdin is not None and own.stdout is not None
        address, token = own.stdout.readline().split()

        def enters(environment: dict[str, str]) -> bool:
            found = subprocess.run(
                [sys.executable, "-c", ENTER, address],
                env={**bare, **environment},
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            return found.stdout == "entered\n"

        assert enters({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token})
        assert not enters({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token[::-1]})
        assert not enters({})
        own.stdin.close()
    assert own.returncode == 0


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


@contextmanager
def simulating_superlink(folder: Path) -> Iterator[dict[str, str]]:
    """A SuperLink that simulates, and the environment in which ``flwr`` finds it."""
    home, address = folder / "flwr", f"{HOST}:{free_port()}"
    home.mkdir()
    connection = f'[superlink.here]\naddress = "{address}"\ninsecure = true\n'
    (home / "config.toml").write_text(f'[superlink]\ndefault = "here"\n{connection}')
    bin_ = Path(sys.executable).parent
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
        **ENVIRONMENT,
        "FLWR_HOME": str(home),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": "ab" * 32,
        "RAY_ADDRESS": "local",
        "PATH": f"{bin_}{os.pathsep}{os.environ['PATH']}",
    }
    command = [str(bin_ / "flower-superlink"), "--insecure", "--simulation"]
    command += ["--host", HOST, "--port", address.partition(":")[2]]
    with (
        (folder / "superlink.log").open("wb") as log,
        subprocess.Popen(command, env=environment, stdout=log, stderr=log) as process,
    ):
        try:
            deadline = time.monotonic() + 120
            while not _listens(int(address.partition(":")[2])):
                assert time.monotonic() < deadline, (folder / "superlink.log").read_text()
                time.sleep(0.2)
            yield environment
        finally:
            process.terminate()


@slow
def test_flwr_run_takes_the_app_and_makes_the_model_of_one_process(tmp_path: Path) -> None:
    data = write_data(tmp_path)
    options = ("--no-references", "--insecure-seeded-noise", "--json")
    here = json.loads(privet("simulate", str(data), *options, "--out", str(tmp_path / "here")))
    said = {"data": str(data), "out": str(tmp_path / "there")}
    config = " ".join(f'{name}="{value}"' for name, value in said.items())
    nodes = "num-supernodes=24 client-resources-num-cpus=1"
    with simulating_superlink(tmp_path) as environment:
        command = ["flwr", "run", str(APP), "--stream", "--federation-config", nodes]
        command += ["--run-config", f"{config} insecure-seeded-noise=true"]
        found = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=400, check=False
        )
        listed = subprocess.run(
            ["flwr", "ls", "--format", "json"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout
    assert found.returncode == 0, found.stdout + found.stderr
    assert "finished:completed" in listed
    there = json.loads((tmp_path / "there" / "result.json").read_text())
    assert there["model_hash"] == here["model_hash"]
    assert there["secure_aggregation"] == "protocol"
    privet("verify", str(tmp_path / "there"))


def test_the_apps_configuration_is_what_it_takes(tmp_path: Path) -> None:
    settings = tomllib.loads((APP / "pyproject.toml").read_text())["tool"]["flwr"]["app"]
    assert Configuration.read(settings["config"]) == Configuration(data="ml-100k")
    assert set(settings["config"]) == {
        field.name.replace("_", "-") for field in fields(Configuration)
    }
    for wrong in ({}, {"data": "x", "epsilom": 1.0}, {"data": "x", "epsilon": "2"}):
        with pytest.raises(InputError):
            Configuration.read(wrong)
