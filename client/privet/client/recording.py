"""What the user did and said: into the store, if they agreed to it."""

from collections.abc import Iterable

from privet.client.controls import Feedback
from privet.client.parts import Context, Parts
from privet.client.results import Kept, Recommendation
from privet.client.vault.event import Event
from privet.privacy.errors import InputError


class Recording:
    """Records events and follows feedback.

    Args:
        parts: Of the client.
    """

    def __init__(self, parts: Parts) -> None:
        """Keep the parts."""
        self._parts = parts

    def record(
        self,
        kind: str,
        item: str,
        *,
        value: float | None,
        time: int | None,
        context: Context | None,
    ) -> Kept:
        """Record what the user did; see `privet.client.client.Client.record`."""
        when = self._parts.now if time is None else time
        event = Event(kind=kind, item=item, time=when, value=value, context=context or {})
        if not self._parts.consents.may_record:
            return Kept.NOT_CONSENTED
        self._parts.memory.record(event)
        return self._kept(item)

    def record_impressions(
        self, shown: Iterable[Recommendation | str], *, context: Context | None
    ) -> Kept:
        """Note what was shown; it waits for the next event or flush."""
        now, names = self._parts.now, [s if isinstance(s, str) else s.item for s in shown]
        events = [Event(kind="impression", item=n, time=now, context=context or {}) for n in names]
        if not self._parts.consents.may_record:
            return Kept.NOT_CONSENTED
        self._parts.memory.wait(*events)
        return self._kept(*names)

    def feedback(self, said: Feedback | str, *, item: str, topic: str) -> Kept:
        """Follow what the user says; see `privet.client.client.Client.feedback`."""
        word = _word(said, item=item, topic=topic)
        if word in (Feedback.MORE, Feedback.LESS):
            context: Context = {"topic": topic} if topic else {}
            return self.record(str(word), item, value=None, time=None, context=context)
        self._parts.controls.follow(word, item or topic)
        return Kept.KEPT

    def _kept(self, *items: str) -> Kept:
        catalogue = self._parts.features.catalogue
        known = all(not item or catalogue.index(item) is not None for item in items)
        return Kept.KEPT if known else Kept.UNKNOWN_ITEM


def _word(said: Feedback | str, *, item: str, topic: str) -> Feedback:
    try:
        word = Feedback(said)
    except ValueError:
        raise InputError(f"Expected one of: {', '.join(Feedback)}.") from None
    of_item = word in (Feedback.HIDE, Feedback.SHOW)
    of_topic = word in (Feedback.BLOCK_TOPIC, Feedback.ALLOW_TOPIC)
    if bool(item) == bool(topic) or (of_item and topic) or (of_topic and item):
        raise InputError(f"Expected one item or one topic, as {word} needs it.")
    return word
