"""Building and searching content features of 20,000 and 200,000 items, and re-ranking a list.

The texts are made: a title of three words, two of twenty categories and a description of forty
words, of a vocabulary of 30,000 with Zipf's frequencies. Times are medians of ``REPEATS`` runs; no
bar is on another machine's clock but the product's own: a search within 20 ms at 20,000 items.
"""

import resource
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from common import finish, table

from privet.client.ranking.categories import Categories
from privet.client.ranking.rerank import ListRules, candidates, rerank
from privet.client.ranking.search import Search
from privet.models.catalogue import Catalogue
from privet.models.content import TfIdf, nearest

REPEATS = 7
SEARCH_BAR_S = 0.020
QUERIES = (
    "word7 word1500, no category3",
    "category1 from the 90s but not word20",
    "short category2 films, under 100 minutes, without word9 or category5",
    " ".join(f"word{n}" for n in range(20)),
)


def made_up(items: int, *, described: bool) -> Catalogue:
    """A catalogue of made-up words."""
    rng = np.random.default_rng(0)
    weights = 1 / np.arange(1, 30_001)
    length = 43 if described else 3
    drawn = rng.choice(30_000, size=(items, length), p=weights / weights.sum())
    texts = [[f"word{word}" for word in row] for row in drawn.tolist()]
    chosen = rng.integers(20, size=(items, 2)).tolist()
    return Catalogue(
        item_ids=tuple(f"item {n}" for n in range(items)),
        titles=tuple(" ".join(words[:3]) for words in texts),
        categories=tuple(tuple(f"category{c}" for c in sorted(set(row))) for row in chosen),
        years=tuple(rng.integers(1950, 2024, items).tolist()),
        descriptions=tuple(" ".join(words[3:]) for words in texts) if described else (),
        durations=tuple(rng.integers(3000, 12_000, items).tolist()),
    )


def median_s(call: Callable[[], object]) -> float:
    """Median wall clock of a call."""
    found = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        call()
        found.append(time.perf_counter() - started)
    return float(np.median(found))


def measure(items: int, *, described: bool) -> dict[str, float]:
    """Figures of one catalogue: seconds and bytes."""
    catalogue = made_up(items, described=described)
    started = time.perf_counter()
    index = TfIdf.build(catalogue)
    built = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    search = Search.build(catalogue, index)
    rng = np.random.default_rng(1)
    scores, categories = rng.normal(size=items), Categories.of(catalogue)
    rules = ListRules(diversity=0.3, calibration=0.3)
    wanted = categories.distribution(rng.integers(items, size=50))

    def made_list(rules: ListRules) -> None:
        pool = candidates(scores, categories, rules, seen=np.arange(50))
        rerank(pool, scores, 10, categories=categories, rules=rules, wanted=wanted,
               similarities=index.similarities(pool) if rules.diversity else None)  # fmt: skip

    return {
        "build_s": built,
        "index_bytes": float(index.nbytes),
        "peak_rss_mb": peak * 1024 / 1e6,
        "search_s": max(median_s(lambda q=query: search.find(q, 10)) for query in QUERIES),  # type: ignore[misc]
        "similar_s": median_s(lambda: nearest(index, 17, 10)),
        "rerank_s": median_s(lambda: made_list(rules)),
        "plain_list_s": median_s(lambda: made_list(replace(rules, diversity=0, calibration=0))),
    }


def main() -> None:
    """Print times and memory; passes if a search at 20,000 items is within its bar."""
    cases = {
        "20,000 items, title and categories": (20_000, False),
        "20,000 items, with descriptions": (20_000, True),
        "200,000 items, title and categories": (200_000, False),
    }
    figures: dict[str, float] = {}
    rows = []
    for name, (items, described) in cases.items():
        found = measure(items, described=described)
        figures |= {f"{name}/{key}": round(value, 6) for key, value in found.items()}
        rows.append(
            [
                name,
                f"{found['build_s']:.2f} s",
                f"{found['peak_rss_mb']:.0f} MB",
                f"{found['index_bytes'] / 1e6:.1f} MB",
                *(f"{found[key] * 1e3:.2f} ms"
                  for key in ("search_s", "similar_s", "plain_list_s", "rerank_s")),
            ]
        )  # fmt: skip
    table(
        [
            "catalogue",
            "build",
            "peak RSS",
            "index",
            "search, slowest",
            "similar",
            "list",
            "re-ranked",
        ],
        rows,
    )
    slowest = max(v for key, v in figures.items() if key.startswith("20,000") and "search" in key)
    finish(figures, passed=slowest < SEARCH_BAR_S)


if __name__ == "__main__":
    main()
