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
    MatrixEvent,
    SamplingKind,
    SkellamEvent,
    UnprotectedEvent,
)
from privet.privacy.accounting.sampling import Sampling
from privet.privacy.accounting.series import SeriesRound
from privet.privacy.contribution import NeighbouringRelation, sensitivity
from privet.privacy.errors import InputError, PrivacyError


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
            in planned terms; the expected number where the real one is kept secret.
        colluders: Devices assumed to tell the server or each other their noise shares; all of them
            may be in one group.
        groups: Sums that the release consists of, each of other devices.
        sampling: How the devices were drawn; None if all there are, or all whose turn it was,
            take part.
        series: The round of a series that this sum is, its noise correlated with the others';
            None for a sum with noise of its own.
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
    sampling: Sampling | None = None
    series: SeriesRound | None = None

    @property
    def hides_cohort(self) -> bool:
        """Whether the server keeps to itself who was drawn, and how many.

        Only a Poisson cohort gains by it. Its size is kept with it: given that, the cohort would
        be one of fixed size.
        """
        drawn = self.sampling
        return (
            self.trust is Trust.CENTRAL
            and drawn is not None
            and drawn.declared is SamplingKind.POISSON
            and not drawn.roster_sent
        )

    def with_survivors(self, survivors: int) -> "ReleaseTerms":
        """The same terms with the devices that really are in the (smallest group's) sum."""
        return replace(self, survivors=survivors)

    def worst_case(self) -> Event:
        """The release as the best informed adversary sees it who has a guarantee at all.

        Raises:
            PrivacyError: It is a round of a series: see :func:`events_of`.
        """
        return self._alone(self._event(known_shares=max(1, self.colluders)))

    def seen_with(self, known_shares: int) -> Event:
        """The release as someone sees it who knows so many of the survivors' noise shares."""
        return self._alone(self._event(known_shares=known_shares))

    def seen_by(self, adversary: Adversary) -> Event | None:
        """The event to account for against an adversary, None where nothing is guaranteed.

        Amplification by sampling is claimed against A1 alone, who gets the models, takes part in
        no round and is told nothing of the cohort.

        Raises:
            PrivacyError: It is a round of a series: see :func:`events_of`.
        """
        event = self._seen_by(adversary)
        return None if event is None else self._alone(event)

    def _alone(self, event: Event) -> Event:
        if self.series is not None:
            raise PrivacyError(
                f"A round of series {self.series.name!r} cannot be accounted by itself: its noise "
                "is correlated with the other rounds'."
            )
        return event

    def _seen_by(self, adversary: Adversary) -> Event | None:
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
        event = self._event(known_shares=known.get(adversary, 0))
        told = adversary is not Adversary.MODEL_CONSUMER or not self.hides_cohort
        if told or self.sampling is None or not isinstance(event, GaussianEvent):
            return event
        return self.sampling.amplified(event, secret=True)

    def _event(self, *, known_shares: int) -> Event:
        if self.sampling is not None:
            self.sampling.check_implemented()
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
        return {
            **asdict(self),
            "trust": str(self.trust),
            "sampling": None if self.sampling is None else self.sampling.to_dict(),
            "series": None if self.series is None else self.series.to_dict(),
        }

    @classmethod
    def from_dict(cls, body: dict[str, Any]) -> "ReleaseTerms":
        """Read terms back.

        Raises:
            InputError: A field is missing, unknown or of a value that no release can have.
        """
        try:
            sampling, series = body["sampling"], body["series"]
            read = {
                "trust": Trust(body["trust"]),
                "sampling": None if sampling is None else Sampling.from_dict(sampling),
                "series": None if series is None else SeriesRound.from_dict(series),
            }
            terms = cls(**{**body, **read})
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


def events_of(
    releases: Sequence[ReleaseTerms], adversary: Adversary | None = None
) -> tuple[Event, ...] | None:
    """What releases are to an adversary, to compose: all rounds of a series are one event.

    Args:
        releases: Every charged release, repeats included, in order.
        adversary: Who sees them; None for the best informed who has a guarantee at all.

    Returns:
        The events, or None where nothing is guaranteed against the adversary.

    Raises:
        PrivacyError: A round of a series is repeated or missing, or its terms are not the other
            rounds': such a series cannot be accounted for.
    """
    events: list[Event] = []
    series: dict[str, list[tuple[SeriesRound, ReleaseTerms]]] = {}
    for terms in releases:
        if terms.series is not None:
            series.setdefault(terms.series.name, []).append((terms.series, terms))
            continue
        event = terms.worst_case() if adversary is None else terms.seen_by(adversary)
        if event is None:
            return None
        events.append(event)
    for rounds in series.values():
        if adversary is not None and rounds[0][1]._seen_by(adversary) is None:
            return None
        events.append(_series_event(rounds))
    return tuple(events)


def _series_event(
    rounds: Sequence[tuple[SeriesRound, ReleaseTerms]],
) -> MatrixEvent | UnprotectedEvent:
    """The rounds of one series so far: the noise is the server's, so it is the same to all."""
    series, first = rounds[0]
    for number, (found, terms) in enumerate(rounds):
        like_first = replace(terms, survivors=first.survivors, series=series)
        alike = replace(found, round_number=series.round_number) == series
        if found.round_number != number or not alike or like_first != first:
            raise PrivacyError(
                f"Series {series.name!r} cannot be accounted for: expected its rounds in order, "
                f"each once and with the same terms, and found another at place {number}. A "
                "repeat with fresh noise would let both be averaged."
            )
    if first.trust is not Trust.CENTRAL or first.sampling is not None:
        raise PrivacyError(
            f"Series {series.name!r} cannot be accounted for: correlated noise needs a server "
            "that sees the sums ('central' trust), and a schedule instead of sampling."
        )
    if first.noise_multiplier == 0:
        return UnprotectedEvent()
    return series.event(first.noise_multiplier, rounds=len(rounds))


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
        events = events_of(releases, adversary) if private else None
        if private and adversary is Adversary.MALICIOUS_SERVER and provoked is not None:
            events = tuple(provoked)
        epsilon: float | None = None
        if events is not None and adversary not in _NEVER_PROTECTED:
            epsilon = claimed_epsilon(events, delta)
        if epsilon is None or math.isinf(epsilon):
            result.append(Guarantee(adversary=adversary, epsilon=None, delta=None))
        else:
            result.append(Guarantee(adversary=adversary, epsilon=epsilon, delta=delta))
    return tuple(result)
