"""What a client gives back: frozen, in the app's own identifiers."""

from dataclasses import dataclass, field
from enum import StrEnum

from privet.client.learning.scored import Scored
from privet.client.learning.situation import Mode
from privet.client.profile.questions import Answer, Question
from privet.client.ranking.explain import Basis, Reason
from privet.client.ranking.rerank import Placed


class Kept(StrEnum):
    """What became of something that the app wanted to be recorded.

    Attributes:
        KEPT: It is on the disk.
        UNKNOWN_ITEM: It is on the disk; the catalogue does not have its item, and it counts once
            a later catalogue has it.
        NOT_CONSENTED: Nothing was kept: the user has not agreed to personalize.
    """

    KEPT = "kept"
    UNKNOWN_ITEM = "unknown item"
    NOT_CONSENTED = "not consented"


@dataclass(frozen=True, kw_only=True)
class Hit:
    """An item that was found.

    Attributes:
        item: Its identifier.
        title: Its title, or the identifier if the catalogue has no titles.
        score: Cosine with what was looked for; 0 where a query only filters.
    """

    item: str
    title: str
    score: float


@dataclass(frozen=True, kw_only=True)
class Hits:
    """What a search found.

    Attributes:
        hits: Best first.
        understood: The query as it was understood, in words.
        unknown: Words that no item has.
        unused: Fields that the query limits and the catalogue lacks: ``years``, ``durations``.
    """

    hits: tuple[Hit, ...]
    understood: str
    unknown: tuple[str, ...]
    unused: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """One item of a list.

    Attributes:
        item: Its identifier.
        title: Its title, or the identifier if the catalogue has no titles.
        score: What the list is ordered by, in units of what one event says.
        delta: What the list's rules added when it was chosen, in the same units.
        mode: What the score may have used. `Mode.POPULAR` where personal ones were asked for says
            that the user has not agreed to personalize.
    """

    item: str
    title: str
    score: float
    delta: float
    mode: Mode
    _scored: Scored = field(repr=False, compare=False)
    _placed: Placed = field(repr=False, compare=False)
    _dialled: bool = field(repr=False, compare=False)


@dataclass(frozen=True, kw_only=True)
class Because:
    """One summand of a score.

    Attributes:
        reason: What it is about.
        basis: Whether the user told it, it was inferred from what they did, or it is of everyone.
        value: In units of the score; the summands of an explanation add up to its score.
        item: Of the history, for a reason of that kind; else empty.
        title: Of that item.
        topic: For a reason of a topic or a context, the category; else empty.
        context: For a reason of a context, which one; else empty.
    """

    reason: Reason
    basis: Basis
    value: float
    item: str
    title: str
    topic: str
    context: str


@dataclass(frozen=True, kw_only=True)
class Why:
    """Why an item has its place.

    Attributes:
        item: Its identifier.
        title: Its title, or the identifier.
        score: What it was chosen by: its score, and what the list's rules added.
        reasons: All summands of the score, largest first, within 1e-6.
        text: The largest of them in words.
    """

    item: str
    title: str
    score: float
    reasons: tuple[Because, ...]
    text: str


@dataclass(frozen=True, kw_only=True, repr=False)
class Asking:
    """A question for the user; its representation shows nothing of it.

    Attributes:
        question: What it is about.
        text: In words.
        answers: What may be said; the last is to skip it.
    """

    question: Question
    text: str
    answers: tuple[Answer, ...]
