"""Histories of devices, stacked ragged: a device is a cohort of one."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from privet.privacy.errors import InputError


@dataclass(frozen=True, kw_only=True, eq=False)
class Cohort:
    """The histories of ``n`` devices in compressed sparse rows.

    Row ``i`` is ``items[indptr[i]:indptr[i + 1]]``: sorted, distinct item indices of device ``i``,
    with their strengths and times beside them.

    Attributes:
        devices: Public index of each device in the federation, shape ``(n,)``, int64. Keys the
            device's own randomness, so that a cohort of one equals the row of a cohort of many.
        indptr: Shape ``(n + 1,)``, int64.
        items: Shape ``(nnz,)``, int32, each in ``[0, n_items)``.
        weights: Shape ``(nnz,)``, float64, strengths of preference, finite and above 0.
        times: Shape ``(nnz,)``, int64, Unix seconds, 0 where unknown.
        n_items: Size of the catalogue that ``items`` index.

    Raises:
        InputError: The arrays do not fit together.
    """

    devices: NDArray[np.int64]
    indptr: NDArray[np.int64]
    items: NDArray[np.int32]
    weights: NDArray[np.float64]
    times: NDArray[np.int64]
    n_items: int

    def __post_init__(self) -> None:
        """Check that the arrays fit together."""
        if len(self.indptr) != len(self.devices) + 1 or self.indptr[-1] != len(self.items):
            raise InputError("Cohort arrays do not fit together: indptr against devices or items.")
        if self.indptr[0] != 0 or (np.diff(self.indptr) < 0).any():
            raise InputError("Cohort arrays do not fit together: indptr must not decrease from 0.")
        if not (np.isfinite(self.weights) & (self.weights > 0)).all():
            raise InputError("Expected every weight of a cohort to be finite and above 0.")
        if not len(self.items) == len(self.weights) == len(self.times):
            raise InputError("Cohort arrays do not fit together: items, weights and times.")
        if len(self.items) and not 0 <= self.items.min() <= self.items.max() < self.n_items:
            raise InputError(f"Item indices must be in [0, {self.n_items}).")
        keys = self.rows * self.n_items + self.items
        if (np.diff(keys) <= 0).any():
            raise InputError("Items must be sorted and distinct within each history.")

    @classmethod
    def from_pairs(
        cls,
        users: NDArray[np.integer],
        items: NDArray[np.integer],
        *,
        n_users: int,
        n_items: int,
        weights: NDArray[np.floating] | None = None,
        times: NDArray[np.integer] | None = None,
    ) -> "Cohort":
        """Build a cohort from (user, item) pairs; of a repeated pair the last in time counts.

        Args:
            users: Row of each event, shape ``(events,)``, each in ``[0, n_users)``.
            items: Item index of each event, same shape.
            n_users: Number of rows, users without events included.
            n_items: Size of the catalogue.
            weights: Strengths, 1 if not given.
            times: Unix seconds, 0 if not given.
        """
        weight = np.ones(len(users)) if weights is None else np.asarray(weights, np.float64)
        time = np.zeros(len(users), np.int64) if times is None else np.asarray(times, np.int64)
        key = np.asarray(users, np.int64) * n_items + np.asarray(items, np.int64)
        order = np.lexsort((time, key))
        key = key[order]
        last = np.ones(len(key), bool)
        last[:-1] = key[1:] != key[:-1]
        kept = order[last]
        rows = np.asarray(users, np.int64)[kept]
        return cls(
            devices=np.arange(n_users, dtype=np.int64),
            indptr=np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=n_users))]).astype(
                np.int64
            ),
            items=np.asarray(items, np.int32)[kept],
            weights=weight[kept],
            times=time[kept],
            n_items=n_items,
        )

    def __len__(self) -> int:
        """Number of devices."""
        return len(self.devices)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Number of items in each history, shape ``(n,)``."""
        return np.diff(self.indptr)

    @property
    def rows(self) -> NDArray[np.int64]:
        """Row of each stored entry, shape ``(nnz,)``."""
        return np.repeat(np.arange(len(self), dtype=np.int64), self.sizes)

    def slice(self, start: int, stop: int) -> "Cohort":
        """The devices at rows ``start`` to ``stop``, as a cohort of their own."""
        begin, end = self.indptr[start], self.indptr[stop]
        return Cohort(
            devices=self.devices[start:stop],
            indptr=self.indptr[start : stop + 1] - begin,
            items=self.items[begin:end],
            weights=self.weights[begin:end],
            times=self.times[begin:end],
            n_items=self.n_items,
        )

    def take(self, rows: NDArray[np.integer]) -> "Cohort":
        """The devices at some rows, in the order given, as a cohort of their own."""
        sizes = self.sizes[rows]
        indptr = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        entries = np.arange(indptr[-1]) + np.repeat(self.indptr[rows] - indptr[:-1], sizes)
        return Cohort(
            devices=self.devices[rows],
            indptr=indptr,
            items=self.items[entries],
            weights=self.weights[entries],
            times=self.times[entries],
            n_items=self.n_items,
        )

    def rows_of(self, devices: NDArray[np.int64] | None) -> NDArray[np.int64]:
        """Rows of devices with these distinct numbers, in the cohort's order; of all if None.

        Raises:
            InputError: One of them is not in the cohort.
        """
        if devices is None:
            return np.arange(len(self), dtype=np.int64)
        rows = np.flatnonzero(np.isin(self.devices, devices)).astype(np.int64)
        if len(rows) != len(devices):
            raise InputError("Expected devices of the cohort, each once.")
        return rows

    def within(self, since: int, until: int) -> "Cohort":
        """The same devices with their events of a period only.

        Args:
            since: Unix seconds, included; 0 for no beginning.
            until: Unix seconds, not included; 0 for no end. Events without a time are in no
                period.
        """
        if since == until == 0:
            return self
        late = self.times >= until if until else np.zeros(len(self.times), bool)
        kept = (self.times >= max(since, 1)) & ~late
        before = np.concatenate([[0], np.cumsum(kept)]).astype(np.int64)
        return Cohort(
            devices=self.devices,
            indptr=before[self.indptr],
            items=self.items[kept],
            weights=self.weights[kept],
            times=self.times[kept],
            n_items=self.n_items,
        )

    def keep_items(self, positions: NDArray[np.integer]) -> "Cohort":
        """Restrict every history to some items and renumber these.

        Args:
            positions: Shape ``(n_items,)``: the new index of each item, or -1 to drop it.
        """
        new = np.asarray(positions, np.int32)[self.items]
        kept = new >= 0
        rows = self.rows[kept]
        order = np.lexsort((new[kept], rows))
        size = int(positions.max(initial=-1)) + 1
        return Cohort(
            devices=self.devices,
            indptr=np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(self)))]).astype(
                np.int64
            ),
            items=new[kept][order],
            weights=self.weights[kept][order],
            times=self.times[kept][order],
            n_items=max(size, 1),
        )

    def dense(self, *, binary: bool = True) -> NDArray[np.float64]:
        """The cohort as a matrix, shape ``(n, n_items)``; take slices of large cohorts."""
        matrix = np.zeros((len(self), self.n_items))
        matrix[self.rows, self.items] = 1.0 if binary else self.weights
        return matrix
