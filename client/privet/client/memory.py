"""The store and what is learnt from it, kept in step, whoever else writes to the store."""

from collections.abc import Callable, Iterable

from privet.client.features import Features
from privet.client.learning.published import Published
from privet.client.learning.recommender import Recommender
from privet.client.learning.situation import Situation
from privet.client.learning.told import LESS, MORE
from privet.client.policy import Policy
from privet.client.profile.reviews import KIND as REVIEW
from privet.client.profile.topics import wishes
from privet.client.vault.event import Entry, EntryKind, Event
from privet.client.vault.receipt import Retention
from privet.client.vault.vault import Vault

_OF_TOPICS = (MORE, LESS, REVIEW)


class Memory:
    """Events on the disk, and a recommender that has learnt from exactly these.

    Nothing is read before it is needed: opening a store costs the same however long the history is.

    Args:
        vault: The store.
        features: Of the catalogue.
        policy: What events are worth, and how long they are kept.
        published: Gives the published model that is to be used, or None.
        may_record: Whether the user agrees to be recorded now.
    """

    def __init__(
        self,
        vault: Vault,
        features: Features,
        policy: Policy,
        *,
        published: Callable[[], Published | None],
        may_record: Callable[[], bool],
    ) -> None:
        """Read nothing yet."""
        self._vault = vault
        self._features = features
        self._policy = policy
        self._published, self._may_record = published, may_record
        self._learnt: Recommender | None = None
        self._used: Published | None = None
        self._mark: int | None = None  # of the events that the recommender has learnt from
        self._said: list[Event] = []  # of those, what tells of topics
        self._waiting: list[Event] = []

    def record(self, *events: Event, entries: Iterable[Entry] = ()) -> None:
        """Add events and entries durably, and what waited for it."""
        new = (*self._waiting, *events)
        before, after = self._vault.add(events=new, entries=entries)
        self._waiting = []
        if self._learnt is not None and self._mark == before:
            self._learnt.observe(*new)
            self._said += [event for event in new if event.kind in _OF_TOPICS]
            self._mark = after

    def wait(self, *events: Event) -> None:
        """Keep events in memory until `flush` or the next `record`; a crash loses them."""
        self._waiting += events

    def flush(self) -> None:
        """Put on the disk what waits, and erase what the policy no longer allows to keep.

        What waits is dropped if the user has taken their consent back meanwhile.
        """
        if self._waiting and not self._may_record():
            self.drop_waiting()
        if self._waiting:
            self.record()
        if self._policy.retention != Retention():
            self._vault.retain(self._policy.retention)

    def drop_waiting(self) -> None:
        """Forget what waits."""
        self._waiting = []

    def forget(self) -> None:
        """Forget what was learnt; the events stay where they are."""
        if self._learnt is not None and self._mark is not None:
            self._learnt.reset(())
        self._mark, self._said = None, []

    def recommender(self, situation: Situation | None) -> Recommender:
        """What was learnt, from all events that the store has now, for a situation.

        Args:
            situation: None to read no events; what it says of the user is then of no use.
        """
        published = self._published()
        if self._learnt is None:
            self._learnt = Recommender(
                catalogue=self._features.catalogue,
                vectors=self._features.vectors,
                categories=self._features.categories,
                weighting=self._policy.weighting,
                published=published,
            )
        elif published is not self._used:
            self._learnt.adopt(published)
        self._used = published
        if situation is not None:
            self._learn(self._learnt, situation)
        return self._learnt

    @property
    def used(self) -> Published | None:
        """The published model that was used last."""
        return self._used

    def _learn(self, recommender: Recommender, situation: Situation) -> None:
        if self._mark is None or self._mark != self._vault.events_mark:
            self.flush()
            # Read before the events: what somebody else adds in between is learnt the next time.
            self._mark = self._vault.events_mark
            events = self._vault.events()
            recommender.reset(events)
            self._said = [event for event in events if event.kind in _OF_TOPICS]
        told = wishes(
            sorted(self._said, key=lambda event: event.time),
            self._vault.entries(EntryKind.PROFILE),
            now=situation.now,
            utc_offset_s=situation.utc_offset_s,
        )
        recommender.set_topics(told)
