"""Verification finds whatever was changed, and says what it cannot find."""

import copy
import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.simulations.world import small_dataset

from privet.models.known import model_named
from privet.privacy.accounting import accountants, profile
from privet.privacy.accounting.adversaries import ReleaseTerms, Trust
from privet.privacy.accounting.events import GaussianEvent
from privet.privacy.canonical import canonical_bytes, sha256
from privet.privacy.errors import InputError, IntegrityError
from privet.privacy.ledger import Entry, EntryKind, next_entry
from privet.privacy.report.spent import profiles
from privet.privacy.report.verify import NOT_CHECKED, read_report, verify_ledger, verify_report
from privet.privacy.report.view import LedgerView
from privet.simulations.comparison import federated_row
from privet.simulations.federation import Target, federate, plan_for
from privet.simulations.preparation import prepare
from privet.simulations.reporting import build_report

Body = dict[str, Any]
Bodies = list[tuple[EntryKind, Body]]


@pytest.fixture(scope="module", params=[Trust.SECURE_AGGREGATION, Trust.CENTRAL], ids=str)
def honest(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The report of a real run in two releases."""
    return make(request.param, tmp_path_factory.mktemp("runs") / "run", seed=None)


def make(trust: Trust, run_dir: Path, *, seed: int | None) -> bytes:
    task, model = prepare(small_dataset(users=600), seed=0), model_named("spectral")
    plan = plan_for(model, task, Target(epsilon=4.0, trust=trust), seeded_noise=seed is not None)
    run = federate(model, task, plan, run_dir, seed=seed)
    rows = [federated_row(model, task, run)]
    return build_report(run.entries, task, rows, command="privet").to_bytes()


def ledger(report: bytes) -> tuple[Entry, ...]:
    return tuple(map(Entry.from_dict, json.loads(report)["ledger"]["entries"]))


def bodies_of(report: bytes) -> Bodies:
    return [(entry.kind, copy.deepcopy(entry.body)) for entry in ledger(report)]


def chained(bodies: Sequence[tuple[EntryKind, Body]]) -> tuple[Entry, ...]:
    """A rewrite whose hashes are all right."""
    entries: list[Entry] = []
    for kind, body in bodies:
        entries.append(next_entry(entries[-1] if entries else None, kind, body))
    return tuple(entries)


def check(entries: tuple[Entry, ...]) -> None:
    verify_ledger(entries, head=entries[-1].hash, length=len(entries))


def position(bodies: Bodies, kind: EntryKind) -> int:
    return next(i for i, (found, _) in enumerate(bodies) if found is kind)


def test_an_honest_report_verifies_by_two_accountants(honest: bytes) -> None:
    checks = verify_report(read_report(honest))
    found = {check.name: check.found for check in checks}
    assert "dp-accounting" in found["epsilon against A1"]
    assert "privet" in found["epsilon against A1"]
    assert found["epsilon against A5"] == "none"
    assert any("not rewritten as a whole" in text for text in NOT_CHECKED)


def edit(path: str, value: object) -> Callable[[Body], None]:
    """Sets a value deep inside a report; numbers in the path are positions."""

    def change(body: Body) -> None:
        *parents, last = [int(key) if key.isdigit() else key for key in path.split("/")]
        at: Any = body
        for key in parents:
            at = at[key]
        at[last] = value(at[last]) if callable(value) else value

    return change


def half(value: float) -> float:
    return value / 2


EDITS = {
    "epsilon of an adversary": edit("adversaries/0/epsilon", half),
    "epsilon removed": edit("adversaries/0/epsilon", None),
    "epsilon where there is none": edit("adversaries/4/epsilon", 1.0),
    "delta of an adversary": edit("adversaries/0/delta", 1e-9),
    "assumption": edit("adversaries/0/assumption", "none"),
    "reason": edit("adversaries/4/reason", "it is honest"),
    "claim sentence": edit("claim/sentence", "Everything is private."),
    "claim epsilon": edit("claim/facts/epsilon", 0.1),
    "verdict": edit("claim/verdict", "VERY PRIVATE"),
    "budget": edit("accounting/budget/epsilon", 1.0),
    "budget delta": edit("accounting/budget/delta", 1e-9),
    "accountant": edit("accounting/results/0/epsilon", half),
    "second accountant": edit("accounting/results/1/epsilon", lambda e: e * 1.001),
    "accountant's method": edit("accounting/results/0/method", "proved"),
    "spent": edit("accounting/spent/0/epsilon", half),
    "noise": edit("mechanism/0/noise_std_effective", lambda s: s * 2),
    "dimension": edit("mechanism/0/dimension", 1),
    "upload": edit("egress/upload_bytes_per_device", lambda b: b + 4),
    "upload of a step": edit("egress/steps/0/bytes_per_device", lambda b: b - 4),
    "upload fields": edit("egress/steps/0/fields", ["nothing"]),
    "users": edit("data/users", 10**6),
    "items": edit("data/items", 10),
    "catalogue": edit("data/catalogue_hash", "0" * 64),
    "plan hash": edit("identity/plan_hash", "0" * 64),
    "stamp": edit("identity/private", False),
    "randomness": edit("identity/noise_randomness", "seeded"),
    "trust": edit("definition/trust", "local"),
    "relation": edit("definition/relation", "replace-one"),
    "not protected": edit("definition/not_protected", []),
    "row epsilon": edit("quality/rows/0/epsilon", half),
    "row kind": edit("quality/rows/0/kind", "reference"),
    "ledger head": edit("ledger/head", "0" * 64),
    "ledger length": edit("ledger/length", 3),
    "ledger entry": edit("ledger/entries/2/body/terms/survivors", 601),
    "ledger hash": edit("ledger/entries/2/hash", "0" * 64),
    "ledger order": edit("ledger/entries/2/seq", 7),
    "ledger cut": edit("ledger/entries", lambda entries: entries[:-1]),
    "ledger kind": edit("ledger/entries/2/kind", "gift"),
    "ledger body": edit("ledger/entries/0/body", []),
    "a field too many": edit("data/more", 1),
    "a field of another type": edit("adversaries", "all"),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edited_report_is_a_mismatch(honest: bytes, name: str) -> None:
    body = json.loads(honest)
    EDITS[name](body)
    with pytest.raises(IntegrityError):
        verify_report(read_report(canonical_bytes(body)))


COMPUTED = (
    "claim", "findings", "evidence", "adversaries", "profiles", "mechanism", "accounting",
    "minimization/leaving", "security",
)  # fmt: skip
KINDS = {"exact": "upper", "upper": "exact", "claimed": "bound", "bound": "check",
         "check": "claimed", "plan finished": "budget"}  # fmt: skip


def leaves(value: object, path: str) -> Iterator[str]:
    """Paths of all that is in a part of a report, lists and objects too."""
    yield path
    if isinstance(value, list):
        for index, inner in enumerate(value):
            yield from leaves(inner, f"{path}/{index}")
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}/{key}")


def at(body: Any, path: str) -> Any:
    for key in path.split("/"):
        body = body[key]
    return body


def slightly(value: Any) -> Any:
    """Another value of the same type, as close as a liar might hope to get away with."""
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case float():
            return value * (1 - 1e-5) if value else 1e-5
        case str():
            return KINDS.get(value, value + " ")
        case None:
            return 0.5
        case list():
            return value[:-1] if value else [0.5]
        case _:
            return dict(list(value.items())[:-1]) if value else {"x": 0.5}


def test_a_change_of_any_computed_field_is_a_mismatch(honest: bytes) -> None:
    body = json.loads(honest)
    every = [path for part in COMPUTED for path in leaves(at(body, part), part)]
    fields = {re.sub(r"/\d+", "/#", path): path for path in every}  # the last of each
    assert len(fields) > 60
    unseen = []
    for path in fields.values():
        forged = json.loads(honest)
        edit(path, slightly)(forged)
        assert forged != body, path
        try:
            verify_report(read_report(canonical_bytes(forged)))
        except IntegrityError:
            continue
        unseen.append(path)
    assert unseen == []


def test_what_follows_from_a_changed_figure_may_be_changed_along(honest: bytes) -> None:
    report = read_report(honest)
    budget = report.accounting.budget
    assert budget.spent is not None and budget.epsilon is not None
    spent = budget.spent / 2
    forged = replace(budget, spent=spent, remaining=budget.epsilon - spent)
    with pytest.raises(IntegrityError, match=r"accounting\.budget\.spent"):
        verify_report(replace(report, accounting=replace(report.accounting, budget=forged)))


MUTANTS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "rates of attacks too low": lambda patch: patch.setattr(
        profile, "true_positive_rate", lambda points, rate, *, mu=None: rate
    ),
    "the deltas of half the noise's loss": lambda patch: patch.setattr(
        profile, "_points", _halved(profile._points)
    ),
    "shares of noise that colluders know": lambda patch: patch.setattr(
        ReleaseTerms, "seen_by", lambda terms, adversary: terms.with_survivors(600)._event(
            known_shares=0
        ) if terms.noise_multiplier == 0 else GaussianEvent(
            noise_multiplier=2 * terms.noise_multiplier
        )
    ),
    "a release left out": lambda patch: patch.setattr(
        LedgerView, "events", _without_the_last(LedgerView.events)
    ),
}  # fmt: skip


def _halved(own: Callable[..., Any]) -> Callable[..., Any]:
    return lambda used, grid, claimed, delta: tuple(
        (epsilon, at if epsilon == claimed else at / 2)
        for epsilon, at in own(used, grid, claimed, delta)
    )


def _without_the_last(own: Callable[..., Any]) -> Callable[..., Any]:
    return lambda view, adversary: own(view, adversary)[:-1]


@pytest.mark.parametrize("name", MUTANTS)
def test_profiles_that_were_computed_wrongly_are_a_mismatch(
    honest: bytes, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = read_report(honest)
    view = LedgerView(entries=ledger(honest))
    assert profiles(view) == report.profiles
    with monkeypatch.context() as patch:
        MUTANTS[name](patch)
        wrong = profiles(LedgerView(entries=ledger(honest)))
    assert wrong != report.profiles
    with pytest.raises(IntegrityError):
        verify_report(replace(report, profiles=wrong))


def test_a_reformatted_report_is_a_mismatch(honest: bytes) -> None:
    with pytest.raises(IntegrityError):
        read_report(json.dumps(json.loads(honest), indent=1).encode())


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"[]", b'{"schema": "x"}', b"[" * 9999])
def test_what_is_no_report_is_an_input_error(data: bytes) -> None:
    with pytest.raises(InputError, match="Expected a report"):
        read_report(data)


def test_a_cut_off_report_is_an_input_error(honest: bytes) -> None:
    with pytest.raises(InputError, match="cut off"):
        read_report(honest[:-100])


def test_rebuilding_the_chain_alone_changes_nothing(honest: bytes) -> None:
    assert chained(bodies_of(honest)) == ledger(honest)


def rehash(bodies: Bodies) -> None:
    bodies[0][1]["plan_hash"] = sha256(bodies[0][1]["plan"])


def louder_charge(bodies: Bodies) -> None:
    """More noise in the ledger than in the plan."""
    terms = bodies[position(bodies, EntryKind.CHARGE)][1]["terms"]
    terms["noise_multiplier"] *= 2
    terms["share_variance"] *= 4


def louder_plan(bodies: Bodies) -> None:
    """The same in the plan, whose old hash stays."""
    louder_charge(bodies)
    terms = bodies[0][1]["plan"]["steps"][0]["terms"]
    terms["noise_multiplier"] *= 2
    terms["share_variance"] *= 4


def smaller_bound(bodies: Bodies) -> None:
    """A bound below what the encoding gives, everywhere and with new hashes."""
    step = bodies[0][1]["plan"]["steps"][0]
    charge = bodies[position(bodies, EntryKind.CHARGE)][1]
    for terms in (step["terms"], charge["terms"]):
        terms["l2_bound"] /= 2
        terms["l1_bound"] /= 2
    rehash(bodies)


def smaller_target(bodies: Bodies) -> None:
    bodies[0][1]["plan"]["facts"]["epsilon"] = 0.5
    rehash(bodies)


def fewer_colluders(bodies: Bodies) -> None:
    for _, body in bodies:
        if "terms" in body:
            body["terms"]["colluders"] = 0


def more_survivors(bodies: Bodies) -> None:
    bodies[position(bodies, EntryKind.CHARGE)][1]["terms"]["survivors"] += 10_000


def without(kind: EntryKind) -> Callable[[Bodies], None]:
    def remove(bodies: Bodies) -> None:
        del bodies[position(bodies, kind)]

    return remove


def twice(kind: EntryKind) -> Callable[[Bodies], None]:
    def repeat(bodies: Bodies) -> None:
        at = position(bodies, kind)
        bodies.insert(at, copy.deepcopy(bodies[at]))

    return repeat


def swapped_steps(bodies: Bodies) -> None:
    first, second = [i for i, (kind, _) in enumerate(bodies) if kind is EntryKind.CLOSE]
    bodies[first], bodies[second] = bodies[second], bodies[first]


def aborted(**changes: object) -> Callable[[Bodies], None]:
    """A round of the first step that ended before its charge."""

    def change(bodies: Bodies) -> None:
        at = position(bodies, EntryKind.CHARGE)
        body = {"step": bodies[at][1]["step"], "attempt": 0, "reason": "privacy", **changes}
        bodies.insert(at, (EntryKind.ABORT, body))

    return change


def set_in(kind: EntryKind, key: str, value: object) -> Callable[[Bodies], None]:
    def change(bodies: Bodies) -> None:
        bodies[position(bodies, kind)][1][key] = value

    return change


REWRITES: dict[str, Callable[[Bodies], None]] = {
    "more noise in a charge": louder_charge,
    "more noise in charge and plan": louder_plan,
    "a smaller bound": smaller_bound,
    "a smaller target": smaller_target,
    "fewer colluders": fewer_colluders,
    "more survivors": more_survivors,
    "no plan": without(EntryKind.PLAN),
    "no budget": without(EntryKind.BUDGET),
    "no charge": without(EntryKind.CHARGE),
    "no close": without(EntryKind.CLOSE),
    "two plans": twice(EntryKind.PLAN),
    "two closes": twice(EntryKind.CLOSE),
    "two ends": twice(EntryKind.END),
    "a charge repeated without a new attempt": twice(EntryKind.CHARGE),
    "swapped steps": swapped_steps,
    "budget below what is spent": set_in(EntryKind.BUDGET, "epsilon", 0.1),
    "budget of another delta": set_in(EntryKind.BUDGET, "delta", 0.5),
    "budget below zero": set_in(EntryKind.BUDGET, "epsilon", -1.0),
    "budget in words": set_in(EntryKind.BUDGET, "epsilon", "plenty"),
    "unknown step": set_in(EntryKind.CHARGE, "step", "another"),
    "attempt": set_in(EntryKind.CHARGE, "attempt", 1),
    "terms gone": set_in(EntryKind.CHARGE, "terms", {}),
    "fewer devices": set_in(EntryKind.CLOSE, "devices", 3),
    "spoiled groups that no sum bears": set_in(EntryKind.CLOSE, "spoiled_groups", [0]),
    "spoiled groups in words": set_in(EntryKind.CLOSE, "spoiled_groups", ["first"]),
    "a round that ended of another step": aborted(step="another"),
    "a round that ended at another attempt": aborted(attempt=1),
    "a round that ended for a reason in words": aborted(reason="item 3 was missing"),
    "a round that ended and something else": aborted(more=1),
    "another model": set_in(EntryKind.END, "model_hash", "0" * 64),
    "plan of another kind": set_in(EntryKind.PLAN, "plan", {"facts": {}}),
    "plan in words": set_in(EntryKind.PLAN, "plan", "a plan"),
}


@pytest.mark.parametrize("name", REWRITES)
def test_a_rewrite_with_right_hashes_that_does_not_hold_together_is_a_mismatch(
    honest: bytes, name: str
) -> None:
    bodies = bodies_of(honest)
    REWRITES[name](bodies)
    with pytest.raises(IntegrityError):
        check(chained(bodies))


def test_every_change_of_a_hash_breaks_the_chain(honest: bytes) -> None:
    entries = ledger(honest)
    with pytest.raises(IntegrityError, match="were recorded"):
        verify_ledger(entries[:-1], head=entries[-1].hash, length=len(entries))
    with pytest.raises(IntegrityError, match="last entry"):
        verify_ledger(entries, head="0" * 64, length=len(entries))


def test_a_round_that_ended_uncharged_holds_together_with_the_rest(honest: bytes) -> None:
    bodies = bodies_of(honest)
    aborted()(bodies)
    check(chained(bodies))


def test_a_budget_that_was_raised_later_is_checked_when_it_was_in_force(honest: bytes) -> None:
    bodies = bodies_of(honest)
    at = position(bodies, EntryKind.BUDGET)
    raised = (EntryKind.BUDGET, {**bodies[at][1], "epsilon": 50.0})
    low = (EntryKind.BUDGET, {**bodies[at][1], "epsilon": 0.1})
    check(chained([*bodies, low]))  # lowered once everything is spent: nothing was overspent
    bodies[at] = low
    with pytest.raises(IntegrityError, match="above the budget"):
        check(chained([*bodies, raised]))


def test_an_unfinished_ledger_verifies_as_far_as_it_goes(honest: bytes) -> None:
    entries = ledger(honest)
    for length in range(1, len(entries) + 1):
        check(entries[:length])


def test_accountants_that_disagree_are_a_mismatch(
    honest: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = accountants.second_opinion
    monkeypatch.setattr(
        accountants,
        "second_opinion",
        lambda events, delta: own(events, delta / 100),
    )
    with pytest.raises(IntegrityError, match="disagree"):
        verify_report(read_report(honest))


def test_seeded_noise_claims_nothing_and_verifies(tmp_path: Path) -> None:
    report = make(Trust.CENTRAL, tmp_path / "run", seed=1)
    checks = verify_report(read_report(report))
    assert any("NOT PRIVATE" in check.found for check in checks)
    assert all(check.found == "none" for check in checks if check.name.startswith("epsilon aga"))
    body = json.loads(report)
    assert not any(math.isfinite(row["epsilon"] or math.inf) for row in body["adversaries"])
    bodies = bodies_of(report)
    bodies[0][1]["plan"]["seeded_noise"] = False
    with pytest.raises(IntegrityError, match="plan's hash"):
        check(chained(bodies))
