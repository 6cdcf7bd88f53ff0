"""The protocol run for real gives what the simulation of its effect gives, dropouts included."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from privet.client.device import egress_policy
from privet.models.cohort import Cohort
from privet.models.federation import SECURE_STAGES, Stage
from privet.models.plan import Plan, PublicFacts
from privet.models.planning import make_plan
from privet.models.popularity import Popularity
from privet.privacy.accounting.adversaries import Trust, guarantees
from privet.privacy.errors import IntegrityError, PrivacyError
from privet.privacy.ledger import EntryKind, charges
from privet.privacy.minimization.gate import Gate
from privet.privacy.randomness import Randomness
from privet.privacy.secagg.agreed import ProtocolTerms
from privet.server.coordinator import Coordinator
from privet.server.fleet import Fleet, Round
from privet.server.storage import RunStore
from privet.simulations.fleet import InProcessFleet
from privet.simulations.protocol_fleet import ProtocolFleet

DEVICES, ITEMS, FEWEST = 40, 12, 30


def histories() -> Cohort:
    rng = np.random.default_rng(5)
    rows, items = np.nonzero(rng.random((DEVICES, ITEMS)) < 0.4)
    return Cohort.from_pairs(rows, items, n_users=DEVICES, n_items=ITEMS)


def plan(*, fewest: int = FEWEST, protocol: bool = True) -> Plan:
    facts = PublicFacts(
        devices=DEVICES,
        items=ITEMS,
        epsilon=3.0,
        delta=1e-4,
        trust=Trust.SECURE_AGGREGATION,
        min_survivors=fewest,
        colluders=2,
    )
    return make_plan(
        Popularity(),
        facts,
        catalogue_hash="0" * 64,
        seeded_noise=True,
        protocol=ProtocolTerms(drop_permille=250) if protocol else None,
    )


def over_protocol(
    rows: Cohort, drops: Mapping[Stage, Collection[int]] | None = None
) -> ProtocolFleet:
    return ProtocolFleet(
        Popularity(),
        plan(),
        rows,
        randomness=Randomness.insecure_seeded(1),
        dropping=lambda number, all_: drops or {},
    )


def coordinate(
    fleet: Fleet, directory: Path, *, protocol: bool = True
) -> tuple[Coordinator, RunStore]:
    store = RunStore(directory, create=True)
    coordinator = Coordinator(
        model=Popularity(),
        plan=plan(protocol=protocol),
        fleet=fleet,
        store=store,
        randomness=Randomness.insecure_seeded(1),
        repeatable=False,
    )
    return coordinator, store


def test_the_protocol_gives_the_same_model_as_the_simulation_of_its_effect(tmp_path: Path) -> None:
    shared = [
        coordinate(fleet, tmp_path / name, protocol=name == "b")[0].run()["popularity"]
        for name, fleet in (("a", simulated()), ("b", over_protocol(histories())))
    ]
    assert np.array_equal(shared[0], shared[1])


@pytest.mark.parametrize("stage", SECURE_STAGES)
def test_the_ledger_is_charged_with_the_survivors_and_the_sum_is_theirs(
    stage: Stage, tmp_path: Path
) -> None:
    gone = (3, 7, 20, 31)
    coordinator, store = coordinate(over_protocol(histories(), {stage: gone}), tmp_path)
    learnt = coordinator.run()["popularity"]
    (charge,) = charges(store.entries)
    left = DEVICES if stage in (Stage.COSIGN, Stage.UNMASK) else DEVICES - len(gone)
    assert charge.terms.survivors == left
    kept = [i for i in range(DEVICES) if left == DEVICES or i not in gone]
    of_kept = replace(_round(protocol=False), devices=np.array(kept, np.int64))
    total = simulated().run(of_kept, lambda survivors: None).total
    assert np.array_equal(learnt, total.astype(np.int32) / plan().steps[0].encoding.scale)


def _round(*, protocol: bool = True) -> Round:
    asked = plan(protocol=protocol)
    return Round(plan=asked, step=asked.steps[0], shared={})


def simulated() -> InProcessFleet:
    return InProcessFleet(
        Popularity(),
        histories(),
        randomness=Randomness.insecure_seeded(1),
        gate=Gate(egress_policy(plan(protocol=False))),
    )


def test_fewer_survivors_cost_more_epsilon_and_never_more_than_planned() -> None:
    terms = plan().steps[0].terms
    spent = [
        guarantees([terms.with_survivors(n)], 1e-4, private=True)[2].epsilon for n in (40, 35, 30)
    ]
    assert None not in spent
    assert spent == sorted(spent) and spent[-1] <= 3.0  # type: ignore[type-var, operator]


def test_below_the_fewest_survivors_nothing_is_learnt_and_nothing_is_charged(
    tmp_path: Path,
) -> None:
    drops = {Stage.MASK: range(DEVICES - FEWEST + 1)}
    coordinator, store = coordinate(over_protocol(histories(), drops), tmp_path)
    with pytest.raises(PrivacyError):
        coordinator.run()
    assert charges(store.entries) == ()


def test_a_charge_that_fails_leaves_the_sum_masked(tmp_path: Path) -> None:
    fleet = over_protocol(histories())

    def refuse(survivors: Sequence[int]) -> None:
        raise PrivacyError("the ledger said no")

    with pytest.raises(PrivacyError, match="the ledger said no"):
        fleet.run(_round(), refuse)


def test_every_device_that_sent_its_masked_vector_finds_it_under_the_rounds_root() -> None:
    late, gone = (3, 7), (20, 31)
    fleet = over_protocol(histories(), {Stage.MASK: gone, Stage.UNMASK: late})
    fleet.run(_round(), lambda survivors: None)
    (messages,) = fleet.rounds
    root = messages.publish()
    assert root.size == DEVICES - len(gone)
    for row, ledger in enumerate(fleet.ledgers):
        stages = [sent.slot.stage for sent in ledger.sent]
        if row in gone:
            assert stages == [Stage.ADVERTISE, Stage.SHARE]
            continue
        assert stages == list(SECURE_STAGES[:-1] if row in late else SECURE_STAGES)
        mine = ledger.sent[2]
        receipt = messages.receipt(mine.leaf)
        root.check(receipt, mine)
        kinds = [entry.kind for entry in ledger.entries]
        assert (EntryKind.UNMASK in kinds) == (row not in late)
    other = fleet.ledgers[1].sent[2]
    with pytest.raises(IntegrityError):
        root.check(messages.receipt(fleet.ledgers[0].sent[2].leaf), other)


def test_a_round_that_is_repeated_has_the_same_dropouts_and_the_same_sum() -> None:
    def drops(number: int, rows: Sequence[int]) -> Mapping[Stage, Collection[int]]:
        return {Stage.MASK: rows[number : number + 4]}

    def fleet() -> ProtocolFleet:
        seeded = Randomness.insecure_seeded(1)
        return ProtocolFleet(Popularity(), plan(), histories(), randomness=seeded, dropping=drops)

    before = fleet().run(_round(), lambda survivors: None)
    again = fleet().run(replace(_round(), repeats=True), lambda survivors: None)
    assert before.survivors == again.survivors == DEVICES - 4
    assert np.array_equal(before.total, again.total)


def test_devices_with_fresh_noise_do_not_repeat_a_release() -> None:
    secret = replace(plan(), seeded_noise=False)
    fleet = ProtocolFleet(Popularity(), secret, histories(), randomness=Randomness.secret())
    round_ = Round(plan=secret, step=secret.steps[0], shared={}, repeats=True)
    with pytest.raises(PrivacyError, match="fresh noise"):
        fleet.run(round_, lambda survivors: None)


def test_a_plan_that_says_nothing_of_the_protocol_is_refused() -> None:
    with pytest.raises(PrivacyError, match="does not say"):
        ProtocolFleet(
            Popularity(), plan(protocol=False), histories(), randomness=Randomness.secret()
        )
