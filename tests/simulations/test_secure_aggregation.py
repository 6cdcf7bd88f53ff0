"""The protocol in a simulation: what ledger and report say of it, and what holds against A4."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.server.world import TwoSums, histories
from tests.simulations.world import Privet, save_world

from privet.client.device import DeviceTask, egress_policy, take_part
from privet.models.federation import Federation
from privet.models.model import state_hash
from privet.models.plan import Plan, PublicFacts
from privet.models.planning import make_plan
from privet.models.popularity import Popularity
from privet.privacy.accounting.accountants import claimed_epsilon
from privet.privacy.accounting.adversaries import Adversary, Trust, guarantees
from privet.privacy.accounting.events import SkellamEvent
from privet.privacy.errors import EgressError, InputError, IntegrityError, PrivacyError
from privet.privacy.ledger import Charge, Entry, EntryKind, next_entry
from privet.privacy.minimization.agreement import Agreement, Limits
from privet.privacy.minimization.gate import Gate
from privet.privacy.randomness import Randomness
from privet.privacy.report.document import Report
from privet.privacy.report.html import render_html
from privet.privacy.report.verify import verify_ledger, verify_report
from privet.privacy.report.view import LedgerView
from privet.privacy.secagg.agreed import (
    SIMULATED_CERTIFIER_KEY,
    SIMULATED_CERTIFIER_SECRET,
    ProtocolTerms,
)
from privet.privacy.secagg.primitives import SigningKey
from privet.privacy.secagg.terms import Terms
from privet.simulations.protocol_fleet import check_size, random_drops

OPTIONS = ("--model", "popularity", "--no-references", "--secure-aggregation", "protocol")
KEY = "ab" * 32


def planned(protocol: ProtocolTerms | None, **changes: Any) -> Plan:
    body: dict[str, Any] = {"devices": 100, "min_survivors": 80, "epsilon": 2.0, **changes}
    facts = PublicFacts(items=12, delta=1e-5, trust=Trust.SECURE_AGGREGATION, **body)
    return make_plan(TwoSums(), facts, catalogue_hash="0" * 64, protocol=protocol)


def a4(plan: Plan, attempts: int = 1) -> float | None:
    """Epsilon against a malicious server after a run that charged each step so often."""
    assert plan.protocol is not None
    charged = Counter({0: attempts, 1: attempts})
    terms = [step.terms for step in plan.steps]
    provoked = plan.protocol.against_malicious_server(terms, charged)
    table = guarantees(terms * attempts, 1e-5, private=True, provoked=provoked)
    return next(g.epsilon for g in table if g.adversary is Adversary.MALICIOUS_SERVER)


# --- who certifies, and what holds against a malicious server ---


def test_without_a_certifier_nothing_is_guaranteed_against_a_malicious_server() -> None:
    assert a4(planned(ProtocolTerms())) is None
    assert a4(planned(ProtocolTerms(certifier_key=KEY))) is not None


def test_a_certifier_whose_key_is_the_servers_is_refused() -> None:
    server = SigningKey.generate()
    plan = planned(ProtocolTerms(certifier_key=server.public.hex()))
    with pytest.raises(InputError, match="not the server"):
        terms_of(plan, server.public)


def terms_of(plan: Plan, server_key: bytes = bytes(31) + b"\1") -> Terms:
    assert plan.protocol is not None
    key = plan.protocol.certifier_key
    federation = Federation(
        run="r", server_key=server_key, certifier_key=None if key is None else bytes.fromhex(key)
    )
    return federation.terms(plan, plan.steps[0], model_hash=state_hash({}), round_number=0)


def test_the_certifier_is_in_the_plans_hash_and_in_the_terms_that_a_device_makes() -> None:
    one, other = (planned(ProtocolTerms(certifier_key=key)) for key in (KEY, "cd" * 32))
    nobody = planned(ProtocolTerms())
    assert len({one.hash, other.hash, nobody.hash, planned(None).hash}) == 4
    assert terms_of(one).certifier_key == bytes.fromhex(KEY)
    assert not terms_of(nobody).certified
    assert Plan.from_bytes(one.to_bytes()) == one
    agreed = Gate(egress_policy(one), agreement=Agreement.to(egress_policy(one)))
    task = DeviceTask(plan=other, step=other.steps[0], shared={})
    with pytest.raises(EgressError, match="did not agree"):
        take_part(
            TwoSums(),
            task,
            {},
            histories(),
            randomness=Randomness.secret(),
            gate=agreed,
            add_noise_share=True,
        )


def the_figure_is_that_of_the_minimum_less_the_corrupt() -> None:
    plan = planned(ProtocolTerms(certifier_key=KEY, corrupt_permille=100), colluders=3)
    events = [step.terms.seen_with(8) for step in plan.steps]
    assert all(isinstance(event, SkellamEvent) for event in events)
    assert [e.variance for e in events] == [72 * s.terms.share_variance for s in plan.steps]  # type: ignore[union-attr]
    assert a4(plan) == claimed_epsilon(events, 1e-5)
    # Colluders that the noise allows for are no fewer than those whom it is accounted for.
    more = planned(ProtocolTerms(certifier_key=KEY, corrupt_permille=0), colluders=9)
    assert a4(more) == claimed_epsilon([s.terms.seen_with(9) for s in more.steps], 1e-5)


def test_the_figure_is_that_of_the_minimum_less_the_corrupt() -> None:
    the_figure_is_that_of_the_minimum_less_the_corrupt()


def every_participation_counts() -> None:
    once = planned(ProtocolTerms(certifier_key=KEY))
    thrice = planned(ProtocolTerms(certifier_key=KEY, max_participations=3))
    events = [s.terms.seen_with(4) for s in thrice.steps]
    assert a4(thrice) == claimed_epsilon(events * 3, 1e-5)
    assert a4(thrice) == a4(once, attempts=3)  # whatever the plan says, what happened counts
    assert (a4(thrice) or 0) > 1.5 * (a4(once) or 0) > 0


def test_every_participation_that_a_devices_cap_allows_counts() -> None:
    every_participation_counts()


def corrupt_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ProtocolTerms, "corrupt", lambda self, fewest: 0)


def attempts_ignored(patch: pytest.MonkeyPatch) -> None:
    honest = ProtocolTerms.against_malicious_server
    patch.setattr(
        ProtocolTerms,
        "against_malicious_server",
        lambda self, terms, charged: honest(replace(self, max_participations=1), terms, {}),
    )


@pytest.mark.parametrize(
    ("mutate", "check"),
    [
        (corrupt_ignored, the_figure_is_that_of_the_minimum_less_the_corrupt),
        (attempts_ignored, every_participation_counts),
    ],
)
def test_what_a_malicious_server_knows_or_repeats_left_out_is_noticed(
    mutate: Callable[[pytest.MonkeyPatch], None],
    check: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mutate(monkeypatch)
    with pytest.raises(AssertionError):
        check()


def test_a_device_stops_at_its_plans_cap_whatever_its_agreement_allows() -> None:
    plan = planned(ProtocolTerms(max_participations=2), devices=10, min_survivors=8)
    policy = egress_policy(plan)
    gate = Gate(policy, agreement=Agreement.to(policy, limits=Limits(max_participations=5)))
    for attempt in range(3):
        task = DeviceTask(plan=plan, step=plan.steps[0], shared={}, attempt=attempt)

        def ask(task: DeviceTask = task) -> None:
            take_part(
                TwoSums(),
                task,
                {},
                histories(),
                randomness=Randomness.secret(),
                gate=gate,
                add_noise_share=True,
            )

        if attempt < 2:
            ask()
        else:
            with pytest.raises(PrivacyError, match="more often"):
                ask()


def test_the_key_of_simulations_is_that_of_the_secret_that_everyone_knows() -> None:
    assert (
        SigningKey.from_secret(SIMULATED_CERTIFIER_SECRET).public.hex() == SIMULATED_CERTIFIER_KEY
    )
    assert ProtocolTerms(certifier_key=SIMULATED_CERTIFIER_KEY).simulated_certifier
    assert not ProtocolTerms(certifier_key=KEY).simulated_certifier


@pytest.mark.parametrize(
    "changes",
    [
        {"certifier_key": "AB" * 32},
        {"certifier_key": "ab"},
        {"corrupt_permille": 500},
        {"drop_permille": -1},
        {"max_participations": 0},
    ],
)
def test_terms_of_the_protocol_that_cannot_be_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        ProtocolTerms(**changes)


# --- from end to end ---


def report_of(folder: Path) -> Report:
    return Report.from_bytes((folder / "report.json").read_bytes())


def test_a_run_of_the_protocol_says_what_it_did(tmp_path: Path, privet: Privet) -> None:
    world = save_world(tmp_path / "world.privet", users=60, items=12)
    out = tmp_path / "run"
    extra = ("--groups", 2, "--drop", 0.2, "--certified", "--colluders", 2)
    found = privet.json("simulate", world, *OPTIONS, *extra, "--out", out)
    assert found["secure_aggregation"] == "protocol"
    report = report_of(out)
    section = report.aggregation
    assert section is not None and not section.simulated and section.consistency_round
    assert section.identities == "simulated certifier"
    assert (section.corrupt_fraction, section.drop_fraction) == (0.05, 0.2)
    (round_,) = section.rounds
    assert [group.asked for group in round_.groups] == [30, 30]
    assert sum(group.asked - group.answered["shares"] for group in round_.groups) == 12
    assert all(24 <= group.survivors <= group.devices <= 30 for group in round_.groups)
    assert all(group.log2_split_failure < -40 for group in round_.groups)
    assert all(group.up_bytes > 4 * 12 for group in round_.groups)
    assert report.mechanism[0].devices == min(group.survivors for group in round_.groups)
    rows = {row.adversary: row for row in report.adversaries}
    assert "not run" not in rows["A3"].assumption and "for real" in rows["A3"].assumption
    assert rows["A4"].epsilon is not None and rows["A4"].epsilon >= (rows["A3"].epsilon or 0)
    assert "whose secret everyone knows" in rows["A4"].assumption
    assert "not what this simulation has" in rows["A4"].assumption
    page = render_html(report)
    assert "Neighbours k" in page and "no masks were run" not in page
    assert privet.json("verify", out)["verified"]
    for name, lie in LIES.items():
        with pytest.raises(IntegrityError):
            rewritten(report, lie)
            pytest.fail(name)
    other = replace(section, drop_fraction=0.3)
    with pytest.raises(IntegrityError, match="drop_fraction"):
        verify_report(replace(report, aggregation=other))


def test_without_certified_identities_the_report_says_none(tmp_path: Path, privet: Privet) -> None:
    world = save_world(tmp_path / "world.privet", users=30, items=12)
    privet.json("simulate", world, *OPTIONS, "--out", tmp_path / "run")
    report = report_of(tmp_path / "run")
    row = next(row for row in report.adversaries if row.adversary == "A4")
    assert row.epsilon is None and "not certified" in row.reason
    assert report.aggregation is not None and report.aggregation.identities == "not certified"


def test_a_simulated_run_says_that_it_is_one(tmp_path: Path, privet: Privet) -> None:
    world = save_world(tmp_path / "world.privet", users=30, items=12)
    found = privet.json("simulate", world, *OPTIONS[:3], "--out", tmp_path / "run")
    assert found["secure_aggregation"] == "simulated"
    report = report_of(tmp_path / "run")
    assert report.aggregation is not None and report.aggregation.simulated
    assert "no masks were run" in render_html(report)
    assert all("not run" in r.assumption for r in report.adversaries if r.epsilon is not None)


def _group(body: dict[str, Any]) -> dict[str, Any]:
    found = body["secure_aggregation"]["groups"][0]
    assert isinstance(found, dict)
    return found


LIES: dict[str, Callable[[dict[str, Any]], object]] = {
    "simulated": lambda b: b.update(secure_aggregation="simulated"),
    "nothing": lambda b: b.pop("secure_aggregation"),
    "fewer neighbours": lambda b: _group(b).update(neighbours=3),
    "a smaller failure": lambda b: _group(b).update(log2_correctness_failure=-90.0),
    "another fraction": lambda b: b["secure_aggregation"].update(drop_permille=10),
    "another certifier": lambda b: b["secure_aggregation"].update(certifier_key=KEY),
    "a group less": lambda b: b["secure_aggregation"]["groups"].pop(),
    "more survivors": lambda b: _group(b).update(survivors=30),
    "answers out of order": lambda b: _group(b)["answered"].update(shares=31),
    "another protocol": lambda b: b["secure_aggregation"].update(protocol="privet.secagg/0"),
    "no consistency round": lambda b: b["secure_aggregation"].update(consistency_round=False),
}


def rewritten(report: Report, lie: Callable[[dict[str, Any]], object]) -> None:
    """Verify the report's ledger with one closing entry changed and all hashes made anew."""
    entries: list[Entry] = []
    for old in report.ledger.entries:
        entry = Entry.from_dict(dict(old))
        body = json.loads(json.dumps(entry.body))
        if entry.kind is EntryKind.CLOSE:
            lie(body)
        entries.append(next_entry(entries[-1] if entries else None, entry.kind, body))
    verify_ledger(tuple(entries), head=entries[-1].hash, length=len(entries))


def test_an_honest_ledger_survives_being_written_anew(tmp_path: Path, privet: Privet) -> None:
    world = save_world(tmp_path / "world.privet", users=30, items=12)
    privet.json("simulate", world, *OPTIONS, "--out", tmp_path / "run")
    rewritten(report_of(tmp_path / "run"), lambda body: None)


def test_a_plan_whose_groups_differ_from_its_facts_is_refused() -> None:
    plan = planned(None, groups=2, min_survivors=40)
    body = plan.to_dict()
    body["steps"][0]["terms"]["groups"] = 3
    with pytest.raises(IntegrityError, match="groups"):
        Plan.from_dict(body)


@pytest.mark.parametrize(
    "options",
    [
        ("--drop", 0.1),
        ("--certified",),
        ("--secure-aggregation", "protocol", "--trust", "central"),
        ("--secure-aggregation", "protocol", "--drop", 0.5),
        ("--secure-aggregation", "protocol", "--drop", -0.1),
    ],
)
def test_options_of_the_protocol_that_cannot_be_are_refused(
    tmp_path: Path, privet: Privet, options: tuple[object, ...]
) -> None:
    world = save_world(tmp_path / "world.privet", users=30, items=12)
    answer = privet("simulate", world, "--model", "popularity", *options, "--out", tmp_path / "r")
    assert answer.code == 2 and not (tmp_path / "r").exists()


def test_what_the_protocol_cannot_carry_in_one_process_is_refused_with_the_limit() -> None:
    facts = PublicFacts(
        devices=50_000, items=12, epsilon=2.0, delta=1e-6, trust=Trust.SECURE_AGGREGATION
    )
    plan = make_plan(Popularity(), facts, catalogue_hash="0" * 64, protocol=ProtocolTerms())
    with pytest.raises(InputError, match="20000 devices"):
        check_size(plan)
    wide = replace(facts, devices=19_000, items=100_000, min_survivors=19_000)
    plan = make_plan(Popularity(), wide, catalogue_hash="0" * 64, protocol=ProtocolTerms())
    with pytest.raises(InputError, match="GB"):
        check_size(plan)


def test_who_drops_out_follows_from_the_public_seed() -> None:
    rows = list(range(100))
    drops = random_drops(0.2, 7)(3, rows)
    gone = sorted(row for stage in drops.values() for row in stage)
    assert len(gone) == len(set(gone)) == 20
    assert random_drops(0.2, 7)(3, rows) == drops != random_drops(0.2, 7)(4, rows)
    with pytest.raises(InputError, match=r"0\.5"):
        random_drops(0.5, 0)


def test_charges_beyond_the_cap_count_against_a_malicious_server() -> None:
    plan = planned(ProtocolTerms(certifier_key=KEY))
    entries: list[Entry] = []
    bodies = [(EntryKind.PLAN, {"plan": plan.to_dict(), "plan_hash": plan.hash})]
    for attempt in range(2):
        charge = Charge(step="signs", attempt=attempt, terms=plan.steps[1].terms)
        bodies.append((EntryKind.CHARGE, charge.to_dict()))
    for kind, body in bodies:
        entries.append(next_entry(entries[-1] if entries else None, kind, body))
    view = LedgerView(entries=tuple(entries))
    assert view.provoked is not None
    first, second = (step.terms.seen_with(4) for step in plan.steps)
    found = next(g.epsilon for g in view.guarantees if g.adversary is Adversary("A4"))
    assert found == claimed_epsilon([first, second, second], 1e-5)
    assert np.isclose(found or 0, view.profiles[-1][1].epsilon)
