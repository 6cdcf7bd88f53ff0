"""From a request to a list, and from a list to its reasons; nothing here reads or writes a file."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from privet.client.features import Features
from privet.client.learning.recommender import Recommender
from privet.client.learning.scored import Scored
from privet.client.learning.situation import Mode, Situation
from privet.client.ranking.explain import Basis, Explanation, Term, explain, list_term
from privet.client.ranking.rerank import ListRules, Placed, candidates, rerank
from privet.client.ranking.wording import Wording, say
from privet.client.results import Because, Hit, Hits, Recommendation, Why
from privet.models.catalogue import Catalogue
from privet.models.content import nearest
from privet.privacy.errors import InputError


@dataclass(frozen=True, kw_only=True, repr=False)
class Request:
    """What a list is asked for.

    Attributes:
        k: Its length, 0 or more.
        situation: When and where.
        mode: What scores may use.
        query: In plain words; only items that fit it are recommended. Empty for none.
        diversity: The user's dial, in [0, 1]; the app's if None.
        exclude_seen: See `Recommender.excluded`.
        hidden: Identifiers of items that the user hides.
        blocked: Topics that the user blocks.
    """

    k: int
    situation: Situation
    mode: Mode
    query: str = ""
    diversity: float | None = None
    exclude_seen: bool | None = None
    hidden: frozenset[str] = frozenset()
    blocked: frozenset[str] = frozenset()


def recommended(
    request: Request, recommender: Recommender, features: Features, rules: ListRules
) -> tuple[Recommendation, ...]:
    """A list: the best scores that may be shown, as diverse and calibrated as wished.

    With a query, of the ``rules.pool`` items that fit it best.

    Raises:
        InputError: A negative k, a dial out of its range, or a query that is too long.
    """
    if request.k < 0:
        raise InputError(f"Expected a list of 0 or more items, found k={request.k}.")
    categories, catalogue = features.categories, features.catalogue
    scored = recommender.scores(request.mode, request.situation)
    rules = _rules(request, rules, features)
    values = scored.values
    if request.query:
        found = features.search.find(request.query, rules.pool, prior=values)
        values = np.full(len(values), -np.inf)
        values[list(found.items)] = scored.values[list(found.items)]
    seen = recommender.excluded(request.mode, request.situation, exclude_seen=request.exclude_seen)
    pool = candidates(values, categories, rules, seen=seen)
    wanted = None
    if rules.calibration > 0 and request.mode is not Mode.POPULAR:
        items, weights = recommender.liked(request.mode, request.situation)
        wanted = categories.distribution(items, weights)
    placed = rerank(
        pool,
        values,
        request.k,
        categories=categories,
        rules=rules,
        similarities=features.vectors.similarities(pool) if rules.diversity > 0 else None,
        wanted=wanted,
    )
    return tuple(
        Recommendation(
            item=catalogue.item_ids[entry.item],
            title=title_of(catalogue, entry.item),
            score=entry.score,
            delta=entry.delta,
            mode=request.mode,
            _scored=scored,
            _placed=entry,
            _dialled=request.diversity is not None,
        )
        for entry in placed
    )


def explanation_of(recommendation: Recommendation) -> Explanation:
    """Why an item is in its list, from the numbers by which it was chosen."""
    basis = Basis.TOLD if recommendation._dialled else Basis.EVERYONE
    return _explained(recommendation._placed, recommendation._scored, basis)


def why(recommendation: Recommendation, catalogue: Catalogue, wording: Wording) -> Why:
    """The same in the app's identifiers and in words."""
    return _why(explanation_of(recommendation), catalogue, wording)


def why_item(item: int, scored: Scored, catalogue: Catalogue, wording: Wording) -> Why:
    """Why an item has its score, in no list."""
    placed = Placed(item=item, choice=0, score=float(scored.values[item]), delta=0.0)
    return _why(_explained(placed, scored, Basis.EVERYONE), catalogue, wording)


def found(query: str, k: int, features: Features, prior: NDArray[np.float64] | None) -> Hits:
    """What a query finds, in the app's identifiers."""
    result = features.search.find(query, k, prior=prior)
    hits = zip(result.items, result.scores, strict=True)
    return Hits(
        hits=tuple(_hit(features.catalogue, item, score) for item, score in hits),
        understood=str(result.understood),
        unknown=result.unknown,
        unused=result.unused,
    )


def alike(item: int, k: int, features: Features) -> tuple[Hit, ...]:
    """The items most like one of them.

    Raises:
        InputError: A negative k.
    """
    if k < 0:
        raise InputError(f"Expected 0 or more items, found k={k}.")
    near = nearest(features.vectors, item, k)
    return tuple(_hit(features.catalogue, other, score) for other, score in near)


def position(catalogue: Catalogue, item: str) -> int:
    """An item's position.

    Raises:
        InputError: The catalogue does not have it.
    """
    found = catalogue.index(item)
    if found is None:
        raise InputError("Expected the identifier of an item of the catalogue, found another one.")
    return found


def title_of(catalogue: Catalogue, item: int) -> str:
    """An item's title, or its identifier."""
    return (catalogue.titles or catalogue.item_ids)[item]


def _rules(request: Request, rules: ListRules, features: Features) -> ListRules:
    """The app's rules with the user's; topics that the catalogue lacks block and cap nothing."""
    names = frozenset(features.categories.names)
    hidden = (features.catalogue.index(item) for item in request.hidden)
    return replace(
        rules,
        diversity=rules.diversity if request.diversity is None else request.diversity,
        blocked=(rules.blocked | request.blocked) & names,
        caps={name: most for name, most in rules.caps.items() if name in names},
        hidden=frozenset(item for item in hidden if item is not None),
    )


def _explained(placed: Placed, scored: Scored, basis: Basis) -> Explanation:
    terms = (*scored.terms(placed.item), list_term(placed, basis=basis))
    return explain(placed.item, placed.score + placed.delta, terms)


def _why(explained: Explanation, catalogue: Catalogue, wording: Wording) -> Why:
    return Why(
        item=catalogue.item_ids[explained.item],
        title=title_of(catalogue, explained.item),
        score=explained.score,
        reasons=tuple(_because(term, catalogue) for term in explained.terms),
        text=say(explained, catalogue, wording=wording),
    )


def _because(term: Term, catalogue: Catalogue) -> Because:
    known = term.item >= 0
    return Because(
        reason=term.reason,
        basis=term.basis,
        value=term.value,
        item=catalogue.item_ids[term.item] if known else "",
        title=title_of(catalogue, term.item) if known else "",
        topic=term.topic,
        context=term.context,
    )


def _hit(catalogue: Catalogue, item: int, score: float) -> Hit:
    return Hit(item=catalogue.item_ids[item], title=title_of(catalogue, item), score=score)
