"""What a user agreed to, and how often a device may take part: checked before it computes.

A server can ask for anything. A device answers only to plans that its user agreed to, under the
policy that its user saw, and no more often than agreed: each answer to the same step has fresh
noise, and many of them averaged would have none.
"""

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from threading import Lock
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from privet.privacy.errors import EgressError, InputError, IntegrityError, PrivacyError
from privet.privacy.minimization.policy import EgressPolicy

MAX_ROUND = 2**32 - 1


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How often a device may take part, and how far apart.

    Attributes:
        max_participations: In one step of a plan, at least 1.
        max_total: In one plan, over all its steps, at least 1; None for no limit beyond the steps'.
        max_lifetime: In all plans together, at least 1; None for no limit beyond the plans'.
        min_separation: Numbers of two rounds of one series that the device takes part in differ by
            at least this, as `privet.privacy.accounting.events.MatrixEvent.separation` assumes: a
            device that took part in a round is left out of the next ``min_separation - 1``. At
            least 1, so that it takes part in a round of a series once.
        max_messages: Messages that leave under one plan with no participation in it in between. It
            bounds what a server can make a device say and write down by asking again and again
            who it is, or by rounds that it begins and does not go on with.

    Raises:
        InputError: A limit is not a whole number above 0.
    """

    max_participations: int = 1
    max_total: int | None = None
    max_lifetime: int | None = None
    min_separation: int = 1
    max_messages: int = 1000

    def __post_init__(self) -> None:
        """Check every limit."""
        for name, limit in vars(self).items():
            optional = name in {"max_total", "max_lifetime"}
            if not (optional and limit is None) and (type(limit) is not int or limit < 1):
                raise InputError(f"Expected {name} as a whole number of at least 1.")

    def stricter(self, other: "Limits") -> "Limits":
        """The stricter of both in each respect: what a user agreed to and what a plan promises."""
        return Limits(
            max_participations=min(self.max_participations, other.max_participations),
            max_total=_least(self.max_total, other.max_total),
            max_lifetime=_least(self.max_lifetime, other.max_lifetime),
            min_separation=max(self.min_separation, other.min_separation),
            max_messages=min(self.max_messages, other.max_messages),
        )


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """What a device's user agreed to.

    Attributes:
        plan_hashes: Plans that the device may follow.
        policy_hashes: Policies under which something may leave.
        limits: How often the device may answer; to each step of a plan once, if not given.
    """

    plan_hashes: frozenset[str]
    policy_hashes: frozenset[str]
    limits: Limits = field(default_factory=Limits)

    @classmethod
    def to(cls, *policies: EgressPolicy, limits: Limits | None = None) -> "Agreement":
        """Agreement to these policies and the plans that they are of."""
        return cls(
            plan_hashes=frozenset(p.plan_hash for p in policies if p.plan_hash),
            policy_hashes=frozenset(p.hash for p in policies),
            limits=limits or Limits(),
        )

    def check(self, *, plan_hash: str, policy_hash: str) -> None:
        """Refuse what was not agreed to.

        Raises:
            EgressError: Another plan or another policy.
        """
        if plan_hash not in self.plan_hashes:
            raise EgressError("The user did not agree to this plan. Nothing was computed or sent.")
        if policy_hash not in self.policy_hashes:
            raise EgressError("The user did not agree to this policy. Nothing was sent.")


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One request to take part, as a device counts it; all of it public.

    Attributes:
        plan_hash: Of the plan.
        step: Of the plan.
        devices: Numbers of the devices; one that appears twice counts twice.
        series: The series of rounds within the plan that the round is of, or None.
        round_number: In the series, from 0 to 2**32 - 1.

    Raises:
        InputError: Not a round's number.
    """

    plan_hash: str
    step: str
    devices: tuple[int, ...]
    series: str | None = None
    round_number: int = 0

    def __post_init__(self) -> None:
        """Check the round's number."""
        if type(self.round_number) is not int or not 0 <= self.round_number <= MAX_ROUND:
            raise InputError(f"Expected a round's number as a whole number from 0 to {MAX_ROUND}.")

    @cached_property
    def wanted(self) -> Counter[int]:
        """How often each device is to be counted."""
        return Counter(self.devices)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "plan_hash": self.plan_hash,
            "step": self.step,
            "devices": list(self.devices),
            "series": self.series,
            "round_number": self.round_number,
        }

    @classmethod
    def from_dict(cls, body: dict[str, Any]) -> "Claim":
        """Read a claim back.

        Raises:
            IntegrityError: Not a claim.
        """
        fitting = (
            set(body) == set(cls.__dataclass_fields__)
            and type(body["plan_hash"]) is type(body["step"]) is str
            and (body["series"] is None or type(body["series"]) is str)
            and type(body["devices"]) is list
            and all(type(device) is int for device in body["devices"])
        )
        try:
            if fitting:
                return cls(**{**body, "devices": tuple(body["devices"])})
        except InputError:
            pass
        raise IntegrityError("A claim in a device's ledger is malformed.")


class Participations(Protocol):
    """How often each device took part, kept on the device.

    An implementation on a real device is durable: the claim is on disk before `claim` returns, so
    that neither a crash nor a restart lets it answer twice.
    """

    def claim(
        self,
        *,
        plan_hash: str,
        step: str,
        devices: NDArray[np.int64],
        limits: Limits,
        series: str | None = None,
        round_number: int = 0,
    ) -> None:
        """Count one more participation of every device, or of none. It is never given back.

        Args:
            plan_hash: Of the plan.
            step: Of the plan.
            devices: Public numbers of the devices of a cohort; one that appears twice counts twice.
            limits: What each device may have.
            series: Name, within the plan, of the series of rounds that this one is of, between
                which `Limits.min_separation` holds; None if it is of none.
            round_number: In the series, from 0 to 2**32 - 1; in any order.

        Raises:
            PrivacyError: It would be beyond the limits for some device; nothing was counted.
            InputError: Not a round's number.
        """


class MemoryParticipations:
    """Counts in memory: for simulations, whose devices forget everything when the process ends."""

    def __init__(self) -> None:
        """Nobody took part yet."""
        self._counts: dict[str, dict[str, Counter[int]]] = {}  # plan, step, device
        self._rounds: dict[tuple[str, str], dict[int, list[int]]] = {}
        self._lock = Lock()

    def claim(
        self,
        *,
        plan_hash: str,
        step: str,
        devices: NDArray[np.int64],
        limits: Limits,
        series: str | None = None,
        round_number: int = 0,
    ) -> None:
        """Count one more participation of every device, or of none; see `Participations`."""
        claim = Claim(
            plan_hash=plan_hash,
            step=step,
            devices=tuple(devices.tolist()),
            series=series,
            round_number=round_number,
        )
        with self._lock:
            self.check(claim, limits)
            self.count(claim)

    def check(self, claim: Claim, limits: Limits) -> None:
        """Refuse a claim beyond the limits, and count nothing.

        Raises:
            PrivacyError: It would be beyond the limits for some device.
        """
        plan = self._counts.get(claim.plan_hash, {})
        step = plan.get(claim.step, Counter())
        _check_count(claim, [step], limits.max_participations, f"step {claim.step!r}")
        if limits.max_total is not None:
            _check_count(claim, list(plan.values()), limits.max_total, "this plan")
        if limits.max_lifetime is not None:
            everything = [counts for steps in self._counts.values() for counts in steps.values()]
            _check_count(claim, everything, limits.max_lifetime, "all plans together")
        if claim.series is not None:
            rounds = self._rounds.get((claim.plan_hash, claim.series), {})
            _check_separation(claim, rounds, limits.min_separation)

    def count(self, claim: Claim) -> None:
        """Count a claim, whatever the limits."""
        plan = self._counts.setdefault(claim.plan_hash, {})
        plan.setdefault(claim.step, Counter()).update(claim.wanted)
        if claim.series is not None:
            rounds = self._rounds.setdefault((claim.plan_hash, claim.series), {})
            for device in claim.wanted:
                rounds.setdefault(device, []).append(claim.round_number)


def _check_count(claim: Claim, counts: list[Counter[int]], limit: int, where: str) -> None:
    before = counts[0] if len(counts) == 1 else sum(counts, Counter())
    if any(before[device] + more > limit for device, more in claim.wanted.items()):
        raise PrivacyError(
            f"A device was asked to take part in {where} more often than the {limit} times that "
            "its user agreed to: a repeat has fresh noise. Nothing was computed or sent."
        )


def _check_separation(claim: Claim, rounds: dict[int, list[int]], apart: int) -> None:
    for device, more in claim.wanted.items():
        near = any(abs(r - claim.round_number) < apart for r in rounds.get(device, ()))
        if near or more > 1:
            raise PrivacyError(
                f"A device was asked to take part in round {claim.round_number} of a series, less "
                f"than {apart} rounds from one that it took part in: the noise was not calibrated "
                "for that. Nothing was computed or sent."
            )


def _least(a: int | None, b: int | None) -> int | None:
    return min((limit for limit in (a, b) if limit is not None), default=None)
