"""Nothing is agreed to unless the user said so, and nothing any more once they took it back."""

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.client.rights.world import NOTICE, Clock, consents, terms, vault
from tests.client.vault.world import CANARIES, assert_nothing_clear, fill

from privet.client.rights.consents import Consents
from privet.client.rights.notice import Purpose
from privet.client.rights.receipt_fields import FIELDS
from privet.client.rights.receipts import ConsentReceipt
from privet.client.vault.event import EntryKind
from privet.client.vault.portable import export_file, import_file
from privet.client.vault.vault import Vault
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.canonical import sha256
from privet.privacy.errors import InputError, IntegrityError, PrivacyError

BOTH = (Purpose.PERSONALIZE, Purpose.CONTRIBUTE)


def standing(held: Consents) -> tuple[bool, bool]:
    return held.has("personalize"), held.has("contribute")


def test_both_purposes_are_off_until_each_is_granted_by_itself(tmp_path: Path) -> None:
    with vault(tmp_path) as held:
        asked = consents(held)
        assert standing(asked) == (False, False) and not asked.may_record
        asked.grant("personalize")
        assert standing(asked) == (True, False) and asked.may_record
        asked.withdraw("personalize")
        asked.grant("contribute", terms=terms())
        assert standing(asked) == (False, True) and not asked.may_record


def test_what_was_decided_is_decided_after_a_restart_and_in_another_process(tmp_path: Path) -> None:
    with vault(tmp_path) as held, vault(tmp_path) as other:
        mine, theirs = consents(held), consents(other)
        mine.grant(*BOTH, terms=terms())
        assert standing(theirs) == (True, True)
        theirs.withdraw("contribute")
        assert standing(mine) == (True, False)
    with vault(tmp_path) as held:
        assert standing(consents(held)) == (True, False)


def test_a_decision_on_one_purpose_brings_back_nothing_of_the_other(tmp_path: Path) -> None:
    """A grant that another process interleaves with a withdrawal."""
    with vault(tmp_path) as held, vault(tmp_path) as other:
        mine, theirs = consents(held), consents(other)
        mine.grant(*BOTH, terms=terms())
        assert mine.has("contribute")  # read before the other takes it back
        theirs.withdraw("contribute")
        mine.grant("personalize")
        assert standing(mine) == standing(theirs) == (True, False)


ACTS = st.lists(
    st.sampled_from(
        ["grant personalize", "grant contribute", "despite gpc", "withdraw personalize",
         "withdraw contribute", "out personalize", "out contribute", "out all", "gpc", "no gpc"]
    ),
    max_size=12,
)  # fmt: skip


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ACTS)
def test_the_last_word_on_each_purpose_stands(
    tmp_path_factory: pytest.TempPathFactory, acts: list[str]
) -> None:
    expected, out, signal, override = {p: False for p in BOTH}, set[Purpose](), False, False
    with vault(tmp_path_factory.mktemp("consents")) as held:
        asked = consents(held)
        for act in acts:
            verb, _, name = act.partition(" ")
            if act == "gpc" or act == "no gpc":
                asked.honour_gpc(act == "gpc")
                if act == "gpc" and not (signal and override):
                    expected[Purpose.CONTRIBUTE], override = False, False
                    out.add(Purpose.CONTRIBUTE)
                signal = act == "gpc"
            elif act in ("grant contribute", "despite gpc"):
                despite = act == "despite gpc"
                if signal and not despite:
                    with pytest.raises(PrivacyError, match="Global Privacy Control"):
                        asked.grant("contribute", terms=terms())
                    continue
                asked.grant("contribute", terms=terms(), despite_gpc=despite)
                expected[Purpose.CONTRIBUTE], override = True, signal
                out.discard(Purpose.CONTRIBUTE)
            elif verb == "grant":
                asked.grant(name)
                expected[Purpose.PERSONALIZE] = True
                out.discard(Purpose.PERSONALIZE)
            else:
                (asked.withdraw if verb == "withdraw" else asked.opt_out)(name)
                for purpose in BOTH if name == "all" else (Purpose(name),):
                    expected[purpose] = False
                    override = override and purpose is not Purpose.CONTRIBUTE
                    out |= {purpose} if verb == "out" else set()
            assert dict(zip(BOTH, standing(asked), strict=True)) == expected
            for purpose in BOTH:
                assert asked.has_opted_out(purpose) == (purpose in out)
            assert asked.has_opted_out("all") == (out == set(BOTH))
        for receipt in asked.receipts():
            receipt.check()


def test_global_privacy_control_stops_contributing_until_it_is_overridden_visibly(
    tmp_path: Path,
) -> None:
    with vault(tmp_path) as held:
        asked = consents(held)
        asked.grant(*BOTH, terms=terms())
        receipt = asked.honour_gpc(True)
        assert receipt is not None and "Global Privacy Control" in receipt.to_json().decode()
        assert standing(asked) == (True, False) and asked.has_opted_out("contribute")
        assert asked.honour_gpc(True) is None
        with pytest.raises(PrivacyError, match="Global Privacy Control"):
            asked.grant("contribute", terms=terms())
        over = asked.grant("contribute", terms=terms(), despite_gpc=True)
        assert "overriding Global Privacy Control" in over.to_json().decode()
        assert asked.honour_gpc(True) is None and asked.has("contribute")  # the same signal
        assert asked.honour_gpc(False) is None and asked.has("contribute")
        assert asked.honour_gpc(True) is not None and not asked.has("contribute")  # a new one
        asked.honour_gpc(False)
        assert not asked.has("contribute") and asked.has_opted_out("contribute")
        asked.grant("contribute", terms=terms())
        with pytest.raises(InputError, match="True or False"):
            asked.honour_gpc("1")  # type: ignore[arg-type]


def check_full_disk(folder: Path, take_back: Callable[[Consents], object]) -> None:
    with vault(folder) as held:
        asked = consents(held)
        asked.grant(*BOTH, terms=terms())
        (pages,) = held._store._file.db.execute("PRAGMA page_count").fetchone()
        held._store._file.db.execute(f"PRAGMA max_page_count={pages}").close()
        with pytest.raises(InputError, match="full"):
            for _ in range(200):  # until the file has no room left
                take_back(asked)
                assert not asked.has("contribute")
                asked.grant("contribute", terms=terms())
        if asked.has("contribute"):  # it was a grant that found no room
            with pytest.raises(InputError, match="full"):
                take_back(asked)
        assert not asked.has("contribute")


@pytest.mark.parametrize("how", ["withdraw", "opt out"])
def test_what_cannot_be_written_is_taken_back_all_the_same(tmp_path: Path, how: str) -> None:
    """The disk is full: the caller is told, and nothing is sent."""
    check_full_disk(
        tmp_path,
        lambda asked: asked.withdraw("contribute") if how == "withdraw" else asked.opt_out("all"),
    )


def test_a_signal_that_cannot_be_written_is_honoured_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with vault(tmp_path) as held:
        asked = consents(held)
        asked.grant(*BOTH, terms=terms())
        with monkeypatch.context() as patch, pytest.raises(InputError, match="held by another"):
            patch.setattr(
                Vault, "amend", lambda *_: (_ for _ in ()).throw(InputError("held by another"))
            )
            asked.honour_gpc(True)
        assert standing(asked) == (True, False)
        asked.honour_gpc(True)
        assert standing(asked) == (True, False)
        asked.grant("contribute", terms=terms(), despite_gpc=True)
        with monkeypatch.context() as patch, pytest.raises(InputError, match="held by another"):
            patch.setattr(
                Vault, "amend", lambda *_: (_ for _ in ()).throw(InputError("held by another"))
            )
            asked.withdraw("contribute")
        assert asked.honour_gpc(True) is None  # which the grant overrode, and not what came after
        assert standing(asked) == (True, False)


@pytest.mark.parametrize("now", [float("nan"), float("inf"), -5.0, 1e20])
def test_a_clock_that_is_out_of_order_keeps_nobody_from_taking_back(
    tmp_path: Path, now: float
) -> None:
    with vault(tmp_path) as held:
        clock = Clock()
        asked = consents(held, clock)
        asked.grant("personalize")
        clock.now = now
        asked.withdraw("personalize").check()
        assert not asked.has("personalize")


def test_consent_to_contribute_is_for_the_terms_that_were_shown(tmp_path: Path) -> None:
    with vault(tmp_path) as held:
        asked, shown, other = consents(held), terms(), terms(epsilon=20.0)
        with pytest.raises(InputError, match="terms"):
            asked.grant("contribute")
        with pytest.raises(InputError, match="terms"):
            asked.grant("personalize", terms=shown)
        assert standing(asked) == (False, False) and asked.receipts() == ()
        receipt = asked.grant("contribute", terms=shown)
        assert asked.has("contribute", plan_hash=shown.plan_hash)
        assert not asked.has("contribute", plan_hash=other.plan_hash)
        assert not asked.has("contribute", plan_hash=terms(Trust.LOCAL).plan_hash)
        (record,) = receipt.document["dpv:hasRecordOfActivity"]
        assert record["privet:termsHash"] == sha256(shown.to_dict())
        assert record["privet:planHash"] == shown.plan_hash
        assert record["privet:policyHash"] == shown.policy_hash


@pytest.mark.parametrize("purpose", BOTH)
def test_a_receipt_has_every_field_of_the_standard(tmp_path: Path, purpose: Purpose) -> None:
    with vault(tmp_path) as held:
        asked = consents(held)
        shown = terms() if purpose is Purpose.CONTRIBUTE else None
        for receipt in (asked.grant(purpose, terms=shown), asked.withdraw(purpose)):
            assert receipt.missing_fields == ()
            receipt.check()
        (record,) = receipt.document["dpv:hasRecordOfActivity"]
        states = [status["@type"] for status in record["dpv:hasConsentStatus"]]
        assert states == ["dpv:ConsentGiven", "dpv:ConsentWithdrawn"]
        assert record["dpv:hasConsentStatus"][0]["dpv:isIndicatedAtTime"].endswith("+00:00")
        assert receipt.document["dpv:hasRecordOfActivity"][0]["dct:identifier"]


def test_what_an_app_does_not_say_is_named_as_missing(tmp_path: Path) -> None:
    with vault(tmp_path) as held:
        receipt = Consents(held, clock=Clock()).grant("personalize")
        assert set(receipt.missing_fields) == {
            "privacy notice", "pii controllers", "jurisdiction", "party id", "party name",
            "party address", "party contact", "party type",
        }  # fmt: skip


def paths(body: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where every value of a document is that is no list or object."""
    if isinstance(body, dict):
        return [p for key, inner in body.items() for p in paths(inner, (*at, key))]
    if isinstance(body, list):
        return [p for key, inner in enumerate(body) for p in paths(inner, (*at, key))]
    return [at]


def test_a_receipt_that_was_changed_anywhere_does_not_verify(tmp_path: Path) -> None:
    with vault(tmp_path) as held:
        receipt = consents(held).grant(*BOTH, terms=terms())
    ConsentReceipt(document=json.loads(receipt.to_json())).check()
    for path in paths(receipt.document):
        changed = deepcopy(dict(receipt.document))
        body: Any = changed
        for key in path[:-1]:
            body = body[key]
        body[path[-1]] = "something else"
        with pytest.raises(IntegrityError, match="changed"):
            ConsentReceipt(document=changed).check()


def test_every_field_that_is_taken_out_is_missed(tmp_path: Path) -> None:
    with vault(tmp_path) as held:
        receipt = consents(held).grant("contribute", terms=terms())
    seen: set[str] = set()
    for path in paths(receipt.document):
        changed = deepcopy(dict(receipt.document))
        body: Any = changed
        for key in path[:-1]:
            body = body[key]
        body[path[-1]] = "" if isinstance(path[-1], str) else None
        seen |= set(ConsentReceipt(document=changed).missing_fields)
    several = {"storage locations", "retention period", "recipient third parties",
               "pii information", "pii type", "jurisdiction"}  # fmt: skip
    assert seen | several == set(FIELDS)


def test_a_receipt_holds_nothing_of_the_history(tmp_path: Path) -> None:
    with vault(tmp_path) as held:
        fill(held)
        asked = consents(held)
        made = [asked.grant(*BOTH, terms=terms()), asked.opt_out("all")]
        text = b"".join(receipt.to_json() for receipt in made).decode()
        assert not any(word in text for word in CANARIES)
        assert repr(made[0]) == "ConsentReceipt()" or NOTICE.url not in repr(made[0])
        assert_nothing_clear(tmp_path)


def test_decisions_and_receipts_are_sealed_and_erased_with_everything(tmp_path: Path) -> None:
    with vault(tmp_path) as held:
        asked = consents(held)
        asked.grant(*BOTH, terms=terms())
        for file in tmp_path.iterdir():
            assert b"Consent" not in file.read_bytes() and b"app.example" not in file.read_bytes()
        held.erase(items=["none"])
        assert standing(asked) == (True, True)
        held.erase(all=True)
        assert standing(asked) == (False, False) and asked.receipts() == ()


def test_receipts_are_kept_in_order_and_cannot_be_changed_through_what_is_given_out(
    tmp_path: Path,
) -> None:
    with vault(tmp_path) as held:
        clock = Clock()
        asked = consents(held, clock)
        asked.grant("personalize")
        clock.now -= 1000  # a clock that goes back
        asked.withdraw("personalize")
        asked.receipts()[0].document["dpv:hasRecordOfActivity"][0].clear()
        for receipt in asked.receipts():
            receipt.check()
        first, last = asked.receipts()
        assert first.document["dct:created"] > last.document["dct:created"]


@pytest.mark.parametrize("suffix", [".json", ".csv"])
def test_an_import_brings_no_consent_and_takes_none(tmp_path: Path, suffix: str) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    with vault(tmp_path / "one") as held:
        consents(held).grant(*BOTH, terms=terms())
        export_file(held, tmp_path / f"mine{suffix}")
    with vault(tmp_path / "two") as held:
        asked = consents(held)
        asked.opt_out("contribute")
        import_file(held, tmp_path / f"mine{suffix}")
        assert standing(asked) == (False, False) and asked.has_opted_out("contribute")
        assert len(held.entries(EntryKind.CONSENT)) == 3


BAD: dict[str, Callable[[Consents], object]] = {
    "grant nothing": lambda c: c.grant(),
    "withdraw nothing": lambda c: c.withdraw(),
    "grant another": lambda c: c.grant("everything"),
    "have another": lambda c: c.has("all"),
    "opt out of another": lambda c: c.opt_out("nothing"),
    "have opted out of another": lambda c: c.has_opted_out(""),
}


@pytest.mark.parametrize("name", BAD)
def test_a_purpose_that_there_is_not_is_refused(tmp_path: Path, name: str) -> None:
    with vault(tmp_path) as held, pytest.raises(InputError, match="Expected"):
        BAD[name](consents(held))
