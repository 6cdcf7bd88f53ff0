"""Composition: how often each event happened, under one neighbouring relation."""

from collections.abc import Iterable

from privet.privacy.accounting.events import BasicEvent, Event, RepeatedEvent, UnprotectedEvent
from privet.privacy.accounting.validate import MOST
from privet.privacy.contribution import NeighbouringRelation
from privet.privacy.errors import InputError, PrivacyError


def counted(events: Iterable[Event]) -> dict[BasicEvent, int]:
    """Each distinct event and how often it happened, in a total whose order does not matter.

    Raises:
        InputError: An event happened more often than can be counted with.
        PrivacyError: Neighbouring relations are mixed in the total.
    """
    counts: dict[BasicEvent, int] = {}
    for composed in events:
        event, times = composed, 1
        while isinstance(event, RepeatedEvent):
            times *= event.times
            event = event.event
        counts[event] = counts.get(event, 0) + times
        if counts[event] > MOST:
            raise InputError(f"Expected an event to have happened at most {MOST} times.")
    common_relation(counts)
    return counts


def common_relation(events: Iterable[BasicEvent]) -> NeighbouringRelation:
    """The one relation of all events; zero-out if there is none with a relation.

    Raises:
        PrivacyError: There are two: epsilons under different relations do not add up.
    """
    found = {event.relation for event in events if not isinstance(event, UnprotectedEvent)}
    if len(found) > 1:
        names = " and ".join(sorted(relation.value for relation in found))
        raise PrivacyError(
            f"Releases under {names} cannot be one total: state them under one relation."
        )
    return found.pop() if found else NeighbouringRelation.ZERO_OUT


def kinds(events: Iterable[BasicEvent]) -> str:
    """The names of the events' kinds, for messages."""
    return ", ".join(sorted({type(event).__name__ for event in events}))
