"""Minimum counts for statistics about the catalogue: no number with fewer than k users behind it.

An item's statistic is hidden if fewer than k users contributed to it. If totals are published
beside the items, hidden values could be had back by subtraction, so more are hidden until they
cannot (complementary suppression; Hundepool et al. 2012, "Statistical Disclosure Control", chapter
4, of which this is the case of one classification).

Formal Guarantees:
    What is published is a family of sums over nested sets of items. Whatever can be computed from
    it by adding and subtracting is a combination of sums over the pieces that these sets cut the
    catalogue into, and at least k distinct users stand behind every such piece.

    That is all. It is no differential privacy: someone who knows the other k - 1 users subtracts
    them, one large contribution shows through, a hidden value is bounded from both sides, and two
    releases before and after one user's event differ by that event. Use it beside a mechanism that
    is differentially private, or where the statistic is about items and repeated rarely.

Edge Case Handling:
    ===========================  =================================================
    item of nobody               hidden, and not told apart from one of k - 1 users
    fewer than k users in all    everything is hidden, the total too
    a user counted twice         stands behind a statistic once
    NaN, infinity, unknown item  InputError
    ===========================  =================================================
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from privet.privacy.anonymization.histories import Floats, as_ids, as_numbers
from privet.privacy.errors import InputError


@dataclass(frozen=True, kw_only=True)
class GatedStatistics:
    """A statistic by item, with totals, where at least k users stand behind each; else None.

    Attributes:
        k: The threshold.
        items: For each item of the catalogue.
        groups: For each group of items, the sum over all of them, hidden ones too.
        total: The sum over the catalogue.
    """

    k: int
    items: tuple[float | None, ...]
    groups: tuple[float | None, ...]
    total: float | None

    @property
    def hidden(self) -> int:
        """Items without a value."""
        return sum(value is None for value in self.items)


def gate_statistics(
    users: ArrayLike,
    items: ArrayLike,
    *,
    n_items: int,
    k: int,
    values: ArrayLike | None = None,
    groups: Sequence[int] | None = None,
) -> GatedStatistics:
    """Sums over items, their groups and the catalogue, as far as k users stand behind them.

    Args:
        users: Who contributed; one row a contribution.
        items: To which item of the catalogue, from 0.
        n_items: Size of the public catalogue; items outside of the data are hidden like rare ones.
        k: Least number of distinct users, at least 2.
        values: What was contributed; 1 each by default, so that sums are counts. For a mean,
            release sums and counts.
        groups: For each item its one group, from 0; groups that overlap cannot be gated.

    Raises:
        InputError: If lengths differ, or an item, a group or a value cannot be.
    """
    pieces = _Pieces.of(users, items, n_items=n_items, k=k, groups=groups)
    amounts = np.ones(len(pieces.users)) if values is None else as_numbers(values, "values")
    if amounts is None or len(amounts) != len(pieces.users):
        raise InputError("Expected as many values as contributions.")
    shown_items = pieces.users_of_items() >= k
    shown_groups = pieces.users_of_groups() >= k
    shown_total = len(np.unique(pieces.users)) >= k
    hide_complements(pieces, shown_items, shown_groups, shown_total)
    sums = _sum(pieces.items, amounts, n_items)
    of_groups = _sum(pieces.groups, sums, pieces.n_groups)
    return GatedStatistics(
        k=k,
        items=_masked(sums, shown_items),
        groups=() if groups is None else _masked(of_groups, shown_groups),
        total=math.fsum(amounts) if shown_total else None,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Pieces:
    """Who stands behind which items, and which group each item is in."""

    users: NDArray[np.int64]
    items: NDArray[np.int64]
    groups: NDArray[np.int64]
    k: int

    @classmethod
    def of(
        cls,
        users: ArrayLike,
        items: ArrayLike,
        *,
        n_items: int,
        k: int,
        groups: Sequence[int] | None,
    ) -> "_Pieces":
        who, what = as_ids(users, "users"), as_ids(items, "items")
        if isinstance(n_items, bool) or not isinstance(n_items, int) or n_items < 1:
            raise InputError(f"Expected n_items={n_items} to be a whole number from 1.")
        if isinstance(k, bool) or not isinstance(k, int) or k < 2:
            raise InputError(f"Expected k={k} to be a whole number from 2.")
        if len(who) != len(what) or not len(who):
            raise InputError(f"Expected contributions, found {len(who)} users, {len(what)} items.")
        if what.min() < 0 or what.max() >= n_items:
            raise InputError(f"Expected items from 0 to {n_items - 1}, found others.")
        # Without groups one group stands for the total, and is shown or hidden with it.
        where = (
            np.zeros(n_items, np.int64) if groups is None else as_ids(np.asarray(groups), "groups")
        )
        if len(where) != n_items or where.min() < 0:
            raise InputError("Expected one group from 0 for every item.")
        return cls(users=who, items=what, groups=where, k=k)

    @property
    def n_groups(self) -> int:
        return int(self.groups.max()) + 1

    def users_of_items(self) -> NDArray[np.intp]:
        return self._distinct(self.items, len(self.groups))

    def users_of_groups(self) -> NDArray[np.intp]:
        return self._distinct(self.groups[self.items], self.n_groups)

    def behind(self, chosen: NDArray[np.bool_]) -> int:
        """Distinct users behind the chosen items together."""
        return len(np.unique(self.users[chosen[self.items]]))

    def _distinct(self, cells: NDArray[np.int64], count: int) -> NDArray[np.intp]:
        pairs = np.unique(np.stack([cells, self.users]), axis=1)
        return np.bincount(pairs[0], minlength=count)


def hide_complements(
    pieces: _Pieces,
    items: NDArray[np.bool_],
    groups: NDArray[np.bool_],
    total: bool,
) -> None:
    """Hides items and groups, in place, until no piece left by subtraction has below k users."""
    support = pieces.users_of_items()
    for group in np.flatnonzero(groups).tolist():
        members = pieces.groups == group
        rest = members & ~items
        if rest.any() and pieces.behind(rest) < pieces.k:
            _hide_smallest(items, members & items, support)
    rest = ~items & ~groups[pieces.groups]
    if total and rest.any() and pieces.behind(rest) < pieces.k and groups.any():
        _hide_smallest(groups, groups.copy(), pieces.users_of_groups())
        rest = ~items & ~groups[pieces.groups]
        if pieces.behind(rest) < pieces.k:
            _hide_smallest(items, items & ~groups[pieces.groups], support)


def _hide_smallest(
    shown: NDArray[np.bool_], among: NDArray[np.bool_], support: NDArray[np.intp]
) -> None:
    """Hides the one with fewest users, the first of those; each shown one has at least k."""
    candidates = np.flatnonzero(among)
    shown[candidates[np.argmin(support[candidates])]] = False


def _sum(cells: NDArray[np.int64], amounts: Floats, count: int) -> Floats:
    return np.bincount(cells, weights=amounts, minlength=count).astype(np.float64)


def _masked(values: Floats, shown: NDArray[np.bool_]) -> tuple[float | None, ...]:
    return tuple(float(v) if s else None for v, s in zip(values, shown, strict=True))
