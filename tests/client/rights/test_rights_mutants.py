"""Each promise to a user removed, one at a time, and noticed."""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from tests.client.rights import (
    test_consents,
    test_erasure_of_everything,
    test_quotas,
    test_uploads,
)
from tests.client.rights.test_uploads import NOES, Asked
from tests.federation.test_session import LOCAL, device, request

from privet.client import membership
from privet.client.departures import Departures
from privet.client.local_states import LocalStateFolder
from privet.client.release import Preview
from privet.client.rights import consents as consents_module
from privet.client.rights import decisions
from privet.client.rights.consents import Consents
from privet.client.rights.quotas import Usage
from privet.client.rights.receipts import ConsentReceipt
from privet.client.rights.uploads import Uploads
from privet.client.session import DeviceSession
from privet.client.vault.event import EntryKind
from privet.client.vault.portable import Contents
from privet.client.vault.vault import Vault
from privet.privacy.errors import PrivacyError
from privet.privacy.minimization import gate as gate_module
from privet.privacy.minimization.egress_log import EgressLedger
from privet.privacy.minimization.gate import Gate

Patch = pytest.MonkeyPatch


def set_(target: object, name: str, value: object) -> Callable[[Patch], None]:
    return lambda patch: patch.setattr(target, name, value)


def both(*changes: Callable[[Patch], None]) -> Callable[[Patch], None]:
    def change(patch: Patch) -> None:
        for one in changes:
            one(patch)

    return change


def consent_read_once(patch: Patch) -> None:
    """What was agreed to is remembered by the program, as if nobody could take it back."""
    honest, seen = Consents._kept, dict[int, dict[str, Any]]()

    def kept(agreed: Consents) -> dict[str, Any]:
        found = honest(agreed)
        if any(name.startswith("purpose/") for name in found):
            seen.setdefault(id(agreed), deepcopy(found))
        return seen.get(id(agreed), found)

    patch.setattr(Consents, "_kept", kept)


def consent_read_before_the_hook(patch: Patch) -> None:
    def allows(uploads: Uploads, preview: Preview) -> bool:
        return uploads._agreed(preview) and all(hook(preview) is True for hook in uploads._hooks)

    patch.setattr(Uploads, "allows", allows)
    patch.setattr(Uploads, "open", lambda uploads: True)


def any_plan(patch: Patch) -> None:
    honest = Consents.has
    patch.setattr(Consents, "has", lambda agreed, purpose, plan_hash=None: honest(agreed, purpose))


def any_purpose(patch: Patch) -> None:
    """Consent to one purpose is taken for consent to all."""
    honest = Consents.has
    patch.setattr(
        Consents,
        "has",
        lambda agreed, purpose, plan_hash=None: (
            honest(agreed, "personalize") or honest(agreed, "contribute")
        ),
    )


def all_in_one(patch: Patch) -> None:
    """A decision on one purpose writes the other as it was read before."""
    honest, before = decisions.written, dict[str, Any]()

    def written(notice: Any, decided: Any, kept: Mapping[str, Any], at: float) -> Any:
        entries, receipt = honest(notice, decided, kept, at)
        names = {entry.name for entry in entries}
        again = [decisions.entry(n, v) for n, v in before.items() if n not in names]
        if not before:
            before.update({e.name: e.value for e in entries if e.name.startswith("purpose/")})
        return [*again, *entries], receipt

    patch.setattr(consents_module, "written", written)


def counted_in_memory(patch: Patch) -> None:
    """A quota that a restart gives back."""
    kept: dict[int, dict[str, Any]] = {}

    def amend(vault: Vault, kind: EntryKind, change: Callable[..., Any]) -> None:
        held = kept.setdefault(id(vault), {})
        held.update({entry.name: entry.value for entry in change(held)})

    honest, entries = Vault.amend, Vault.entries
    patch.setattr(
        Vault,
        "amend",
        lambda vault, kind, change: (amend if kind is EntryKind.USAGE else honest)(
            vault, kind, change
        ),
    )
    patch.setattr(
        Vault,
        "entries",
        lambda vault, kind: (
            kept.get(id(vault), {}) if kind is EntryKind.USAGE else entries(vault, kind)
        ),
    )


def errors_let_through(patch: Patch) -> None:
    def approved(approve: Callable[[bytes], bool], payload: bytes) -> bool:
        try:
            return approve(payload)
        except Exception:  # noqa: BLE001 - the mutant
            return True

    patch.setattr(gate_module, "_approved", approved)


def anything_true(patch: Patch) -> None:
    def release(asked: DeviceSession, request: Any, gate: Gate, message: Any) -> Any:
        def approve(payload: bytes) -> bool:
            preview = Preview.of(gate.policy, payload, run=request.run, round_number=request.round)
            return bool(asked._device.release.allows(preview))

        return gate.admit_message(message, approve=approve)

    patch.setattr(DeviceSession, "_release", release)


def recorded_before_asking(patch: Patch) -> None:
    honest = Gate.admit_message

    def admit(gate: Gate, message: Any, *, approve: Any = None) -> Any:
        admitted = honest(gate, message)
        if approve is not None and approve(admitted.payload) is not True:
            raise PrivacyError("cancelled")
        return admitted

    patch.setattr(Gate, "admit_message", admit)


def made_again(patch: Patch) -> None:
    """What leaves is made anew, and is not what was previewed."""
    honest = DeviceSession._once

    def once(asked: DeviceSession, request: Any, gate: Any, step: Any, make: Any) -> Any:
        asked._made = None
        return honest(asked, request, gate, step, make)

    patch.setattr(DeviceSession, "_once", once)


def repeats_unasked(patch: Patch) -> None:
    honest = DeviceSession._release

    def release(asked: DeviceSession, request: Any, gate: Gate, message: Any) -> Any:
        if asked._device.ledger.sent:
            return gate.admit_message(message)
        return honest(asked, request, gate, message)

    patch.setattr(DeviceSession, "_release", release)


def imported_as_it_is(patch: Patch) -> None:
    from privet.client.vault import portable

    def import_all(vault: Vault, path: Path) -> Contents:
        read = Contents.from_json if path.suffix == ".json" else Contents.from_csv
        contents = read(path.read_bytes())
        vault.add(events=contents.events, entries=contents.entries)
        return contents

    patch.setattr(portable, "import_file", import_all)
    patch.setattr(test_consents, "import_file", import_all)


def withdrawn(stage: str) -> Callable[[Path], None]:
    return lambda path: test_uploads.check_withdrawal_in_a_round(path, stage)


def no(kind: str) -> Callable[[Path], None]:
    def check(_: Path) -> None:
        asked = device(LOCAL, release=Asked(NOES[kind]))
        assert asked.answer(request("contribute", LOCAL)) is None
        assert asked._device.ledger.lines == ()

    return check


def repeated(_: Path) -> None:
    test_uploads.test_a_repeat_is_asked_about_again("local")


def gpc(path: Path) -> None:
    test_consents.test_global_privacy_control_stops_contributing_until_it_is_overridden_visibly(
        path
    )


def imported(path: Path) -> None:
    test_consents.test_an_import_brings_no_consent_and_takes_none(path, ".json")


MUTANTS: dict[str, tuple[Callable[[Patch], None], Callable[[Path], None]]] = {
    "withdrawal ignored within a round": (
        both(
            set_(Uploads, "open", lambda uploads: True),
            set_(Uploads, "_agreed", lambda uploads, preview: True),
        ),
        withdrawn("mask"),
    ),
    "consent read once": (consent_read_once, withdrawn("share")),
    "consent read once, another process": (
        consent_read_once,
        test_consents.test_a_decision_on_one_purpose_brings_back_nothing_of_the_other,
    ),
    "consent not read after the hook": (
        consent_read_before_the_hook,
        test_uploads.check_withdrawal_in_a_hook,
    ),
    "consent to one plan for all": (any_plan, test_uploads.check_another_plan),
    "one purpose for all": (any_purpose, test_uploads.check_personalize_alone),
    "one decision brings back another": (
        all_in_one,
        test_consents.test_a_decision_on_one_purpose_brings_back_nothing_of_the_other,
    ),
    "privacy control ignored": (set_(Consents, "honour_gpc", lambda agreed, signal: None), gpc),
    "privacy control forgotten": (set_(consents_module, "signals", lambda kept: False), gpc),
    "what could not be written forgotten": (
        set_(Consents, "_holding", lambda agreed, *purposes: nullcontext()),
        lambda path: test_consents.test_what_cannot_be_written_is_taken_back_all_the_same(
            path, "withdraw"
        ),
    ),
    "receipts not checked": (
        set_(ConsentReceipt, "check", lambda receipt: None),
        test_consents.test_a_receipt_that_was_changed_anywhere_does_not_verify,
    ),
    "consent imported": (imported_as_it_is, imported),
    "quota in memory": (counted_in_memory, test_quotas.check_durable),
    "quota in memory, bytes": (counted_in_memory, test_uploads.check_bytes),
    "quota in memory, two processes": (counted_in_memory, test_quotas.check_two_processes),
    "quota not asked": (
        set_(Usage, "_beyond", lambda usage, spent: False),
        test_uploads.check_bytes,
    ),
    "an exception lets through": (errors_let_through, no("an exception")),
    "anything but no lets through": (anything_true, no("1")),
    "written down before asking": (recorded_before_asking, no("False")),
    "made again after the preview": (
        made_again,
        lambda _: test_uploads.test_a_preview_is_of_the_round_that_is_asked_for(),
    ),
    "repeats not asked about": (repeats_unasked, repeated),
    "waiting messages kept at an erasure": (
        set_(DeviceSession, "forget", lambda asked: None),
        test_erasure_of_everything.check_partial,
    ),
    "local states kept at an erasure": (
        set_(LocalStateFolder, "forget", lambda states: 1),
        test_erasure_of_everything.check_partial,
    ),
    "answer kept at an erasure": (
        set_(EgressLedger, "forget_answer", lambda ledger: None),
        test_erasure_of_everything.check_partial,
    ),
    "identity kept when everything is erased": (
        set_(membership, "destroy", lambda directory: None),
        test_erasure_of_everything.check_everything,
    ),
    "departure not noted": (
        set_(Departures, "add", lambda departures, plans: None),
        test_erasure_of_everything.check_everything,
    ),
    "departure not checked": (
        set_(Departures, "check", lambda departures, plan: None),
        test_erasure_of_everything.check_everything,
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_promise_removed_is_noticed(name: str, tmp_path: Path, monkeypatch: Patch) -> None:
    mutate, check = MUTANTS[name]
    (tmp_path / "mutant").mkdir()
    with monkeypatch.context() as patch:
        mutate(patch)
        with pytest.raises((AssertionError, pytest.fail.Exception)):
            check(tmp_path / "mutant")
