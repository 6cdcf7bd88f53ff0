"""One simulation: what its JSON says, what repeats exactly, and what must never repeat."""

import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.simulations.world import Privet, save_world

from privet.models.popularity import Popularity
from privet.models.spectral import Spectral
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.errors import BudgetError
from privet.privacy.ledger import charges
from privet.server.coordinator import Phase, Progress
from privet.server.storage import RunStore
from privet.simulations.data.load import load
from privet.simulations.federation import Target, federate, plan_for
from privet.simulations.preparation import prepare

POPULARITY = ("--model", "popularity", "--no-references")
SEEDED = (*POPULARITY, "--insecure-seeded-noise", "--seed", "3")
TABLE = ["popularity", "local only", "federated, private", "federated, no privacy"]


class Stop(Exception):
    """As a crash would, but catchable."""


def test_the_documented_json_is_all_there(privet: Privet, world: Path, tmp_path: Path) -> None:
    body = privet.json("simulate", world, "--model", "spectral", "--epsilon", "2", "--delta",
                       "1e-5", "--seed", "0", "--out", tmp_path / "run")  # fmt: skip
    assert {"recall@20", "ndcg@20", "hr@10"} <= body["metrics"].keys()
    assert {row["adversary"]: row["epsilon"] is not None for row in body["privacy"]} == {
        "A1": True, "A2": True, "A3": True, "A4": False,
        "A5": False, "A6": True, "A7": False, "A8": False,
    }  # fmt: skip
    assert all(row["epsilon"] <= 2 for row in body["privacy"] if row["epsilon"] is not None)
    assert (body["users"], body["items"], body["verdict"]) == (300, 40, "PRIVATE")
    assert body["upload_bytes_per_device"] > 0
    assert body["seconds"] > 0
    assert body["peak_rss_mb"] > 0
    assert len(body["model_hash"]) == 64
    assert [row["name"] for row in body["rows"]] == [*TABLE, "centralised (EASE)"]
    assert Path(body["run_dir"], "report.html").is_file()
    assert not list(tmp_path.glob("run/*.partial")) + list(tmp_path.glob("run/.*.partial"))


def test_without_privacy_nothing_is_claimed(privet: Privet, world: Path, tmp_path: Path) -> None:
    body = privet.json("simulate", world, "--epsilon", "inf", "--out", tmp_path, "--no-references")
    assert {row["epsilon"] for row in body["privacy"]} == {None}
    assert body["verdict"] == "NO GUARANTEE"
    assert b"NO privacy guarantee" in (tmp_path / "report.html").read_bytes()


def test_leave_one_out_adds_the_sampled_metrics(privet: Privet, tmp_path: Path) -> None:
    world = save_world(tmp_path / "wide.privet", items=200)
    body = privet.json("simulate", world, *POPULARITY, "--split", "leave-one-out", "--out",
                       tmp_path / "run")  # fmt: skip
    assert {"sampled_hr@10", "sampled_ndcg@10"} <= body["metrics"].keys()


@pytest.mark.parametrize("trust", list(Trust))
def test_seeded_noise_repeats_exactly_and_is_stamped_not_private(
    privet: Privet, world: Path, tmp_path: Path, trust: Trust
) -> None:
    run = ("simulate", world, *SEEDED, "--trust", trust, "--out")
    first, second = (privet.json(*run, tmp_path / name) for name in "ab")
    other = privet.json(*run, tmp_path / "c", "--seed", "4")
    assert first["model_hash"] == second["model_hash"] != other["model_hash"]
    assert first["verdict"] == "NOT PRIVATE"
    assert {row["epsilon"] for row in first["privacy"]} == {None}
    assert b"NOT PRIVATE" in (tmp_path / "a/report.html").read_bytes()
    shown = privet("simulate", world, *SEEDED, "--out", tmp_path / "d")
    assert shown.out.count("NOT PRIVATE") >= 3, "before, after and in the table"


@pytest.mark.parametrize("trust", list(Trust))
def test_real_noise_never_repeats_whatever_numpy_is_seeded_with(
    privet: Privet, world: Path, tmp_path: Path, trust: Trust
) -> None:
    hashes = set()
    for name in "abc":
        np.random.seed(0)  # noqa: NPY002 - the global state is the point
        random.seed(0)
        body = privet.json("simulate", world, *POPULARITY, "--trust", trust, "--out",
                           tmp_path / name)  # fmt: skip
        hashes.add(body["model_hash"])
    assert len(hashes) == 3


def test_resuming_a_finished_run_charges_nothing_and_keeps_its_model(
    privet: Privet, world: Path, tmp_path: Path
) -> None:
    run = ("simulate", world, *POPULARITY, "--out", tmp_path)
    first = privet.json(*run)
    again = privet.json(*run, "--resume")
    assert (first["model_hash"], first["privacy"]) == (again["model_hash"], again["privacy"])


def test_raising_the_budget_is_recorded(privet: Privet, world: Path, tmp_path: Path) -> None:
    run = ("simulate", world, *POPULARITY, "--out", tmp_path)
    assert privet(*run, "--budget", "0.5").code == 4
    privet.json(*run, "--resume", "--budget", "5")
    store = RunStore(tmp_path)
    limits = [entry.body["epsilon"] for entry in store.entries if entry.kind == "budget"]
    store.close()
    assert limits == [0.5, 5.0]
    assert privet("verify", tmp_path).code == 0


@pytest.mark.parametrize("crashes", [1, 2])
def test_a_central_release_whose_key_is_lost_is_charged_again(
    world: Path, tmp_path: Path, crashes: int
) -> None:
    """Fresh noise on the same data is a new release, even under central trust."""
    task, model = prepare(load(world), seed=0), Popularity()
    plan = plan_for(model, task, Target(epsilon=1.0, trust=Trust.CENTRAL))
    run_dir = tmp_path / "run"

    def crash(at: Progress) -> None:
        if at.phase is Phase.SUMMED:
            raise Stop

    for attempt in range(crashes):
        with pytest.raises(Stop):
            federate(model, task, plan, run_dir, resume=attempt > 0, budget=9.0, observer=crash)
        (run_dir / "noise.key").unlink(missing_ok=True)
    federated = federate(model, task, plan, run_dir, resume=True, budget=9.0)
    assert [charge.attempt for charge in charges(federated.entries)] == list(range(crashes + 1))
    assert max(g.epsilon or 0 for g in federated.guarantees) > 1.0


def test_a_copy_of_a_crashed_run_cannot_be_resumed_beyond_its_budget(
    world: Path, tmp_path: Path
) -> None:
    task, model = prepare(load(world), seed=0), Spectral()
    plan = plan_for(model, task, Target(epsilon=2.0))

    def crash(at: Progress) -> None:
        if at.phase is Phase.CHARGED:
            raise Stop

    with pytest.raises(Stop):
        federate(model, task, plan, tmp_path / "run", observer=crash)
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    with pytest.raises(BudgetError, match="again, after an interruption"):
        federate(model, task, plan, tmp_path / "copy", resume=True)


def test_messages_and_files_hold_no_identifiers_of_users(
    privet: Privet, world: Path, tmp_path: Path
) -> None:
    answer = privet("simulate", world, *POPULARITY, "--out", tmp_path)
    files = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert "user-1" not in answer.out + answer.err
    assert b"user-1" not in files
