"""Ways to hold events out; each partitions the data exactly."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from privet.models.cohort import Cohort
from privet.privacy.errors import InputError
from privet.simulations.data.dataset import Split


def leave_one_out(cohort: Cohort, *, rng: np.random.Generator, n_negatives: int = 99) -> Split:
    """Hold out each user's last event; users with fewer than two events keep theirs.

    Events of the same time, or without times, are ordered at random. Negatives are distinct
    and uniform over the items outside the user's **training** history. They must not know the
    held-out item: a pool that leaves it out marks it by its absence, and a model that sees the
    pool (as training negatives, say) can reach a hit rate of 1 by reading the gap. So the
    held-out item may be drawn among its own negatives; the evaluation then drops that negative
    (``drop_positives``). Negatives for training are the model's business and are not drawn here.

    Args:
        cohort: All events.
        rng: Orders ties and draws negatives.
        n_negatives: Candidates a user, at least 0.

    Returns:
        A split with ``negatives`` of shape ``(n_users, n_negatives)``: -1 for users without a
        held-out event, and where a user has not so many unseen items.

    Raises:
        InputError: No user has two events, or ``n_negatives`` is negative.
    """
    if n_negatives < 0:
        raise InputError(f"Expected n_negatives={n_negatives} >= 0.")
    if not np.any(cohort.sizes >= 2):
        raise InputError("Leave-one-out needs at least one user with two events, found none.")
    order = np.lexsort((rng.random(len(cohort.items)), cohort.times, cohort.rows))
    last = order[cohort.indptr[1:][cohort.sizes >= 2] - 1]
    held_out = np.zeros(len(cohort.items), bool)
    held_out[last] = True
    train = keep_events(cohort, ~held_out)
    return Split(
        name="leave-one-out",
        train=train,
        test=keep_events(cohort, held_out),
        negatives=_draw_negatives(train, cohort.sizes >= 2, n_negatives, rng),
    )


def random_split(
    cohort: Cohort,
    *,
    rng: np.random.Generator,
    test_fraction: float = 0.2,
    valid_fraction: float = 0.08,
) -> Split:
    """Hold events out at random, whoever they belong to.

    Args:
        cohort: All events.
        rng: Shuffles them.
        test_fraction: Share of all events to test on, above 0.
        valid_fraction: Share of all events to tune on; 0 for no such part.

    Raises:
        InputError: Fractions leave nothing to train on, or there are too few events.
    """
    n_test, n_valid = _sizes(len(cohort.items), test_fraction, valid_fraction)
    part = np.zeros(len(cohort.items), np.int8)
    shuffled = rng.permutation(len(cohort.items))
    part[shuffled[:n_test]] = 2
    part[shuffled[n_test : n_test + n_valid]] = 1
    return _by_part("random", cohort, part, with_valid=valid_fraction > 0)


def time_split(cohort: Cohort, *, test_fraction: float = 0.2, valid_fraction: float = 0.0) -> Split:
    """Hold out whatever happened after one moment, the same for all users.

    Events of the same second stay together, so the parts' sizes may differ a little from the
    fractions; nothing in a later part happened before anything in an earlier one.

    Args:
        cohort: All events, each with its time.
        test_fraction: Share of all events to test on, above 0.
        valid_fraction: Share of all events, before those, to tune on; 0 for no such part.

    Raises:
        InputError: A time is unknown, fractions leave nothing to train on, or all happened at once.
    """
    unknown = int(np.count_nonzero(cohort.times == 0))
    if unknown:
        raise InputError(
            f"A split by time needs the time of every event; {unknown} of "
            f"{len(cohort.times)} have none."
        )
    n_test, n_valid = _sizes(len(cohort.times), test_fraction, valid_fraction)
    ordered = np.sort(cohort.times)
    test_from = ordered[len(ordered) - n_test]
    valid_from = ordered[len(ordered) - n_test - n_valid]
    # Without a validation part both moments are the same, and whatever is late is 2.
    part = (cohort.times >= valid_from).astype(np.int8) + (cohort.times >= test_from)
    if not np.any(part == 0):
        raise InputError("Too many events happened at the same time to split them by time.")
    return _by_part("time", cohort, part, with_valid=valid_fraction > 0)


def merge(a: Cohort, b: Cohort) -> Cohort:
    """Both parts' events together, such as train and valid; of a shared pair the last counts.

    Raises:
        InputError: The parts do not have the same devices and items.
    """
    if a.n_items != b.n_items or not np.array_equal(a.devices, b.devices):
        raise InputError("Only parts with the same devices and the same items can be merged.")
    both = Cohort.from_pairs(
        np.concatenate([a.rows, b.rows]),
        np.concatenate([a.items, b.items]),
        n_users=len(a),
        n_items=a.n_items,
        weights=np.concatenate([a.weights, b.weights]),
        times=np.concatenate([a.times, b.times]),
    )
    return replace(both, devices=a.devices)


def keep_events(cohort: Cohort, kept: NDArray[np.bool_]) -> Cohort:
    """The same devices with some of their events.

    Args:
        cohort: All events.
        kept: Shape ``(nnz,)``.
    """
    before = np.concatenate([[0], np.cumsum(kept)]).astype(np.int64)
    return replace(
        cohort,
        indptr=before[cohort.indptr],
        items=cohort.items[kept],
        weights=cohort.weights[kept],
        times=cohort.times[kept],
    )


def drop_positives(negatives: NDArray[np.int32], test: Cohort) -> NDArray[np.int32]:
    """Negatives with -1 where one is the user's own held-out item.

    Args:
        negatives: Item indices, shape ``(n_users, k)``.
        test: The held-out events.
    """
    rows = np.arange(len(test), dtype=np.int64)[:, None]
    keys = test.rows * test.n_items + test.items
    own = np.isin(rows * test.n_items + negatives, keys)
    return np.where(own, np.int32(-1), negatives)


def _draw_negatives(
    train: Cohort, wanted: NDArray[np.bool_], k: int, rng: np.random.Generator
) -> NDArray[np.int32]:
    """Distinct items outside each wanted user's training history, which is all that is looked at.

    A rank among the unseen items is drawn and moved past the seen ones before it: with sorted
    seen items ``s``, ``s[j] - j`` unseen items come before ``s[j]``.
    """
    negatives = np.full((len(train), k), -1, np.int32)
    for row in np.flatnonzero(wanted).tolist():
        seen = train.items[train.indptr[row] : train.indptr[row + 1]]
        unseen = train.n_items - len(seen)
        ranks = rng.choice(unseen, size=min(k, unseen), replace=False)
        shift = np.searchsorted(seen - np.arange(len(seen)), ranks, side="right")
        negatives[row, : len(ranks)] = ranks + shift
    return negatives


def _sizes(n_events: int, test_fraction: float, valid_fraction: float) -> tuple[int, int]:
    """Number of events to test and to tune on."""
    if not (test_fraction > 0 and valid_fraction >= 0 and test_fraction + valid_fraction < 1):
        raise InputError(
            f"Expected test_fraction={test_fraction} > 0 and valid_fraction={valid_fraction} >= 0 "
            "with a sum below 1."
        )
    n_test = max(1, round(n_events * test_fraction))
    n_valid = round(n_events * valid_fraction)
    if n_test + n_valid >= n_events:
        raise InputError(f"{n_events} event(s) are too few to split.")
    return n_test, n_valid


def _by_part(name: str, cohort: Cohort, part: NDArray[np.int8], *, with_valid: bool) -> Split:
    """A split from each event's part: 0 train, 1 valid, 2 test."""
    return Split(
        name=name,
        train=keep_events(cohort, part == 0),
        valid=keep_events(cohort, part == 1) if with_valid else None,
        test=keep_events(cohort, part == 2),
    )
