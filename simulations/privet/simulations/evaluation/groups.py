"""Who pays for privacy: quality by group of users, and what each group loses against no privacy.

Groups are users' known attributes, how much they did (activity), and how mainstream their taste is: the
share of a history in the most popular fifth of the catalogue, in thirds, as Abdollahpouri et al. 2019
("The Unfairness of Popularity Bias in Recommendation", section 4) split users into niche, diverse and
blockbuster-focused ones. Figures look at held-out data and are outside every epsilon; a group of fewer
than 20 measured users gets none.
"""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from privet.privacy.report.sections import LEAST_USERS, GroupRow, Interval
from privet.simulations.evaluation.intervals import mean_interval
from privet.simulations.preparation import Task

METRICS = ("recall@20", "ndcg@20")

_POPULAR_SHARE = 0.2
_TASTES = ("niche", "mixed", "mainstream")
_AGES = ((25, "under 25"), (35, "25 to 34"), (50, "35 to 49"), (1000, "50 and above"))
_DEVIATIONS = 1.96

PerUser = Mapping[str, NDArray[np.float64]]
"""Metrics of the users with a held-out item, by name, shape ``(users,)``, in the test's order."""


def groupings(task: Task) -> dict[str, NDArray[np.str_]]:
    """The group of each user by each attribute, shape ``(users,)``; empty where it has none."""
    found = {}
    if "gender" in task.attributes:
        found["gender"] = np.array(task.attributes["gender"])
    if "age" in task.attributes:
        found["age"] = np.array([age_band(value) for value in task.attributes["age"]])
    sizes = task.train.sizes
    found["activity"] = _thirds(sizes.astype(np.float64), [_events(sizes, i) for i in range(3)])
    found["taste"] = _thirds(popular_share(task), _TASTES)
    return found


def age_band(age: str) -> str:
    """One of four bands; empty where the age is unknown."""
    if not age.isdecimal():
        return ""
    return next((label for below, label in _AGES if int(age) < below), _AGES[-1][1])


def popular_share(task: Task) -> NDArray[np.float64]:
    """Share of each history that is among the most popular fifth of the items, shape ``(users,)``."""
    cohort = task.train
    counts = np.bincount(cohort.items, minlength=cohort.n_items)
    popular = np.zeros(cohort.n_items)
    popular[np.argsort(-counts, kind="stable")[: math.ceil(_POPULAR_SHARE * cohort.n_items)]] = 1
    found = np.bincount(cohort.rows, weights=popular[cohort.items], minlength=len(cohort))
    return np.asarray(found / np.maximum(cohort.sizes, 1), np.float64)


def group_rows(
    task: Task, measured: PerUser, *, epsilon: float, without: PerUser | None = None
) -> tuple[GroupRow, ...]:
    """Quality of every group, and its loss against the same model without privacy.

    The loss is ``1 - mean / mean without privacy`` over the same users; its interval is that of a
    ratio of paired means (delta method), 95 %.

    Args:
        task: That was measured on.
        measured: Of each user.
        epsilon: Of the run; infinity for none.
        without: The same users without privacy; None if that was not measured.
    """
    tested = np.flatnonzero(task.test.sizes > 0)
    rows: list[GroupRow] = []
    for attribute, labels in groupings(task).items():
        for group in _ordered(attribute, labels):
            inside = labels[tested] == group
            if int(inside.sum()) >= LEAST_USERS:
                rows += _rows(attribute, group, inside, measured, without, epsilon)
    return tuple(rows)


def widest_gap(
    task: Task, measured: PerUser, without: PerUser, attribute: str, metric: str
) -> tuple[str, str, Interval] | None:
    """The two groups whose losses differ most, and by how much, the first losing more.

    The interval takes the groups as independent; which two is chosen on the same data, so a gap
    that is just above 0 says little.
    """
    tested, labels = np.flatnonzero(task.test.sizes > 0), groupings(task)[attribute]
    found = []
    for group in _ordered(attribute, labels):
        inside = labels[tested] == group
        if int(inside.sum()) >= LEAST_USERS:
            found.append((*_loss(measured[metric][inside], without[metric][inside]), group))
    if len(found) < 2:
        return None
    (low, low_error, least), (high, high_error, most) = min(found), max(found)
    half = _DEVIATIONS * math.hypot(low_error, high_error)
    gap = high - low
    return most, least, Interval(mean=gap, low=gap - half, high=gap + half)


def _rows(
    attribute: str,
    group: str,
    inside: NDArray[np.bool_],
    measured: PerUser,
    without: PerUser | None,
    epsilon: float,
) -> Iterator[GroupRow]:
    for metric in METRICS:
        values = measured[metric][inside]
        mean = mean_interval(values, bounds=(0.0, 1.0))
        loss = None
        if without is not None:
            share, error = _loss(values, without[metric][inside])
            half = _DEVIATIONS * error
            loss = Interval(mean=share, low=share - half, high=share + half)
        yield GroupRow(
            attribute=attribute,
            group=group,
            users=len(values),
            epsilon=epsilon,
            metric=metric,
            value=Interval(mean=mean.mean, low=mean.low, high=mean.high),
            loss=loss,
        )


def _loss(values: NDArray[np.float64], without: NDArray[np.float64]) -> tuple[float, float]:
    """One less the ratio of two paired means, and its standard error."""
    base = float(without.mean())
    if base == 0:
        return 0.0, 0.0
    ratio = float(values.mean()) / base
    residual = values - ratio * without
    return 1 - ratio, float(np.std(residual, ddof=1)) / (base * math.sqrt(len(values)))


def _thirds(values: NDArray[np.float64], names: Sequence[str]) -> NDArray[np.str_]:
    edges = np.quantile(values, [1 / 3, 2 / 3])
    return np.array(names)[np.searchsorted(edges, values, side="left")]


def _events(sizes: NDArray[np.int64], third: int) -> str:
    edges = np.quantile(sizes, [1 / 3, 2 / 3])
    inside = sizes[np.searchsorted(edges, sizes, side="left") == third]
    if not len(inside):
        return f"third {third + 1}, empty"
    return f"{int(inside.min())} to {int(inside.max())} events"


def _ordered(attribute: str, labels: NDArray[np.str_]) -> list[str]:
    """Groups in the order in which people read them."""
    found = [str(group) for group in np.unique(labels) if group]
    orders: dict[str, Sequence[str]] = {"taste": _TASTES, "age": [label for _, label in _AGES]}
    if attribute == "activity":
        return sorted(found, key=lambda group: int(group.split()[0]) if group[0].isdigit() else 0)
    return [group for group in orders.get(attribute, found) if group in found]
