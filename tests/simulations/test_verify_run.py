"""``privet verify`` on a run's folder: whatever was changed there ends with exit code 5."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.simulations.world import Privet, save_world

from privet.simulations.cli import run as privet_run


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    world = save_world(folder / "world.privet", users=600)
    command = ["simulate", str(world), "--epsilon", "4", "--no-references", "--json"]
    assert privet_run([*command, "--out", str(folder / "run")]) == 0
    return folder / "run"


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


def sql(statement: str, *values: object) -> Callable[[Path], None]:
    def change(run_dir: Path) -> None:
        database = sqlite3.connect(run_dir / "run.db")
        with database:
            assert database.execute(statement, values).rowcount == 1
        database.close()

    return change


def cut(name: str, share: float) -> Callable[[Path], None]:
    def change(run_dir: Path) -> None:
        data = (run_dir / name).read_bytes()
        (run_dir / name).write_bytes(data[: int(len(data) * share)])

    return change


def replaced(name: str, old: str, new: str) -> Callable[[Path], None]:
    def change(run_dir: Path) -> None:
        text = (run_dir / name).read_text()
        assert old in text
        (run_dir / name).write_text(text.replace(old, new))

    return change


def edited_result(field: str, value: object) -> Callable[[Path], None]:
    def change(run_dir: Path) -> None:
        path = run_dir / "result.json"
        body = json.loads(path.read_text())
        body["privacy"][0][field] = value
        path.write_text(json.dumps(body))

    return change


def noise_key(run_dir: Path) -> None:
    (run_dir / "noise.key").write_bytes(bytes(32))


CHANGES: dict[str, Callable[[Path], None]] = {
    "ledger entry deleted": sql("DELETE FROM ledger WHERE seq = 3"),
    "last entry deleted": sql("DELETE FROM ledger WHERE kind = 'end'"),
    "head and last entry gone": lambda run_dir: (
        sql("DELETE FROM ledger WHERE kind = 'end'")(run_dir),
        sql("UPDATE head SET length = length - 1, hash = (SELECT hash FROM ledger ORDER BY seq "
            "DESC LIMIT 1)")(run_dir),
    )[-1],
    "charge edited": sql("UPDATE ledger SET body = replace(body, '600', '601') WHERE seq = 2"),
    "head gone": sql("DELETE FROM head"),
    "checkpoint gone": sql("DELETE FROM checkpoint"),
    "checkpoint damaged": sql("UPDATE checkpoint SET state = ?", b"PK garbage"),
    "database cut to nothing": cut("run.db", 0),
    "database cut in half": cut("run.db", 0.5),
    "page edited": replaced("report.html", "A1", "A9"),
    "result edited": replaced("result.json", '"verdict": "PRIVATE"', '"verdict": "NO GUARANTEE"'),
    "result's rate of attacks edited": edited_result("true_positive_rates", [[0.01, 0.02]]),
    "result's rho edited": edited_result("rho", 0.001),
    "result's mu edited": edited_result("mu", 0.5),
    "result's advantage edited": edited_result("advantage", 0.0),
    "result cut": cut("result.json", 0.5),
    "noise key left": noise_key,
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_run_ends_with_exit_code_5(privet: Privet, copy: Path, name: str) -> None:
    assert privet("verify", copy).code == 0
    CHANGES[name](copy)
    answer = privet("verify", copy, "--json")
    assert answer.code == 5, answer
    assert answer.json["error"] == "IntegrityError"
    assert "bug" not in answer.err


def test_a_model_of_another_run_is_found(privet: Privet, copy: Path, finished: Path) -> None:
    other = copy.with_name("other")
    world = finished.parent / "world.privet"
    privet.json("simulate", world, "--epsilon", "4", "--no-references", "--out", other)
    for name in ("run.db", "report.json"):
        mixed = Path(shutil.copytree(copy, copy.with_name(f"mixed-{name}")))
        shutil.copy(other / name, mixed / name)
        assert privet("verify", mixed).code == 5


def test_verify_changes_nothing(privet: Privet, copy: Path) -> None:
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in copy.iterdir()}
    assert privet("verify", copy).code == 0
    after = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in copy.iterdir()}
    assert before == after


def test_a_run_without_a_report_yet_is_verified_as_far_as_it_goes(
    privet: Privet, copy: Path
) -> None:
    (copy / "report.json").unlink()
    body = privet.json("verify", copy)
    assert {"name": "report", "found": "none; a simulation's --resume writes it"} in body["checks"]
    assert body["privacy"][0]["epsilon"] <= 4


def test_a_report_verifies_alone(privet: Privet, copy: Path) -> None:
    shutil.move(copy / "report.json", copy.with_name("alone.json"))
    body = privet.json("verify", copy.with_name("alone.json"))
    assert body["verified"] is True
    assert [row["adversary"] for row in body["privacy"]] == [f"A{n}" for n in range(1, 9)]
    result = json.loads((copy / "result.json").read_text())
    assert body["privacy"] == result["privacy"]
    first, malicious = body["privacy"][0], body["privacy"][3]
    assert [false for false, _ in first["true_positive_rates"]] == [0.001, 0.01, 0.05]
    assert all(false < true < 1 for false, true in first["true_positive_rates"])
    assert (first["mu"], first["rho_kind"]) == (None, "upper") and first["rho"] > 0
    assert malicious["epsilon"] is None and malicious["advantage"] is None
