"""What somebody told of topics, and their edits of the profile: entries of the store.

An edit holds until it is changed or taken back. What is told after it (an answer, a review, feedback)
moves a topic that was set, and moves nothing of one that was locked or removed. Nothing that is
inferred moves any of them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from privet.client.learning.situation import said
from privet.client.learning.told import LESS, MORE, TOPIC
from privet.client.profile.contexts import contexts_at
from privet.client.profile.questions import WISH, Answer, Ask, asked
from privet.client.profile.reviews import KIND as REVIEW
from privet.client.vault.event import Entry, EntryKind, Event, Value
from privet.privacy.errors import InputError

_TOPIC, _INFERENCE = "client topic: ", "client inference"
_WAY = {Answer.MORE: WISH, Answer.LESS: -WISH, Answer.SAME: 0.0}


@dataclass(frozen=True, kw_only=True, repr=False)
class Edit:
    """What somebody made of a topic.

    Attributes:
        weight: In [-1, 1].
        time: When, in Unix seconds.
        locked: Nothing but another edit moves it.
        removed: It is not shown, and nothing follows from it.
    """

    weight: float
    time: int
    locked: bool
    removed: bool


def set_topic(name: str, weight: float, *, time: int, locked: bool = False) -> Entry:
    """Say how much of a topic is wanted, and lock it if nothing else is to move it.

    Args:
        name: A category's.
        weight: From -1, as little as possible, to 1, as much as possible.
        time: Unix seconds.
        locked: Whether answers, reviews and feedback that come later leave it alone.

    Raises:
        InputError: No name, or a weight out of its range.
    """
    if not name or not -1 <= weight <= 1:
        raise InputError("Expected a topic's name and a weight in [-1, 1].")
    return _entry(name, {"weight": float(weight), "time": time, "locked": locked})


def remove_topic(name: str, *, time: int) -> Entry:
    """Take a topic out of the profile, for good: it counts nothing and is not inferred again."""
    if not name:
        raise InputError("Expected a topic's name.")
    return _entry(name, {"weight": 0.0, "time": time, "locked": True, "removed": True})


def edit_name(topic: str) -> str:
    """The entry of a topic's edit; dropping it takes the edit back."""
    return _TOPIC + topic


def show_inferred(shown: bool) -> Entry:
    """Have the profile show what was inferred, or hide it all."""
    return Entry(kind=EntryKind.PROFILE, name=_INFERENCE, value=shown)


def shows_inferred(entries: Mapping[str, Value]) -> bool:
    """Whether the profile shows what was inferred; it does unless told otherwise."""
    return entries.get(_INFERENCE) is not False


def edits(entries: Mapping[str, Value]) -> dict[str, Edit]:
    """The edits by topic, from the store's profile entries; what is none is left out."""
    read = {
        name.removeprefix(_TOPIC): _read(value)
        for name, value in entries.items()
        if name.startswith(_TOPIC)
    }
    return {name: edit for name, edit in read.items() if edit is not None}


def wishes(
    events: Iterable[Event],
    entries: Mapping[str, Value],
    *,
    now: int | None = None,
    utc_offset_s: int = 0,
) -> dict[str, float]:
    """What is wished of each topic that was edited, asked about or reviewed, in [-1, 1].

    For `Recommender.set_topics`. Of the topics named here it has all that was told, feedback too.

    Args:
        events: All of the store, in order of time.
        entries: The store's profile entries by name.
        now: Unix seconds, for what was told of contexts; None to leave that out.
        utc_offset_s: Local time less UTC.
    """
    made = edits(entries)
    found = {name: edit.weight for name, edit in made.items()}
    here = frozenset() if now is None else contexts_at(now, utc_offset_s=utc_offset_s)
    fixed = {name for name, edit in made.items() if edit.locked}
    since = {name: edit.time for name, edit in made.items()}
    for put in asked(entries):
        name, way = put.question.category, _WAY.get(put.answer)
        if way is None or name in fixed or put.time < since.get(name, 0):
            continue
        if put.question.kind is Ask.CATEGORY:
            found[name] = way
            since[name] = put.time
    told = [event for event in events if event.kind in (REVIEW, MORE, LESS)]
    for name, weight in _of_reviews(told, since, fixed).items():
        found[name] = found.get(name, 0.0) + weight
    for put in asked(entries):
        name, way = put.question.category, _WAY.get(put.answer)
        if put.question.kind is Ask.CONTEXT and way is not None and name not in fixed:
            found.setdefault(name, 0.0)
            found[name] += way if put.question.context in here else 0.0
    for event in told:
        name = said(event.context, TOPIC)
        if name in found and name not in fixed and event.time >= since.get(name, 0):
            strength = 1.0 if event.value is None else max(0.0, min(1.0, event.value))
            found[name] += {MORE: strength, LESS: -strength}.get(event.kind, 0.0)
    return {name: max(-1.0, min(1.0, weight)) for name, weight in found.items()}


def _of_reviews(
    events: Iterable[Event], since: Mapping[str, int], fixed: Iterable[str]
) -> dict[str, float]:
    """Mean sentiment of each aspect of the reviews that count, times `WISH`."""
    opinions: dict[str, list[float]] = {}
    closed = frozenset(fixed)
    for event in events:
        aspects = event.context.get("aspects") if event.kind == REVIEW else None
        for name, value in aspects.items() if isinstance(aspects, Mapping) else ():
            if name not in closed and event.time >= since.get(name, 0):
                opinions.setdefault(name, []).append(_number(value))
    return {name: WISH * sum(values) / len(values) for name, values in opinions.items()}


def _number(value: object) -> float:
    return max(-1.0, min(1.0, value)) if isinstance(value, (int, float)) else 0.0


def _read(value: Any) -> Edit | None:
    try:
        return Edit(
            weight=_number(value["weight"]),
            time=int(value["time"]),
            locked=bool(value["locked"]),
            removed=bool(value.get("removed", False)),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _entry(name: str, value: dict[str, Any]) -> Entry:
    return Entry(kind=EntryKind.PROFILE, name=edit_name(name), value=value)
