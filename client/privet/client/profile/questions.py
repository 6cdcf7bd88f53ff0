"""Questions to a user, their answers, and what an answer adds to the store.

An answer is told by the user: likes and dislikes become events like any other, and every question
that was put, answered or skipped, is an entry, so that it is never put again.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from privet.client.vault.event import Entry, EntryKind, Event, Value
from privet.privacy.errors import InputError

WISH = 0.3
"""What "more" of a category is as a wish: about as much as one event on each of its items.

Chosen on MovieLens 100K, where a wish of 1 made rankings worse."""

_PREFIX = "client asked: "


class Ask(StrEnum):
    """What a question is about.

    Attributes:
        LIKE: One item.
        CHOICE: Which of two items.
        CATEGORY: More or less of a category.
        CONTEXT: More or less of a category in a context, such as the evening.
    """

    LIKE = "like"
    CHOICE = "choice"
    CATEGORY = "category"
    CONTEXT = "context"


class Answer(StrEnum):
    """What may be said to a question; `SKIP` to any, and it says nothing."""

    YES = "yes"
    NO = "no"
    FIRST = "first"
    SECOND = "second"
    BOTH = "both"
    MORE = "more"
    LESS = "less"
    SAME = "same"
    SKIP = "skip"


_WAY = (Answer.MORE, Answer.LESS, Answer.SAME, Answer.SKIP)
ANSWERS: Mapping[Ask, tuple[Answer, ...]] = {
    Ask.LIKE: (Answer.YES, Answer.NO, Answer.SKIP),
    Ask.CHOICE: (Answer.FIRST, Answer.SECOND, Answer.BOTH, Answer.SKIP),
    Ask.CATEGORY: _WAY,
    Ask.CONTEXT: _WAY,
}
"""What may be answered to each kind of question."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Question:
    """One question. Its representation shows nothing of it, for it follows from the history.

    Attributes:
        kind: What it is about.
        items: Identifiers of one item, or of two.
        category: Its name.
        context: One of `privet.client.profile.contexts.CONTEXTS`.
        worth: Share of what is uncertain of the ranking that an answer is expected to settle.
    """

    kind: Ask
    items: tuple[str, ...] = ()
    category: str = ""
    context: str = ""
    worth: float = 0.0

    @property
    def name(self) -> str:
        """Of its entry; the same for the same question."""
        about = [*sorted(self.items), self.category, self.context]
        return f"{_PREFIX}{self.kind} {json.dumps(about, ensure_ascii=False)}"


@dataclass(frozen=True, kw_only=True, repr=False)
class Told:
    """What an answer adds to the store, all or nothing: ``vault.add(events=..., entries=...)``."""

    events: tuple[Event, ...]
    entries: tuple[Entry, ...]


@dataclass(frozen=True, kw_only=True, repr=False)
class Asked:
    """A question that was put.

    Attributes:
        question: Which one.
        answer: What was said.
        time: When, in Unix seconds.
    """

    question: Question
    answer: Answer
    time: int


def answered(question: Question, answer: Answer | str, *, time: int) -> Told:
    """What an answer adds.

    Args:
        question: That was put.
        answer: One of `ANSWERS` for its kind.
        time: Unix seconds.

    Raises:
        InputError: Another answer.
    """
    allowed = ANSWERS[question.kind]
    if answer not in allowed:
        raise InputError(f"Expected one of these answers: {', '.join(allowed)}.")
    said = Answer(answer)
    value: dict[str, Any] = {
        "kind": str(question.kind),
        "items": list(question.items),
        "category": question.category,
        "context": question.context,
        "answer": str(said),
        "time": time,
    }
    kind = "dislike" if said is Answer.NO else "like"
    events = [Event(kind=kind, item=item, time=time) for item in _chosen(question, said)]
    entry = Entry(kind=EntryKind.PROFILE, name=question.name, value=value)
    return Told(events=tuple(events), entries=(entry,))


def asked(entries: Mapping[str, Value]) -> tuple[Asked, ...]:
    """The questions that were put, oldest first, from the store's profile entries.

    An entry that is none, such as of an import that somebody edited, is left out.
    """
    read = [_read(value) for name, value in entries.items() if name.startswith(_PREFIX)]
    return tuple(sorted((put for put in read if put), key=lambda put: put.time))


def names_about(entries: Mapping[str, Value], items: Iterable[str]) -> tuple[str, ...]:
    """Names of entries about some items: to be dropped when these items are erased."""
    gone = frozenset(items)
    return tuple(put.question.name for put in asked(entries) if gone & set(put.question.items))


def _chosen(question: Question, said: Answer) -> tuple[str, ...]:
    """The items that an answer speaks of."""
    if said in (Answer.YES, Answer.NO, Answer.BOTH):
        return question.items
    if said in (Answer.FIRST, Answer.SECOND):
        return (question.items[0 if said is Answer.FIRST else 1],)
    return ()


def _read(value: Any) -> Asked | None:
    try:
        question = Question(
            kind=Ask(value["kind"]),
            items=tuple(map(str, value["items"])),
            category=str(value["category"]),
            context=str(value["context"]),
        )
        return Asked(question=question, answer=Answer(value["answer"]), time=int(value["time"]))
    except (KeyError, TypeError, ValueError):
        return None
