"""The part of a client that may send something: joining a federation, and answering it when due."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from privet.client.connection import Connection, NothingToSend, Trained, Training
from privet.client.rights.conditions import Conditions, PlatformConditions
from privet.client.rights.due import Needs

if TYPE_CHECKING:  # with a place in a federation come plans and accounting
    from privet.client.embedded.pace import Pace
    from privet.client.federated import Federated
    from privet.client.release import Preview
    from privet.client.rights.uploads import Hook
    from privet.models.invitation import Invitation


class Contributing(ABC):
    """What a client does for a federation; nothing at all without consent to contribute."""

    @abstractmethod
    def _federated(self) -> "Federated":
        """Its place in a federation, made ready when it is first asked for."""

    @abstractmethod
    def _joined(self) -> "Federated | None":
        """The same if the device has joined one, else None."""

    def connect(self, invitation: "Invitation") -> Connection:
        """Join a federation. Opens no connection: `train_if_due` does.

        The invitation is where trust begins, so it must come over a way that the user trusts. The
        first call, before there is consent, returns the terms to show; when the user agreed to
        them (``consent.grant("contribute", terms=...)``) the second one makes the device's keys.

        Args:
            invitation: From the operator.

        Returns:
            What came of it; the terms; and once joined what the operator enrols.

        Raises:
            InputError: The invitation is of another catalogue, or the device is in another
                federation.
            PrivacyError: The plan's noise is not worth its epsilon, or the device has taken part
                in this plan and left.
        """
        return self._federated().connect(invitation)

    def train_if_due(
        self,
        conditions: Conditions | None = None,
        *,
        needs: Needs | None = None,
        seconds: float = 60.0,
        pace: "Pace | None" = None,
    ) -> Training:
        """Answer the server for a while, if the user agreed and the moment is good; never raises.

        For a background job of the app's: it returns when the time is over, when it is no longer
        due, or when the client is closed. Other methods can be called meanwhile.

        Args:
            conditions: What the app knows of the moment; what the platform tells if not given.
            needs: Which conditions must hold; all if not given.
            seconds: How long at most, but for the turn at hand.
            pace: Between turns; if not given, one for as many devices as the plan is for.
        """
        joined = self._joined()
        if joined is None:
            return Training(state=Trained.NOT_CONNECTED)
        return joined.train(
            conditions or PlatformConditions(),
            needs=needs,
            seconds=seconds,
            pace=pace,
        )

    def preview_upload(self) -> "Preview | NothingToSend":
        """What would leave next: the very bytes, and each field with its purpose.

        Asks the server, with consent, what it wants; noise and masks are drawn once, so that the
        next `train_if_due` sends these bytes, unless a hook cancels them.
        """
        joined = self._joined()
        if joined is None:
            return NothingToSend(why="this client is in no federation")
        return joined.preview()

    def on_upload(self, hook: "Hook") -> None:
        """Ask a hook about every message before it leaves; only if it returns True the message does.

        Args:
            hook: Gets a `privet.client.release.Preview`; an exception cancels the message too.
        """
        self._federated().on_upload(hook)
