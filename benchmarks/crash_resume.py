"""Kill a simulation with SIGKILL in every phase, resume it, and look for anything uncharged.

A forked process runs a two-step plan and kills itself at one moment; a fresh process, the real
command line, resumes it. Four modes: noise from a seed and central noise with a kept key, where a repeat
is the same release and is charged once; real noise of devices, where it is charged again; and that
with a population's ledger too, where nothing learnt may be missing.

``--quick`` kills a few times only. Prints a table and, as its last line, one JSON object.
"""

import argparse
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from privet.models.plan import Plan
from privet.models.spectral import Spectral
from privet.privacy.accounting.accountants import claimed_epsilon
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.errors import PrivetError
from privet.privacy.ledger import Charge, Entry, EntryKind, charges
from privet.server.coordinator import Phase, Progress
from privet.server.population import PopulationRun
from privet.server.storage import RunStore
from privet.simulations import reporting, simulation
from privet.simulations.commands.verify import verify_path
from privet.simulations.comparison import Row
from privet.simulations.data.load import load
from privet.simulations.data.privet_file import save
from privet.simulations.data.synthetic import SyntheticConfig, synthesize
from privet.simulations.federation import Target, federate, plan_for, write_durably
from privet.simulations.preparation import Task, prepare
from privet.simulations.simulation import Options, Watcher, simulate

EPSILON, BUDGET, SEED, USERS, ITEMS = 4.0, 40.0, 7, 600, 40
STEPS = ("popularity", "co-occurrence")
MODES = ("seeded", "central", "real", "population")
DEVICE_NOISE = ("real", "population")
BEFORE, OPENED, EVALUATION = "before the plan", "empty ledger", "evaluation"
FILES = ("report.html", "report.json", "result.json")
IN_ROUNDS = tuple(f"{step}: {phase}" for step in STEPS for phase in Phase)
BETWEEN = tuple(f"{step}: between ledgers" for step in STEPS)
MOMENTS = (BEFORE, OPENED, *IN_ROUNDS, *BETWEEN, EVALUATION, *FILES)
QUICK = (
    ("seeded", f"{STEPS[1]}: {Phase.CHARGED}"),
    ("central", f"{STEPS[0]}: {Phase.SUMMED}"),
    ("real", f"{STEPS[1]}: {Phase.UPDATED}"),
    ("real", "report.json"),
    ("population", BETWEEN[0]),
    ("population", f"{STEPS[0]}: {Phase.SUMMED}"),
)
NOT_CLOSED = (Phase.CHARGED, Phase.SUMMED, Phase.UPDATED)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One kill.

    Attributes:
        mode: Of the noise.
        moment: When to kill.
        data: The world, a .privet file.
        run_dir: Of the run.
    """

    mode: str
    moment: str
    data: Path
    run_dir: Path

    @property
    def target(self) -> Target:
        """What both processes ask for."""
        trust = Trust.CENTRAL if self.mode == "central" else Trust.SECURE_AGGREGATION
        return Target(epsilon=EPSILON, trust=trust)

    @property
    def left_open(self) -> str | None:
        """The step whose release is charged but not closed at the kill."""
        step, _, phase = self.moment.partition(": ")
        return step if phase in NOT_CLOSED else None

    @property
    def population(self) -> Path | None:
        """The ledger that the run spends from too."""
        return self.run_dir.with_suffix(".db") if self.mode == "population" else None

    def task(self) -> Task:
        """The devices' data."""
        return prepare(load(self.data), seed=SEED)

    def command(self, *more: str) -> list[str]:
        """The real command line with the same options."""
        options = ["--epsilon", str(EPSILON), "--seed", str(SEED), "--no-references", "--json"]
        options += ["--trust", str(self.target.trust), "--out", str(self.run_dir)]
        options += ["--insecure-seeded-noise"] if self.mode == "seeded" else []
        if self.population is not None:
            options += ["--population", str(self.population), "--population-budget", str(BUDGET)]
        return [sys.executable, "-m", "privet", "simulate", str(self.data), *options, *more]


def main() -> int:
    """Run all kills, or the few quick ones; 0 if nothing was wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="a few kills only")
    arguments = parser.parse_args()
    started = time.monotonic()
    every = [(mode, at) for mode in MODES for at in MOMENTS]
    full = [one for one in every if one[0] == "population" or one[1] not in BETWEEN]
    chosen = QUICK if arguments.quick else full
    with tempfile.TemporaryDirectory(prefix="privet-crash-") as folder:
        data = Path(folder) / "world.privet"
        save(synthesize(SyntheticConfig(users=USERS, items=ITEMS), seed=0).dataset, data)
        expected = uninterrupted_hash(data, Path(folder) / "uninterrupted")
        cases = [
            Case(mode=mode, moment=at, data=data, run_dir=Path(folder) / f"run-{i}")
            for i, (mode, at) in enumerate(chosen)
        ]
        exits = [run_until_killed(case) for case in cases]  # forks before there are threads
        with ThreadPoolExecutor(2) as pool:
            found = list(pool.map(lambda case, code: check(case, code, expected), cases, exits))
    return report(cases, found, seconds=time.monotonic() - started)


def report(cases: list[Case], found: list[list[str]], *, seconds: float) -> int:
    """The table, the reasons, and the figures as the last line."""
    wrong = {(case.mode, case.moment): bad for case, bad in zip(cases, found, strict=True) if bad}
    modes = [mode for mode in MODES if any(case.mode == mode for case in cases)]
    done = {(case.mode, case.moment) for case in cases}
    print(f"{'killed at':<26}" + "".join(f"{mode:>12}" for mode in modes))
    for moment in MOMENTS:
        marks = [
            "WRONG" if (mode, moment) in wrong else "ok" if (mode, moment) in done else "-"
            for mode in modes
        ]
        if set(marks) != {"-"}:
            print(f"{moment:<26}" + "".join(f"{mark:>12}" for mark in marks))
    for (mode, moment), bad in wrong.items():
        for reason in bad:
            print(f"WRONG: {mode}, killed at {moment!r}: {reason}")
    figures = {
        "benchmark": "crash_resume",
        "kills": len(cases),
        "kills_by_mode": dict(Counter(case.mode for case in cases)),
        "moments": len({case.moment for case in cases}),
        "wrong": len(wrong),
        "seconds": round(seconds, 1),
        "pass": not wrong,
    }
    print(json.dumps(figures))
    return 1 if wrong else 0


def run_until_killed(case: Case) -> int:
    """Simulate in a process of its own that dies at the moment; how it ended."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        die_at_moment(case)
    finally:
        os._exit(3)  # not killed: whatever happened, this process must not go on


def die_at_moment(case: Case) -> None:
    """In the child: simulate, and die."""
    step, _, phase = case.moment.partition(": ")

    def observer(at: Progress) -> None:
        if (at.step, at.phase) == (step, phase):
            die()

    def planned(_: Plan) -> None:
        if case.moment == BEFORE:
            die()

    def on_row(_: Row) -> None:
        if case.moment == EVALUATION:
            die()

    def half_written(path: Path, data: bytes) -> None:
        if path.name == case.moment:
            path.with_name(f".{path.name}.partial").write_bytes(data[: len(data) // 2])
            die()
        write_durably(path, data)

    def append(*_: object) -> None:
        die()

    if case.moment in FILES:
        for module in (reporting, simulation):
            setattr(module, "write_durably", half_written)  # noqa: B010 - a test's double
    if case.moment == OPENED:
        setattr(RunStore, "append", append)  # noqa: B010 - a test's double
    charge = PopulationRun.charge

    def charged(self: PopulationRun, one: Charge, *, repeatable: bool) -> None:
        charge(self, one, repeatable=repeatable)
        if case.moment in BETWEEN and one.step == step:
            die()

    setattr(PopulationRun, "charge", charged)  # noqa: B010 - a test's double
    options = Options(
        target=case.target,
        seed=SEED,
        insecure_seeded_noise=case.mode == "seeded",
        references=False,
        population=case.population,
        population_budget=None if case.population is None else BUDGET,
    )
    simulate(
        Spectral(),
        case.task(),
        options,
        case.run_dir,
        watcher=Watcher(planned=planned, observer=observer, on_row=on_row),
    )


def die() -> None:
    """As by the kernel: nothing is flushed, nothing is cleaned up."""
    os.kill(os.getpid(), signal.SIGKILL)


def check(case: Case, exited: int, expected: str) -> list[str]:
    """Resume what was killed, and say what is wrong."""
    if exited != -signal.SIGKILL:
        return [f"the process was to be killed, but exited {exited}"]
    if case.moment in (BEFORE, OPENED):
        return check_not_begun(case)
    try:
        verify_path(case.run_dir)  # unfinished, but whole: a checkpoint has its charge
    except PrivetError as error:
        return [f"the crashed run does not verify: {error}"]
    before = ledger(case.run_dir)
    kept = case.run_dir / "noise.key"
    key = kept.read_bytes() if kept.exists() else None
    refused = case.mode in DEVICE_NOISE and case.left_open is not None
    wrong = []
    code, answer = resume(case)
    if refused and code != 4:
        wrong.append(f"expected exit code 4 for a repeat above the budget, found {code}")
    if refused:
        if case.left_open == STEPS[-1] and ledger(case.run_dir) != before:
            wrong.append("a refused release changed the ledger")
        code, answer = resume(case, "--budget", str(BUDGET))
    if code != 0:
        return [*wrong, f"resuming exited {code}: {answer.get('message')}"]
    return [*wrong, *check_finished(case, before, key, str(answer["model_hash"]), expected)]


def check_not_begun(case: Case) -> list[str]:
    """Nothing was promised yet: resuming is refused, and starting (again, or elsewhere) works."""
    code, _ = resume(case)
    if code not in (2, 5):
        return [f"expected a refusal to resume what never began, found exit code {code}"]
    if case.moment == OPENED:
        shutil.rmtree(case.run_dir)
    code, answer = run(case.command())
    if code != 0:
        return [f"starting again exited {code}: {answer.get('message')}"]
    verify_path(case.run_dir)
    return []


def check_finished(
    case: Case, before: tuple[Entry, ...], key: bytes | None, found: str, expected: str
) -> list[str]:
    """What must hold of every resumed run."""
    wrong = []
    after = ledger(case.run_dir)
    if after[: len(before)] != before:
        wrong.append("an entry that was there at the crash is gone or changed")
    charged = Counter(charge.step for charge in charges(after))
    again = case.left_open if case.mode in DEVICE_NOISE else None
    if charged != {step: 2 if step == again else 1 for step in STEPS}:
        wrong.append(f"charged {dict(charged)}, with {case.left_open} open at the crash")
    if case.mode == "seeded" and found != expected:
        wrong.append("the model differs from that of the uninterrupted run")
    if case.mode == "central" and key is not None and found != hash_with_key(case, key):
        wrong.append("the model differs from that of an uninterrupted run with the kept key")
    if list(case.run_dir.glob("noise.*")):
        wrong.append("the noise key is still there")
    try:
        verify_path(case.run_dir)
    except PrivetError as error:
        wrong.append(f"the resumed run does not verify: {error}")
    return wrong + check_order(after) + check_population(case, after)


def check_population(case: Case, run: tuple[Entry, ...]) -> list[str]:
    """The population has every release of the run, and one more where a kill came between."""
    if case.population is None:
        return []
    entries = read_ledger(case.population)
    counted = Counter(entry.body["step"] for entry in entries if entry.kind is EntryKind.SPEND)
    expected = Counter(charge.step for charge in charges(run))
    expected.update([case.moment.partition(": ")[0]] if case.moment in BETWEEN else [])
    return [] if counted == expected else [f"the population counts {dict(counted)}"]


def check_order(entries: tuple[Entry, ...]) -> list[str]:
    """By hand, apart from ``verify``: a charge before every close, and never above the budget."""
    wrong, charged, spent, limit = [], Counter[str](), [], 0.0
    delta = entries[0].body["plan"]["facts"]["delta"]
    for entry in entries:
        if entry.kind is EntryKind.BUDGET:
            limit = float(entry.body["epsilon"])
        elif entry.kind is EntryKind.CHARGE:
            charged[entry.body["step"]] += 1
            spent.append(charges([entry])[0].terms.worst_case())
            if claimed_epsilon(spent, delta) > limit * (1 + 1e-9):
                wrong.append("epsilon is above the budget")
        elif entry.kind is EntryKind.CLOSE and not charged[entry.body["step"]]:
            wrong.append(f"{entry.body['step']} was learnt uncharged")
    return wrong


def resume(case: Case, *more: str) -> tuple[int, dict[str, Any]]:
    """Go on in a fresh process."""
    return run(case.command("--resume", *more))


def run(command: list[str]) -> tuple[int, dict[str, Any]]:
    """Exit code, and the one JSON object on standard output."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, json.loads(done.stdout)


def ledger(run_dir: Path) -> tuple[Entry, ...]:
    """A run's entries on the disk."""
    return read_ledger(run_dir / "run.db")


def read_ledger(path: Path) -> tuple[Entry, ...]:
    """The entries on the disk, read without Privet's storage."""
    with tempfile.TemporaryDirectory() as folder:
        for file in path.parent.glob(f"{path.name}*"):
            shutil.copy(file, folder)
        database = sqlite3.connect(Path(folder) / path.name)
        rows = database.execute(
            "SELECT seq, kind, body, previous_hash, hash FROM ledger"
        ).fetchall()
        database.close()
    names = ("seq", "kind", "body", "previous_hash", "hash")
    bodies = [dict(zip(names, (s, k, json.loads(b), p, h), strict=True)) for s, k, b, p, h in rows]
    return tuple(map(Entry.from_dict, bodies))


def uninterrupted_hash(data: Path, run_dir: Path) -> str:
    """The model of a seeded run that nobody kills."""
    code, answer = run(Case(mode="seeded", moment="", data=data, run_dir=run_dir).command())
    if code != 0 or [charge.step for charge in charges(ledger(run_dir))] != list(STEPS):
        sys.exit(f"The uninterrupted run is not what this benchmark needs: {answer}")
    return str(answer["model_hash"])


def hash_with_key(case: Case, key: bytes) -> str:
    """The model of a central run that nobody kills, with the key that a crashed one had kept."""
    task = case.task()
    run_dir = case.run_dir.with_name(f"{case.run_dir.name}-again")
    run_dir.mkdir()
    (run_dir / "noise.key").write_bytes(key)
    return federate(Spectral(), task, plan_for(Spectral(), task, case.target), run_dir).model_hash


if __name__ == "__main__":
    sys.exit(main())
