"""A population's total: that of one ledger with all releases, whatever the order and the runs."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.privacy.test_adversaries import terms

from privet.privacy.accounting.accountants import claimed_epsilon
from privet.privacy.accounting.adversaries import Adversary, ReleaseTerms, Trust, guarantees
from privet.privacy.contribution import NeighbouringRelation
from privet.privacy.errors import BudgetError, InputError, IntegrityError, PrivacyError
from privet.privacy.ledger import Charge, Entry, EntryKind, check_chain, next_entry
from privet.privacy.population import Opening, PopulationView, RunRecord, Spend

DELTA = 1e-6
ZERO_OUT, REPLACE_ONE = NeighbouringRelation
Bodies = list[tuple[EntryKind, dict[str, Any]]]

OPENING = Opening(id="ab" * 16, name="users", delta=DELTA, relation=ZERO_OUT)


def record(run: str, trust: Trust = Trust.CENTRAL, devices: int = 100) -> RunRecord:
    return RunRecord(
        run=run,
        plan_hash="0" * 64,
        model="popularity",
        epsilon=1.0,
        delta=1e-5,
        trust=trust,
        devices=devices,
        tuning=run == "b",
    )


def chain(bodies: Bodies) -> tuple[Entry, ...]:
    entries: list[Entry] = []
    for kind, body in bodies:
        entries.append(next_entry(entries[-1] if entries else None, kind, body))
    check_chain(entries)
    return tuple(entries)


def limit(epsilon: float | None) -> tuple[EntryKind, dict[str, Any]]:
    return EntryKind.LIMIT, {"epsilon": epsilon, "delta": DELTA}


def view_of(
    spends: Sequence[tuple[str, ReleaseTerms]], budget: float | None = None
) -> PopulationView:
    bodies: Bodies = [(EntryKind.POPULATION, OPENING.to_dict()), limit(budget)]
    bodies += [(EntryKind.RUN, record(run).to_dict()) for run in ("a", "b", "c")]
    for run, released in spends:
        charge = Charge(step="s", attempt=0, terms=released)
        bodies.append((EntryKind.SPEND, Spend(run=run, charge=charge).to_dict()))
    return PopulationView(entries=chain(bodies))


releases = st.one_of(
    st.builds(lambda noise: terms(Trust.CENTRAL, noise_multiplier=noise), st.floats(1.0, 50.0)),
    st.builds(
        lambda variance, left: terms(
            Trust.SECURE_AGGREGATION, share_variance=variance, survivors=left
        ),
        st.floats(4e4, 4e6),
        st.integers(50, 100),
    ),
)
spendings = st.lists(st.tuples(st.sampled_from("abc"), releases), max_size=6)


def table(view: PopulationView) -> dict[Adversary, float | None]:
    return {g.adversary: g.epsilon for g in view.guarantees}


def close(one: float | None, other: float | None) -> bool:
    if one is None or other is None or math.isinf(one):
        return one == other
    return math.isclose(one, other, rel_tol=1e-9)


@settings(max_examples=40, deadline=None)
@given(spends=spendings)
def test_the_sum_over_runs_is_that_of_one_ledger_with_all_releases(
    spends: list[tuple[str, ReleaseTerms]],
) -> None:
    view = view_of(spends)
    every = [released for _, released in spends]
    assert close(view.spent, claimed_epsilon([r.worst_case() for r in every], DELTA))
    one = {g.adversary: g.epsilon for g in guarantees(every, DELTA, private=bool(every))}
    assert all(close(found, one[adversary]) for adversary, found in table(view).items())
    one_run = view_of([("a", released) for released in every])
    assert close(view.spent, one_run.spent)
    view.check()


@settings(max_examples=40, deadline=None)
@given(spends=spendings, data=st.data())
def test_order_does_not_matter(spends: list[tuple[str, ReleaseTerms]], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(spends))
    assert close(view_of(spends).spent, view_of(shuffled).spent)
    one, other = table(view_of(spends)), table(view_of(shuffled))
    assert all(close(one[adversary], other[adversary]) for adversary in Adversary)


@settings(max_examples=40, deadline=None)
@given(spends=spendings, more=st.tuples(st.sampled_from("abc"), releases))
def test_a_further_release_never_lowers_anything(
    spends: list[tuple[str, ReleaseTerms]], more: tuple[str, ReleaseTerms]
) -> None:
    before, after = view_of(spends), view_of([*spends, more])
    assert after.spent >= before.spent * (1 - 1e-12)
    assert close(before.epsilon_with([[more[1]]], more[0]), after.spent)
    assert close(before.epsilon_with([[more[1]]]), after.spent)
    for adversary in Adversary if spends else ():
        one, other = table(before)[adversary], table(after)[adversary]
        assert other is None or (one is not None and other >= one * (1 - 1e-12))
    assert all(epsilon <= after.spent * (1 + 1e-9) for *_, epsilon in after.by_run)


@settings(max_examples=25, deadline=None)
@given(spends=spendings, budget=st.floats(0.5, 30.0))
def test_what_remains_fits(spends: list[tuple[str, ReleaseTerms]], budget: float) -> None:
    from privet.privacy.accounting.gaussian import gaussian_mu

    view = view_of(spends, budget)
    if view.spent > budget:
        assert view.remaining == 0
        return
    if view.remaining > 1e-3:
        released = terms(Trust.CENTRAL, noise_multiplier=1 / gaussian_mu(view.remaining, DELTA))
        view.require([[released]], "it")
        with pytest.raises(BudgetError):
            view.require([[released, released]], "they")


def test_a_release_that_was_not_protected_leaves_no_guarantee() -> None:
    view = view_of([("a", terms(Trust.CENTRAL)), ("b", terms(Trust.CENTRAL, noise_multiplier=0.0))])
    assert math.isinf(view.spent) and set(table(view).values()) == {None}


def test_a_curious_server_has_no_guarantee_once_one_run_trusted_it() -> None:
    both = view_of([("a", terms(Trust.CENTRAL)), ("b", terms(Trust.SECURE_AGGREGATION))])
    assert table(both)[Adversary.CURIOUS_SERVER] is None
    assert table(both)[Adversary.MODEL_CONSUMER] is not None


def test_relations_in_one_total_are_refused() -> None:
    view = view_of([("a", terms(Trust.CENTRAL))])
    with pytest.raises(PrivacyError, match="cannot be one total"):
        view.epsilon_with([[terms(Trust.LOCAL)]])
    mixed = view_of([("a", terms(Trust.LOCAL))])
    with pytest.raises(IntegrityError, match="another relation"):
        mixed.check()


RUN = (EntryKind.RUN, record("a").to_dict())
OPEN = (EntryKind.POPULATION, OPENING.to_dict())
SPENT = (
    EntryKind.SPEND,
    Spend(run="a", charge=Charge(step="s", attempt=0, terms=terms(Trust.CENTRAL))).to_dict(),
)


@pytest.mark.parametrize(
    ("bodies", "message"),
    [
        ([], "does not begin"),
        ([limit(1.0), OPEN], "does not begin"),
        ([OPEN, OPEN], "second beginning"),
        ([OPEN, limit(9.0), (EntryKind.PLAN, {})], "another sort"),
        ([OPEN, RUN], "no budget"),
        ([OPEN, limit(9.0), SPENT], "unknown run"),
        ([OPEN, limit(9.0), RUN, RUN], "no such run"),
        ([OPEN, limit(1.0), RUN, SPENT], "above the budget"),
        ([OPEN, limit(1.0), RUN, SPENT, limit(9.0)], "above the budget"),
        ([OPEN, limit(9.0), RUN, SPENT, limit(0.1), SPENT], "above the budget"),
        ([OPEN, (EntryKind.LIMIT, {"epsilon": 1.0, "delta": 1e-7})], "another delta"),
        ([OPEN, limit(-1.0)], "impossible budget"),
        ([OPEN, limit(9.0), (EntryKind.RUN, {**RUN[1], "extra": 1})], "malformed"),
        ([OPEN, limit(9.0), (EntryKind.RUN, {**RUN[1], "devices": 0})], "malformed"),
        ([OPEN, limit(9.0), (EntryKind.RUN, {**RUN[1], "trust": "x"})], "malformed"),
        ([OPEN, limit(9.0), (EntryKind.RUN, record("a", Trust.LOCAL).to_dict())], "no such run"),
        ([OPEN, limit(9.0), (EntryKind.RUN, record("a", devices=10**6).to_dict())], "1/users"),
        ([OPEN, limit(9.0), RUN, (EntryKind.SPEND, {**SPENT[1], "run": 3})], "malformed"),
        ([OPEN, limit(9.0), RUN, (EntryKind.SPEND, {"run": "a"})], "malformed"),
        ([(OPEN[0], {**OPEN[1], "delta": 2.0})], "malformed"),
        ([(OPEN[0], {**OPEN[1], "delta": "x"})], "malformed"),
        ([(OPEN[0], {**OPEN[1], "relation": "add-or-remove"})], "malformed"),
        ([(OPEN[0], {**OPEN[1], "extra": 1})], "malformed"),
        ([(OPEN[0], {**OPEN[1], "version": "1"})], "malformed"),
    ],
)
def test_a_ledger_that_nobody_writes_is_refused(bodies: Bodies, message: str) -> None:
    with pytest.raises(IntegrityError, match=message):
        PopulationView(entries=chain(bodies)).check()


def test_a_lowered_budget_stops_and_forgets_nothing() -> None:
    view = PopulationView(entries=chain([OPEN, limit(9.0), RUN, SPENT, limit(0.1)]))
    view.check()
    assert view.spent > view.budget and view.remaining == 0
    with pytest.raises(BudgetError):
        view.require([[terms(Trust.CENTRAL)]], "it")


def test_a_newer_version_is_refused_with_what_to_do() -> None:
    newer = PopulationView(entries=chain([(OPEN[0], {**OPEN[1], "version": 2})]))
    with pytest.raises(InputError, match="version 2"):
        newer.check()


def test_what_is_written_is_read_back() -> None:
    assert Opening.from_dict(OPENING.to_dict()) == OPENING
    for one in (record("b"), replace(record("b"), epsilon=None)):
        assert RunRecord.from_dict(one.to_dict()) == one
    view = view_of([("b", terms(Trust.SECURE_AGGREGATION))])
    assert view.spends[0].charge.terms == terms(Trust.SECURE_AGGREGATION)
    assert [r.tuning for r in view.runs] == [False, True, False]
