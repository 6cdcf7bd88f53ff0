"""A data set in memory: catalogue, users, every event, and what could not be read."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from privet.models.catalogue import Catalogue
from privet.models.cohort import Cohort
from privet.privacy.errors import InputError

QUANTILES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A row that could not be used.

    Attributes:
        line: Line in the file, from 1; for arrays, the row, from 1.
        reason: What was expected; never contains a user's values.
        source: Which input: ``interactions``, ``catalogue`` or ``users``.
    """

    line: int
    reason: str
    source: str = "interactions"

    def __str__(self) -> str:
        """The problem as a person reads it."""
        where = "" if self.source == "interactions" else f"{self.source}, "
        return f"{where}line {self.line}: {self.reason}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Split:
    """A division of a data set's events; all parts have the same rows and the same items.

    Attributes:
        name: What the split is called in reports.
        train: Events to learn from.
        valid: Events to tune on, or None.
        test: Events held out.
        negatives: Candidates that each user's held-out item is ranked against, int32, shape
            ``(n_users, k)``; -1, anywhere in a row, stands for no candidate. None: rank all items.

    Raises:
        InputError: The parts do not have the same rows and items.
    """

    name: str
    train: Cohort
    valid: Cohort | None = None
    test: Cohort
    negatives: NDArray[np.int32] | None = None

    def __post_init__(self) -> None:
        """Check that the parts fit together."""
        parts = [self.train, self.test] + ([] if self.valid is None else [self.valid])
        if len({(len(part), part.n_items) for part in parts}) != 1:
            raise InputError("The parts of a split must have the same users and the same items.")
        if self.negatives is not None:
            shape = self.negatives.shape
            if len(shape) != 2 or shape[0] != len(self.train):
                raise InputError(
                    f"Expected negatives of shape ({len(self.train)}, k), found {shape}."
                )


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """Users' events over a catalogue.

    Attributes:
        name: What the data set is called in reports.
        catalogue: The items.
        user_ids: The users' identifiers; position is the row of ``cohort``.
        cohort: All events, one row a user.
        problems: Rows that could not be used, in the order of their lines.
        rows_read: Rows of interactions read: kept, repeated and unusable ones together.
        split: The split that the source ships, if it does.
        attributes: What is known of users, as the source writes it: for each attribute a value
            a user, empty where unknown.

    Raises:
        InputError: Parts do not fit together, or there are fewer than 2 users or 2 items with
            interactions.
    """

    name: str
    catalogue: Catalogue
    user_ids: tuple[str, ...]
    cohort: Cohort
    problems: tuple[Problem, ...] = ()
    rows_read: int
    split: Split | None = None
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that the parts fit together and that there is something to learn from."""
        n_users, n_items = len(self.user_ids), len(self.catalogue)
        if (len(self.cohort), self.cohort.n_items) != (n_users, n_items):
            raise InputError(
                f"Expected a cohort of {n_users} users and {n_items} items, "
                f"found {len(self.cohort)} and {self.cohort.n_items}."
            )
        if len(set(self.user_ids)) != n_users:
            raise InputError("User identifiers must be distinct.")
        if self.split is not None and len(self.split.train) != n_users:
            raise InputError(f"Expected a split over {n_users} users.")
        for name, values in self.attributes.items():
            if len(values) != n_users:
                raise InputError(f"Expected {name} for all {n_users} users, found {len(values)}.")
        require_enough(
            users=int(np.count_nonzero(self.cohort.sizes)),
            items=len(np.unique(self.cohort.items)),
            rows_read=self.rows_read,
            problems=self.problems,
        )

    @property
    def duplicates(self) -> int:
        """Rows that repeated a (user, item) pair; of each pair the last in time was kept."""
        unusable = sum(problem.source == "interactions" for problem in self.problems)
        return self.rows_read - unusable - len(self.cohort.items)


def require_enough(
    *, users: int, items: int, rows_read: int, problems: tuple[Problem, ...]
) -> None:
    """Refuse data from which nothing can be learnt, and say what is missing.

    Raises:
        InputError: Fewer than 2 users or 2 items with interactions.
    """
    if users >= 2 and items >= 2:
        return
    unusable = [problem for problem in problems if problem.source == "interactions"]
    first = f" First unusable row: {unusable[0]}." if unusable else ""
    raise InputError(
        f"Expected interactions of at least 2 users with at least 2 items, found {users} user(s) "
        f"and {items} item(s): {rows_read} row(s) read, {len(unusable)} unusable.{first}"
    )


def describe(dataset: Dataset) -> dict[str, Any]:
    """Figures of a data set, ready for JSON.

    They describe users' data exactly: a simulation's business, outside any epsilon.
    """
    cohort, catalogue = dataset.cohort, dataset.catalogue
    n_users, n_items, n_events = len(cohort), len(catalogue), len(cohort.items)
    popularity = np.bincount(cohort.items, minlength=n_items)
    history = np.quantile(cohort.sizes, QUANTILES)
    return {
        "name": dataset.name,
        "users": n_users,
        "items": n_items,
        "items_with_interactions": int(np.count_nonzero(popularity)),
        "interactions": n_events,
        "density": n_events / (n_users * n_items),
        "history_mean": n_events / n_users,
        "history_quantiles": {
            f"{q:g}": float(value) for q, value in zip(QUANTILES, history, strict=True)
        },
        "popularity_gini": gini(popularity),
        "period": _period(cohort.times),
        "categories": dict(
            sorted(Counter(name for item in catalogue.categories for name in item).items())
        ),
        "catalogue_declared_public": catalogue.declared_public,
        "catalogue_hash": catalogue.hash,
        "attributes": sorted(dataset.attributes),
        "split": None if dataset.split is None else dataset.split.name,
        "rows_read": dataset.rows_read,
        "duplicates": dataset.duplicates,
        "problems": len(dataset.problems),
        "first_problems": [str(problem) for problem in dataset.problems[:5]],
    }


def gini(counts: NDArray[np.integer]) -> float:
    """Gini coefficient of counts that do not sum to 0: 0 all equal, towards 1 all in one."""
    ordered = np.sort(counts).astype(np.float64)
    n = len(ordered)
    ranks = np.arange(1, n + 1)
    return float(2 * (ranks @ ordered) / (n * ordered.sum()) - (n + 1) / n)


def _period(times: NDArray[np.int64]) -> dict[str, Any] | None:
    """First and last known time, ISO 8601 in UTC, and the days between; None if none is known."""
    known = times[times != 0]
    if not len(known):
        return None
    first, last = int(known.min()), int(known.max())
    return {
        "first": datetime.fromtimestamp(first, UTC).isoformat(),
        "last": datetime.fromtimestamp(last, UTC).isoformat(),
        "days": (last - first) / 86_400,
        "events_without_time": len(times) - len(known),
    }
