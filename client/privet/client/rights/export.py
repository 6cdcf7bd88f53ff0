"""Everything that a device holds about its user, in the clear: for the user to take along.

Left out, because they are keys and no data: the store's keys, the device's identity and its key at the
transport. Whoever had them could speak for the device.
"""

import base64
import csv
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Any

from privet.client.consent import Terms
from privet.client.local_states import LocalStates
from privet.client.model_store import HeldModel
from privet.client.rights.participation import LOG, participation_log
from privet.client.rights.phrases import Phrases
from privet.client.rights.quotas import Usage
from privet.client.vault.event import EntryKind, described, raw
from privet.client.vault.portable import CLIENT_SCHEMA, Contents, write_clear
from privet.client.vault.vault import Vault
from privet.models.model import LocalState
from privet.privacy.ledger import Entry
from privet.privacy.minimization.egress_log import EgressLedger


@dataclass(frozen=True, kw_only=True, repr=False)
class ClientExport:
    """Everything that a device holds about its user.

    Attributes:
        contents: Of the store, consents and receipts included. In JSON these are apart, and the rest
            is called history; it is the part that an import reads.
        ledger: The device's ledger, if it ever joined a federation.
        log: The ledger in sentences.
        local_states: Of models in training, by the hash of the plan.
        model: The published model that the device keeps: what everybody has, so by its version.
    """

    contents: Contents
    ledger: tuple[Entry, ...]
    log: tuple[str, ...]
    local_states: Mapping[str, LocalState]
    model: HeldModel | None

    @classmethod
    def of(
        cls,
        vault: Vault,
        *,
        ledger: EgressLedger | None = None,
        local: LocalStates | None = None,
        model: HeldModel | None = None,
        known: Iterable[Terms] = (),
        phrases: Phrases = LOG,
    ) -> "ClientExport":
        """Read all of it.

        Args:
            vault: The store.
            ledger: Of the device, if it joined a federation.
            local: Its local states.
            model: What it keeps.
            known: Terms of federations, for the sentences.
            phrases: Language of the sentences.
        """
        log: tuple[str, ...] = ()
        if ledger is not None:
            times = Usage(vault).rounds()
            log = participation_log(ledger, known=known, times=times, phrases=phrases)
        return cls(
            contents=Contents.of(vault),
            ledger=() if ledger is None else ledger.entries,
            log=log,
            local_states={} if local is None else local.held(),
            model=model,
        )

    def to_json(self) -> bytes:
        """A JSON object."""
        own = [e for e in self.contents.entries if e.kind is EntryKind.CONSENT]
        rest = tuple(e for e in self.contents.entries if e.kind is not EntryKind.CONSENT)
        body = {
            "schema": CLIENT_SCHEMA,
            "history": json.loads(replace(self.contents, entries=rest).to_json()),
            "consents": {entry.name: entry.value for entry in own},
            "participation": list(self.log),
            "ledger": [entry.to_dict() for entry in self.ledger],
            "local_states": self._states(),
            "model": self._model(),
        }
        return json.dumps(body, ensure_ascii=False, allow_nan=False, indent=1).encode()

    def to_csv(self) -> bytes:
        """The table of `Contents`, with a line more for everything else.

        A spreadsheet may take a text that begins with = for a formula; JSON is the safer form.
        """
        out = StringIO(newline="")
        writer = csv.writer(out)
        for number, sentence in enumerate(self.log):
            writer.writerow(["participation", number, "", "", _text(sentence), ""])
        for entry in self.ledger:
            place = {"seq": entry.seq, "previous_hash": entry.previous_hash, "hash": entry.hash}
            writer.writerow(["ledger", str(entry.kind), "", "", _text(entry.body), _text(place)])
        for plan_hash, state in self._states().items():
            writer.writerow(["local state", plan_hash, "", "", _text(state), ""])
        if self.model is not None:
            writer.writerow(["model", self.model.version, "", "", _text(self._model()), ""])
        return self.contents.to_csv() + out.getvalue().encode()

    def _states(self) -> dict[str, Any]:
        return {
            plan_hash: {
                name: {**described(array), "base64": base64.b64encode(raw(array)).decode()}
                for name, array in state.items()
            }
            for plan_hash, state in self.local_states.items()
        }

    def _model(self) -> dict[str, Any] | None:
        held = self.model
        if held is None:
            return None
        return {
            "version": held.version,
            "decision": held.decision,
            "state_hash": held.state_hash,
        }


def write_export(found: ClientExport, path: Path) -> None:
    """Write an export to a new file, for its owner only, as its suffix says: .json or .csv.

    The file is in the clear: whoever reads it knows all of it.

    Raises:
        InputError: Another suffix, the file is there already, or it cannot be written.
    """
    write_clear(path, json=found.to_json, csv=found.to_csv)


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
