"""What taking part may cost a device in a period, and what it has cost, kept in the vault."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

from privet.client.vault.event import Entry, EntryKind, Value
from privet.client.vault.vault import Vault
from privet.privacy.errors import InputError

MAX_ROUNDS = 512
"""Of so many rounds, the latest, it is kept when the device took part in them."""
_SPENT, _ROUNDS = "spent", "rounds"


@dataclass(frozen=True, kw_only=True)
class Quotas:
    """What taking part may cost in a period; None for no limit.

    They spare the device. How often it may take part for the sake of privacy is another matter: see
    `privet.privacy.minimization.agreement.Limits`.

    Attributes:
        period_seconds: Length of a period.
        energy: In joules where the host estimates them, else in seconds of the processor.
        sent_bytes: Payload of messages.
        participations: Rounds.

    Raises:
        InputError: A limit below 0, not finite, or a period that is none.
    """

    period_seconds: int = 86_400
    energy: float | None = None
    sent_bytes: int | None = None
    participations: int | None = None

    def __post_init__(self) -> None:
        """Check every limit."""
        if type(self.period_seconds) is not int or self.period_seconds < 1:
            raise InputError("Expected period_seconds as a whole number above 0.")
        for name in ("energy", "sent_bytes", "participations"):
            limit = getattr(self, name)
            if limit is not None and not (math.isfinite(limit) and limit >= 0):
                raise InputError(f"Expected {name} as a number of 0 or more, or None.")


@dataclass(frozen=True, kw_only=True)
class Spent:
    """What taking part has cost in the period.

    Attributes:
        since: Unix seconds at which the period began.
        energy: In the host's unit.
        sent_bytes: Payload of messages that left or were about to.
        participations: Rounds.
    """

    since: int
    energy: float = 0.0
    sent_bytes: int = 0
    participations: int = 0


@dataclass(frozen=True, kw_only=True)
class RoundTime:
    """When a device took part in a round: Unix seconds of its first message."""

    run: str
    round_number: int
    at: int


class Usage:
    """What taking part has cost this device, durably.

    Args:
        vault: Keeps it.
        quotas: What it may cost.
        clock: Unix seconds.

    Formal Guarantees:
        `take` counts before it returns True, on the disk and in one transaction, so that no order
        of calls, crashes and processes spends a quota twice in a period.

    Edge Case Handling:
        A clock that goes back gives nothing back: the period begins anew with what was spent. A
        clock that is put forward by a period ends it; no clock of the device can tell that from time.
    """

    def __init__(
        self, vault: Vault, quotas: Quotas | None = None, *, clock: Callable[[], float] = time.time
    ) -> None:
        """Read nothing yet."""
        self.quotas = quotas or Quotas()
        self._vault = vault
        self._clock = clock

    def spent(self) -> Spent:
        """What was spent in this period."""
        return self._of_period(self._vault.entries(EntryKind.USAGE))

    def rounds(self) -> tuple[RoundTime, ...]:
        """When the device took part, in order; of the latest rounds."""
        return tuple(RoundTime(**kept) for kept in _rounds(self._vault.entries(EntryKind.USAGE)))

    def take(self, *, sent_bytes: int, round_of: tuple[str, int] | None = None) -> bool:
        """Count a message that is about to leave, unless it is beyond the quotas.

        Args:
            sent_bytes: Its size.
            round_of: Run and number of its round, if it is of one: the first message counts as a
                participation.

        Returns:
            Whether it was counted and may leave.
        """
        taken: list[bool] = []

        def change(kept: Mapping[str, Value]) -> list[Entry]:
            spent, rounds = self._of_period(kept), _rounds(kept)
            known = {(one["run"], one["round_number"]) for one in rounds}
            new = round_of is not None and round_of not in known
            after = Spent(
                since=spent.since,
                energy=spent.energy,
                sent_bytes=spent.sent_bytes + sent_bytes,
                participations=spent.participations + new,
            )
            taken.append(not self._beyond(after))
            if not taken[-1]:
                return []
            entries = [_entry(_SPENT, vars(after))]
            if new and round_of is not None:
                one = {"run": round_of[0], "round_number": round_of[1], "at": int(self._clock())}
                entries.append(_entry(_ROUNDS, [*rounds, one][-MAX_ROUNDS:]))
            return entries

        self._vault.amend(EntryKind.USAGE, change)
        return taken[0]

    def add_energy(self, amount: float) -> None:
        """Count energy that was used, whatever the quota.

        Raises:
            InputError: Not a finite number of 0 or more.
        """
        if not (math.isfinite(amount) and amount >= 0):
            raise InputError("Expected energy as a finite number of 0 or more.")

        def change(kept: Mapping[str, Value]) -> list[Entry]:
            spent = self._of_period(kept)
            return [_entry(_SPENT, {**vars(spent), "energy": spent.energy + amount})]

        self._vault.amend(EntryKind.USAGE, change)

    @contextmanager
    def metered(self, meter: Callable[[], float] = time.process_time) -> Iterator[None]:
        """Count what is used inside.

        Args:
            meter: Reads a number that only rises: seconds of the processor, or the host's joules.
        """
        before = meter()
        try:
            yield
        finally:
            self.add_energy(max(0.0, meter() - before))

    def _beyond(self, spent: Spent) -> bool:
        limits, after = self.quotas, vars(spent)
        return any(
            after[name] > limit
            for name in ("sent_bytes", "participations")
            if (limit := getattr(limits, name)) is not None
        )

    def _of_period(self, kept: Mapping[str, Value]) -> Spent:
        now = int(self._clock())
        found = cast("dict[str, Any] | None", kept.get(_SPENT))
        if found is None or now - found["since"] >= self.quotas.period_seconds:
            return Spent(since=now)
        return Spent(**{**found, "since": min(now, found["since"])})


def _rounds(kept: Mapping[str, Value]) -> list[dict[str, Any]]:
    return cast("list[dict[str, Any]]", kept.get(_ROUNDS, []))


def _entry(name: str, value: Any) -> Entry:
    return Entry(kind=EntryKind.USAGE, name=name, value=value)
