"""Lists, searches and reasons for one user, from the parts of a client."""

from dataclasses import replace

from privet.client.learning.scored import Scored
from privet.client.learning.situation import Mode
from privet.client.lists import (
    Request,
    alike,
    explanation_of,
    found,
    position,
    recommended,
    why,
    why_item,
)
from privet.client.parts import Context, Parts
from privet.client.ranking.explain import Explanation
from privet.client.ranking.rerank import ListRules
from privet.client.ranking.wording import Wording
from privet.client.results import Hit, Hits, Recommendation, Why


class Recommending:
    """Makes lists and says why.

    Args:
        parts: Of the client.
    """

    def __init__(self, parts: Parts) -> None:
        """Keep the parts."""
        self._parts = parts

    def recommend(
        self,
        k: int,
        *,
        context: Context | None,
        query: str,
        mode: Mode | str,
        diversity: float | None,
        exclude_seen: bool | None,
    ) -> tuple[Recommendation, ...]:
        """A list for this user; see `privet.client.client.Client.recommend`."""
        parts = self._parts
        request = Request(
            k=k,
            situation=parts.situation(context),
            mode=parts.mode(mode),
            query=query,
            diversity=diversity,
            exclude_seen=exclude_seen if parts.consents.may_record else False,
            hidden=parts.controls.hidden,
            blocked=parts.controls.blocked,
        )
        read = request.mode is not Mode.POPULAR or bool(request.exclude_seen)
        recommender = parts.memory.recommender(request.situation if read else None)
        return recommended(request, recommender, parts.features, parts.policy.lists)

    def explain(self, of: Recommendation | str, *, wording: Wording) -> Why:
        """Why an item is in its list; see `privet.client.client.Client.explain`."""
        catalogue = self._parts.features.catalogue
        if isinstance(of, Recommendation):
            return why(of, catalogue, wording)
        return why_item(position(catalogue, of), self._scored(), catalogue, wording)

    def explanation(self, of: Recommendation) -> Explanation:
        """The same by positions in the catalogue."""
        return explanation_of(of)

    @property
    def rules(self) -> ListRules:
        """Of this user's lists: the app's, with the topics that they block."""
        rules = self._parts.policy.lists
        return replace(rules, blocked=rules.blocked | self._parts.controls.blocked)

    def search(self, query: str, k: int) -> Hits:
        """What fits a query best; of equal fits what the user likes."""
        return found(query, k, self._parts.features, self._scored().values)

    def similar(self, item: str, k: int) -> tuple[Hit, ...]:
        """The items most like one of them."""
        return alike(position(self._parts.features.catalogue, item), k, self._parts.features)

    def _scored(self) -> Scored:
        """Scores as they are now, popular ones without consent."""
        mode, situation = self._parts.mode(Mode.PERSONAL), self._parts.situation(None)
        learnt = self._parts.memory.recommender(None if mode is Mode.POPULAR else situation)
        return learnt.scores(mode, situation)
