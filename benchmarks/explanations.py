"""Whether explanations are the score: every recommendation of 1,000 users of MovieLens 1M, by `Client`.

Each user has a store of their own, with events of several kinds, times and devices and a topic that they
wish for, decay, and a list of 10 with diversity 0.3 and calibration 0.3; from Spectral at epsilon 4 with
real noise, and without privacy. The score in question is what an item was chosen by. Prints the largest
gap between it and the sum of its terms.
"""

import math
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from common import finish, real_task, table, train

from privet.client.client import Client
from privet.client.features import Features
from privet.client.learning.published import Published
from privet.client.policy import Policy
from privet.client.ranking.rerank import ListRules
from privet.client.vault.event import Event
from privet.client.vault.history import Weighting
from privet.client.vault.key_source import HostKey
from privet.models.spectral import Spectral
from privet.privacy.accounting.adversaries import Trust
from privet.simulations.preparation import Task

USERS = int(os.environ.get("USERS", "1000"))
NOW, DAY = 1_700_000_000, 86_400
POLICY = Policy(
    lists=ListRules(diversity=0.3, calibration=0.3),
    weighting=Weighting(half_life_seconds=30.0 * DAY),
)
KEY = HostKey(os.urandom(32))


class Users:
    """The users of a task, each with a client.

    Features of the catalogue are made once: they are public, and the same for all.
    """

    def __init__(self, task: Task, published: Published, folder: Path) -> None:
        """Make nothing yet."""
        self.task, self.published, self.folder = task, published, folder
        self.features: Features | None = None

    def events(self, user: int) -> Iterator[Event]:
        """A history as events of some kinds, times and devices."""
        ids = self.task.catalogue.item_ids
        for n, item in enumerate(self.task.train.slice(user, user + 1).items.tolist()):
            kind, device = ("like", "view", "finish", "dislike")[n % 4], ("tv", "phone")[n % 3 == 0]
            yield Event(
                kind=kind, item=ids[item], time=NOW - n * DAY // 3, context={"device": device}
            )

    def explained(self, user: int) -> tuple[int, float, str]:
        """A user's recommendations: how many, the largest gap, and the first reason in words."""
        topics = sorted({name for names in self.task.catalogue.categories for name in names})
        gap, text = 0.0, ""
        with Client.open(
            self.folder / f"{user}.db",
            catalogue=self.task.catalogue,
            key=KEY,
            policy=POLICY,
            published=self.published,
            clock=lambda: NOW,
        ) as client:
            self.share(client)
            client.consent.grant("personalize")
            client._parts.memory.record(*self.events(user))
            client.edit_profile(topics[user % len(topics)], weight=0.5)
            found = client.recommend(10, context={"device": "tv"})
            for one in found:
                why = client.explain(one)
                total = math.fsum(because.value for because in why.reasons)
                gap = max(gap, abs(total - (one.score + one.delta)))
                text = text or why.text
        return len(found), gap, text

    def share(self, client: Client) -> None:
        """Give a client the vectors that the first one made."""
        own = client._parts.features
        if self.features is None:
            self.features = own
        for name in ("words", "categories"):
            own.__dict__[name] = getattr(self.features, name)

    def largest_gap(self) -> tuple[int, float, str]:
        """Recommendations explained, the largest gap, and the first explanation in words."""
        count, gap, first = 0, 0.0, ""
        for user in range(min(USERS, len(self.task.train))):
            found, worst, text = self.explained(user)
            count, gap, first = count + found, max(gap, worst), first or text
        return count, gap, first


def main() -> None:
    """Print both gaps; passes if they are at most 1e-6."""
    task = real_task("ml-1m", "full_ranking.npz")
    rows, figures = [], {}
    for epsilon in (4.0, math.inf):
        shared = train(Spectral(), task, epsilon, Trust.CENTRAL).shared
        published = Published(model=Spectral(), shared=shared)
        with tempfile.TemporaryDirectory(prefix="privet-bench-") as folder:
            count, gap, first = Users(task, published, Path(folder)).largest_gap()
        rows.append([f"{epsilon:g}", count, f"{gap:.1e}", first])
        figures[f"{epsilon:g}"] = {"explained": count, "largest_gap": gap}
    table(["epsilon", "recommendations", "largest gap", "the first one in words"], rows)
    worst = max(float(found["largest_gap"]) for found in figures.values())
    finish(figures, passed=worst <= 1e-6)


if __name__ == "__main__":
    main()
