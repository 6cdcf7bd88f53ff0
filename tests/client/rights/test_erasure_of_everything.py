"""Erasing reaches every file; what stays is what keeps others' promises, and says so."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.client.rights.world import MODEL, Clock, consents, invitation, terms, vault
from tests.client.vault.world import CANARIES, bytes_of, fill
from tests.federation.test_session import request

from privet.client.departures import Departures
from privet.client.membership import INVITATION, Membership, destroy, join, leave
from privet.client.rights.erasure import ErasureReceipt, erase_client, finish_leaving
from privet.client.rights.quotas import Usage
from privet.client.rights.uploads import Uploads
from privet.client.session import DeviceSession
from privet.client.store_file import wipe
from privet.client.vault.event import EntryKind
from privet.client.vault.vault import Vault
from privet.models.cohort import Cohort
from privet.models.popularity import Popularity
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.errors import InputError, IntegrityError, PrivacyError
from privet.privacy.minimization.envelope import Envelope

INVITED = invitation(Trust.LOCAL)
PLAN = INVITED.plan


def asked(number: int) -> Envelope:
    return request("contribute", PLAN, number=number)


class Place:
    """A device's folder: its store, its membership, and where departures are noted."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.directory = folder / "federation"
        self.departures = Departures(folder / "departures.json")

    def join(self) -> Membership:
        join(INVITED, self.directory, departures=self.departures)
        return Membership.open(self.directory)

    def session(self, member: Membership, held: Vault) -> DeviceSession:
        agreed = consents(held)
        agreed.grant("contribute", terms=terms(Trust.LOCAL))
        items = np.array([1, 5, 9])
        cohort = Cohort.from_pairs(np.zeros(3, np.int64), items, n_users=1, n_items=14)
        cohort = replace(cohort, devices=np.array([member.request.number], np.int64))
        device = member.device(Popularity(), cohort)
        uploads = Uploads(agreed, Usage(held, clock=Clock()))
        return DeviceSession(replace(device, release=uploads))


class Cache:
    """What a program computed from a history."""

    def __init__(self) -> None:
        self.kept = True

    def forget(self) -> None:
        self.kept = False


def check_partial(folder: Path) -> None:
    place, cache = Place(folder), Cache()
    with vault(folder) as held:
        fill(held)
        member = place.join()
        session = place.session(member, held)
        assert session.answer(asked(1)) is not None
        waiting = session.preview(asked(2))
        member.local.keep(PLAN.hash, "popularity", {"u": np.arange(5.0)})
        (state,) = (place.directory / "local").iterdir()
        answer = member.store.ledger.resend(member.store.ledger.sent[0].slot)
        assert answer is not None and answer in bytes_of(folder)
        receipt = erase_client(
            held, items=["canary-item-3"], membership=member, caches=[session, cache]
        )
        assert not state.exists() and not cache.kept
        assert answer not in bytes_of(folder), "the last answer"
        assert held.entries(EntryKind.STATE) == {}
        assert session.answer(asked(2)) is None, "a session with the history that was erased"
        session = place.session(member, held)
        after = session.answer(asked(2))
        assert waiting is not None and after is not None and after.payload != waiting.payload
        assert session.answer(asked(3)) is None  # the three that were agreed to stay counted
        assert len(member.store.ledger.claims) == 3
        assert receipt.to_dict() == {
            "schema": "privet.client-erasure/1",
            "store": receipt.store.to_dict(),
            "local_states": 1,
            "answer": True,
            "caches": 2,
            "ledger_kept": True,
            "left": False,
            "departures": 0,
            "beyond": True,
        }
        assert (receipt.store.events, receipt.store.events_left) == (1, 19)
        member.close()
    assert not (folder / "departures.json").exists()


def check_everything(folder: Path) -> None:
    place = Place(folder)
    with vault(folder) as held:
        fill(held)
        member = place.join()
        session = place.session(member, held)
        assert session.answer(asked(1)) is not None
        member.local.keep(PLAN.hash, "popularity", {"u": np.arange(5.0)})
        secrets = [(place.directory / name).read_bytes() for name in ("identity.key", "node.key")]
        receipt = erase_client(
            held,
            all=True,
            membership=member,
            departures=place.departures,
            caches=[session],
        )
        assert (receipt.left, receipt.ledger_kept, receipt.departures) == (True, False, 1)
        assert receipt.store.key_destroyed and receipt.beyond
        assert not place.directory.exists()
        assert held.events() == () and consents(held).receipts() == ()
        assert not consents(held).has("contribute") and Usage(held).rounds() == ()
        found = bytes_of(folder)
        for word in (*secrets, *(c.encode() for c in CANARIES), PLAN.hash.encode(), b"Films"):
            assert word not in found
        assert session.answer(asked(2)) is None
        assert {path.name for path in folder.iterdir()} >= {"me.db", "departures.json"}
        with pytest.raises(PrivacyError, match="took part in this plan and left"):
            place.join()
        assert not place.directory.exists()
        other = invitation(Trust.LOCAL, epsilon=20.0)
        join(other, place.directory, departures=place.departures)


def test_a_partial_erasure_reaches_states_answers_and_what_waits(tmp_path: Path) -> None:
    check_partial(tmp_path)


def test_erasing_everything_destroys_the_identity_and_no_new_one_joins_the_plan_again(
    tmp_path: Path,
) -> None:
    check_everything(tmp_path)


def test_of_a_device_that_never_took_part_nothing_stays_and_it_may_join(tmp_path: Path) -> None:
    place = Place(tmp_path)
    with vault(tmp_path) as held:
        member = place.join()
        receipt = erase_client(held, all=True, membership=member, departures=place.departures)
        assert receipt.left and receipt.departures == 0 and not receipt.beyond
        assert {path.name.split("-")[0] for path in tmp_path.iterdir()} == {"me.db"}
        place.join().close()


def test_without_a_federation_the_store_is_all_there_is(tmp_path: Path) -> None:
    with vault(tmp_path) as held:
        fill(held)
        receipt = erase_client(held, before=2**40)
        assert receipt.store.events == 20 and not receipt.left and not receipt.ledger_kept
        assert not any(word in json.dumps(receipt.to_dict()) for word in CANARIES)


BAD: dict[str, Callable[[Vault, Membership], ErasureReceipt]] = {
    "nothing": lambda held, member: erase_client(held, membership=member),
    "two": lambda held, member: erase_client(held, items=[], all=True),
    "a text": lambda held, member: erase_client(held, items="canary-item-1"),
    "no departures": lambda held, member: erase_client(held, all=True, membership=member),
}


@pytest.mark.parametrize("name", BAD)
def test_an_erasure_that_is_none_changes_nothing(tmp_path: Path, name: str) -> None:
    place = Place(tmp_path)
    with vault(tmp_path) as held:
        fill(held)
        member = place.join()
        with pytest.raises(InputError, match="Nothing was erased"):
            BAD[name](held, member)
        assert len(held.events()) == 20 and (place.directory / INVITATION).exists()
        member.close()


@pytest.mark.parametrize("files", [0, 1, 3, 5])
def test_a_crash_while_leaving_leaves_a_whole_device_or_none(
    tmp_path: Path, files: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store is erased all the same; what is left of the directory is removed the next time."""
    place, honest, done = Place(tmp_path), wipe, list[Path]()

    def failing(path: Path) -> None:
        if len(done) == files:
            raise InputError("the disk fails")
        done.append(path)
        honest(path)

    with vault(tmp_path) as held:
        fill(held)
        member = place.join()
        assert place.session(member, held).answer(asked(1)) is not None
        with monkeypatch.context() as patch, pytest.raises(InputError, match="disk fails"):
            patch.setattr("privet.client.membership.wipe", failing)
            erase_client(held, all=True, membership=member, departures=place.departures)
        assert held.events() == ()
        with pytest.raises(InputError, match="No device"):
            Membership.open(place.directory)
        assert finish_leaving(place.directory) and not finish_leaving(place.directory)
        with pytest.raises(PrivacyError, match="left"):
            place.join()


def test_a_whole_device_is_not_taken_for_one_that_was_left(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.join().close()
    assert not finish_leaving(place.directory)
    Membership.open(place.directory).close()
    destroy(place.directory)
    assert not place.directory.exists()


def test_departures_hold_a_salt_and_hashes_and_add_up(tmp_path: Path) -> None:
    first, second = Departures(tmp_path / "one"), Departures(tmp_path / "two")
    first.add([])
    assert not (tmp_path / "one").exists() and first.count == 0
    for departures in (first, second):
        departures.add(["a" * 64])
        departures.add(["a" * 64, "b" * 64])
        assert departures.count == 2
        departures.check("c" * 64)
        with pytest.raises(PrivacyError):
            departures.check("b" * 64)
    bodies = [json.loads((tmp_path / name).read_bytes()) for name in ("one", "two")]
    assert all(set(body) == {"version", "salt", "left"} for body in bodies)
    assert not set(bodies[0]["left"]) & set(bodies[1]["left"])
    assert "a" * 64 not in (tmp_path / "one").read_text()
    assert (tmp_path / "one").stat().st_mode & 0o077 == 0


DAMAGED = ["", "[]", "{}", '{"left":[],"salt":"","version":1}', '{"left":["x"],"salt":"%s","version":1}' % ("0" * 32),
           '{"left":[1],"salt":"%s","version":1}' % ("0" * 32), '{"left":[],"salt":"%s","version":2}' % ("0" * 32)]  # fmt: skip


@pytest.mark.parametrize("number", range(len(DAMAGED)))
def test_a_damaged_list_of_departures_lets_no_device_join(tmp_path: Path, number: int) -> None:
    place = Place(tmp_path)
    (tmp_path / "departures.json").write_text(DAMAGED[number])
    with pytest.raises(IntegrityError, match="damaged"):
        place.join()
    with pytest.raises(IntegrityError, match="damaged"):
        place.departures.add(["a" * 64])
    assert not place.directory.exists()


def test_leaving_without_erasing_keeps_the_history(tmp_path: Path) -> None:
    place = Place(tmp_path)
    with vault(tmp_path) as held:
        fill(held)
        member = place.join()
        assert place.session(member, held).answer(asked(1)) is not None
        leave(member, place.departures)
        assert not place.directory.exists() and len(held.events()) == 20
        assert place.departures.count == 1


def test_the_model_of_this_test_is_the_plans() -> None:
    assert MODEL.name == PLAN.model
