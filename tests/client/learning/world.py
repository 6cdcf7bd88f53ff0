"""A small world to recommend in: two tastes, their words, and models of many users' histories."""

from typing import Any

from privet.client.learning.published import Published
from privet.client.learning.recommender import Recommender
from privet.client.learning.situation import Situation
from privet.client.ranking.categories import Categories
from privet.client.vault.event import Event
from privet.client.vault.history import Weighting
from privet.models.catalogue import Catalogue
from privet.models.cohort import Cohort
from privet.models.content import TfIdf
from privet.models.popularity import Popularity
from privet.models.score_parts import AdditiveModel
from privet.models.spectral import Spectral
from privet.models.testing import checkerboard, facts_for, stack, train
from privet.privacy.accounting.adversaries import Trust

NOW = 1_700_000_000
DAY = 86_400
ITEMS = 20
NEW = 20  # in the catalogue, and of no user of the federation

CATALOGUE = Catalogue(
    item_ids=tuple(f"item {n}" for n in range(ITEMS + 1)),
    titles=tuple(f"{'even' if n % 2 == 0 else 'odd'} word{n}" for n in range(ITEMS + 1)),
    categories=tuple(("Comedy",) if n % 2 == 0 else ("Horror", "War") for n in range(ITEMS + 1)),
)
VECTORS = TfIdf.build(CATALOGUE)
CATEGORIES = Categories.of(CATALOGUE)


def made(published: Published | None = None, **weighting: Any) -> Recommender:
    """A recommender of this world."""
    return Recommender(
        catalogue=CATALOGUE,
        vectors=VECTORS,
        categories=CATEGORIES,
        weighting=Weighting(**weighting),
        published=published,
    )


def users() -> Cohort:
    """Sixty users with one taste each, and twenty who make the first items more popular."""
    board = checkerboard(items=ITEMS)
    rows = [dict.fromkeys(board.slice(n, n + 1).items.tolist(), 1.0) for n in range(len(board))]
    rows += [dict.fromkeys(range(n % 2, n, 2), 1.0) for n in range(1, ITEMS + 1)]
    return stack(rows, ITEMS)


def published(name: str = "spectral", *, epsilon: float = float("inf")) -> Published:
    """A model trained on users who like even items or odd ones; none has the new item."""
    model: AdditiveModel = Spectral() if name == "spectral" else Popularity()
    cohort = users()
    facts = facts_for(cohort, epsilon=epsilon, trust=Trust.CENTRAL)
    shared = train(model, cohort, facts).shared
    return Published(model=model, shared=shared, item_ids=CATALOGUE.item_ids[:ITEMS])


def liked(*items: int, kind: str = "like", at: int = NOW - 60, **more: Any) -> list[Event]:
    """An event a minute on each of some items."""
    return [
        Event(kind=kind, item=f"item {item}", time=at + n, **more) for n, item in enumerate(items)
    ]


def now(**more: Any) -> Situation:
    """A request."""
    return Situation(**{"now": NOW} | more)
