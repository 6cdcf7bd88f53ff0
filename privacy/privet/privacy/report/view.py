"""A run's ledger, read for what it says about privacy."""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

from privet.privacy.accounting.account import Account
from privet.privacy.accounting.accountants import check_agreement, claimed_epsilon
from privet.privacy.accounting.adversaries import (
    Adversary,
    Guarantee,
    ReleaseTerms,
    Trust,
    events_of,
    guarantees,
)
from privet.privacy.accounting.events import Event, SamplingKind
from privet.privacy.accounting.profile import PrivacyProfile, privacy_profile
from privet.privacy.cohorts import CohortRule
from privet.privacy.errors import IntegrityError
from privet.privacy.ledger import Charge, Entry, EntryKind, charges
from privet.privacy.records import decode
from privet.privacy.report.claims import Randomness
from privet.privacy.secagg.agreed import ProtocolTerms
from privet.privacy.secagg.record import ProtocolRecord

_HEADLINE = {
    Trust.CENTRAL: Adversary.MODEL_CONSUMER,
    Trust.SECURE_AGGREGATION: Adversary.CURIOUS_SERVER,
    Trust.LOCAL: Adversary.MALICIOUS_SERVER,
}


@dataclass(frozen=True, kw_only=True)
class LedgerView:
    """What a ledger says about privacy.

    Attributes:
        entries: The whole ledger, its chain already checked.

    Raises:
        IntegrityError: On use, if the ledger does not begin with a plan and a budget.
    """

    entries: tuple[Entry, ...]

    @cached_property
    def plan(self) -> dict[str, Any]:
        """The plan, as recorded."""
        if not self.entries or self.entries[0].kind is not EntryKind.PLAN:
            raise IntegrityError("The ledger does not begin with a plan.")
        body = self.entries[0].body.get("plan")
        if not isinstance(body, dict):
            raise IntegrityError("The ledger's plan is malformed.")
        return body

    @property
    def plan_hash(self) -> str:
        """Hash of the plan, as recorded."""
        return str(self.entries[0].body.get("plan_hash"))

    @property
    def facts(self) -> dict[str, Any]:
        """The plan's public facts."""
        return dict(self.plan["facts"])

    @property
    def trust(self) -> Trust:
        """Who adds noise."""
        return Trust(self.facts["trust"])

    @property
    def cohort(self) -> CohortRule:
        """How the plan has devices drawn."""
        body = dict(self.facts["cohort"])
        return CohortRule(**{**body, "kind": SamplingKind(body["kind"])})

    @property
    def delta(self) -> float:
        """At which epsilon is stated."""
        return float(self.facts["delta"])

    @property
    def budget(self) -> float | None:
        """The last recorded limit on epsilon; None if there is none."""
        limits = [e.body["epsilon"] for e in self.entries if e.kind is EntryKind.BUDGET]
        if not limits:
            raise IntegrityError("The ledger records no budget.")
        return None if limits[-1] is None else float(limits[-1])

    @cached_property
    def charges(self) -> tuple[Charge, ...]:
        """Every charged release."""
        return charges(self.entries)

    @property
    def releases(self) -> list[ReleaseTerms]:
        """Terms of every charged release."""
        return [charge.terms for charge in self.charges]

    @property
    def noisy(self) -> bool:
        """Whether every release had noise."""
        return bool(self.charges) and all(
            t.noise_multiplier > 0 or t.share_variance > 0 for t in self.releases
        )

    @property
    def randomness(self) -> Randomness:
        """Where the noise came from."""
        if not self.noisy:
            return "none"
        return "seeded" if self.plan["seeded_noise"] else "operating-system"

    @property
    def private(self) -> bool:
        """Whether anything may be claimed at all."""
        return self.randomness == "operating-system"

    @property
    def headline(self) -> Adversary:
        """The adversary whom the claim is about."""
        sampled = any(terms.hides_cohort for terms in self.releases)
        # What sampling hides is hidden from one adversary only: the claim is about the others.
        return Adversary.OTHER_CLIENT if sampled else _HEADLINE[self.trust]

    @property
    def finished(self) -> bool:
        """Whether the plan was carried out to its end."""
        return any(entry.kind is EntryKind.END for entry in self.entries)

    @cached_property
    def guarantees(self) -> tuple[Guarantee, ...]:
        """Per adversary."""
        return guarantees(self.releases, self.delta, private=self.private, provoked=self.provoked)

    @cached_property
    def protocol(self) -> ProtocolTerms | None:
        """What the plan says of secure aggregation; None where it is simulated or not used."""
        body = self.plan["protocol"]
        return (
            None if body is None else cast(ProtocolTerms, decode(ProtocolTerms, body, "protocol"))
        )

    @cached_property
    def provoked(self) -> tuple[Event, ...] | None:
        """All that a malicious server could make devices release, where something bounds it."""
        if self.protocol is None:
            return None
        names = [str(step["step"]["name"]) for step in self.plan["steps"]]
        planned = [ReleaseTerms.from_dict(step["terms"]) for step in self.plan["steps"]]
        charged = Counter(names.index(charge.step) for charge in self.charges)
        return self.protocol.against_malicious_server(planned, charged)

    @cached_property
    def rounds(self) -> tuple[tuple[str, ProtocolRecord], ...]:
        """What secure aggregation did in each closed step, by the step's name, if it was run."""
        found = []
        for entry in self.entries:
            body = entry.body.get("secure_aggregation")
            if entry.kind is EntryKind.CLOSE and isinstance(body, dict):
                found.append((str(entry.body["step"]), ProtocolRecord.from_dict(body)))
        return tuple(found)

    @cached_property
    def spoiled(self) -> dict[tuple[str, int], tuple[int, ...]]:
        """Groups that were spoiled but borne, by the step and attempt that they were released in.

        A step is closed by the last of its attempts that was charged.
        """
        found: dict[tuple[str, int], tuple[int, ...]] = {}
        last: Charge | None = None
        for entry in self.entries:
            if entry.kind is EntryKind.CHARGE:
                (last,) = charges([entry])
            elif entry.kind is EntryKind.CLOSE and last is not None:
                groups = tuple(int(group) for group in entry.body.get("spoiled_groups", ()))
                found[last.step, last.attempt] = groups
        return found

    def epsilon_after(self, releases: int) -> float:
        """Epsilon of the first releases, in the worst case over adversaries."""
        return claimed_epsilon(events_of(self.releases[:releases]) or (), self.delta)

    @cached_property
    def profiles(self) -> tuple[tuple[tuple[Adversary, ...], PrivacyProfile], ...]:
        """All that is known, once for the adversaries who see the same events.

        Formal Guarantees: an adversary is in exactly one of them, with the epsilon of its
        guarantee, or has no guarantee.
        """
        seen: dict[tuple[Event, ...], list[Adversary]] = {}
        for guarantee in self.guarantees:
            if guarantee.epsilon is not None:
                seen.setdefault(self.events(guarantee.adversary), []).append(guarantee.adversary)
        return tuple(
            (tuple(adversaries), privacy_profile(events, self.delta))
            for events, adversaries in seen.items()
        )

    @cached_property
    def _agreed(self) -> dict[tuple[Event, ...], tuple[Account, ...]]:
        return {}

    def accounts(self, adversary: Adversary) -> tuple[Account, ...]:
        """Every accountant on what an adversary sees, the second implementation last.

        Raises:
            IntegrityError: They disagree.
        """
        events = self.events(adversary)
        if events not in self._agreed:
            self._agreed[events] = check_agreement(events, self.delta)
        return self._agreed[events]

    def events(self, adversary: Adversary) -> tuple[Event, ...]:
        """What was released, as an adversary sees it; what it sees without noise is left out.

        For a malicious server that something bounds it is all that it could have made devices
        release.
        """
        if adversary is Adversary.MALICIOUS_SERVER and self.provoked is not None:
            return self.provoked
        return events_of(self.releases, adversary) or ()


def most_devices(terms: ReleaseTerms, view: LedgerView) -> int:
    """Most devices that a sum may be said to have, over all groups: exactly, if it is a secret."""
    devices = int(view.facts["devices"])
    if terms.series is not None:
        return terms.series.turn_size(devices)
    if terms.hides_cohort:
        return terms.survivors
    return view.cohort.size or devices
