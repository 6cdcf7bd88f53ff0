"""The attack of Narayanan and Shmatikov as a measure of how well histories identify.

"Robust De-anonymization of Large Sparse Datasets" (2008), the Scoreboard-RH of section 5: someone
knows a few ratings of a target with approximate dates, some of them wrong. Every history in the
data is scored by sum over known items of weight(i) * (exp(-|rating difference| / rating_scale) +
exp(-|time difference| / time_scale)), weight(i) = 1 / log(number of users who have i). The best one
is named only if its eccentricity, (best - second best) / standard deviation of all scores, is above
a threshold. Ratings or times that the data lack are left out of the sum.

The rates are measurements with one attack, hence lower bounds on what can be done. A low rate is no
guarantee. Every trial is repeated with the target taken out of the data: an attack that still names
somebody then is guessing, and its successes say nothing.
"""

import math
from dataclasses import dataclass

import numpy as np

from privet.privacy.anonymization.histories import Floats, Histories, Proportion
from privet.privacy.anonymization.knowledge import DAY, Knowledge, Known, draw
from privet.privacy.errors import InputError

_NEAREST_WEIGHT = math.log(2)  # of an item that one user has; 1 / log(1) would be infinite


@dataclass(frozen=True, kw_only=True)
class Scoreboard:
    """The attack's constants, those of the paper by default.

    Attributes:
        rating_scale: Rating difference at which a match is worth 1/e.
        time_scale: The same for times, in seconds.
        eccentricity: Standard deviations by which the best must lead.
    """

    rating_scale: float = 1.5
    time_scale: float = 30 * DAY
    eccentricity: float = 1.5

    def __post_init__(self) -> None:
        """Refuse scales that match nothing."""
        for name, value in vars(self).items():
            if not 0 < value < math.inf:
                raise InputError(f"Expected {name}={value} to be finite and above 0.")


@dataclass(frozen=True, kw_only=True)
class Reidentification:
    """What the attack achieved.

    Attributes:
        ranked_first: Targets with the best score, whether it led by enough or not.
        success: Targets who were named.
        false_match: Targets in whose place somebody else was named.
        control: Targets in whose place somebody was named after they were taken out of the data.
        eccentricity: The threshold that was used.
    """

    ranked_first: Proportion
    success: Proportion
    false_match: Proportion
    control: Proportion
    eccentricity: float


class _Postings:
    """Who has each item, and with which rating and time."""

    def __init__(self, histories: Histories) -> None:
        order = np.argsort(histories.items, kind="stable")
        self.users = histories.users
        self.support = np.bincount(histories.items)
        self._starts = np.concatenate([[0], np.cumsum(self.support)])
        self._owners = histories.owners()[order]
        self._ratings = None if histories.ratings is None else histories.ratings[order]
        self._times = None if histories.times is None else histories.times[order]

    def scores(self, known: Known, board: Scoreboard, absent: int | None = None) -> Floats:
        """Everybody's score; with ``absent``, of everybody else as if that user did not exist."""
        scores = np.zeros(self.users)
        for position, item in enumerate(known.items.tolist()):
            here = slice(self._starts[item], self._starts[item + 1])
            owners = self._owners[here]
            support = len(owners) - (absent is not None and absent in owners)
            if support:
                weight = 1 / max(math.log(support), _NEAREST_WEIGHT)
                scores[owners] += weight * self._similarity(known, position, here, board)
        return scores if absent is None else np.delete(scores, absent)

    def _similarity(
        self, known: Known, position: int, here: slice, board: Scoreboard
    ) -> Floats | float:
        if self._ratings is None and self._times is None:
            return 1.0
        total = np.zeros(here.stop - here.start)
        if self._ratings is not None and known.ratings is not None:
            off = np.abs(self._ratings[here] - known.ratings[position])
            total += np.exp(-off / board.rating_scale)
        if self._times is not None and known.times is not None:
            off = np.abs(self._times[here] - known.times[position])
            total += np.exp(-off / board.time_scale)
        return total


@dataclass(frozen=True, kw_only=True)
class _Trial:
    """Whether the best was the target, how far it led, and how far without the target."""

    right: bool
    lead: float
    lead_without: float


def reidentify(
    histories: Histories,
    *,
    rng: np.random.Generator,
    knowledge: Knowledge | None = None,
    scoreboard: Scoreboard | None = None,
    targets: int | None = None,
    control_rate: float | None = None,
    confidence: float = 0.95,
) -> Reidentification:
    """Runs the attack on targets chosen at random, and on data without them.

    Args:
        histories: The data that would be released.
        rng: Chooses targets and what is known of them; it protects nothing.
        knowledge: What the adversary knows.
        scoreboard: The attack's constants.
        targets: How many; all users with enough items by default.
        control_rate: If given, the eccentricity is not the scoreboard's. Half of the targets serve
            to set it, so that of these at most this share is named when absent; the figures are
            of the other half.
        confidence: Of the intervals.

    Raises:
        InputError: If there are fewer than 4 users, or too few with enough items.
    """
    knowledge, board = knowledge or Knowledge(), scoreboard or Scoreboard()
    if histories.users < 4:
        raise InputError(f"Expected at least 4 users, found {histories.users}.")
    enough = np.flatnonzero(histories.lengths >= knowledge.known_items)
    count = len(enough) if targets is None else min(targets, len(enough))
    if count < (1 if control_rate is None else 2):
        raise InputError(f"Expected more users with {knowledge.known_items} items, found {count}.")
    postings = _Postings(histories)
    chosen = rng.choice(enough, count, replace=False).tolist()
    trials = [_trial(histories, postings, user, knowledge, board, rng) for user in chosen]
    threshold = board.eccentricity
    if control_rate is not None:
        threshold = _threshold(trials[: count // 2], control_rate)
        trials = trials[count // 2 :]
    named = [trial for trial in trials if trial.lead > threshold]
    right = sum(trial.right for trial in named)
    control = sum(trial.lead_without > threshold for trial in trials)
    return Reidentification(
        ranked_first=Proportion.of(sum(t.right for t in trials), len(trials), confidence),
        success=Proportion.of(right, len(trials), confidence),
        false_match=Proportion.of(len(named) - right, len(trials), confidence),
        control=Proportion.of(control, len(trials), confidence),
        eccentricity=threshold,
    )


def eccentricity(scores: Floats) -> float:
    """How many standard deviations the best leads the second by; 0 if all are equal."""
    spread = float(scores.std())
    second, best = np.partition(scores, -2)[-2:]
    return float(best - second) / spread if spread > 0 else 0.0


def _trial(
    histories: Histories,
    postings: _Postings,
    target: int,
    knowledge: Knowledge,
    board: Scoreboard,
    rng: np.random.Generator,
) -> _Trial:
    known = draw(histories, target, knowledge, rng)
    scores = postings.scores(known, board)
    return _Trial(
        right=int(scores.argmax()) == target,
        lead=eccentricity(scores),
        lead_without=eccentricity(postings.scores(known, board, absent=target)),
    )


def _threshold(trials: list[_Trial], control_rate: float) -> float:
    """The smallest lead that at most this share of absent targets exceeds."""
    if not 0 <= control_rate < 1:
        raise InputError(f"Expected control_rate={control_rate} from 0 to below 1.")
    leads = sorted((trial.lead_without for trial in trials), reverse=True)
    return leads[math.floor(control_rate * len(leads))]
