"""Taking part in a federation from inside an app: joined once, then in turns, when it is due.

Loaded when an app connects, or when it did before: plans and accounting come along.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event as Signal
from threading import Lock, RLock
from typing import cast

from privet.client.agreed_items import agreed_items, keep_items
from privet.client.connection import Connected, Connection, NothingToSend, Trained, Training
from privet.client.consent import Terms, terms_of
from privet.client.departures import Departures
from privet.client.embedded.device_loop import EmbeddedDevice, Outcome
from privet.client.embedded.pace import Pace
from privet.client.embedded.transport import FleetConnection
from privet.client.learning.published import Published
from privet.client.membership import INVITATION, Membership, join
from privet.client.release import Preview
from privet.client.rights.conditions import Conditions
from privet.client.rights.consents import Consents
from privet.client.rights.due import Due, Needs, due
from privet.client.rights.notice import Purpose
from privet.client.rights.quotas import Usage
from privet.client.rights.uploads import Hook, Uploads
from privet.client.session import DeviceSession
from privet.models.catalogue import Catalogue
from privet.models.cohort import Cohort
from privet.models.invitation import Invitation
from privet.models.known import model_of
from privet.models.plan import Plan
from privet.models.score_parts import AdditiveModel
from privet.privacy.errors import InputError, PrivetError
from privet.privacy.minimization.envelope import Envelope
from privet.privacy.minimization.gate import AdmittedMessage
from privet.privacy.minimization.messages import scrub

_LOG = logging.getLogger("privet.client")
_IDLE = frozenset({Outcome.IDLE, Outcome.WAITING, Outcome.WITHHELD})


class Federated:
    """A device's place in a federation.

    Args:
        folder: Of the membership; there is none before `connect`.
        catalogue: The device's.
        consents: Of the user.
        usage: What taking part may cost.
        history: The history over a catalogue, as it is now, and a mark that changes when it does.
        departures: File of the plans that the device has left.

    Formal Guarantees:
        Without consent to contribute no file is made and no connection opened. `connect` opens none
        in any case. Everything that leaves goes through the device's session, its gate and its
        `Uploads`. No method but `connect` raises anything that was not asked for by a wrong
        argument: what goes wrong in the background is told in what is returned.
    """

    def __init__(
        self,
        folder: Path,
        *,
        catalogue: Catalogue,
        consents: Consents,
        usage: Usage,
        history: Callable[[Catalogue], tuple[int, Cohort]],
        departures: Path,
    ) -> None:
        """Open nothing yet."""
        self._folder, self._catalogue = folder, catalogue
        self._consents, self._usage, self._history = consents, usage, history
        self._departures, self._uploads = Departures(departures), Uploads(consents, usage)
        self._items: Catalogue | None = None
        self._opening, self._one_at_a_time, self._stop = Lock(), RLock(), Signal()
        self._member: Membership | None = None
        self._device: EmbeddedDevice | None = None
        self._session: tuple[int, DeviceSession] | None = None
        self._looked = False
        self._published: tuple[tuple[int, int], Published] | None = None

    def on_upload(self, hook: Hook) -> None:
        """Ask a hook about every message before it leaves."""
        self._uploads.on_upload(hook)

    def connect(self, invitation: Invitation) -> Connection:
        """Join a federation, if the user agreed to its terms; opens no connection.

        Raises:
            InputError: The invitation is of another catalogue, or the device is in another
                federation already.
            PrivacyError: The plan's noise is not worth the epsilon that it promises.
        """
        terms = terms_of(invitation)
        if not self._consents.has(Purpose.CONTRIBUTE, plan_hash=invitation.plan.hash):
            return Connection(state=Connected.NOT_CONSENTED, terms=terms)
        member = self.membership
        if member is None:
            self._check_catalogue(invitation.plan)
            request = join(invitation, self._folder, departures=self._departures)
            keep_items(self._folder, self._catalogue)
            return Connection(state=Connected.JOINED, terms=terms, request=request)
        if member.invitation.to_bytes() != invitation.to_bytes():
            raise InputError("This client is in another federation. Nothing was made or sent.")
        return Connection(state=Connected.ALREADY, terms=terms, request=member.request)

    @property
    def membership(self) -> Membership | None:
        """The device's directory, open; None if it never joined.

        Raises:
            InputError: Another process has it, or others may read it.
            IntegrityError: Something in it is damaged.
        """
        with self._opening:
            if self._member is None and (self._folder / INVITATION).is_file():
                self._member = Membership.open(self._folder)
            return self._member

    @property
    def terms(self) -> tuple[Terms, ...]:
        """Of the federation that the device is in, if it is in one."""
        member = self.membership
        return () if member is None else (terms_of(member.invitation),)

    def published(self) -> Published | None:
        """The model that the federation published, if the device has one."""
        try:
            member = self.membership
            stamp = None if member is None else member.models.stamp
            if member is None or stamp is None:
                return None
            if self._published is None or self._published[0] != stamp:
                held = member.models.held
                model, items = model_of(member.invitation.plan), self._trained_on().item_ids
                if held is None:
                    return None
                additive = cast("AdditiveModel", model)  # as all models of a plan are
                found = Published(model=additive, shared=held.shared, item_ids=items)
                self._published = (stamp, found)
            return self._published[1]
        except PrivetError as error:
            _LOG.info("no published model: %s", scrub(error))
            return None

    def train(
        self, conditions: Conditions, *, needs: Needs | None, seconds: float, pace: Pace | None
    ) -> Training:
        """Answer the server for a while, as long as it is due; never raises."""
        if not self._one_at_a_time.acquire(blocking=False):
            return Training(state=Trained.BUSY)
        try:
            return self._train(conditions, needs, seconds, pace)
        except Exception as error:  # noqa: BLE001 - background work brings no app down
            _LOG.info("training ended: %s", scrub(error))
            return Training(state=Trained.FAILED, why=_said(error))
        finally:
            self._one_at_a_time.release()

    def _train(
        self, conditions: Conditions, needs: Needs | None, seconds: float, pace: Pace | None
    ) -> Training:
        def asked() -> Due:
            return due(conditions, self._usage, self._consents, needs=needs)

        member = self.membership
        if member is None:
            return Training(state=Trained.NOT_CONNECTED)
        pace = pace or Pace.among(member.invitation.plan.facts.devices)
        if not (now := asked()).yes:
            return Training(state=Trained.NOT_DUE, why=now.why())
        steps: Counter[str] = Counter()
        device, end = self._opened(), time.monotonic() + seconds
        with self._usage.metered():
            try:
                device.join()
                while not self._stop.is_set() and time.monotonic() < end and asked().yes:
                    outcome = device.step().outcome
                    steps[str(outcome)] += 1
                    idle = outcome in _IDLE
                    wait = pace.idle() if idle else pace.busy()
                    self._stop.wait(min(wait, max(0.0, end - time.monotonic())))
            finally:
                # No farewell: a round may go on in the next call, and the server would take the
                # device for another one. It notices by itself if there is none.
                device.connection.close()
        return Training(state=Trained.DONE, steps=dict(steps))

    def preview(self) -> Preview | NothingToSend:
        """What the next answer would say, to the bit; it is then sent unless a hook cancels it."""
        if not self._consents.has(Purpose.CONTRIBUTE):
            return NothingToSend(why="the user has not agreed to contribute")
        with self._one_at_a_time:
            try:
                device = self._opened()
                device.join()
                waiting = device.waiting()
                found = None if waiting is None else self._current().preview(waiting)
            except PrivetError as error:
                _LOG.info("no preview: %s", scrub(error))
                return NothingToSend(why=_said(error))
        if found is None:
            return NothingToSend(why="the server asks for nothing that this device would answer")
        self._looked = True
        return found

    @contextmanager
    def paused(self) -> Iterator[None]:
        """End training in other threads, and let none begin."""
        self._stop.set()
        with self._one_at_a_time:
            self._stop.clear()
            yield

    def forget(self) -> None:
        """Drop the round that the device is in, and what was made and not sent; only if `paused`."""
        if self._device is not None:
            self._device.forget()
        if self._session is not None:
            self._session[1].forget()
        self._session, self._looked = None, False

    def close(self) -> None:
        """Stop training, and close the device's directory; it can be opened again."""
        with self.paused():
            if self._device is not None:
                self._device.connection.close()
            if self._member is not None:
                self._member.close()
            self._member = self._device = self._session = self._published = self._items = None

    def _opened(self) -> EmbeddedDevice:
        member = self.membership
        if member is None:
            raise InputError("This client is in no federation.")
        if self._device is None:
            connection = FleetConnection(member.server, member.node)
            self._device = EmbeddedDevice(connection, self._answer, permits=self._uploads.open)
        return self._device

    def _answer(self, request: Envelope) -> AdmittedMessage | None:
        admitted = self._current().answer(request)
        self._looked = False
        return admitted

    def _current(self) -> DeviceSession:
        """The session, with the history as it is now, unless a round or a preview goes on."""
        mark, cohort = self._history(self._trained_on())
        held = self._session
        if held is None or (held[0] != mark and not self._looked and not held[1].suspend()):
            held = (mark, self._new_session(cohort))
            self._session = held
        return held[1]

    def _trained_on(self) -> Catalogue:
        """The catalogue by which the federation counts, whatever the app's is by now."""
        member = self.membership
        if member is None:
            raise InputError("This client is in no federation.")
        if self._items is None:
            self._items = agreed_items(self._folder, member.invitation.plan, self._catalogue)
        return self._items

    def _check_catalogue(self, plan: Plan) -> None:
        if plan.catalogue_hash != self._catalogue.hash:
            raise InputError(
                "The federation has another catalogue than this client. Open the client with the "
                "federation's to join; afterwards it may grow. Nothing was made or sent."
            )

    def _new_session(self, cohort: Cohort) -> DeviceSession:
        member = self.membership
        if member is None:
            raise InputError("This client is in no federation.")
        number = cohort.devices.copy()
        number[:] = member.request.number
        device = member.device(model_of(member.invitation.plan), replace(cohort, devices=number))
        return DeviceSession(replace(device, release=self._uploads))


def _said(error: Exception) -> str:
    """What may be said of an error: Privet's own say nothing of anybody."""
    return str(error) if isinstance(error, PrivetError) else "an error within the client"
