"""What the client thinks of its user: shown, corrected, and asked about."""

from collections.abc import Mapping
from functools import cached_property

from privet.client.learning.situation import Mode
from privet.client.parts import Context, Parts
from privet.client.profile.asker import Asker
from privet.client.profile.aspects import Aspects
from privet.client.profile.profile import Profile, profile_of
from privet.client.profile.questions import ANSWERS, Answer, answered
from privet.client.profile.reviews import Reviews
from privet.client.profile.taste import Taste
from privet.client.profile.topics import edit_name, remove_topic, set_topic, show_inferred
from privet.client.profile.wording import say_question
from privet.client.results import Asking, Kept
from privet.client.vault.event import EntryKind, Value
from privet.privacy.errors import InputError


class Portrait:
    """Shows, edits and completes the profile.

    Args:
        parts: Of the client.
    """

    def __init__(self, parts: Parts) -> None:
        """Make nothing yet."""
        self._parts = parts
        self._asker: tuple[object, Asker] | None = None

    def profile(self, context: Context | None) -> Profile:
        """Everything that is thought of the user; without consent what they told alone."""
        parts = self._parts
        return profile_of(
            parts.vault.events() if parts.consents.may_record else (),
            self._entries,
            catalogue=parts.features.catalogue,
            categories=parts.features.categories,
            weighting=parts.policy.weighting,
            now=parts.now,
            utc_offset_s=parts.utc_offset_s(context),
            sensitive=parts.policy.asking.sensitive,
        )

    def edit(
        self,
        topic: str,
        *,
        weight: float | None,
        locked: bool,
        remove: bool,
        undo: bool,
        inferred: bool | None,
    ) -> Kept:
        """Follow one edit; see `privet.client.client.Client.edit_profile`."""
        edits = (weight is not None) + remove + undo + (inferred is not None)
        if edits != 1 or bool(topic) == (inferred is not None):
            raise InputError(
                "Expected a topic with one of weight, remove and undo; or inferred, and no topic."
            )
        if undo:
            self._parts.vault.drop(EntryKind.PROFILE, [edit_name(topic)])
            return Kept.KEPT
        if inferred is not None:
            entry = show_inferred(inferred)
        elif weight is None:
            entry = remove_topic(topic, time=self._parts.now)
        else:
            entry = set_topic(topic, weight, time=self._parts.now, locked=locked)
            if not self._parts.consents.may_record:
                return Kept.NOT_CONSENTED
        self._parts.vault.put(entry)
        return Kept.KEPT

    def ask(self, context: Context | None) -> Asking | None:
        """The question that is worth most now; see `privet.client.client.Client.ask`."""
        parts = self._parts
        if not parts.consents.may_record:
            return None
        situation = parts.situation(context)
        recommender = parts.memory.recommender(situation)
        question = self._chooser().next(
            recommender.scores(Mode.PERSONAL, situation).values,
            events=parts.vault.events(),
            entries=self._entries,
            now=situation.now,
            utc_offset_s=situation.utc_offset_s,
        )
        if question is None:
            return None
        text = say_question(question, parts.features.catalogue)
        return Asking(question=question, text=text, answers=ANSWERS[question.kind])

    def answer(self, asking: Asking, answer: Answer | str) -> Kept:
        """Keep an answer, and never ask again."""
        told = answered(asking.question, answer, time=self._parts.now)
        if not self._parts.consents.may_record:
            return Kept.NOT_CONSENTED
        self._parts.memory.record(*told.events, entries=told.entries)
        return Kept.KEPT

    def review(self, item: str, text: str, *, value: float | None) -> Kept:
        """Keep what a review says; see `privet.client.client.Client.review`."""
        catalogue = self._parts.features.catalogue
        index = catalogue.index(item)
        title = catalogue.titles[index] if catalogue.titles and index is not None else ""
        event = self._reviews.read(text, title=title).event(item, time=self._parts.now, value=value)
        if not self._parts.consents.may_record:
            return Kept.NOT_CONSENTED
        self._parts.memory.record(event)
        return Kept.KEPT if index is not None else Kept.UNKNOWN_ITEM

    @cached_property
    def _reviews(self) -> Reviews:
        return Reviews(Aspects.of(self._parts.features.catalogue))

    @property
    def _entries(self) -> Mapping[str, Value]:
        return self._parts.vault.entries(EntryKind.PROFILE)

    def _chooser(self) -> Asker:
        """The asker for the published model in use."""
        parts, used = self._parts, self._parts.memory.used
        if self._asker is None or self._asker[0] is not used:
            taste = Taste.of(parts.features.catalogue, parts.features.categories, used)
            asker = Asker(
                catalogue=parts.features.catalogue,
                categories=parts.features.categories,
                taste=taste,
                weighting=parts.policy.weighting,
                rules=parts.policy.asking,
            )
            self._asker = (used, asker)
        return self._asker[1]
