"""A device's turn: stay online, fetch a request, ask the app's handler, send what the gate admitted.

It has no thread of its own and no state on disk. The host calls :meth:`EmbeddedDevice.step` when it
likes (an app in the background, once a minute) or :meth:`EmbeddedDevice.run` in a thread of its own.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from secrets import SystemRandom
from types import TracebackType
from typing import Any, Self

from privet.client.embedded.errors import ProtocolError, RejectedError, UnreachableError
from privet.client.embedded.objects import Request
from privet.client.embedded.pace import Pace
from privet.client.embedded.transport import FleetConnection
from privet.privacy.errors import EgressError, InputError, PrivetError, TransportError
from privet.privacy.minimization.envelope import Envelope
from privet.privacy.minimization.gate import AdmittedMessage

Handler = Callable[[Envelope], AdmittedMessage | None]

MAX_REMEMBERED = 1024
MAX_BUSY = 8
MAX_BACKOFF_SECONDS = 30.0


class Outcome(StrEnum):
    """What came of a step.

    IDLE: there was no request. ANSWERED: the server has the reply. REFUSED: the handler said no, and
    the server was told that there is no answer, and not why. DROPPED: a request was malformed, too
    late or seen before, or its reply came too late. WAITING: the server cannot be reached; the next
    step goes on where this one stopped. WITHHELD: the device may not speak; what it had to say was
    dropped, and nothing was sent.
    """

    IDLE = "idle"
    ANSWERED = "answered"
    REFUSED = "refused"
    DROPPED = "dropped"
    WAITING = "waiting"
    WITHHELD = "withheld"


@dataclass(frozen=True, kw_only=True)
class Step:
    """What came of a step, and why if something was in the way."""

    outcome: Outcome
    error: PrivetError | None = None


@dataclass(frozen=True, kw_only=True)
class _Answer:
    """What is to be said to a request: what the gate admitted, or no, and why for the host."""

    request: Request
    admitted: AdmittedMessage | None = None
    error: PrivetError | None = None


class EmbeddedDevice:
    """One device of a federation, inside an app.

    Args:
        connection: To its server.
        handler: Gets a request's envelope, and returns what the gate admitted as its answer, or
            None for a refusal. An error of Privet's is a refusal as well, and the host sees why.
            Any other exception is a bug and goes on to the host.
        node_id: What :meth:`join` returned the last time, if the host kept it.
        permits: Whether the device may speak to its server, asked at the beginning of each step and
            again before a reply is sent. Only True is a yes.
        heartbeat_interval: Seconds; the server takes a device that it has not heard of for twice as
            long to be offline.

    Raises:
        InputError: The interval is not one that a SuperLink accepts, 10 to 1,800 seconds.

    Each request is handled once while this object lives, however often it is delivered. Past that,
    what a device may answer how often is for the handler's own, durable record to say.
    """

    def __init__(
        self,
        connection: FleetConnection,
        handler: Handler,
        *,
        node_id: int | None = None,
        permits: Callable[[], bool] = lambda: True,
        heartbeat_interval: float = 30.0,
    ) -> None:
        """Do nothing yet."""
        if not 10 <= heartbeat_interval <= 1800:
            raise InputError("A heartbeat interval is 10 to 1,800 seconds.")
        self.connection = connection
        self.handler = handler
        self.permits = permits
        self.heartbeat_interval = heartbeat_interval
        self.node_id = node_id
        self._heartbeat_due: float | None = None  # None while offline
        self._announced: Mapping[str, Any] | None = None
        self._request: Request | None = None
        self._reply: _Answer | None = None
        self._tries = 0
        self._busy = 0
        self._seen: OrderedDict[str, None] = OrderedDict()

    def join(self) -> int:
        """Go online; the node id, for the host to keep.

        Raises:
            TransportError: The server cannot be reached or trusted, or does not know the device.
            EgressError: The device may not speak to it.
        """
        if not self._permitted():
            raise EgressError("The device may not speak to its server now. Nothing was sent.")
        try:
            return self._join()
        except BaseException:
            self.connection.close()
            raise

    def _join(self) -> int:
        if self.node_id is not None:
            try:
                self._beat(self.node_id)
                return self.node_id
            except RejectedError:  # another server, or a new registration
                self.node_id = None
        self.node_id = self.connection.activate(self.heartbeat_interval)
        self._heartbeat_due = time.monotonic() + 0.8 * self.heartbeat_interval
        return self.node_id

    def leave(self) -> None:
        """Go offline and hang up; the server finds out by itself if it cannot or may not be told."""
        online = self.node_id is not None and self._heartbeat_due is not None
        try:
            if self.node_id is not None and online and self._permitted():
                self.connection.deactivate(self.node_id)
        except TransportError:
            pass
        finally:
            self._heartbeat_due = None
            self.connection.close()

    def __enter__(self) -> Self:
        """Join."""
        self.join()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave."""
        self.leave()

    def step(self) -> Step:
        """One turn: at most one request and its reply.

        Raises:
            RejectedError: The server does not know this device any more.
            UntrustedServerError: The server is not the one that the authority vouches for.
            InputError: The device has not joined.
        """
        if not self._permitted():
            return self._withhold()
        return self._poll() or self._go_on()

    def waiting(self) -> Envelope | None:
        """The request that the next step would answer, fetched, and not yet given to the handler.

        Returns:
            None if there is none, or the device may not speak, or the server cannot be reached.

        Raises:
            RejectedError: As :meth:`step`.
            UntrustedServerError: As :meth:`step`.
            InputError: As :meth:`step`.
        """
        if not self._permitted():
            self._withhold()
        elif self._poll() is None and self._reply is None:
            try:
                self._fetch()
            except (ProtocolError, RejectedError) as error:
                self._drop(error)
            except UnreachableError as error:
                self._put_off(error)
        return None if self._request is None else self._request.envelope

    def forget(self) -> None:
        """Drop the request at hand and the reply that waits to be sent, if there are any."""
        self._announced = self._request = self._reply = None
        self._tries = self._busy = 0

    def run(
        self,
        until: Callable[[], bool],
        *,
        pace: Pace | None = None,
        wait: Callable[[float], object] = time.sleep,
        watch: Callable[[Step], object] = lambda step: None,
    ) -> None:
        """Take steps until the host says stop.

        Args:
            until: Asked before each step.
            pace: Between steps; a new `Pace` if not given.
            wait: Sleeps; an event's ``wait`` lets the host end it early.
            watch: Gets each step, for the host's log.

        Raises:
            RejectedError: As :meth:`step`.
            UntrustedServerError: As :meth:`step`.
            InputError: As :meth:`step`.
        """
        pace = Pace() if pace is None else pace
        failures = 0
        while not until():
            step = self.step()
            watch(step)
            failures = failures + 1 if step.outcome is Outcome.WAITING else 0
            if failures:
                longest = min(MAX_BACKOFF_SECONDS, 0.1 * 2.0 ** min(failures, 10))
                wait(SystemRandom().uniform(longest / 2, longest))
            elif step.outcome in (Outcome.IDLE, Outcome.WITHHELD):
                wait(pace.idle())
            else:
                wait(pace.busy())

    def _beat(self, node_id: int) -> None:
        self.connection.heartbeat(node_id, self.heartbeat_interval)
        self._heartbeat_due = time.monotonic() + 0.8 * self.heartbeat_interval

    def _poll(self) -> Step | None:
        """Stay online, and ask for a request if there is none; a step if that is all there is."""
        if self.node_id is None or self._heartbeat_due is None:
            raise InputError("The device is offline: call join() first.")
        try:
            if time.monotonic() >= self._heartbeat_due:
                self._beat(self.node_id)
            if self._reply is None and self._request is None and self._announced is None:
                self._announced = self.connection.poll(self.node_id)
                if self._announced is None:
                    return Step(outcome=Outcome.IDLE)
        except UnreachableError as error:
            return Step(outcome=Outcome.WAITING, error=error)
        except ProtocolError as error:
            return Step(outcome=Outcome.DROPPED, error=error)
        return None

    def _go_on(self) -> Step:
        """Bring the request at hand to its end, from wherever the last step left it."""
        try:
            self._fetch()
            if self._reply is None:
                self._reply = self._handle()
            return self._send(self._reply)
        except UnreachableError as error:
            return self._put_off(error)
        except (ProtocolError, RejectedError) as error:
            return self._drop(error)

    def _fetch(self) -> None:
        """Fetch the request that was announced, if one was; from then on it counts as seen."""
        announced = self._announced
        if announced is None:
            return
        if announced["message_id"] in self._seen:
            raise ProtocolError("A request was delivered a second time.")
        self._check_time(announced)
        request = self.connection.fetch(announced)
        self.forget()
        self._request = request
        self._seen[request.message_id] = None
        if len(self._seen) > MAX_REMEMBERED:
            self._seen.popitem(last=False)

    def _handle(self) -> _Answer:
        """Ask the handler about the request that was fetched; it is asked once."""
        request, self._request = self._request, None
        assert request is not None
        self._check_time(request.metadata)
        without_payload = replace(request, envelope=request.envelope.reply(b""))
        try:
            admitted = self.handler(request.envelope)
        except PrivetError as error:
            return _Answer(request=without_payload, error=error)
        return _Answer(request=without_payload, admitted=admitted)

    def _send(self, answer: _Answer) -> Step:
        request, admitted = answer.request, answer.admitted
        self._check_time(request.metadata)
        if not self._permitted():
            return self._withhold()
        self._tries += 1
        if admitted is None:
            taken = self.connection.refuse(request)
        else:
            taken = self.connection.send(request, admitted)
        if not taken and self._tries == 1:
            raise RejectedError("The server took no reply: it came too late, or there was one.")
        self.forget()
        outcome = Outcome.REFUSED if admitted is None else Outcome.ANSWERED
        return Step(outcome=outcome, error=answer.error)

    def _permitted(self) -> bool:
        try:
            return self.permits() is True
        except PrivetError:  # who cannot be asked has not said yes
            return False

    def _withhold(self) -> Step:
        self.forget()
        return Step(outcome=Outcome.WITHHELD)

    def _put_off(self, error: UnreachableError) -> Step:
        self._busy += error.busy
        if self._busy < MAX_BUSY:
            return Step(outcome=Outcome.WAITING, error=error)
        return self._drop(error)

    def _check_time(self, metadata: Mapping[str, Any]) -> None:
        if not self.connection.clock.now() < metadata["created_at"] + metadata["ttl"]:
            raise ProtocolError("A request's time was over before its reply was sent.")

    def _drop(self, error: PrivetError) -> Step:
        self.forget()
        return Step(outcome=Outcome.DROPPED, error=error)
