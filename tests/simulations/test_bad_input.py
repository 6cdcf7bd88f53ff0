"""Every bad input gets one clear error with its documented exit code, and no traceback."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.simulations.world import Privet, save_world, write_csv

QUICK = ("--no-references", "--model", "popularity")


def refused(privet: Privet, code: int, *arguments: object, says: str = "") -> str:
    answer = privet(*arguments, "--json")
    assert answer.code == code, answer
    body = answer.json
    assert set(body) == {"error", "message", "exit_code"}
    assert body["exit_code"] == code
    assert answer.complaint == f"privet: {body['message']}"
    assert "Traceback" not in answer.err
    assert "bug in Privet" not in answer.err
    assert says in body["message"]
    return str(body["message"])


@pytest.mark.parametrize("command", [("simulate",), ("sweep",), ("data", "describe")])
def test_a_missing_file_is_an_input_error(privet: Privet, command: tuple[str, ...]) -> None:
    refused(privet, 2, *command, "no/such/file.csv", says="There is no file or folder")


@pytest.mark.parametrize(
    ("option", "value", "code"),
    [
        ("--epsilon", "0", 2),
        ("--epsilon", "-1", 2),
        ("--epsilon", "nan", 2),
        ("--epsilon", "much", 2),
        ("--delta", "0.5", 3),
        ("--delta", "0", 2),
        ("--delta", "1", 2),
        ("--delta", "nan", 2),
        ("--delta", "-1e-5", 2),
        ("--model", "magic", 2),
        ("--trust", "everybody", 2),
        ("--seed", "-1", 2),
        ("--budget", "nan", 2),
        ("--budget", "0", 2),
        ("--budget", "1", 4),
        ("--min-survivors", "-3", 3),
        ("--min-survivors", "301", 3),
        ("--min-survivors", "1", 3),
        ("--colluders", "-1", 3),
        ("--colluders", "300", 3),
        ("--split", "alphabetical", 2),
        ("--no-such-option", "1", 2),
    ],
)
def test_a_bad_option_is_refused(
    privet: Privet, world: Path, tmp_path: Path, option: str, value: str, code: int
) -> None:
    out = tmp_path / "run"
    refused(privet, code, "simulate", world, *QUICK, "--out", out, option, value)
    if code != 4:
        assert not out.exists(), "nothing may be written before options are checked"


def test_tiny_and_huge_epsilons_run_or_are_refused_clearly(
    privet: Privet, world: Path, tmp_path: Path
) -> None:
    for name, epsilon in (("tiny", "1e-12"), ("huge", "1e6")):
        answer = privet("simulate", world, *QUICK, "--epsilon", epsilon, "--json", "--out",
                        tmp_path / name)  # fmt: skip
        assert answer.code in (0, 2, 3), answer
        assert "bug" not in answer.err
        assert answer.json


def test_local_trust_is_refused_for_spectral(privet: Privet, world: Path) -> None:
    refused(privet, 3, "simulate", world, "--trust", "local", says="does not support trust local")


def test_validation_needs_a_validation_part(privet: Privet, world: Path) -> None:
    refused(privet, 2, "simulate", world, "--validate", "--split", "leave-one-out",
            says="no validation part")  # fmt: skip


@pytest.mark.parametrize(
    "content",
    [b"", b"user_id,item_id\n", b"user_id,item_id\nanna,film\n", os.urandom(5000), b"\x00" * 999],
    ids=["empty", "header only", "one user", "garbage", "zeros"],
)
def test_data_without_anything_to_learn_is_refused(
    privet: Privet, tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(content)
    refused(privet, 2, "simulate", path)


def test_one_item_and_one_user_are_too_few(privet: Privet, tmp_path: Path) -> None:
    one_item = write_csv(tmp_path / "item.csv", [(f"u{u}", "film") for u in range(50)])
    one_user = write_csv(tmp_path / "user.csv", [("anna", f"film {i}") for i in range(50)])
    assert "film" not in refused(privet, 2, "simulate", one_item)
    assert "anna" not in refused(privet, 2, "simulate", one_user)


def test_an_item_with_a_comma_works(privet: Privet, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [(f"u{u}", f"Good, Bad, {i}") for u in range(60) for i in rng.permutation(30)[:8]]
    body = privet.json("simulate", write_csv(tmp_path / "films.csv", rows), *QUICK, "--out",
                       tmp_path / "run")  # fmt: skip
    assert (body["users"], body["items"]) == (60, 30)


def test_an_npz_that_is_no_split_is_refused(privet: Privet, tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", numbers=np.arange(5))
    refused(privet, 2, "simulate", tmp_path / "other.npz", says="Expected")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "other.npz").read_bytes()[:50])
    refused(privet, 2, "simulate", tmp_path / "cut.npz")


def test_resume_needs_a_folder_with_a_run(privet: Privet, world: Path, tmp_path: Path) -> None:
    refused(privet, 2, "simulate", world, "--resume", says="--resume needs --out")
    refused(privet, 2, "simulate", world, "--resume", "--out", tmp_path, says="No run to resume")


def test_an_existing_run_is_not_overwritten(privet: Privet, world: Path, tmp_path: Path) -> None:
    run = ("simulate", world, *QUICK, "--out", tmp_path / "run")
    before = privet.json(*run)
    refused(privet, 2, *run, says="already holds a run")
    refused(privet, 2, "demo", "--out", tmp_path / "run", says="already holds a run")
    assert json.loads((tmp_path / "run/result.json").read_text()) == before


def test_resuming_with_other_data_or_options_is_an_integrity_error(
    privet: Privet, world: Path, tmp_path: Path
) -> None:
    resume = (*QUICK, "--out", tmp_path / "run", "--resume")
    privet.json("simulate", world, *resume[:-1])
    other = save_world(tmp_path / "other.privet", seed=1)
    refused(privet, 5, "simulate", other, *resume)
    refused(privet, 5, "simulate", world, *resume, "--epsilon", "3", says="another plan")
    refused(privet, 5, "simulate", world, *resume, "--seed", "1", says="another split")
    refused(privet, 5, "simulate", world, *resume, "--insecure-seeded-noise")
    assert privet.json("simulate", world, *resume)["users"] == 300


def test_a_run_whose_data_are_unknown_is_not_resumed(
    privet: Privet, world: Path, tmp_path: Path
) -> None:
    run = ("simulate", world, *QUICK, "--out", tmp_path)
    privet.json(*run)
    (tmp_path / "simulation.json").write_text("{")
    refused(privet, 5, *run, "--resume", says="missing or damaged")


@pytest.mark.parametrize("left", [0, 100, 5000])
def test_a_truncated_ledger_is_neither_resumed_nor_verified(
    privet: Privet, world: Path, tmp_path: Path, left: int
) -> None:
    run = ("simulate", world, *QUICK, "--out", tmp_path)
    privet.json(*run)
    database = tmp_path / "run.db"
    database.write_bytes(database.read_bytes()[:left])
    refused(privet, 5, "verify", tmp_path)
    refused(privet, 5, *run, "--resume")


@pytest.mark.parametrize("place", ["a-file", "a-file/below", "/proc/nowhere"])
def test_a_folder_that_cannot_be_written_is_an_input_error(
    privet: Privet, world: Path, tmp_path: Path, place: str
) -> None:
    (tmp_path / "a-file").write_text("in the way")
    refused(privet, 2, "simulate", world, *QUICK, "--out", tmp_path / place)


@pytest.mark.parametrize("text", ["", "one", "1,,2", "1,-2", "nan", "0", "1,1"])
def test_rubbish_epsilons_are_refused_before_anything_runs(
    privet: Privet, world: Path, tmp_path: Path, text: str
) -> None:
    refused(privet, 2, "sweep", world, "--epsilons", text, "--out", tmp_path / "sweep")
    assert not (tmp_path / "sweep").exists()


def test_a_sweep_without_seeds_is_refused(privet: Privet, world: Path) -> None:
    refused(privet, 2, "sweep", world, "--seeds", "0", says="--seeds")


@pytest.mark.parametrize("arguments", [("--epsilon", "0"), ("--users", "1"), ("--epsilon", "nan")])
def test_a_demo_with_bad_options_is_refused(privet: Privet, arguments: tuple[str, str]) -> None:
    refused(privet, 2, "demo", *arguments)


def test_verify_refuses_what_is_no_report(privet: Privet, tmp_path: Path) -> None:
    refused(privet, 2, "verify", tmp_path / "nothing", says="There is no")
    refused(privet, 2, "verify", tmp_path, says="No run")
    for name, content in {"a": b"{", "b": b"[1]", "c": b"{}", "d": bytes(range(256))}.items():
        (tmp_path / name).write_bytes(content)
        refused(privet, 2, "verify", tmp_path / name, says="Expected a report")


def test_a_bug_is_reported_without_the_message_that_may_quote_data(
    privet: Privet, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise KeyError("anna likes a film")

    monkeypatch.setattr("privet.simulations.commands.simulate.simulate", fail)
    answer = privet("simulate", world, "--json", "--out", tmp_path / "run")
    assert answer.code == 1
    assert answer.json["error"] == "KeyError"
    assert "anna" not in answer.out + answer.err
    assert "bug in Privet" in answer.complaint


def test_an_interruption_says_how_to_go_on(
    privet: Privet, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("privet.simulations.simulation.federated_row", stop)
    run = ("simulate", world, *QUICK, "--out", tmp_path / "run")
    message = refused(privet, 130, *run)
    assert "--resume" in message
    assert str(tmp_path / "run") in message
    monkeypatch.undo()
    assert privet.json(*run, "--resume")["users"] == 300


def test_the_module_runs_in_a_process_of_its_own_and_ends_quietly_on_a_closed_pipe(
    world: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "privet", "simulate", str(world), "--epsilon", "0", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"] == "InputError"
    shell = f"{sys.executable} -m privet simulate --help | true"
    piped = subprocess.run([shutil.which("sh") or "sh", "-c", shell], capture_output=True,
                           text=True, check=True)  # fmt: skip
    assert "Traceback" not in piped.stderr
