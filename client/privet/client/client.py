"""The object that apps embed: a user's history, recommendations from it, and their rights over it.

All of it works on the device, without a server. ``docs/client.md`` says how to embed it. The work is
done by the parts that the methods call, a file each.
"""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from privet.client.contributing import Contributing
from privet.client.controls import Feedback
from privet.client.holding import Holding
from privet.client.learning.published import Published
from privet.client.learning.situation import Mode
from privet.client.opening import opened_parts
from privet.client.parts import Context, Parts, alone
from privet.client.policy import Policy
from privet.client.portrait import Portrait
from privet.client.profile.profile import Profile
from privet.client.profile.questions import Answer
from privet.client.ranking.wording import ENGLISH, Wording
from privet.client.recommending import Recommending
from privet.client.recording import Recording
from privet.client.results import Asking, Hit, Hits, Kept, Recommendation, Why
from privet.client.rights.notice import Notice
from privet.client.rights.receipts import ConsentReceipt
from privet.client.vault.key_source import KeySource
from privet.models.catalogue import Catalogue
from privet.models.content import ItemVectors

if TYPE_CHECKING:  # with a place in a federation come plans and accounting
    from privet.client.federated import Federated
    from privet.client.rights.erasure import ErasureReceipt


class Client(Contributing):
    """One user's client; made by `open`, used by one thread or by many, one after the other.

    Attributes:
        consent: What the user agreed to: ``grant``, ``withdraw``, ``receipts``, ``honour_gpc``.

    Formal Guarantees:
        No method opens a connection but `train_if_due` and `preview_upload`, and these only with
        consent to contribute. Nothing of what a user does is recorded without consent to
        personalize, and without it recommendations follow from nothing about them but what they hid
        and blocked. What was recorded is on the disk when the method returns; see `Vault`.
    """

    def __init__(self, parts: Parts) -> None:
        """Put the parts to work; apps call `open`."""
        self._parts, self._lock, self.consent = parts, parts.lock, parts.consents
        self._recording, self._recommending = Recording(parts), Recommending(parts)
        self._portrait, self._holding = Portrait(parts), Holding(parts)

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
            published: A model that the app brings along; a federation's goes before it.
            vectors: Item vectors of an encoder of the app's; words if not given.
            create: Whether a store may be made if there is none.
            busy_seconds: How long to wait for another process that writes.
            clock: Unix seconds.

        Raises:
            InputError: As `Vault`.
            IntegrityError: As `Vault`.
        """
        parts = opened_parts(
            Path(path),
            catalogue=catalogue,
            key=key,
            policy=policy or Policy(),
            notice=notice,
            published=published,
            vectors=vectors,
            create=create,
            busy_seconds=busy_seconds,
            clock=clock,
        )
        return cls(parts)

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

    def close(self) -> None:
        """Put on the disk what waits, end training, close the store, forget what was learnt."""
        self._parts.place.close()
        with self._lock:
            try:
                self._parts.memory.flush()
            finally:
                self._parts.vault.close()
                self._parts.memory.forget()

    @alone
    def flush(self) -> None:
        """Put on the disk what waits, and erase what the policy no longer allows to keep."""
        self._parts.memory.flush()

    @alone
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
        return self._recording.record(kind, item, value=value, time=time, context=context)

    @alone
    def record_impressions(
        self, shown: Iterable[Recommendation | str], *, context: Context | None = None
    ) -> Kept:
        """Note what was shown: on the disk with the next `record`, `flush` or `close`."""
        return self._recording.record_impressions(shown, context=context)

    @alone
    def review(self, item: str, text: str, *, value: float | None = None) -> Kept:
        """Record what a review of the user's says, read on the device; the text is not kept.

        Args:
            item: The item's identifier.
            text: In English; any other says nothing.
            value: The user's own verdict, from -1 to 1; it goes before the text's.

        Raises:
            InputError: The extra ``text`` is missing, or it cannot be kept.
        """
        return self._portrait.review(item, text, value=value)

    @alone
    def feedback(self, said: Feedback | str, *, item: str = "", topic: str = "") -> Kept:
        """Follow what the user says: more or less of something, or none of it at all.

        Args:
            said: more, less, hide, show, block topic, allow topic.
            item: For hide and show; more and less have an item or a topic.
            topic: A category, for block and allow.

        Raises:
            InputError: Not one item or one topic, as the word needs it.
        """
        return self._recording.feedback(said, item=item, topic=topic)

    @alone
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
        return self._recommending.recommend(
            k,
            context=context,
            query=query,
            mode=mode,
            diversity=diversity,
            exclude_seen=exclude_seen,
        )

    @alone
    def explain(self, of: Recommendation | str, *, wording: Wording = ENGLISH) -> Why:
        """Why an item is in its list, or what an item's score is made of now.

        Args:
            of: From `recommend`, however long ago; or an item's identifier.
            wording: The language.

        Raises:
            InputError: The catalogue does not have the item.
        """
        return self._recommending.explain(of, wording=wording)

    @alone
    def search(self, query: str, k: int = 10) -> Hits:
        """What fits a query best; of equal fits what the user likes. Nothing is recorded.

        Raises:
            InputError: A query that is too long, or a negative k.
        """
        return self._recommending.search(query, k)

    @alone
    def similar(self, item: str, k: int = 10) -> tuple[Hit, ...]:
        """The items that are most like one of them, by what the catalogue says.

        Raises:
            InputError: The catalogue does not have the item, or a negative k.
        """
        return self._recommending.similar(item, k)

    @alone
    def profile(self, *, context: Context | None = None) -> Profile:
        """What is thought of the user, each part told or inferred; without consent what they told."""
        return self._portrait.profile(context)

    @alone
    def edit_profile(
        self,
        topic: str = "",
        *,
        weight: float | None = None,
        locked: bool = False,
        remove: bool = False,
        undo: bool = False,
        inferred: bool | None = None,
    ) -> Kept:
        """Correct the profile; one edit a call.

        Args:
            topic: A category, for all but ``inferred``.
            weight: How much of it is wanted, from -1 to 1.
            locked: Whether nothing but another edit may move that.
            remove: It is to count nothing, and not to be inferred again.
            undo: Take back the edit of this topic.
            inferred: Whether the profile shows what was inferred.

        Raises:
            InputError: Not one edit, or a weight out of its range.
        """
        return self._portrait.edit(
            topic, weight=weight, locked=locked, remove=remove, undo=undo, inferred=inferred
        )

    @alone
    def ask(self, *, context: Context | None = None) -> Asking | None:
        """The question whose answer is worth most now, if one is worth it; none without consent.

        It is put again until `answer` was called, and never after that.
        """
        return self._portrait.ask(context)

    @alone
    def answer(self, asking: Asking, answer: Answer | str) -> Kept:
        """Keep what the user said to a question; ``skip`` is an answer to any.

        Raises:
            InputError: No answer to this question.
        """
        return self._portrait.answer(asking, answer)

    @alone
    def main_parameters(self) -> tuple[str, ...]:
        """What matters most in this user's lists, and what they can change, in sentences.

        For Article 27 of the Digital Services Act; every figure is of this user's own lists.
        """
        return self._holding.main_parameters(self._recommending)

    @alone
    def opt_out(self, scope: str) -> ConsentReceipt:
        """The user says no for good, to ``contribute``, ``personalize`` or ``all``; see `Consents`.

        Raises:
            InputError: Another scope.
        """
        return self.consent.opt_out(scope)

    @alone
    def has_opted_out(self, scope: str) -> bool:
        """Whether the user, or their Global Privacy Control, opted out of all of a scope.

        Raises:
            InputError: Another scope.
        """
        return self.consent.has_opted_out(scope)

    @alone
    def ledger(self) -> tuple[str, ...]:
        """What left this device, when, to whom and what it tells at most, in sentences."""
        return self._holding.ledger()

    @alone
    def export(self, path: Path | str) -> None:
        """Write everything that is held of the user to a new file, .json or .csv, in the clear.

        Raises:
            InputError: Another suffix, the file is there already, or it cannot be written.
        """
        self._holding.export(Path(path))

    def erase(
        self, *, items: Iterable[str] | None = None, before: int | None = None, all: bool = False
    ) -> "ErasureReceipt":
        """Erase for good: events of some items, before a time, or everything; with a receipt.

        Everything includes consents, what was kept of the catalogue, and the place in a federation.

        Args:
            items: Identifiers.
            before: Unix seconds, not included.
            all: Everything.

        Raises:
            InputError: Not exactly one of the three; or something could not be removed, and calling
                it again goes on.
        """
        with self._parts.place.paused(), self._lock:
            return self._holding.erase(items=items, before=before, all=all)

    def _federated(self) -> "Federated":
        return self._parts.place.made()

    def _joined(self) -> "Federated | None":
        return self._parts.place.joined()
