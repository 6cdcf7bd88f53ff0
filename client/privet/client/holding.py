"""What the client holds of its user, as a whole: taken along, said, erased."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from privet.client.learning.situation import Mode
from privet.client.parts import Parts
from privet.client.profile.questions import names_about
from privet.client.recommending import Recommending
from privet.client.vault.event import EntryKind

if TYPE_CHECKING:  # it knows federations, and so plans and accounting
    from privet.client.rights.erasure import ErasureReceipt

_SAMPLE = 20  # recommendations whose reasons say what matters


class Holding:
    """Exports, erases and says as a whole.

    Args:
        parts: Of the client.
    """

    def __init__(self, parts: Parts) -> None:
        """Read nothing yet."""
        self._parts = parts

    def export(self, path: Path) -> None:
        """Write everything to a new file; see `privet.client.client.Client.export`."""
        from privet.client.rights.export import ClientExport, write_export

        self._parts.memory.flush()
        federated = self._parts.place.joined()
        member = None if federated is None else federated.membership
        found = ClientExport.of(
            self._parts.vault,
            ledger=None if member is None else member.store.ledger,
            local=None if member is None else member.local,
            model=None if member is None else member.models.held,
            known=() if federated is None else federated.terms,
        )
        write_export(found, path)

    def ledger(self) -> tuple[str, ...]:
        """What left this device, in sentences; none if it is in no federation."""
        federated = self._parts.place.joined()
        member = None if federated is None else federated.membership
        if federated is None or member is None:
            return ()
        from privet.client.rights.participation import participation_log
        from privet.client.rights.quotas import Usage

        times = Usage(self._parts.vault).rounds()
        return participation_log(member.store.ledger, known=federated.terms, times=times)

    def erase(
        self, *, items: Iterable[str] | None, before: int | None, all: bool
    ) -> "ErasureReceipt":
        """Erase for good; see `privet.client.client.Client.erase`."""
        from privet.client.departures import Departures
        from privet.client.rights.erasure import erase_client

        parts = self._parts
        federated = parts.place.joined()
        if items is not None and not isinstance(items, str):
            items = list(items)
        if all and items is None and before is None:
            parts.memory.drop_waiting()
        parts.memory.flush()
        receipt = erase_client(
            parts.vault,
            items=items,
            before=before,
            all=all,
            membership=None if federated is None else federated.membership,
            departures=Departures(parts.place.departures),
            caches=[parts.memory, *([] if federated is None else [federated])],
        )
        if items is not None:
            parts.controls.forget(items)
            asked = names_about(parts.vault.entries(EntryKind.PROFILE), items)
            if asked:
                parts.vault.drop(EntryKind.PROFILE, asked)
        if all:
            parts.features.forget()
            if federated is not None:
                federated.close()
        return receipt

    def main_parameters(self, recommending: Recommending) -> tuple[str, ...]:
        """What matters most in this user's lists, and what they can change, in sentences."""
        from privet.client.rights.main_parameters import main_parameters

        found = recommending.recommend(
            _SAMPLE,
            context=None,
            query="",
            mode=Mode.PERSONAL,
            diversity=None,
            exclude_seen=None,
        )
        return main_parameters(
            [recommending.explanation(one) for one in found],
            personal=self._parts.consents.may_record,
            weighting=self._parts.policy.weighting,
            rules=recommending.rules,
            retention=self._parts.policy.retention,
        )
