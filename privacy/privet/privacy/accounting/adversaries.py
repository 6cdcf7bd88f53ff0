"""One release seen by each adversary, and the guarantee that holds against it, or none.

The eight adversaries and what each of them sees are those of the threat model in
``docs/threat-model.md``. An epsilon against one of them says nothing about another.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from privet.privacy.accounting.accountants import claimed_epsilon
from privet.privacy.accounting.events import (
    Event,
    GaussianEvent,
    SkellamEvent,
    UnprotectedEvent,
)
from privet.privacy.contribution import NeighbouringRelation, sensitivity
from privet.privacy.errors import InputError


class Trust(StrEnum):
    """Who adds the noise, and so who need not be trusted. A closed set: proofs depend on it.

    ``CENTRAL``: the server sees the exact sum and adds Gaussian noise.
    ``SECURE_AGGREGATION``: each device adds a share of Skellam noise; the server sees the sum only.
    ``LOCAL``: each device's own vector is private by itself.
    """

    CENTRAL = "central"
    SECURE_AGGREGATION = "secure-aggregation"
    LOCAL = "local"

    @property
    def relation(self) -> NeighbouringRelation:
        """The neighbouring relation that guarantees under this trust are stated for."""
        if self is Trust.LOCAL:
            return NeighbouringRelation.REPLACE_ONE
        return NeighbouringRelation.ZERO_OUT


class Adversary(StrEnum):
    """Who a guarantee holds against."""

    MODEL_CONSUMER = "A1"
    OTHER_CLIENT = "A2"
    CURIOUS_SERVER = "A3"
    MALICIOUS_SERVER = "A4"
    APP_DEVELOPER = "A5"
    COLLUDING_CLIENTS = "A6"
    DEVICE_LOCAL = "A7"
    NETWORK = "A8"


@dataclass(frozen=True, kw_only=True)
class ReleaseTerms:
    """The public terms of one release: all that accounting needs, as the ledger records it.

    A release is one noisy sum, or one for each group of devices. A user is in one group, so one of
    the sums depends on that user. Every adversary is accounted for at the level of the group with
    the fewest survivors, whoever sees only what was made from all groups too: a model may combine
    groups in other ways than by adding them up, so the noise of the others is counted on for nobody.

    Attributes:
        trust: Who adds noise.
        dimension: Coordinates of the vector.
        l2_bound: Of one device's integer vector.
        l1_bound: The same in L1.
        nonnegative: Whether vectors have no negative entries.
        noise_multiplier: Under central trust, standard deviation over ``l2_bound``; 0 for none.
        share_variance: Of the Skellam noise that each device adds, in squared integers; 0 for none.
        survivors: Devices whose vectors are in the sum, of the smallest group; the fewest allowed,
            in planned terms.
        colluders: Devices assumed to tell the server or each other their noise shares; all of them
            may be in one group.
        groups: Sums that the release consists of, each of other devices.
    """

    trust: Trust
    dimension: int
    l2_bound: float
    l1_bound: float
    nonnegative: bool
    noise_multiplier: float
    share_variance: float
    survivors: int
    colluders: int
    groups: int = 1

    def with_survivors(self, survivors: int) -> "ReleaseTerms":
        """The same terms with the devices that really are in the (smallest group's) sum."""
        return replace(self, survivors=survivors)

    def worst_case(self) -> Event:
        """The release as the best informed adversary sees it who has a guarantee at all."""
        return self._event(known_shares=max(1, self.colluders))

    def seen_with(self, known_shares: int) -> Event:
        """The release as someone sees it who knows so many of the survivors' noise shares."""
        return self._event(known_shares=known_shares)

    def seen_by(self, adversary: Adversary) -> Event | None:
        """The event to account for against an adversary, None where nothing is guaranteed."""
        if adversary in _NEVER_PROTECTED:
            return None
        if self.trust is not Trust.LOCAL and adversary in _LOCAL_ONLY:
            return None
        if self.trust is Trust.CENTRAL and adversary is Adversary.CURIOUS_SERVER:
            return None
        known = {
            Adversary.OTHER_CLIENT: 1,
            Adversary.CURIOUS_SERVER: self.colluders,
            Adversary.COLLUDING_CLIENTS: max(1, self.colluders),
        }
        return self._event(known_shares=known.get(adversary, 0))

    def _event(self, *, known_shares: int) -> Event:
        if self.trust is Trust.CENTRAL:
            if self.noise_multiplier == 0:
                return UnprotectedEvent()
            return GaussianEvent(
                noise_multiplier=self.noise_multiplier, relation=self.trust.relation
            )
        shares = 1 if self.trust is Trust.LOCAL else self.survivors - known_shares
        if self.share_variance == 0 or shares <= 0:
            return UnprotectedEvent()
        distance = sensitivity(self.l2_bound, self.trust.relation, nonnegative=self.nonnegative)
        # Under zero-out the difference of neighbours is one vector, with its own L1 bound.
        integers = min(math.sqrt(self.dimension) * distance, distance**2)
        if self.trust.relation is NeighbouringRelation.ZERO_OUT:
            integers = min(integers, self.l1_bound)
        return SkellamEvent(
            l2_sensitivity=distance,
            l1_sensitivity=integers,
            variance=self.share_variance * shares,
            dimension=self.dimension,
            shares=shares,
            relation=self.trust.relation,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "trust": str(self.trust)}

    @classmethod
    def from_dict(cls, body: dict[str, Any]) -> "ReleaseTerms":
        """Read terms back.

        Raises:
            InputError: A field is missing, unknown or of a value that no release can have.
        """
        try:
            terms = cls(**{**body, "trust": Trust(body["trust"])})
            fitting = terms._possible()
        except (TypeError, KeyError, ValueError) as error:
            raise InputError("A ledger entry's release terms are malformed.") from error
        if not fitting:
            raise InputError("A ledger entry's release terms are malformed: an impossible value.")
        return terms

    def _possible(self) -> bool:
        """Whether every value is one that a release can have."""
        counts = (self.dimension, self.survivors, self.colluders, self.groups)
        reals = (self.l2_bound, self.l1_bound, self.noise_multiplier, self.share_variance)
        return (
            isinstance(self.nonnegative, bool)
            and all(type(count) is int and count < _LARGEST for count in counts)
            and all(type(real) in (int, float) and real < _LARGEST for real in reals)
            and min(self.dimension, self.survivors, self.groups) >= 1
            and (self.groups == 1 or self.trust is Trust.SECURE_AGGREGATION)
            and min(self.l2_bound, self.l1_bound) > 0
            and min(self.colluders, self.noise_multiplier, self.share_variance) >= 0
        )


_LARGEST = 1e30  # far above what fits into 32 bits; its square is still a number
_NEVER_PROTECTED = frozenset({Adversary.APP_DEVELOPER, Adversary.DEVICE_LOCAL})
_LOCAL_ONLY = frozenset({Adversary.MALICIOUS_SERVER, Adversary.NETWORK})


@dataclass(frozen=True, kw_only=True)
class Guarantee:
    """What is guaranteed against one adversary.

    Attributes:
        adversary: A1 to A8.
        epsilon: None where nothing is guaranteed.
        delta: None where nothing is guaranteed.
    """

    adversary: Adversary
    epsilon: float | None
    delta: float | None


def guarantees(
    releases: Sequence[ReleaseTerms],
    delta: float,
    *,
    private: bool,
    provoked: Sequence[Event] | None = None,
) -> tuple[Guarantee, ...]:
    """One guarantee for each adversary, from everything that was released.

    Args:
        releases: Every charged release, repeats included.
        delta: In (0, 1).
        private: False if the noise can be recomputed by others, which voids every guarantee.
        provoked: Under secure aggregation, all that a malicious server could make devices release,
            if something bounds it: certified identities and the devices' own caps do. None if not.
    """
    result = []
    for adversary in Adversary:
        events = [terms.seen_by(adversary) for terms in releases]
        if adversary is Adversary.MALICIOUS_SERVER and provoked is not None:
            events = list(provoked)
        known = [event for event in events if event is not None]
        epsilon: float | None = None
        if private and len(known) == len(events) and adversary not in _NEVER_PROTECTED:
            epsilon = claimed_epsilon(known, delta)
        if epsilon is None or math.isinf(epsilon):
            result.append(Guarantee(adversary=adversary, epsilon=None, delta=None))
        else:
            result.append(Guarantee(adversary=adversary, epsilon=epsilon, delta=delta))
    return tuple(result)
