"""A sweep is resumable, adds nothing up, and leaves a report with the curve."""

import json
from pathlib import Path

import pytest
from tests.simulations.world import Privet, save_world

from privet.server.coordinator import Coordinator, Phase, Progress
from privet.simulations import sweep as sweeps

OPTIONS = ("--model", "popularity", "--epsilons", "1,4,inf", "--seeds", "2")


class Killed(BaseException):
    """Not an error that anyone handles."""


def test_a_sweep_writes_its_curve_and_keeps_finished_points(
    privet: Privet, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = privet.json("sweep", world, *OPTIONS, "--out", tmp_path)
    assert [point["epsilon"] for point in body["points"]] == [1.0, 4.0, None]
    assert json.loads((tmp_path / "sweep.json").read_text()) == body
    report = json.loads((tmp_path / "report.json").read_text())
    assert {point["epsilon"] for point in report["quality"]["curve"]} == {1.0, 4.0}
    assert report["claim"]["facts"]["epsilon"] <= 4.0
    said = "separate simulated run with an epsilon of its own"
    assert said in report["quality"]["interval"]
    assert said in (tmp_path / "report.html").read_text()
    names = [row["name"] for row in report["quality"]["rows"]]
    assert names[0] == "popularity"
    assert names[-1] == "centralised (EASE)"
    verified = privet.json("verify", tmp_path)
    assert sum(check["name"].startswith("run ") for check in verified["checks"]) == 6

    def never(*_: object, **__: object) -> None:
        pytest.fail("a finished point was run again")

    monkeypatch.setattr(sweeps, "simulate", never)
    again = privet.json("sweep", world, *OPTIONS, "--out", tmp_path)
    assert again == body


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("sweep.json", '"epsilon": 2.0,\n      "metrics"', '"epsilon": 0.5,\n      "metrics"'),
        ("sweep.json", "seed-0", "seed-9"),
        ("sweep.json", "]", ""),
        ("report.json", '"epsilon":1.99', '"epsilon":1.09'),
    ],
)
def test_a_changed_sweep_does_not_verify(
    privet: Privet, world: Path, tmp_path: Path, name: str, old: str, new: str
) -> None:
    privet.json("sweep", world, "--model", "popularity", "--epsilons", "2", "--seeds", "1",
                "--no-references", "--out", tmp_path)  # fmt: skip
    assert privet("verify", tmp_path).code == 0
    text = (tmp_path / name).read_text()
    assert old in text
    (tmp_path / name).write_text(text.replace(old, new))
    assert privet("verify", tmp_path).code == 5


def test_a_sweep_with_one_seed_has_no_intervals(
    privet: Privet, world: Path, tmp_path: Path
) -> None:
    body = privet.json("sweep", world, *OPTIONS, "--seeds", "1", "--out", tmp_path)
    assert body["points"][0]["metrics"]["ndcg@20"]["low"] is None
    assert "one seed, no interval" in body["note"]


def test_a_sweep_on_other_data_does_not_mix_points(
    privet: Privet, world: Path, tmp_path: Path
) -> None:
    few = ("--model", "popularity", "--epsilons", "2", "--seeds", "1", "--no-references")
    privet.json("sweep", world, *few, "--out", tmp_path / "sweep")
    other = save_world(tmp_path / "other.privet", seed=5)
    assert privet("sweep", other, *few, "--out", tmp_path / "sweep").code == 5
    changed = privet("sweep", world, *few, "--delta", "1e-6", "--out", tmp_path / "sweep")
    assert changed.code == 5


def test_references_can_be_added_to_a_finished_sweep(
    privet: Privet, world: Path, tmp_path: Path
) -> None:
    run = ("sweep", world, "--model", "popularity", "--epsilons", "2", "--seeds", "1", "--out")
    assert len(privet.json(*run, tmp_path, "--no-references")["rows"]) == 1
    assert len(privet.json(*run, tmp_path)["rows"]) == 5


def test_a_point_interrupted_during_a_release_is_set_aside_with_its_charge(
    privet: Privet, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(at: Progress) -> None:
        if at.phase is Phase.SUMMED:
            raise Killed

    init = Coordinator.__init__

    def dying(self: Coordinator, **options: object) -> None:
        init(self, **{**options, "observer": kill})  # type: ignore[arg-type]

    run = ("sweep", world, "--model", "popularity", "--epsilons", "2", "--seeds", "1",
           "--no-references", "--out", tmp_path)  # fmt: skip
    with monkeypatch.context() as patched:
        patched.setattr(Coordinator, "__init__", dying)
        with pytest.raises(Killed):
            privet(*run)
    body = privet.json(*run)
    aside = tmp_path / "epsilon-2-seed-0.interrupted-1"
    assert body["interrupted_runs"] == [str(aside)]
    assert "1, as planned" in privet("verify", aside).out
    assert privet("verify", tmp_path).code == 0


def test_a_damaged_result_is_measured_again_without_a_new_charge(
    privet: Privet, world: Path, tmp_path: Path
) -> None:
    run = ("sweep", world, "--model", "popularity", "--epsilons", "2", "--seeds", "1", "--out")
    first = privet.json(*run, tmp_path)
    (tmp_path / "epsilon-2-seed-0/result.json").write_text('{"rows": [')
    again = privet.json(*run, tmp_path)
    assert again["points"] == first["points"]


def test_close_epsilons_get_folders_of_their_own(
    privet: Privet, world: Path, tmp_path: Path
) -> None:
    body = privet.json("sweep", world, "--model", "popularity", "--epsilons", "1,1.0000001",
                       "--seeds", "1", "--no-references", "--out", tmp_path)  # fmt: skip
    assert len({point["run_dirs"][0] for point in body["points"]}) == 2


def test_the_table_shows_every_point_and_says_what_they_are(
    privet: Privet, world: Path, tmp_path: Path
) -> None:
    shown = privet("sweep", world, *OPTIONS, "--out", tmp_path)
    assert shown.code == 0
    assert shown.err == ""
    assert "separate simulated run" in " ".join(shown.out.split())
    assert max(map(len, shown.out.splitlines()[:6])) <= 80
