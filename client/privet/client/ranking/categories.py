"""Categories of items as shares: what calibration, caps and topic terms count with."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from privet.models.catalogue import Catalogue
from privet.privacy.errors import InputError


@dataclass(frozen=True, kw_only=True, eq=False)
class Categories:
    """How much of each category an item is.

    Attributes:
        names: In alphabetical order.
        shares: Shape ``(n_items, len(names))``: one over the number of the item's categories, or 0.
    """

    names: tuple[str, ...]
    shares: NDArray[np.float64]

    @classmethod
    def of(cls, catalogue: Catalogue) -> "Categories":
        """The categories of a catalogue; no columns if it has none."""
        names = tuple(sorted({name for names in catalogue.categories for name in names}))
        column = {name: at for at, name in enumerate(names)}
        shares = np.zeros((len(catalogue), len(names)))
        distinct = [set(found) for found in catalogue.categories]
        sizes = np.array([len(found) for found in distinct], np.int64)
        columns = [column[name] for found in distinct for name in found]
        rows = np.repeat(np.arange(len(distinct)), sizes)
        shares[rows, np.array(columns, np.int64)] = 1 / sizes[rows]
        return cls(names=names, shares=shares)

    def columns(self, names: Iterable[str]) -> NDArray[np.int64]:
        """Columns of some categories.

        Raises:
            InputError: A name that no item has.
        """
        known = {name: at for at, name in enumerate(self.names)}
        asked = list(names)
        if any(name not in known for name in asked):
            raise InputError(
                f"Expected names among the catalogue's {len(known)} categories, found another one."
            )
        return np.array([known[name] for name in asked], np.int64)

    def distribution(
        self, items: NDArray[np.integer], weights: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        """Categories of a history or a list as a distribution; zeros if none of them has any.

        Args:
            items: Positions in the catalogue.
            weights: Of each item, 0 or more; 1 if not given.
        """
        rows = self.shares[items]
        total = rows.sum(axis=0) if weights is None else weights @ rows
        mass = float(total.sum())
        return np.asarray(total / mass if mass > 0 else total)

    def similarities(self, items: NDArray[np.integer]) -> NDArray[np.float64]:
        """Cosines of the items' categories, shape ``(m, m)``; 0 for items without any."""
        rows = self.shares[items]
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        unit = rows / np.where(norms > 0, norms, 1)
        return np.asarray(unit @ unit.T)


def calibration_error(
    wanted: NDArray[np.float64], shown: NDArray[np.float64], *, smoothing: float = 0.01
) -> NDArray[np.float64]:
    """Kullback-Leibler divergence of what is shown from what is wanted (Steck 2018, eq. 6).

    ``sum_c p(c) log(p(c) / q~(c))`` with ``q~ = (1 - smoothing) q + smoothing p``, in nats.

    Args:
        wanted: Distribution over categories, shape ``(c,)``; zeros for no wish, which costs nothing.
        shown: Distributions, shape ``(..., c)``; zeros for an empty list.
        smoothing: In (0, 1); bounds the divergence by ``-log(smoothing)``.

    Returns:
        Shape ``(...,)``, 0 or more up to rounding; 0 where both are equal.
    """
    held = wanted > 0
    p = wanted[held]
    smooth = (1 - smoothing) * shown[..., held] + smoothing * p
    return np.asarray((p * np.log(p / smooth)).sum(axis=-1))
