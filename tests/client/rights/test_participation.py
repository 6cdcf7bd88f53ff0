"""The ledger in sentences, and everything that a device holds in one file."""

import csv
import json
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from tests.client.rights.world import MODEL, Clock, consents, invitation, terms, vault
from tests.client.vault.world import CANARIES, fill
from tests.federation.test_session import LOCAL, SECURE, request
from tests.federation.world import World, coordinate, plan_of

from privet.client.consent import Terms
from privet.client.local_states import LocalStates, MemoryLocalStates
from privet.client.model_store import HeldModel
from privet.client.rights.export import ClientExport, write_export
from privet.client.rights.participation import LOG, participation_log, rounds_of
from privet.client.rights.quotas import Usage
from privet.client.rights.uploads import Uploads
from privet.client.session import Device, DeviceSession
from privet.client.vault.event import EntryKind
from privet.client.vault.portable import Contents, import_file
from privet.client.vault.vault import Vault
from privet.models.plan import Plan
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.errors import InputError
from privet.simulations.memory_grid import MemoryGrid

WHEN = "2023-11-14T22:13:20+00:00"


def known(plan: Plan) -> Terms:
    trust = plan.facts.trust
    return replace(terms(trust), plan_hash=plan.hash)


def took_part(held: Vault, folder: Path, plan: Plan) -> Device:
    """A device whose user agreed, after a whole round of its federation."""
    world = World(plan, MODEL, lasting=True)
    agreed = consents(held)
    agreed.grant("contribute", terms=known(plan))
    uploads = Uploads(agreed, Usage(held, clock=Clock()))
    world.devices[3] = replace(world.devices[3], release=uploads)
    world.sessions[3] = DeviceSession(world.devices[3])
    coordinate(world.fleet(MemoryGrid(world.nodes)), plan, MODEL, folder / "run")
    return world.devices[3]


def test_a_round_is_told_with_time_server_numbers_and_bound(tmp_path: Path) -> None:
    with vault(tmp_path) as held:
        mine = took_part(held, tmp_path, SECURE)
        times = Usage(held).rounds()
        (one,) = rounds_of(mine.ledger, known=[known(SECURE)], times=times)
        assert one.messages == 5 and one.at == 1_700_000_000
        sizes = [line.bytes_per_message for line in mine.ledger.lines if line.step != "hello"]
        assert one.size_bytes == sum(sizes) and [n.step for n in one.numbers] == ["popularity"]
        told, key = participation_log(mine.ledger, known=[known(SECURE)], times=times)
        for word in (WHEN, "Films", "fleet.example.org:443", "5 messages", "popularity"):
            assert word in told
        (server,) = [e for e in terms().epsilons if "server" in e[0] and "curious" in e[0]]
        assert server[1] is not None and "epsilon 8 at delta 0.0001" in told
        assert key == "Showed its key 1 times to a server that asked who it is."


def test_what_is_not_known_any_more_is_said_so_and_nothing_is_guessed(tmp_path: Path) -> None:
    with vault(tmp_path) as held:
        told = participation_log(took_part(held, tmp_path, SECURE).ledger)[0]
        assert "no longer known" in told and "no longer knows" in told and "epsilon" not in told


def test_under_central_trust_it_is_said_that_nothing_bounds_what_the_server_learns(
    tmp_path: Path,
) -> None:
    plan = plan_of(Trust.CENTRAL, MODEL, seeded=False)
    with vault(tmp_path) as held:
        told = participation_log(took_part(held, tmp_path, plan).ledger, known=[known(plan)])[0]
        assert "Nothing bounds what an honest-but-curious server can learn" in told


def test_refusals_and_cancellations_are_told_with_their_number(tmp_path: Path) -> None:
    with vault(tmp_path) as held:
        agreed = consents(held)
        agreed.grant("contribute", terms=known(LOCAL))
        uploads = Uploads(agreed, Usage(held, clock=Clock()))
        mine = replace(World(LOCAL, MODEL).devices[3], release=uploads)
        uploads.on_upload(lambda preview: False)
        for number in (1, 2):
            DeviceSession(mine).answer(request("contribute", LOCAL, number=number))
        (told,) = participation_log(mine.ledger)
        assert told.startswith("Cancelled popularity 2 times before it left")
    assert "denied cancelled" in LOG.templates


def exported(folder: Path) -> tuple[ClientExport, Contents]:
    with vault(folder) as held:
        fill(held)
        mine = took_part(held, folder, SECURE)
        local: LocalStates = MemoryLocalStates()
        local.keep("ab" * 32, "popularity", {"u": np.arange(3.0)})
        model = HeldModel(version=4, decision=9, state_hash="cd" * 32, shared={})
        found = ClientExport.of(
            held, ledger=mine.ledger, local=local, model=model, known=[known(SECURE)]
        )
        return found, Contents.of(held)


def test_an_export_holds_everything_and_no_key(tmp_path: Path) -> None:
    found, contents = exported(tmp_path)
    body = json.loads(found.to_json())
    assert len(body["history"]["events"]) == 20
    kinds = [entry["kind"] for entry in body["history"]["entries"]]
    assert set(kinds) == {"profile", "setting", "state", "usage"}
    assert any(name.startswith("receipt/") for name in body["consents"])
    assert body["ledger"][0]["kind"] == "policy" and len(body["ledger"]) == len(found.ledger)
    assert "took part in round" in body["participation"][0] and WHEN in body["participation"][0]
    assert body["model"] == {"version": 4, "decision": 9, "state_hash": "cd" * 32}
    assert body["local_states"]["ab" * 32]["u"]["shape"] == [3]
    rows = list(csv.reader(StringIO(found.to_csv().decode(), newline="")))
    assert {len(row) for row in rows} == {6}
    records = [row[0] for row in rows[1:]]
    assert records.count("event") == 20 and records.count("ledger") == len(found.ledger)
    assert {"consent", "profile", "model", "local state", "participation"} <= set(records)
    assert not any(word in repr(found) for word in CANARIES)
    assert contents.events == found.contents.events


@pytest.mark.parametrize("suffix", [".json", ".csv"])
def test_the_stores_part_of_an_export_can_be_taken_to_another_device(
    tmp_path: Path, suffix: str
) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    found, contents = exported(tmp_path / "one")
    file = tmp_path / f"mine{suffix}"
    write_export(found, file)
    assert file.stat().st_mode & 0o077 == 0
    with pytest.raises(InputError, match="there already"):
        write_export(found, file)
    with pytest.raises(InputError, match=r"\.json or \.csv"):
        write_export(found, tmp_path / "mine.txt")
    with vault(tmp_path / "two") as held:
        import_file(held, file)
        assert held.events() == contents.events
        assert held.entries(EntryKind.CONSENT) == held.entries(EntryKind.USAGE) == {}
        assert held.entries(EntryKind.PROFILE) == {"canary-name": ["canary-answer"]}


def test_terms_of_the_log_are_those_of_the_invitation() -> None:
    assert terms().plan_hash == invitation().plan.hash
