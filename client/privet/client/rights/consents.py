"""What a user agreed to on this device: given and taken back, opt-outs, receipts.

All of it is in the vault, and decided there: what one process of the app takes back, no other one
takes for given.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from typing import TYPE_CHECKING, Any, cast

from privet.client.rights.decisions import (
    GIVEN,
    GPC,
    PURPOSE,
    RECEIPT,
    SIGNAL,
    entry,
    granted,
    refused,
    scope_of,
    signals,
    written,
)
from privet.client.rights.notice import Notice, Purpose, purposes_of
from privet.client.rights.receipts import ConsentReceipt
from privet.client.vault.event import Entry, EntryKind, Value
from privet.client.vault.vault import Vault
from privet.privacy.canonical import Json
from privet.privacy.errors import InputError, PrivacyError

if TYPE_CHECKING:
    from privet.client.consent import Terms


class Consents:
    """What a user agreed to.

    Args:
        vault: Keeps decisions and receipts.
        notice: What the app tells its user; receipts repeat it.
        clock: Unix seconds, for receipts.

    Formal Guarantees:
        Nothing is agreed to until `grant` returned, and nothing any more once `withdraw`, `opt_out`
        or `honour_gpc` was on the disk: `has` reads the vault each time. Each decision is made and
        written in one transaction of the vault, so that no order of calls and processes brings
        back what was taken back. No decision on one purpose changes the other. A receipt is made
        from the decision, the notice and the terms alone.

    Edge Case Handling:
        Where the disk is full, or another process holds the store, taking back raises, as nothing
        could be written; in this object it has effect all the same, until it could be written or
        the user agrees again.
    """

    def __init__(
        self,
        vault: Vault,
        *,
        notice: Notice | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Agree to nothing."""
        self._vault = vault
        self._notice = notice or Notice()
        self._clock = clock
        self._unwritten: set[Purpose] = set()

    def has(self, purpose: str, *, plan_hash: str | None = None) -> bool:
        """Whether the user agrees to a purpose now.

        Args:
            purpose: Of `Purpose`.
            plan_hash: Of the plan, for `Purpose.CONTRIBUTE`: whether they agreed to contribute to
                this very one.
        """
        (wanted,) = purposes_of((purpose,))
        if wanted in self._unwritten:
            return False
        kept = self._kept().get(PURPOSE + wanted, {})
        terms = kept.get("terms") or {}
        return kept.get("status") == GIVEN and plan_hash in (None, terms.get("plan_hash"))

    @property
    def may_record(self) -> bool:
        """Whether what the user does may be recorded: if they agreed to be personalized for."""
        return self.has(Purpose.PERSONALIZE)

    def grant(
        self, *purposes: str, terms: "Terms | None" = None, despite_gpc: bool = False
    ) -> ConsentReceipt:
        """The user agrees; whatever they had taken back of these purposes is given again.

        Args:
            *purposes: Of `Purpose`.
            terms: Of the federation, as they were shown; needed to contribute, and to nothing else.
            despite_gpc: The user was told that their browser or system asks not to share, and
                agrees nevertheless; the receipt says so.

        Raises:
            InputError: No such purpose, or none; to contribute without terms.
            PrivacyError: To contribute while Global Privacy Control asks not to.
        """
        wanted, at = purposes_of(purposes), self._clock()
        if (Purpose.CONTRIBUTE in wanted) != (terms is not None):
            raise InputError(
                "Consent to contribute is for the terms of a federation that were shown: give "
                "terms with that purpose, and with no other. Nothing was agreed to."
            )

        def decide(purpose: Purpose, kept: Mapping[str, Any]) -> dict[str, Json]:
            shown = terms if purpose is Purpose.CONTRIBUTE else None
            method = self._notice.method
            if shown is not None and signals(kept):
                if not despite_gpc:
                    raise PrivacyError(
                        f"{GPC} asks not to share, and the user has not been asked whether they "
                        "agree nevertheless. Nothing was agreed to."
                    )
                method = f"{method}, overriding {GPC}"
            over = shown is not None and signals(kept)
            return granted(shown, method, at, despite_gpc=over)

        receipt = self._decide(wanted, decide, at)
        self._unwritten -= set(wanted)
        return receipt

    def withdraw(self, *purposes: str) -> ConsentReceipt:
        """The user takes consent back, or says no; it has effect when this returns.

        Raises:
            InputError: No such purpose, or none.
        """
        return self._refuse(purposes_of(purposes), self._notice.method, opted_out=False)

    def opt_out(self, scope: str) -> ConsentReceipt:
        """The user says no for good: until they agree of themselves, they are not to be asked.

        Args:
            scope: ``contribute``: nothing is sent. ``personalize``: nothing is recorded, and what is
                shown follows from no profile; what was recorded is kept, unused, until it is
                erased. ``all``: both.

        Raises:
            InputError: Another scope.
        """
        return self._refuse(scope_of(scope), f"{self._notice.method}, an opt-out", opted_out=True)

    def has_opted_out(self, scope: str) -> bool:
        """Whether the user, or their Global Privacy Control, opted out of all of a scope.

        Raises:
            InputError: Another scope.
        """
        kept = self._kept()
        return all(kept.get(PURPOSE + p, {}).get("opted_out", False) for p in scope_of(scope))

    def honour_gpc(self, signal: bool) -> ConsentReceipt | None:
        """Take note of Global Privacy Control, as a host gets it with each request.

        ``True`` (``Sec-GPC: 1``) opts out of contributing, at once, unless the user agreed despite
        this signal. ``False`` grants nothing, but from then on agreeing needs no override; a signal
        that comes back opts out again.

        Returns:
            A receipt, if it changed anything.

        Raises:
            InputError: Not a boolean: whether the header's value is ``1`` is for the host to say.
        """
        if type(signal) is not bool:
            raise InputError(f"Expected True or False for the signal of {GPC}.")
        at = self._clock()
        name = PURPOSE + Purpose.CONTRIBUTE
        made: list[ConsentReceipt] = []

        def change(found: Mapping[str, Value]) -> list[Entry]:
            kept = cast(Mapping[str, Any], found)
            old, before = kept.get(name, {}), signals(kept)
            overridden = before and old.get("despite_gpc", False)
            entries = [] if signal is before else [entry(SIGNAL, {"signal": signal})]
            if signal and not overridden and not old.get("opted_out", False):
                new = refused(old, f"the signal of {GPC}", at, opted_out=True)
                more, receipt = written(self._notice, {Purpose.CONTRIBUTE: new}, kept, at)
                made.append(receipt)
                entries += more
            return entries

        taken = {Purpose.CONTRIBUTE} if signal else set[Purpose]()
        with self._holding(taken):
            self._vault.amend(EntryKind.CONSENT, change)
        if not made:
            return None
        self._unwritten -= taken
        return made[0]

    def receipts(self) -> tuple[ConsentReceipt, ...]:
        """All receipts of this device, in order."""
        kept = self._kept()
        return tuple(
            ConsentReceipt(document=deepcopy(document))
            for name, document in kept.items()
            if name.startswith(RECEIPT)
        )

    def _refuse(
        self, purposes: tuple[Purpose, ...], method: str, *, opted_out: bool
    ) -> ConsentReceipt:
        at = self._clock()

        def decide(purpose: Purpose, kept: Mapping[str, Any]) -> dict[str, Json]:
            old = kept.get(PURPOSE + purpose, {})
            out = opted_out or bool(old.get("opted_out", False))
            return refused(old, method, at, opted_out=out)

        with self._holding(set(purposes)):
            receipt = self._decide(purposes, decide, at)
        self._unwritten -= set(purposes)
        return receipt

    @contextmanager
    def _holding(self, taken: set[Purpose]) -> Iterator[None]:
        """What is taken back inside counts as taken back here if it cannot be written."""
        try:
            yield
        except BaseException:
            self._unwritten |= taken
            raise

    def _decide(
        self,
        purposes: tuple[Purpose, ...],
        decide: Callable[[Purpose, Mapping[str, Any]], dict[str, Json]],
        at: float,
    ) -> ConsentReceipt:
        made: list[ConsentReceipt] = []

        def change(found: Mapping[str, Value]) -> list[Entry]:
            kept = cast(Mapping[str, Any], found)
            entries, receipt = written(
                self._notice, {p: decide(p, kept) for p in purposes}, kept, at
            )
            made.append(receipt)
            return entries

        self._vault.amend(EntryKind.CONSENT, change)
        return made[0]

    def _kept(self) -> dict[str, Any]:
        return cast(dict[str, Any], self._vault.entries(EntryKind.CONSENT))
