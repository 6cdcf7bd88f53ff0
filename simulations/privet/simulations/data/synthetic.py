"""A made-up world whose tastes are known, so that tests and demonstrations can know the truth.

A user ``u`` picks an item ``i`` with probability in proportion to
``popularity[i] * tastes[u, category_of[i]] * style_tastes[u, style_of[i]]``. The catalogue shows
categories; it does not show styles, which can only be learnt from what people choose together.
So content beats popularity here, and collaboration beats content.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from privet.models.catalogue import Catalogue
from privet.models.cohort import Cohort
from privet.privacy.errors import InputError
from privet.simulations.data.dataset import Dataset
from privet.simulations.data.sampling import draw_histories

_DAY = 86_400
_FLOOR = 0.02  # every user may choose every item, if seldom
# fmt: off
_CATEGORIES = (
    "Action", "Adventure", "Animation", "Biography", "Comedy", "Crime", "Documentary", "Drama",
    "Family", "Fantasy", "History", "Horror", "Music", "Mystery", "Romance", "Science Fiction",
    "Sport", "Thriller", "War", "Western",
)
# fmt: on
_FIRST = ("Quiet", "Amber", "Distant", "Hidden", "Golden", "Northern", "Broken", "Second", "Paper")
_SECOND = (
    "Harbour",
    "Garden",
    "River",
    "Winter",
    "Letter",
    "Orchard",
    "Bridge",
    "Lantern",
    "Hedge",
)


@dataclass(frozen=True, kw_only=True)
class SyntheticConfig:
    """What a synthetic world is like.

    Attributes:
        users: Number of users, at least 2.
        items: Number of items, at least 2.
        categories: Public categories, one an item.
        styles: Hidden styles, one an item.
        concentration: Of the Dirichlet distributions of tastes: the lower, the more one-sided.
        zipf_exponent: Popularity of the item of rank r is in proportion to r to minus this.
        history_mean: Mean items a user, before the bounds.
        history_sigma: Of the log-normal distribution of history lengths.
        history_min: Shortest history, at least 1.
        history_max: Longest; by default half of the items.
        start: First possible time of an event, Unix seconds.
        days: Length of the period.
    """

    users: int = 600
    items: int = 400
    categories: int = 8
    styles: int = 8
    concentration: float = 0.25
    zipf_exponent: float = 0.8
    history_mean: float = 20.0
    history_sigma: float = 0.7
    history_min: int = 3
    history_max: int | None = None
    start: int = 1_704_067_200  # 2024-01-01
    days: int = 180

    def __post_init__(self) -> None:
        """Check every value by name."""
        least = {"users": 2, "items": 2, "categories": 1, "styles": 1, "history_min": 1, "days": 1}
        for name, bound in (least | {"start": 1}).items():
            if getattr(self, name) < bound:
                raise InputError(f"Expected {name}={getattr(self, name)} >= {bound}.")
        for name in ("concentration", "history_mean"):
            if not 0 < getattr(self, name) < np.inf:
                raise InputError(f"Expected {name}={getattr(self, name)} > 0.")
        for name in ("zipf_exponent", "history_sigma"):
            if not 0 <= getattr(self, name) < np.inf:
                raise InputError(f"Expected {name}={getattr(self, name)} >= 0.")
        if not self.history_min <= self.longest <= self.items:
            raise InputError(
                f"Expected history_min={self.history_min} <= history_max={self.longest} "
                f"<= items={self.items}."
            )

    @property
    def longest(self) -> int:
        """The longest history."""
        if self.history_max is None:
            return max(self.items // 2, self.history_min)
        return self.history_max


@dataclass(frozen=True, kw_only=True, eq=False)
class SyntheticWorld:
    """A data set and the truth behind it.

    Attributes:
        config: What was asked for.
        dataset: What was chosen: all that a recommender may see.
        tastes: Users' shares of interest in categories, shape ``(users, categories)``, rows sum
            to 1.
        style_tastes: The same for hidden styles, shape ``(users, styles)``.
        category_of: Category of each item, shape ``(items,)``.
        style_of: Hidden style of each item, shape ``(items,)``.
        popularity: Share of each item for an indifferent user, shape ``(items,)``, sums to 1.
    """

    config: SyntheticConfig
    dataset: Dataset
    tastes: NDArray[np.float64]
    style_tastes: NDArray[np.float64]
    category_of: NDArray[np.int64]
    style_of: NDArray[np.int64]
    popularity: NDArray[np.float64]

    def choice_probabilities(
        self, users: Sequence[int] | NDArray[np.integer]
    ) -> NDArray[np.float64]:
        """Probability that a user's first choice is each item: the truth that models estimate.

        Args:
            users: Rows of some users, shape ``(n,)``; all of a large world are a dense matrix.

        Returns:
            Shape ``(n, items)``, rows sum to 1.
        """
        rows = np.asarray(users, np.int64)
        scores = self.tastes[rows][:, self.category_of] * self.style_tastes[rows][:, self.style_of]
        scores *= self.popularity
        shares: NDArray[np.float64] = scores / scores.sum(axis=1, keepdims=True)
        return shares


def synthesize(config: SyntheticConfig, *, seed: int) -> SyntheticWorld:
    """Make a world; the same configuration and seed make the same world.

    Args:
        config: What it is like.
        seed: At least 0. Not a secret, and never used for noise.

    Raises:
        InputError: A negative seed, or the choices touch fewer than 2 items.
    """
    if seed < 0:
        raise InputError(f"Expected seed={seed} >= 0.")
    # One stream a part, so that a longer history, say, does not change anybody's taste.
    of_items, of_tastes, of_lengths, of_choices, of_times = np.random.default_rng(seed).spawn(5)
    popularity = _zipf(config, of_items)
    category_of = of_items.permutation(np.arange(config.items) % config.categories)
    style_of = of_items.permutation(np.arange(config.items) % config.styles)
    tastes = _tastes(config, config.categories, of_tastes)
    style_tastes = _tastes(config, config.styles, of_tastes)
    rows, items = draw_histories(
        lengths=_lengths(config, of_lengths),
        cell_tastes=(tastes[:, :, None] * style_tastes[:, None, :]).reshape(config.users, -1),
        cell_of=category_of * config.styles + style_of,
        popularity=popularity,
        rng=of_choices,
    )
    cohort = Cohort.from_pairs(
        rows,
        items,
        n_users=config.users,
        n_items=config.items,
        times=_times(config, rows, of_times),
    )
    dataset = Dataset(
        name=f"synthetic-{config.users}x{config.items}-{seed}",
        catalogue=_catalogue(category_of, of_items),
        user_ids=tuple(f"user-{row}" for row in range(config.users)),
        cohort=cohort,
        rows_read=len(rows),
    )
    return SyntheticWorld(
        config=config,
        dataset=dataset,
        tastes=tastes,
        style_tastes=style_tastes,
        category_of=category_of,
        style_of=style_of,
        popularity=popularity,
    )


def _zipf(config: SyntheticConfig, rng: np.random.Generator) -> NDArray[np.float64]:
    """Zipf's law in random order."""
    shares = np.arange(1, config.items + 1, dtype=np.float64) ** -config.zipf_exponent
    return rng.permutation(shares / shares.sum())


def _tastes(config: SyntheticConfig, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Shares of interest, shape ``(users, n)``."""
    drawn = rng.dirichlet(np.full(n, config.concentration), size=config.users)
    return (1 - _FLOOR) * drawn + _FLOOR / n


def _lengths(config: SyntheticConfig, rng: np.random.Generator) -> NDArray[np.int64]:
    """Log-normal history lengths, rounded and kept within their bounds."""
    location = np.log(config.history_mean) - config.history_sigma**2 / 2
    drawn = rng.lognormal(location, config.history_sigma, size=config.users)
    return np.clip(np.rint(drawn), config.history_min, config.longest).astype(np.int64)


def _times(
    config: SyntheticConfig, rows: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """From the day each user joins to the period's end, and in the evening more than at night."""
    joined = rng.random(config.users) * config.days
    day = np.floor(joined[rows] + rng.random(len(rows)) * (config.days - joined[rows]))
    day = np.minimum(day, config.days - 1)
    # Intensity over the day: 1 + cos, with its peak at 20:00, drawn through its inverse.
    grid = np.linspace(0, _DAY, 1441)
    angle = 2 * np.pi * (grid / _DAY - 20 / 24)
    share = grid / _DAY + (np.sin(angle) - np.sin(angle[0])) / (2 * np.pi)
    second = np.interp(rng.random(len(rows)), share, grid)
    return config.start + (day * _DAY + np.minimum(second, _DAY - 1)).astype(np.int64)


def _catalogue(category_of: NDArray[np.int64], rng: np.random.Generator) -> Catalogue:
    """Items with made-up titles, their category and a year that means nothing."""
    n = len(category_of)
    names = [
        _CATEGORIES[k] if k < len(_CATEGORIES) else f"Category {k + 1}"
        for k in range(int(category_of.max()) + 1)
    ]
    first = rng.integers(len(_FIRST), size=n).tolist()
    second = rng.integers(len(_SECOND), size=n).tolist()
    return Catalogue(
        item_ids=tuple(f"item-{index}" for index in range(n)),
        titles=tuple(
            f"{_FIRST[a]} {_SECOND[b]} {index}"
            for index, (a, b) in enumerate(zip(first, second, strict=True))
        ),
        categories=tuple((names[k],) for k in category_of.tolist()),
        years=tuple(rng.integers(1980, 2024, size=n).tolist()),
    )
