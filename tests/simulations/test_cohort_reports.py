"""Sampled and serial runs from the command line to the report, and what verification makes of lies."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.simulations.world import Privet, save_world

from privet.models import known
from privet.models.trending import Trending
from privet.privacy.canonical import sha256
from privet.privacy.errors import IntegrityError
from privet.privacy.ledger import Entry, EntryKind, next_entry
from privet.privacy.report.verify import read_report, verify_ledger
from privet.server.storage import RunStore

OPTIONS = ("--trust", "central", "--no-references", "--epsilon", 4)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_world(tmp_path_factory.mktemp("data") / "world.privet", users=80, items=15)


@pytest.fixture
def privet(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Privet:
    small = lambda: Trending(rounds=4, separation=2, bands=2)
    monkeypatch.setitem(known.MODELS, "trending", small)
    return Privet(capsys)


def simulated(privet: Privet, data: Path, out: Path, *more: object) -> tuple[Any, Any, Any]:
    """The result, the report and the ledger of a run that verifies."""
    result = privet.json("simulate", data, *OPTIONS, "--out", out, *more)
    assert privet.json("verify", out)["verified"]
    store = RunStore(out)
    entries = store.entries
    store.close()
    return result, read_report((out / "report.json").read_bytes()), entries


def epsilons(result: Any) -> dict[str, float | None]:
    return {row["adversary"]: row["epsilon"] for row in result["privacy"]}


def test_a_poisson_run_says_who_does_not_learn_the_cohort_and_what_that_is_worth(
    privet: Privet, data: Path, tmp_path: Path
) -> None:
    options = ("--model", "popularity", "--cohort", "poisson:0.25")
    result, report, entries = simulated(privet, data, tmp_path / "run", *options)
    found = epsilons(result)
    assert found["A2"] == pytest.approx(4, rel=1e-3)
    assert (found["A1"] or 9) < 3
    (step,) = report.mechanism
    assert (step.cohort, step.devices) == (20, 20)
    assert step.sampling.secret_from == ("A1",)
    assert (step.sampling.declared, step.sampling.implemented) == ("poisson", "poisson")
    assert (step.sampling.probability, step.sampling.population) == (0.25, 80)
    assert report.definition.headline_adversary == "A2"
    assert "amplification by Poisson sampling is counted" in report.adversaries[0].reason
    assert "poisson, probability 0.25, secret from A1" in (
        tmp_path / "run" / "report.html"
    ).read_text(encoding="utf-8")
    assert {e.body["devices"] for e in entries if e.kind is EntryKind.CLOSE} == {20}


@pytest.mark.parametrize(
    ("trust", "cohort"),
    [("central", "fixed:20"), ("secure-aggregation", "fixed:20"), ("local", "fixed:20"),
     ("local", "poisson:0.9"), ("central", "all")],
)  # fmt: skip
def test_other_cohorts_and_trusts_amplify_for_nobody(
    privet: Privet, data: Path, tmp_path: Path, trust: str, cohort: str
) -> None:
    options = ("--model", "popularity", "--cohort", cohort, "--trust", trust)
    result, report, _ = simulated(privet, data, tmp_path / "run", *options)
    found = [e for e in epsilons(result).values() if e is not None]
    assert min(found) > 3.6  # A1 knows no noise share, which is all that it is spared
    (step,) = report.mechanism
    assert step.sampling is None or step.sampling.secret_from == ()
    assert step.cohort == {"fixed:20": 20, "poisson:0.9": 72, "all": 80}[cohort]


def test_a_series_is_reported_with_its_strategy_and_its_turns(
    privet: Privet, data: Path, tmp_path: Path
) -> None:
    result, report, _ = simulated(privet, data, tmp_path / "run", "--model", "trending")
    assert epsilons(result)["A1"] == pytest.approx(4, rel=1e-3)
    matrices = [step.matrix for step in report.mechanism]
    assert [m.round_number for m in matrices] == [0, 1, 2, 3]
    assert {(m.rounds, m.bands, m.separation, m.participations) for m in matrices} == {(4, 2, 2, 2)}
    assert matrices[0].coefficients == (1.0, 0.5)
    assert matrices[0].sensitivity == pytest.approx(2.5**0.5)
    assert (
        report.egress.upload_bytes_per_device
        == result["upload_bytes_per_device"]
        == 2 * (4 * 15 + 39)
    )
    assert {step.cohort for step in report.mechanism} == {40}
    spent = [point.epsilon for point in report.accounting.spent]
    assert spent == sorted(spent) and spent[-1] == pytest.approx(4, rel=1e-3)


def test_a_series_asked_for_under_another_trust_or_with_sampling_says_why_not(
    privet: Privet, data: Path, tmp_path: Path
) -> None:
    for more, says in (
        (("--trust", "local"), "does not support trust local"),
        (("--trust", "secure-aggregation"), "the server must see the sums"),
        (("--trust", "central", "--cohort", "fixed:9"), "goes by a public schedule"),
    ):
        answer = privet("simulate", data, "--model", "trending", "--out", tmp_path / "x", *more)
        assert answer.code == 3 and says in answer.complaint
    answer = privet("simulate", data, "--cohort", "lottery", "--out", tmp_path / "x")
    assert answer.code == 2 and "use all, fixed:N or poisson:RATE" in answer.complaint


# --- lies, with the chain made good again ---


def chained(entries: tuple[Entry, ...], change: Callable[[Entry], dict[str, Any]]) -> list[Entry]:
    found: list[Entry] = []
    for entry in entries:
        found.append(next_entry(found[-1] if found else None, entry.kind, change(entry)))
    return found


def refused(entries: tuple[Entry, ...], change: Callable[[Entry], dict[str, Any]]) -> str:
    lie = tuple(chained(entries, change))
    with pytest.raises(IntegrityError) as caught:
        verify_ledger(lie, head=lie[-1].hash, length=len(lie))
    return str(caught.value)


def body_with(entry: Entry, kind: EntryKind, **changes: Any) -> dict[str, Any]:
    return {**entry.body, **changes} if entry.kind is kind else entry.body


def in_plan(entry: Entry, part: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    """The plan with every step's terms changed, and its hash made good; charges as well."""
    if entry.kind is EntryKind.CHARGE:
        return {**entry.body, "terms": part(entry.body["terms"])}
    if entry.kind is not EntryKind.PLAN:
        return entry.body
    plan = entry.body["plan"]
    steps = [{**step, "terms": part(step["terms"])} for step in plan["steps"]]
    plan = {**plan, "steps": steps}
    return {**entry.body, "plan": plan, "plan_hash": sha256(plan)}


def test_lies_about_a_sampled_run_are_found(privet: Privet, data: Path, tmp_path: Path) -> None:
    options = ("--model", "popularity", "--cohort", "poisson:0.25")
    _, _, entries = simulated(privet, data, tmp_path / "run", *options)

    def sampling(**changes: Any) -> Callable[[Entry], dict[str, Any]]:
        return lambda entry: in_plan(
            entry, lambda terms: {**terms, "sampling": {**terms["sampling"], **changes}}
        )

    for size in (19, 21):  # an actual size, where the expected one belongs
        assert refused(entries, lambda e, n=size: body_with(e, EntryKind.CLOSE, devices=n))  # type: ignore[misc]
        assert refused(
            entries,
            lambda e, n=size: body_with(  # type: ignore[misc]
                e, EntryKind.CHARGE, terms={**e.body.get("terms", {}), "survivors": n}
            ),
        )
    for change in (
        sampling(probability=0.1),
        sampling(implemented="fixed-size"),
        sampling(declared="fixed-size", implemented="fixed-size"),
        sampling(population=800),
        sampling(roster_sent=True),
        lambda entry: in_plan(entry, lambda terms: {**terms, "sampling": None}),
    ):
        assert refused(entries, change)


def test_lies_about_a_series_are_found(privet: Privet, data: Path, tmp_path: Path) -> None:
    _, _, entries = simulated(privet, data, tmp_path / "run", "--model", "trending")

    def series(**changes: Any) -> Callable[[Entry], dict[str, Any]]:
        return lambda entry: in_plan(
            entry, lambda terms: {**terms, "series": {**terms["series"], **changes}}
        )

    for change in (
        series(separation=3),
        series(participations=1),
        series(bands=1),
        series(rounds=8),
        series(round_number=0),
        lambda entry: in_plan(entry, lambda terms: {**terms, "series": None}),
        lambda entry: body_with(entry, EntryKind.CLOSE, devices=41),
    ):
        assert refused(entries, change)
    twice = next(e for e in entries if e.kind is EntryKind.CHARGE)
    repeated = (*entries[:3], replace(twice, body={**twice.body, "attempt": 1}), *entries[3:])
    assert "cannot be accounted for" in refused(repeated, lambda e: e.body)
