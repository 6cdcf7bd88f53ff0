"""The object that apps embed: a user's history, recommendations from it, and their rights over it.

All of it works on the device, without a server. ``docs/client.md`` says how to embed it.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from pathlib import Path
from threading import RLock
from types import TracebackType
from typing import Concatenate, ParamSpec, Self, TypeVar

from privet.client.controls import Controls, Feedback
from privet.client.features import Features
from privet.client.learning.published import Published
from privet.client.learning.situation import Mode, Situation
from privet.client.lists import (
    Request,
    alike,
    found,
    position,
    recommended,
    situation_of,
    why,
    why_item,
)
from privet.client.memory import Memory
from privet.client.opening import open_vault
from privet.client.policy import Policy
from privet.client.ranking.wording import ENGLISH, Wording
from privet.client.results import Hit, Hits, Kept, Recommendation, Why
from privet.client.rights.consents import Consents
from privet.client.rights.notice import Notice
from privet.client.vault.event import Event
from privet.client.vault.key_source import KeySource
from privet.client.vault.portable import export_file
from privet.client.vault.receipt import Receipt
from privet.client.vault.vault import Vault
from privet.models.catalogue import Catalogue
from privet.models.content import ItemVectors
from privet.privacy.canonical import Json
from privet.privacy.errors import InputError

_P = ParamSpec("_P")
_T = TypeVar("_T")
Context = Mapping[str, Json]
"""What an app says of a moment: ``device``, ``session``, ``utc_offset_s``, and anything else."""


def _alone(
    method: Callable[Concatenate["Client", _P], _T],
) -> Callable[Concatenate["Client", _P], _T]:
    """One thread at a time."""

    @wraps(method)
    def call(self: "Client", /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        with self._lock:
            return method(self, *args, **kwargs)

    return call


class Client:
    """One user's client; made by `open`, used by one thread at a time or by many.

    Attributes:
        consent: What the user agreed to: ``grant``, ``withdraw``, ``receipts``, ``honour_gpc``.

    Formal Guarantees:
        No method opens a connection but `connect` and `train_if_due`, and these only with consent
        to contribute. Nothing of what a user does is recorded without consent to personalize, and
        without it recommendations follow from nothing about them but what they hid and blocked.
        What was recorded is on the disk when the method returns; see `Vault`.
    """

    def __init__(
        self,
        vault: Vault,
        features: Features,
        policy: Policy,
        *,
        notice: Notice | None,
        published: Published | None,
        clock: Callable[[], float],
    ) -> None:
        """Put the parts together; apps call `open`."""
        self._lock = RLock()
        self._vault, self._features, self._policy = vault, features, policy
        self._published, self._clock = published, clock
        self._controls = Controls(vault)
        self.consent = Consents(vault, notice=notice, clock=clock)
        self._memory = Memory(
            vault, features, policy, published=lambda: self._published, topics=dict
        )

    @classmethod
    def open(
        cls,
        path: Path | str,
        *,
        catalogue: Catalogue,
        key: KeySource,
        policy: Policy | None = None,
        notice: Notice | None = None,
        published: Published | None = None,
        vectors: ItemVectors | None = None,
        create: bool = True,
        busy_seconds: float = 10.0,
        clock: Callable[[], float] = time.time,
    ) -> Self:
        """Open a user's store, or make it.

        Args:
            path: The store's file; what the client keeps besides lies next to it, with names that
                begin like it.
            catalogue: The items. Another one than the last time is fine: events on items that it
                lacks stay, and count again when a catalogue has them.
            key: Where the key comes from; there is no store without one.
            policy: What the app decides.
            notice: What the app tells its user; consent receipts repeat it.
            published: A model that the app brings along, if it does.
            vectors: Item vectors of an encoder of the app's; words if not given.
            create: Whether a store may be made if there is none.
            busy_seconds: How long to wait for another process that writes.
            clock: Unix seconds.

        Raises:
            InputError: As `Vault`.
            IntegrityError: As `Vault`.
        """
        file, policy = Path(path), policy or Policy()
        vault = open_vault(file, key=key, create=create, busy_seconds=busy_seconds, clock=clock)
        features = Features(
            catalogue,
            hashing=policy.hashing,
            file=file.with_name(file.name + ".features") if policy.keep_features else None,
            vault=vault,
            vectors=vectors,
        )
        return cls(vault, features, policy, notice=notice, published=published, clock=clock)

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    @_alone
    def close(self) -> None:
        """Put on the disk what waits, close the store and forget what was learnt."""
        try:
            self._memory.flush()
        finally:
            self._vault.close()
            self._memory.forget()

    @_alone
    def flush(self) -> None:
        """Put on the disk what waits, and erase what the policy no longer allows to keep."""
        self._memory.flush()

    @_alone
    def record(
        self,
        kind: str,
        item: str = "",
        *,
        value: float | None = None,
        time: int | None = None,
        context: Context | None = None,
    ) -> Kept:
        """Record what the user did; it is on the disk when this returns, and learnt.

        Args:
            kind: view, click, like, dislike, rate, buy, skip, finish, ...; what each is worth says
                `Weighting`.
            item: The item's identifier; empty where there is none.
            value: Strength or rating.
            time: Unix seconds; now if not given.
            context: Of the moment.

        Raises:
            InputError: It cannot be kept; the disk is full; another process holds the store.
        """
        event = Event(
            kind=kind,
            item=item,
            time=self._now if time is None else time,
            value=value,
            context=context or {},
        )
        if not self.consent.may_record:
            return Kept.NOT_CONSENTED
        self._memory.record(event)
        known = not item or self._features.catalogue.index(item) is not None
        return Kept.KEPT if known else Kept.UNKNOWN_ITEM

    @_alone
    def record_impressions(
        self, shown: Iterable[Recommendation | str], *, context: Context | None = None
    ) -> Kept:
        """Note what was shown: on the disk with the next `record`, `flush` or `close`."""
        now, names = self._now, [one if isinstance(one, str) else one.item for one in shown]
        events = [Event(kind="impression", item=n, time=now, context=context or {}) for n in names]
        if not self.consent.may_record:
            return Kept.NOT_CONSENTED
        self._memory.wait(*events)
        known = all(self._features.catalogue.index(name) is not None for name in names)
        return Kept.KEPT if known else Kept.UNKNOWN_ITEM

    @_alone
    def feedback(self, said: Feedback | str, *, item: str = "", topic: str = "") -> Kept:
        """Follow what the user says: more or less of something, or none of it at all.

        Args:
            said: more, less, hide, show, block topic, allow topic.
            item: For hide and show; more and less have an item or a topic.
            topic: A category, for block and allow.

        Raises:
            InputError: Not one item or one topic, as the word needs it.
        """
        word = _feedback(said, item=item, topic=topic)
        if word in (Feedback.MORE, Feedback.LESS):
            return self.record(str(word), item, context={"topic": topic} if topic else {})
        self._controls.follow(word, item or topic)
        return Kept.KEPT

    @_alone
    def recommend(
        self,
        k: int = 10,
        *,
        context: Context | None = None,
        query: str = "",
        mode: Mode | str = Mode.PERSONAL,
        diversity: float | None = None,
        exclude_seen: bool | None = None,
    ) -> tuple[Recommendation, ...]:
        """A list for this user, best first; shorter where too few items may be shown.

        Args:
            k: How many.
            context: Of the moment.
            query: In plain words; what fits it best is ordered by what the user likes.
            mode: personal, contextual (the present session alone) or popular (nothing about the
                user). Without consent to personalize it is popular whatever is asked for.
            diversity: The user's dial, in [0, 1]; the policy's if not given.
            exclude_seen: True to leave out what the history has, False for nothing. By default
                seen items are left out, but in the popular mode, which reads no history.

        Raises:
            InputError: A value out of its range.
        """
        wanted = self._mode(mode)
        request = Request(
            k=k,
            situation=self._situation(context),
            mode=wanted,
            query=query,
            diversity=diversity,
            exclude_seen=exclude_seen if self.consent.may_record else False,
            hidden=self._controls.hidden,
            blocked=self._controls.blocked,
        )
        read = wanted is not Mode.POPULAR or bool(request.exclude_seen)
        recommender = self._memory.recommender(personal=read)
        return recommended(request, recommender, self._features, self._policy.lists)

    @_alone
    def explain(self, of: Recommendation | str, *, wording: Wording = ENGLISH) -> Why:
        """Why an item is in its list, or what an item's score is made of now.

        Args:
            of: From `recommend`, however long ago; or an item's identifier.
            wording: The language.

        Raises:
            InputError: The catalogue does not have the item.
        """
        catalogue = self._features.catalogue
        if isinstance(of, Recommendation):
            return why(of, catalogue, wording)
        item, mode = position(catalogue, of), self._mode(Mode.PERSONAL)
        recommender = self._memory.recommender(personal=mode is not Mode.POPULAR)
        return why_item(item, recommender.scores(mode, self._situation(None)), catalogue, wording)

    @_alone
    def search(self, query: str, k: int = 10) -> Hits:
        """What fits a query best; of equal fits what the user likes. Nothing is recorded.

        Raises:
            InputError: A query that is too long, or a negative k.
        """
        mode = self._mode(Mode.PERSONAL)
        recommender = self._memory.recommender(personal=mode is not Mode.POPULAR)
        prior = recommender.scores(mode, self._situation(None)).values
        return found(query, k, self._features, prior)

    @_alone
    def similar(self, item: str, k: int = 10) -> tuple[Hit, ...]:
        """The items that are most like one of them, by what the catalogue says.

        Raises:
            InputError: The catalogue does not have the item.
        """
        return alike(position(self._features.catalogue, item), k, self._features)

    @_alone
    def export(self, path: Path | str) -> None:
        """Write everything that the store holds to a new file, .json or .csv, in the clear.

        Raises:
            InputError: As `export_file`.
        """
        self._memory.flush()
        export_file(self._vault, Path(path))

    @_alone
    def erase(
        self, *, items: Iterable[str] | None = None, before: int | None = None, all: bool = False
    ) -> Receipt:
        """Erase for good, and compute anew what followed from it; see `Vault.erase`.

        Raises:
            InputError: As `Vault.erase`.
        """
        if items is not None and not isinstance(items, str):
            items = list(items)
            self._controls.forget(items)
        if all and items is None and before is None:
            self._memory.drop_waiting()
            self._features.forget()
        self._memory.flush()
        self._memory.forget()
        return self._vault.erase(items=items, before=before, all=all)

    @property
    def _now(self) -> int:
        return max(0, int(self._clock()))

    def _mode(self, mode: Mode | str) -> Mode:
        try:
            wanted = Mode(mode)
        except ValueError:
            names = ", ".join(Mode)
            raise InputError(f"Expected a mode, one of {names}.") from None
        return wanted if self.consent.may_record else Mode.POPULAR

    def _situation(self, context: Context | None) -> Situation:
        now = self._now
        offset = time.localtime(now).tm_gmtoff
        return situation_of(context or {}, now=now, utc_offset_s=offset)


def _feedback(said: Feedback | str, *, item: str, topic: str) -> Feedback:
    try:
        word = Feedback(said)
    except ValueError:
        raise InputError(f"Expected one of: {', '.join(Feedback)}.") from None
    of_item = word in (Feedback.HIDE, Feedback.SHOW)
    of_topic = word in (Feedback.BLOCK_TOPIC, Feedback.ALLOW_TOPIC)
    if bool(item) == bool(topic) or (of_item and topic) or (of_topic and item):
        raise InputError(f"Expected one item or one topic, as {word} needs it.")
    return word
