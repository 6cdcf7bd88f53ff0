"""What the client costs on a device: every bar of the client that apps embed, through `Client`.

With a catalogue of 20,000 items (title, categories, description of forty words) and one of 200,000
(title and categories), a published model with a head of 2,048 items, and a history of 10,000 events.
Times are medians on the clock of the wall, of which the bars speak, and beside them of the processor,
on which other programs do not count. Beside recording is one raw ``fsync`` of the same disk, which
is in it, and recording in memory, without a disk. What is not measured, for want of a package index
or such a file system, is printed as such and does not pass.
"""

import argparse
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from common import finish, table
from ranking import made_up

from privet.client.client import Client
from privet.client.device import DeviceTask, egress_policy, take_part
from privet.client.learning.published import Published
from privet.client.vault.event import Event
from privet.client.vault.history import history
from privet.client.vault.key_source import HostKey, Passphrase
from privet.client.vault.vault import Vault
from privet.models.catalogue import Catalogue
from privet.models.plan import Plan, PublicFacts
from privet.models.planning import make_plan
from privet.models.spectral import Spectral
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.minimization.agreement import Agreement
from privet.privacy.minimization.gate import Gate
from privet.privacy.randomness import Randomness

ROOT = Path(__file__).resolve().parents[1]
EVENTS, RECORDS, REPEATS, NOW = 10_000, 300, 15, 1_700_000_000
HEAD, DIRECTIONS = 2048, 64
FORBIDDEN = frozenset({"torch", "flwr", "scipy", "pandas", "sklearn", "dp_accounting"})
QUERY = "word7 word1500, no category3"
KEY = HostKey(os.urandom(32))
BARS = {
    "import privet.client, s": 0.3,
    "import of Client, s": 0.3,
    "environment, MB": 120.0,
    "open, ms": 100.0,
    "record, ms": 2.0,
    "recommend(10), ms": 10.0,
    "recommend(10) of 200,000, ms": 50.0,
    "search, ms": 20.0,
    "training step, s": 2.0,
    "10,000 events, MB": 5.0,
}


@dataclass(frozen=True, kw_only=True)
class Figure:
    """Something measured, and the bar that it is to stay below, if it has one."""

    name: str
    value: float
    cpu: float = math.nan

    @property
    def verdict(self) -> str:
        """In a word."""
        bar = BARS.get(self.name)
        if math.isnan(self.value):
            return "not measured"
        return "" if bar is None else "ok" if self.value < bar else "MISSED"


def timed(name: str, call: Callable[[], object], repeats: int = REPEATS) -> Figure:
    """Median times of a call, in milliseconds."""
    wall, cpu = [], []
    for _ in range(repeats):
        before = time.process_time()
        start = time.perf_counter()
        call()
        wall.append(time.perf_counter() - start)
        cpu.append(time.process_time() - before)
    return Figure(name=name, value=float(np.median(wall)) * 1e3, cpu=float(np.median(cpu)) * 1e3)


def imports() -> Iterator[Figure]:
    """Import times in fresh interpreters, and that nothing heavy comes along."""
    for name, code in (
        ("import privet.client, s", "import privet.client"),
        ("import of Client, s", "from privet.client import Client"),
        ("of that numpy, s", "import numpy"),
    ):
        clocks = "(time.perf_counter(), time.process_time())"
        program = f"import time; a, b = {clocks}; {code}; c, d = {clocks}; print(c - a, d - b)"
        runs = [subprocess.check_output([sys.executable, "-c", program]).split() for _ in range(7)]
        wall, cpu = np.median(np.array(runs, float), axis=0).tolist()
        yield Figure(name=name, value=wall, cpu=cpu)
    code = "import sys; from privet.client import Client; print(*sys.modules)"
    loaded = set(subprocess.check_output([sys.executable, "-c", code], text=True).split())
    assert not loaded & FORBIDDEN, f"heavy packages are loaded: {loaded & FORBIDDEN}"


def environment() -> Iterator[Figure]:
    """Size of a fresh environment with the client's dependencies alone."""
    with tempfile.TemporaryDirectory(prefix="privet-bench-") as folder:
        venv = Path(folder) / "venv"
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        pip: list[str | Path] = [venv / "bin" / "python", "-m", "pip", "install", "--quiet"]
        pip += ["--disable-pip-version-check", "-c", ROOT / "constraints.txt", ROOT]
        done = subprocess.run(pip, check=False, capture_output=True)
        size = sum(f.lstat().st_size for f in venv.rglob("*") if f.is_file() or f.is_symlink())
        good = done.returncode == 0
        if good:
            works = "from privet.client import Client, HostKey, Catalogue"
            subprocess.run([venv / "bin" / "python", "-c", works], check=True, cwd=folder)
        yield Figure(name="environment, MB", value=size / 1e6 if good else math.nan)


def event(rng: np.random.Generator, items: int, number: int) -> Event:
    """An event as an app records it."""
    kind = "like" if number % 10 == 0 else "view"
    item = f"item {int(items * rng.random() ** 2)}"
    return Event(kind=kind, item=item, time=NOW + number, context={"session": f"s{number // 20}"})


def published(items: int) -> Published:
    """A model as a federation publishes it, with made-up numbers."""
    rng = np.random.default_rng(1)
    shared = {
        "popularity": rng.gamma(0.3, 10.0, items),
        "head": np.sort(rng.choice(items, HEAD, replace=False)).astype(np.int64),
        "popularity_noise": np.array([1.0]),
        "vectors": np.linalg.qr(rng.normal(size=(HEAD, DIRECTIONS)))[0],
        "weights": rng.random(DIRECTIONS),
        "leave_out": 1 - 0.5 * rng.random(HEAD),
    }
    return Published(model=Spectral(), shared=shared)


@contextmanager
def opened(path: Path, catalogue: Catalogue, model: Published) -> Iterator[Client]:
    """A client."""
    with Client.open(
        path, catalogue=catalogue, key=KEY, published=model, clock=lambda: NOW + EVENTS
    ) as client:
        yield client


def fsync(folder: Path) -> Figure:
    """Appending 4 KiB to a file, and its fsync."""
    with (folder / "raw").open("wb", buffering=0) as file:

        def append() -> None:
            file.write(bytes(4096))
            os.fsync(file.fileno())

        return timed("of that one raw fsync, ms", append, RECORDS)


def recording(name: str, client: Client, items: int, first: int) -> Figure:
    """Recording one event."""
    rng = np.random.default_rng(first)
    numbers = iter(range(first, first + RECORDS))

    def record() -> None:
        one = event(rng, items, next(numbers))
        client.record(one.kind, one.item, time=one.time, context=one.context)

    return timed(name, record, RECORDS)


def size_mb(folder: Path, pattern: str = "me.db*") -> float:
    """Files of a folder, in units of 10^6 bytes."""
    return sum(file.stat().st_size for file in folder.glob(pattern)) / 1e6


def made(path: Path, catalogue: Catalogue) -> None:
    """A store with a history."""
    rng = np.random.default_rng(0)
    with Client.open(path, catalogue=catalogue, key=KEY) as client:
        client.consent.grant("personalize")
    with Vault(path, key=KEY) as vault:
        for start in range(0, EVENTS - RECORDS, 100):
            vault.record(*(event(rng, len(catalogue), start + n) for n in range(100)))


def store(catalogue: Catalogue) -> Iterator[Figure]:
    """Opening, recording and sizes."""
    model = published(len(catalogue))
    with tempfile.TemporaryDirectory(prefix="privet-bench-") as folder:
        home = Path(folder) / "store"
        home.mkdir()
        path = home / "me.db"
        made(path, catalogue)
        with opened(path, catalogue, model) as client:
            client.recommend(10)
            yield recording("record, ms", client, len(catalogue), EVENTS - RECORDS)
            yield fsync(Path(folder))
            yield Figure(name="10,000 events, MB", value=size_mb(home, "me.db"))
            yield Figure(name="and its log while open, MB", value=size_mb(home, "me.db-*"))
            yield Figure(name="and kept features, MB", value=size_mb(home, "me.db.features"))

        def open_and_close() -> None:
            with opened(path, catalogue, model):
                pass

        yield timed("open, ms", open_and_close)
        with opened(path, catalogue, model) as client:
            yield timed("erase(all), ms", lambda: client.erase(all=True), 1)
    yield without_disk(catalogue, model)
    yield timed("a passphrase's own cost, ms", lambda: Passphrase("a passphrase").create(), 3)


def without_disk(catalogue: Catalogue, model: Published) -> Figure:
    """Recording where fsync costs nothing; not measured without such a file system."""
    memory, name = Path("/dev/shm"), "record without a disk, ms"
    if not memory.is_dir():
        return Figure(name=name, value=math.nan)
    with tempfile.TemporaryDirectory(prefix="privet-bench-", dir=memory) as folder:
        path = Path(folder) / "me.db"
        made(path, catalogue)
        with opened(path, catalogue, model) as client:
            client.recommend(10)
            return recording(name, client, len(catalogue), EVENTS - RECORDS)


def use(catalogue: Catalogue, suffix: str) -> Iterator[Figure]:
    """Lists, searches and reasons, with a history of 10,000 events and a model."""
    model, rng = published(len(catalogue)), np.random.default_rng(2)
    with tempfile.TemporaryDirectory(prefix="privet-bench-") as folder:
        path = Path(folder) / "me.db"
        made(path, catalogue)
        with opened(path, catalogue, model) as client:
            yield timed(f"the very first list{suffix}, ms", lambda: client.recommend(10), 1)
        with opened(path, catalogue, model) as client:
            yield timed(f"first list after opening{suffix}, ms", lambda: client.recommend(10), 1)
            found = client.recommend(10)
            for name, call in (
                ("recommend(10)", lambda: client.recommend(10)),
                ("with diversity", lambda: client.recommend(10, diversity=0.3)),
                ("with a query", lambda: client.recommend(10, query=QUERY)),
                ("popular", lambda: client.recommend(10, mode="popular")),
                ("explain", lambda: client.explain(found[0])),
                ("search", lambda: client.search(QUERY, 10)),
                ("similar", lambda: client.similar("item 17")),
            ):
                yield timed(f"{name}{suffix}, ms", call)

            def record_and_list() -> None:
                client._parts.memory.record(event(rng, len(catalogue), EVENTS))
                client.recommend(10)

            yield timed(f"record and recommend(10){suffix}, ms", record_and_list)


def training(catalogue: Catalogue) -> Iterator[Figure]:
    """The device's part of each step of a plan: contribute, clip, encode, its share of the noise."""
    facts = PublicFacts(
        devices=100_000,
        items=len(catalogue),
        epsilon=4.0,
        delta=1e-6,
        trust=Trust.SECURE_AGGREGATION,
    )
    plan, rng = (
        make_plan(Spectral(), facts, catalogue_hash=catalogue.hash),
        np.random.default_rng(0),
    )
    events = [event(rng, len(catalogue), n) for n in range(EVENTS)]
    cohort = history(events, catalogue, now=NOW + EVENTS).cohort
    shared = published(len(catalogue)).shared
    slowest = Figure(name="", value=0.0)
    for step in plan.steps:
        task, gate = DeviceTask(plan=plan, step=step, shared=shared), _gate(plan)

        def part(task: DeviceTask = task, gate: Gate = gate) -> None:
            secret = Randomness.secret()
            take_part(Spectral(), task, {}, cohort, randomness=secret, gate=gate,
                      add_noise_share=True)  # fmt: skip

        taken = timed("", part, 1)
        name = f"{step.name}, {step.encoding.dimension:,} numbers, s"
        yield Figure(name=name, value=taken.value / 1e3, cpu=taken.cpu / 1e3)
        slowest = max(slowest, taken, key=lambda figure: figure.value)
    yield Figure(name="training step, s", value=slowest.value / 1e3, cpu=slowest.cpu / 1e3)


def _gate(plan: Plan) -> Gate:
    policy = egress_policy(plan)
    agreement = Agreement(
        plan_hashes=frozenset({plan.hash}), policy_hashes=frozenset({policy.hash})
    )
    return Gate(policy, agreement=agreement)


def main() -> None:
    """Measure everything and print it beside its bar."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-environment", action="store_true", help="install nothing")
    arguments = parser.parse_args()
    small, large = made_up(20_000, described=True), made_up(200_000, described=False)
    figures = [
        *imports(),
        *([] if arguments.no_environment else environment()),
        *store(small),
        *use(small, ""),
        *use(large, " of 200,000"),
        *training(small),
    ]
    rows = [
        [f.name, f"{f.value:.2f}", _shown(f.cpu), BARS.get(f.name, ""), f.verdict] for f in figures
    ]
    table(["figure", "measured", "processor", "below", ""], rows)
    print(f"Load of this machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores.")
    measured: dict[str, object] = {
        f.name: [None if math.isnan(x) else round(x, 4) for x in (f.value, f.cpu)] for f in figures
    }
    named = {f.name: f.verdict for f in figures}
    finish(measured, passed=all(named.get(name) == "ok" for name in BARS))


def _shown(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.2f}"


if __name__ == "__main__":
    main()
