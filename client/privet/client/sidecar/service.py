"""What each route does: one call of the client, its result as plain JSON.

Lists, questions and terms that a client gives back as objects are remembered here under a name, so
that a later request can speak of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from privet.client.client import Client
from privet.client.connection import NothingToSend
from privet.client.results import Asking, Recommendation
from privet.client.rights.due import Needs
from privet.client.rights.notice import Purpose
from privet.client.rights.receipts import ConsentReceipt
from privet.client.sidecar.given import Answer, Remembered, members, plain
from privet.privacy.canonical import to_json
from privet.privacy.errors import InputError

if TYPE_CHECKING:  # with a place in a federation come plans and accounting
    from privet.client.consent import Terms


@dataclass(frozen=True, kw_only=True)
class _Told:
    """Conditions as the app tells them; None for what it does not know."""

    is_idle: bool | None
    is_charging: bool | None
    is_unmetered: bool | None

    def idle(self) -> bool | None:
        return self.is_idle

    def charging(self) -> bool | None:
        return self.is_charging

    def unmetered(self) -> bool | None:
        return self.is_unmetered


class Service:
    """Calls one client; safe from several threads, as the client is.

    Args:
        client: An open one.
    """

    def __init__(self, client: Client) -> None:
        """Remember nothing yet."""
        self.client = client
        self._lists = Remembered[Mapping[str, Recommendation]]()
        self._questions = Remembered[Asking]()
        self._terms: Remembered[Terms] = Remembered()

    def health(self) -> Answer:
        """That somebody is here."""
        return {"status": "ok"}

    def record(self, kind: str, item: str = "", **rest: Any) -> Answer:
        """`Client.record`."""
        return {"kept": str(self.client.record(kind, item, **rest))}

    def impressions(self, items: list[str], **rest: Any) -> Answer:
        """`Client.record_impressions`."""
        return {"kept": str(self.client.record_impressions(items, **rest))}

    def review(self, item: str, text: str, **rest: Any) -> Answer:
        """`Client.review`."""
        return {"kept": str(self.client.review(item, text, **rest))}

    def feedback(self, said: str, **rest: Any) -> Answer:
        """`Client.feedback`."""
        return {"kept": str(self.client.feedback(said, **rest))}

    def recommend(self, **given: Any) -> Answer:
        """`Client.recommend`, and a name by which its items can be explained."""
        found = self.client.recommend(**given)
        name = self._lists.keep({one.item: one for one in found})
        return {"list": name, "items": plain(found)}

    def explain(self, item: str, list: str = "") -> Answer:
        """`Client.explain`, of an item in a list or by itself."""
        if not list:
            return members(self.client.explain(item))
        held = self._lists.find(list, "a list")
        if item not in held:
            raise InputError("Expected an item of that list.")
        return members(self.client.explain(held[item]))

    def search(self, query: str, **rest: Any) -> Answer:
        """`Client.search`."""
        return members(self.client.search(query, **rest))

    def similar(self, item: str, **rest: Any) -> Answer:
        """`Client.similar`."""
        return {"hits": plain(self.client.similar(item, **rest))}

    def profile(self, **given: Any) -> Answer:
        """`Client.profile`."""
        return members(self.client.profile(**given))

    def edit_profile(self, topic: str = "", **rest: Any) -> Answer:
        """`Client.edit_profile`."""
        return {"kept": str(self.client.edit_profile(topic, **rest))}

    def main_parameters(self) -> Answer:
        """`Client.main_parameters`."""
        return {"sentences": plain(self.client.main_parameters())}

    def ask(self, **given: Any) -> Answer:
        """`Client.ask`, and a name by which the question can be answered."""
        found = self.client.ask(**given)
        if found is None:
            return {"asking": None}
        return {"asking": {"name": self._questions.keep(found), **members(found)}}

    def answer(self, asking: str, answer: str) -> Answer:
        """`Client.answer`."""
        return {"kept": str(self.client.answer(self._questions.find(asking, "a question"), answer))}

    def consent(self) -> Answer:
        """What is agreed to now, and what the user opted out of."""
        names = [str(purpose) for purpose in Purpose]
        return {
            "agreed": [name for name in names if self.client.consent.has(name)],
            "opted_out": [name for name in names if self.client.has_opted_out(name)],
        }

    def grant(self, purposes: list[str], plan_hash: str = "", **rest: Any) -> Answer:
        """``consent.grant``; to contribute, to terms that `connect` gave."""
        terms = self._terms.find(plan_hash, "a plan") if plan_hash else None
        return _receipt(self.client.consent.grant(*purposes, terms=terms, **rest))

    def withdraw(self, purposes: list[str]) -> Answer:
        """``consent.withdraw``; what was given out before is forgotten."""
        try:
            return _receipt(self.client.consent.withdraw(*purposes))
        finally:
            self._forget()

    def opt_out(self, scope: str) -> Answer:
        """`Client.opt_out`; what was given out before is forgotten."""
        try:
            return _receipt(self.client.opt_out(scope))
        finally:
            self._forget()

    def receipts(self) -> Answer:
        """``consent.receipts``."""
        return {"receipts": [to_json(one.document) for one in self.client.consent.receipts()]}

    def honour_gpc(self, signal: bool) -> Answer:
        """``consent.honour_gpc``."""
        return _receipt(self.client.consent.honour_gpc(signal))

    def connect(self, invitation: str) -> Answer:
        """`Client.connect`."""
        from privet.models.invitation import Invitation

        found = self.client.connect(Invitation.from_bytes(invitation.encode()))
        self._terms.keep(found.terms, found.terms.plan_hash)
        request = None if found.request is None else found.request.to_bytes().decode()
        return {
            "state": str(found.state),
            "terms": to_json(found.terms.to_dict()),
            "request": request,
        }

    def train_if_due(
        self,
        needs_idle: bool = True,
        needs_charging: bool = True,
        needs_unmetered: bool = True,
        idle: bool | None = None,
        charging: bool | None = None,
        unmetered: bool | None = None,
        **rest: Any,
    ) -> Answer:
        """`Client.train_if_due`; the platform's conditions if the app tells none."""
        told = _Told(is_idle=idle, is_charging=charging, is_unmetered=unmetered)
        known = any(value is not None for value in (idle, charging, unmetered))
        needs = Needs(idle=needs_idle, charging=needs_charging, unmetered=needs_unmetered)
        return members(self.client.train_if_due(told if known else None, needs=needs, **rest))

    def preview_upload(self) -> Answer:
        """`Client.preview_upload`."""
        found = self.client.preview_upload()
        if isinstance(found, NothingToSend):
            return {"preview": None, "why": found.why}
        return {"preview": found.to_dict(), "why": ""}

    def ledger(self) -> Answer:
        """`Client.ledger`."""
        return {"sentences": plain(self.client.ledger())}

    def export(self, path: str) -> Answer:
        """`Client.export`, to an absolute path."""
        if "\0" in path or not Path(path).is_absolute():
            raise InputError("Expected an absolute path for the export.")
        self.client.export(Path(path))
        return {"written": True}

    def erase(self, **given: Any) -> Answer:
        """`Client.erase`; what was given out before is forgotten."""
        self._forget()
        try:
            return {"receipt": self.client.erase(**given).to_dict()}
        finally:
            self._forget()  # another thread may have been given something meanwhile

    def flush(self) -> Answer:
        """`Client.flush`."""
        self.client.flush()
        return {"flushed": True}

    def _forget(self) -> None:
        self._lists.forget()
        self._questions.forget()


def _receipt(receipt: ConsentReceipt | None) -> Answer:
    return {"receipt": None if receipt is None else to_json(receipt.document)}
